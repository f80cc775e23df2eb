import { reasonCode } from '../../mqtt/reason-code.ts'
import type { Offset, ReadBatch, RecordSource, StreamGap, StreamRecord } from '../../stream/contract.ts'
import { topicMatches } from '../../topic/filter.ts'
import { endAfterHookError, HookError } from '../ask-hook.ts'
import type { Connection } from '../connection.ts'
import type { BrokerSession } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import { type ReadTurns, recordWeightShift, type TurnTaker } from './read-turns.ts'
import { RecordSender } from './record-sender.ts'
import type { Reading } from './stream-reading.ts'

/** A reading sends no more while this much waits in the transport: what a slow client has not taken can be read again. */
const waitingBytesMax = 256 * 1024
/** After so many bytes a reading looks again how much waits. */
const burstBytes = 64 * 1024
/** Stepping over a record costs about this fraction of sending it: 1 / 2^2. */
const steppedOverShift = 2

/** What a run needs of those who started it. */
export interface RunHost {
  readonly context: NativeContext
  readonly deliverer: Deliverer
  readonly turns: ReadTurns
  /** Calls wake() of the session's runs when the connection's transport has taken what waits. */
  awaitDrain(session: BrokerSession, connection: Connection): void
  /** The client's rights have changed: reading begins anew behind what was sent. */
  restart(reading: Reading): void
}

/**
 * A reading at work on one connection: reads batches of records ahead and sends them, turn by turn, while the client takes them.
 *
 * `waiting`: asked for a turn. `loading`: for records. `blocked`: for the client, whose window or transport is full; wake() tells.
 */
export class StreamRun implements TurnTaker {
  readonly #host: RunHost
  readonly #reading: Reading
  readonly #session: BrokerSession
  readonly #connection: Connection
  readonly #sender: RecordSender
  readonly #waitingBytesMax: number
  /** Whose rights the records were selected by. */
  readonly #policy: BrokerSession['policy']
  readonly #abort = new AbortController()
  readonly #batches: AsyncIterator<ReadBatch>
  #state: 'waiting' | 'loading' | 'blocked' | 'ended' = 'loading'
  #isLoading = false
  #records: readonly StreamRecord[] = []
  #at = 0
  /** Behind the last offset that #records covers; undefined when the reading knows it. */
  #nextOffset: Offset | undefined
  #lookedUpTo: Offset | undefined
  /** Records of the batch that were not selected. */
  #steppedOver = 0
  /** What was read while #records is being sent. */
  #ahead: ReadBatch | undefined
  /** Offsets that are lost before the next record to be sent, and before #ahead. */
  #gap: StreamGap | undefined
  #gapAhead: StreamGap | undefined

  constructor(host: RunHost, reading: Reading, connection: Connection) {
    const { subscription, stream } = reading
    const { limits } = host.context
    this.#host = host
    this.#reading = reading
    this.#session = subscription.session
    this.#connection = connection
    this.#sender = new RecordSender(host.context, host.deliverer, reading, connection)
    // Below its high-water mark a transport does not tell when it has drained.
    const bytesMax = Math.min(waitingBytesMax, limits.maxOutboundBufferBytes)
    this.#waitingBytesMax = Math.max(bytesMax, connection.conn.writableHighWaterMark)
    this.#policy = this.#session.policy
    const onGap = (lost: StreamGap) => {
      this.#gapAhead = joined(this.#gapAhead, lost)
    }
    const batches = stream.readBatches({
      // A time is looked for once; what the other beginnings mean was settled when the subscription was made.
      from: reading.timed ?? { offset: reading.next ?? 0 },
      follow: true,
      signal: this.#abort.signal,
      select: source => this.#selects(source),
      outOfRange: 'earliest',
      // To the client it is the same whether damage or retention took them.
      onGap,
      onRemoved: onGap
    })
    this.#batches = batches[Symbol.asyncIterator]()
    void this.#load()
  }

  /** Sends nothing more. */
  stop(): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#records = []
    this.#ahead = undefined
    this.#abort.abort()
    // A read that is under way needs its file open, and closes it itself when it meets the aborted signal.
    if (!this.#isLoading) this.#close()
  }

