import type { Offset } from '../../stream/contract.ts'
import type { WriteProgress } from './deferred-writes.ts'
import type { StreamIntake } from './stream-intake.ts'

/**
 * Which QoS 1 packets of a session are repetitions of what a stream has.
 *
 * A wrong yes loses a message, a wrong no costs a duplicate, so it says yes only when all of this holds:
 *
 * 1. The packet has DUP set, and session, Packet Identifier, topic, properties, RETAIN and payload are those of the original.
 * 2. No other message of the session has used the id since, whatever its topic.
 * 3. Fewer messages than Receive Maximum have come since. PUBACKs leave in order, and a client keeps to Receive Maximum, so after
 *    that many it has had the original's PUBACK and the id is another message's.
 * 4. Either the original's PUBACK was never written, and then the id is the original's beyond doubt. Or it was written on an earlier
 *    connection, where it may have been lost, and the session was never seen to give an id away again that soon.
 *
 * What is left to go wrong: a client that gives out the lowest free id has its PUBACK, sends a message of the very same bytes under
 * the very same id, for the first time in its session, and loses that one on the way. Clients that count their ids up, as most do,
 * cannot come to that.
 */
export class PacketIds {
  readonly #uses = new Map<number, PacketUse>()
  /** QoS 1 and 2 messages of the session, repetitions aside. */
  #count = 0
  #reuses = false

  /** The original that this packet repeats; undefined when it has to be taken for a new message. */
  original(packetId: number, hash: number, progress: WriteProgress, limit: number): PacketUse | undefined {
    const use = this.#uses.get(packetId)
    if (use === undefined || use.hash !== hash || this.#count - use.number >= limit) return undefined
    if (use.progress !== undefined && use.epoch > use.progress.writtenEpoch) return use
    return use.progress === progress || this.#reuses ? undefined : use
  }

  /** A message that is no repetition took the id. */
  taken(packetId: number, limit: number): void {
    const before = this.#uses.get(packetId)
    if (before !== undefined) {
      if (this.#count - before.number < limit) this.#reuses = true
      before.forget()
    }
    this.#count++
  }

  remember(packetId: number, hash: number, atMs: number): PacketUse {
    const use = new PacketUse(this.#uses, packetId, hash, this.#count, atMs)
    this.#uses.set(packetId, use)
    return use
  }

  /** A record found in a log at start, in the order of the log. The same message may be in several. */
  restore(packetId: number, hash: number, atMs: number, limit: number): PacketUse {
    const known = this.#uses.get(packetId)
    if (known !== undefined && known.hash === hash && known.atMs === atMs) return known
    this.taken(packetId, limit)
    return this.remember(packetId, hash, atMs)
  }
}

/** One message under one Packet Identifier, and where it was appended. */
export class PacketUse {
  readonly hash: number
  /** Its place among the messages of the session. */
  readonly number: number
  readonly atMs: number
  /** Of the connection its PUBACK leaves on, and the commit epoch it waits for; undefined after a restart. */
  progress: WriteProgress | undefined
  epoch = 0
  readonly #uses: Map<number, PacketUse>
  readonly #packetId: number
  readonly #appended: { intake: StreamIntake; offset: Offset }[] = []

  constructor(uses: Map<number, PacketUse>, packetId: number, hash: number, number: number, atMs: number) {
    this.#uses = uses
    this.#packetId = packetId
    this.hash = hash
    this.number = number
    this.atMs = atMs
  }

  /** Its PUBACK leaves with this epoch; 0 = at once. */
  acknowledged(progress: WriteProgress, epoch: number): void {
    this.progress = progress
    this.epoch = epoch
  }

  isIn(intake: StreamIntake): boolean {
    return this.#appended.some(one => one.intake === intake)
  }

  appended(intake: StreamIntake, offset: Offset): void {
    this.#appended.push({ intake, offset })
  }

  offsetIn(intake: StreamIntake): Offset {
    return this.#appended.find(one => one.intake === intake)?.offset ?? -1
  }

  /** The stream does not have it any more, or does not want to know. */
  remove(intake: StreamIntake): void {
    const index = this.#appended.findIndex(one => one.intake === intake)
    if (index >= 0) this.#appended.splice(index, 1)
    if (this.#appended.length === 0 && this.#uses.get(this.#packetId) === this) this.#uses.delete(this.#packetId)
  }

  forget(): void {
    this.#uses.delete(this.#packetId)
    for (const { intake } of this.#appended.splice(0)) intake.forgot(this)
  }
}

/**
 * 53 bits of what makes a message this message. Not against forgers: whoever finds a second message with the same hash can only make
 * a stream overlook a message of his own.
 */
export function contentHash(
  topic: string,
  retain: boolean,
  parts: readonly { bytes: Buffer; start: number; end: number }[]
): number {
  let a = retain ? 0x9e3779b1 : 0x85ebca77
  let b = 0xc2b2ae3d
  for (let i = 0; i < topic.length; i++) {
    const unit = topic.charCodeAt(i)
    a = Math.imul(a ^ unit, 0x01000193)
    b = Math.imul(b ^ unit, 0x5bd1e995)
  }
  for (const { bytes, start, end } of parts) {
    a = Math.imul(a ^ (end - start), 0x27d4eb2f)
    for (let at = start; at < end; at++) {
      a = Math.imul(a ^ bytes[at]!, 0x01000193)
      b = Math.imul(b ^ bytes[at]! ^ (b >>> 15), 0x5bd1e995)
    }
  }
  a = Math.imul(a ^ (a >>> 15) ^ b, 0x2c1b3c6d)
  b = Math.imul(b ^ (b >>> 13) ^ a, 0x297a2d39)
  return (a >>> 0) * 0x200000 + (b >>> 11)
}
