import type { StreamGap, StreamRecord } from '../../stream/contract.ts'
import type { Connection } from '../connection.ts'
import type { BrokerSession } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import { RecordEncoder } from './record-encoder.ts'
import type { Reading } from './stream-reading.ts'
import { recordPacket, recordShownTo, ToldProperties, withAttempt } from './stream-record.ts'

/** Sends the records of one reading on one connection. */
export class RecordSender {
  readonly #context: NativeContext
  readonly #deliverer: Deliverer
  readonly #reading: Reading
  readonly #session: BrokerSession
  readonly #connection: Connection
  readonly #isAwaited: boolean
  readonly #told: ToldProperties
  readonly #encoder: RecordEncoder

  constructor(context: NativeContext, deliverer: Deliverer, reading: Reading, connection: Connection) {
    this.#context = context
    this.#deliverer = deliverer
    this.#reading = reading
    this.#session = reading.subscription.session
    this.#connection = connection
    this.#isAwaited = reading.subscription.qos > 0
    this.#told = new ToldProperties(reading.stream.name)
    this.#encoder = new RecordEncoder(connection, reading.subscription, this.#told)
  }

  /** How many records may go out before the client acknowledges; what waits in the transport is another matter. */
  get room(): number {
    const connection = this.#connection
    if (this.#session.resends || connection.closed) return 0
    if (this.#isAwaited) return this.#deliverer.windowRoom(this.#session, connection)
    return connection.congestedSinceMs === 0 ? Number.POSITIVE_INFINITY : 0
  }

  /** Returns the bytes that went out; 0 when the client does not get this record. Throws a HookError. */
  send(record: StreamRecord, gap: StreamGap | undefined, nowMs: number): number {
    const attempt = this.#reading.attempt === undefined ? 1 : this.#reading.attempt(record)
    if (this.#context.broker.hasForwardHook) return this.#sendShown(record, attempt, gap, nowMs)
    const packetId = this.#take(record)
    const bytes = attempt > 1 ? 0 : this.#encoder.write(record, packetId, gap, nowMs)
    if (bytes === 0) return this.#sendWhole(record, packetId, attempt, gap, nowMs)
    this.#context.counters.publishSent[this.#isAwaited ? 1 : 0]++
    return bytes
  }

  #sendShown(record: StreamRecord, attempt: number, gap: StreamGap | undefined, nowMs: number): number {
    const shown = recordShownTo(this.#context.broker, this.#connection, record)
    if (shown === undefined || this.#connection.closed) return 0
    return this.#sendWhole(shown, this.#take(record), attempt, gap, nowMs)
  }

  #sendWhole(record: StreamRecord, packetId: number, attempt: number, gap: StreamGap | undefined, nowMs: number): number {
    const packet = recordPacket(record, this.#reading.subscription, this.#told, gap, nowMs)
    if (attempt > 1 && this.#connection.version === 5) packet.properties = withAttempt(packet.properties, attempt)
    packet.packetId = packetId
    if (this.#isAwaited) packet.qos = 1
    if (this.#deliverer.send(this.#connection, packet)) return record.payload.length + packet.properties.length
    if (this.#isAwaited) this.#deliverer.forget(this.#session, packetId)
    return 0
  }

  /** The record counts as sent, with this packet id at QoS 1. */
  #take(record: StreamRecord): number {
    const source = this.#reading.taken(record, this.#isAwaited)
    if (!this.#isAwaited) return 0
    const { inflight } = this.#session
    const packetId = inflight.allocate()
    inflight.sent(packetId, record.offset, 1, source)
    return packetId
  }
}
