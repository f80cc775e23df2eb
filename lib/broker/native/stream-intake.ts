import { endBeforeLast, userProperty, withUserProperty } from '../../mqtt/user-property.ts'
import type { Payload, PayloadFault, PayloadProblem } from '../../schema/payload.ts'
import type { StreamSchema } from '../../schema/stream-schema.ts'
import type { Offset } from '../../stream/contract.ts'
import { MessageIds } from './message-ids.ts'
import type { PacketUse } from './packet-ids.ts'

/** How a stream knows again what it has already. */
export type DuplicateKey = 'message-id' | 'packet-id'

export interface Deduplication {
  readonly windowMs: number
  /** Entries kept, of each kind; the oldest go first. */
  readonly maxEntries: number
  readonly by: readonly DuplicateKey[]
}

/** What one stream asks of messages before it takes them. */
export interface IntakeSettings {
  readonly schema?: StreamSchema | undefined
  readonly deduplicate?: Deduplication | undefined
}

/** What became of the messages that a schema looked at. */
export type ValidationResult = 'valid' | 'rejected' | 'dead-lettered' | 'tagged'

export interface IntakeCounts {
  stream: string
  validated: ReadonlyMap<ValidationResult, number>
  /** Of these, what was wrong with those that were not valid. */
  faults: ReadonlyMap<PayloadFault, number>
  duplicates: ReadonlyMap<DuplicateKey, number>
  /** Messages that are remembered, and the memory that takes, estimated. */
  remembered: number
  rememberedBytes: number
}

const messageId = Buffer.from('message-id')
export const schemaError = Buffer.from('schema-error')

/** Longer ids are not remembered, so that memory is bounded: such messages are always new. Characters. */
const MESSAGE_ID_MAX = 256

/** Memory of one remembered Packet Identifier. Bytes; 100,000 in 1,000 sessions took 226 each. */
const PACKET_USE_BYTES = 230

/** The door of one stream: its schema, and what it remembers to tell repetitions. */
export class StreamIntake {
  readonly stream: string
  readonly settings: IntakeSettings
  readonly schema: StreamSchema | undefined
  readonly byPacketId: boolean
  readonly ids: MessageIds | undefined
  readonly #maxEntries: number
  readonly #windowMs: number
  /** In the order of appending. */
  readonly #uses = new Set<PacketUse>()
  readonly #validated = new Map<ValidationResult, number>()
  readonly #faults = new Map<PayloadFault, number>()
  readonly #duplicates = new Map<DuplicateKey, number>()

  constructor(stream: string, settings: IntakeSettings) {
    const { schema, deduplicate } = settings
    this.stream = stream
    this.settings = settings
    this.schema = schema
    this.#maxEntries = deduplicate?.maxEntries ?? 0
    this.#windowMs = deduplicate?.windowMs ?? 0
    this.byPacketId = deduplicate?.by.includes('packet-id') ?? false
    this.ids = deduplicate?.by.includes('message-id') ? new MessageIds(this.#windowMs, this.#maxEntries) : undefined
  }

  get remembersAnything(): boolean {
    return this.byPacketId || this.ids !== undefined
  }

  get counts(): IntakeCounts {
    return {
      stream: this.stream,
      validated: this.#validated,
      faults: this.#faults,
      duplicates: this.#duplicates,
      remembered: this.#uses.size + (this.ids?.size ?? 0),
      rememberedBytes: this.#uses.size * PACKET_USE_BYTES + (this.ids?.bytes ?? 0)
    }
  }

  /** What is wrong with the payload, if there is a schema and it is not valid. */
  problem(payload: Payload): PayloadProblem | undefined {
    return this.schema === undefined ? undefined : payload.check(this.schema.check, this.schema.limits)
  }

  validated(result: ValidationResult, fault?: PayloadFault): void {
    this.#validated.set(result, (this.#validated.get(result) ?? 0) + 1)
    if (fault !== undefined) this.#faults.set(fault, (this.#faults.get(fault) ?? 0) + 1)
  }

  duplicate(by: DuplicateKey): void {
    this.#duplicates.set(by, (this.#duplicates.get(by) ?? 0) + 1)
  }

  /** The packet's original is in the log, and still in the window. */
  knows(use: PacketUse, nowMs: number): boolean {
    return use.isIn(this) && nowMs - use.atMs < this.#windowMs
  }

  remember(use: PacketUse, offset: Offset): void {
    use.appended(this, offset)
    this.#uses.add(use)
    for (const oldest of this.#uses) {
      if (this.#uses.size <= this.#maxEntries && use.atMs - oldest.atMs < this.#windowMs) break
      this.#uses.delete(oldest)
      oldest.remove(this)
    }
  }

  forgot(use: PacketUse): void {
    this.#uses.delete(use)
  }

  /** Records from this offset on are not in the log after all: they were discarded by a write that failed. */
  discard(from: Offset): void {
    this.ids?.discard(from)
    for (const use of this.#uses) {
      if (use.offsetIn(this) < from) continue
      this.#uses.delete(use)
      use.remove(this)
    }
  }
}

/** What a stream knows a message by, scoped to its publisher; undefined when it has no usable User Property `message-id`. */
export function messageKey(clientId: string, properties: Buffer): string | undefined {
  if (properties.length === 0) return undefined
  const id = userProperty(properties, messageId)
  // U+0000 is in no Client Identifier [MQTT-1.5.4-2].
  return id === undefined || id.length === 0 || id.length > MESSAGE_ID_MAX ? undefined : `${clientId}\0${id}`
}

/** The properties of a message that is not valid, in a stream that takes it all the same. */
export function taggedInvalid(properties: Buffer, problem: PayloadProblem): Buffer {
  return withUserProperty(properties, schemaError, problem.text)
}

/** How many bytes of a record's properties its publisher sent. */
export function publishedPropertiesEnd(properties: Buffer): number {
  return properties.length === 0 ? 0 : endBeforeLast(properties, schemaError)
}