  /** The client may take more. */
  wake(): void {
    if (this.#state === 'blocked') this.#askForTurn()
  }

  turn(allowance: number): number {
    if (this.#state !== 'waiting') return 0
    if (this.#session.policy !== this.#policy) {
      this.#host.restart(this.#reading)
      return 0
    }
    let weight = 0
    try {
      while (weight < allowance) {
        if (this.#at === this.#records.length) {
          if (!this.#nextBatch()) break
          weight += this.#steppedOver >> steppedOverShift
          continue
        }
        const room = this.#room
        if (room > 0) weight += this.#send(room, allowance - weight)
        else this.#block()
        if (this.#state !== 'waiting') break
      }
      this.#connection.outbound.flush()
      if (this.#at * 2 >= this.#records.length && this.#ahead === undefined && !this.#isLoading) void this.#load()
    } catch (error) {
      this.#failed(error)
    }
    if (this.#state === 'waiting') this.#askForTurn()
    return weight
  }

  #askForTurn(): void {
    this.#state = 'waiting'
    this.#host.turns.add(this)
  }

  #selects({ topic, clientId, partition }: RecordSource): boolean {
    const { filter, subscription } = this.#reading
    if (!this.#reading.reads(partition)) return false
    if (filter !== '#' && !topicMatches(filter, topic)) return false
    if (subscription.noLocal && clientId === this.#session.clientId) return false
    return this.#policy === undefined || this.#policy.permitsAll || this.#policy.canReceive(topic)
  }

  async #load(): Promise<void> {
    this.#isLoading = true
    try {
      const { done, value } = await this.#batches.next()
      this.#isLoading = false
      if (this.#state === 'ended') return this.#close()
      if (done) return
      this.#ahead = value
      if (this.#state === 'loading') this.#askForTurn()
    } catch (error) {
      this.#isLoading = false
      this.#failed(error)
    }
  }

  /** Takes up what was read ahead. False when there is nothing yet: it comes by itself. */
  #nextBatch(): boolean {
    if (this.#nextOffset !== undefined) this.#reading.passed(this.#nextOffset)
    this.#nextOffset = undefined
    this.#records = []
    this.#at = 0
    if (this.#ahead === undefined) {
      this.#state = 'loading'
      return false
    }
    const { records, nextOffset } = this.#ahead
    this.#ahead = undefined
    if (this.#gapAhead !== undefined) this.#gap = joined(this.#gap, this.#gapAhead)
    this.#gapAhead = undefined
    this.#reading.began()
    this.#records = records
    this.#nextOffset = nextOffset
    this.#steppedOver = nextOffset - (this.#lookedUpTo ?? nextOffset - records.length) - records.length
    this.#lookedUpTo = nextOffset
    return true
  }

  get #room(): number {
    return this.#connection.outbound.waitingBytes > this.#waitingBytesMax ? 0 : this.#sender.room
  }

  /** The window is full, or the transport. Of the first the client's acknowledgement tells, of the second its `drain`. */
  #block(): void {
    const { outbound, conn } = this.#connection
    outbound.flush()
    if (this.#room > 0) return
    this.#state = 'blocked'
    if (conn.writableNeedDrain) this.#host.awaitDrain(this.#session, this.#connection)
  }

  /** Sends what `room` and `allowance` permit, or a burst of it; returns its weight. */
  #send(room: number, allowance: number): number {
    const reading = this.#reading
    const records = this.#records
    const nowMs = this.#host.context.now()
    let weight = 0
    let burst = 0
    let left = room
    while (this.#at < records.length && weight < allowance && burst < burstBytes && left > 0) {
      const record = records[this.#at++]!
      weight++
      if (reading.takes !== undefined && !reading.takes(record)) continue
      const bytes = this.#sender.send(record, this.#gap, nowMs)
      if (this.#state !== 'waiting') break
      if (bytes === 0) continue
      this.#gap = undefined
      left--
      burst += bytes
      weight += bytes >> recordWeightShift
    }
    return weight
  }

  #failed(error: unknown): void {
    if (this.#state === 'ended') return
    this.stop()
    const { broker } = this.#host.context
    const connection = this.#connection
    if (error instanceof HookError) return endAfterHookError(connection, error)
    const { clientId } = this.#session
    broker.logger?.error({ err: error, clientId, stream: this.#reading.stream.name }, 'a stream cannot be read')
    connection.disconnect(reasonCode.implementationSpecificError, error as Error, 'stream-unavailable')
  }

  #close(): void {
    // What is left of a read that nobody wants any more is its open file; a failure to close it is nobody's business.
    void this.#batches.return?.().catch(() => undefined)
  }
}

function joined(before: StreamGap | undefined, { fromOffset, toOffset }: StreamGap): StreamGap {
  return { fromOffset: before?.fromOffset ?? fromOffset, toOffset }
}
