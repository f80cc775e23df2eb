import type { DeliverySource } from '../../session/inflight-window.ts'
import type { Offset, ReadFrom, Stream, StreamRecord } from '../../stream/contract.ts'
import { startsAt } from '../../stream/read-from.ts'
import { SentOffsets } from '../../stream/sent-offsets.ts'
import type { RoutedSubscription } from './broker-session.ts'
import type { StreamRun } from './stream-run.ts'

/** A subscription that reads a stream: what of it, from where, and how far it is. */
export interface Reading {
  readonly subscription: RoutedSubscription
  readonly stream: Stream
  /** Which topics of the stream it wants. */
  readonly filter: string
  /** The time to begin with, until the first record was found. */
  readonly timed: { timeMs: number } | undefined
  /** The next offset to read, valid once `timed` is undefined; undefined while there is nothing to read. */
  readonly next: Offset | undefined
  /** What reads and sends; undefined while nothing does. */
  run: StreamRun | undefined

  /** Are records of this partition its own? Asked once for many records, so it may say yes where takes() still says no. */
  reads(partition: number): boolean
  /** Is the record one of this reading's own? Undefined: all are that reads() said yes to. */
  takes: ((record: StreamRecord) => boolean) | undefined
  /** It goes out; with `awaited` it counts as delivered when the source settles it. */
  taken(record: StreamRecord, awaited: boolean): DeliverySource
  /** Which attempt it is to send the record, from 1 on; asked before it is taken. Without this it is the first. */
  attempt?(record: StreamRecord): number
  /** The first records were found. */
  began(): void
  /** Everything below `next` was looked at. */
  passed(next: Offset): void
}

/**
 * One client's own reading. The position is the first offset that is not acknowledged; everything below it was delivered. What is
 * sent and not acknowledged is above it, in order.
 */
export class StreamReading implements Reading, DeliverySource {
  readonly subscription: RoutedSubscription
  readonly stream: Stream
  readonly filter: string
  next: Offset
  timed: { timeMs: number } | undefined
  run: StreamRun | undefined
  readonly takes = undefined
  readonly #sent = new SentOffsets()
  readonly #moved: (reading: StreamReading) => void

  constructor(
    subscription: RoutedSubscription,
    stream: Stream,
    filter: string,
    start: ReadFrom,
    moved: (reading: StreamReading) => void
  ) {
    this.subscription = subscription
    this.stream = stream
    this.filter = filter
    this.timed = typeof start === 'object' && 'timeMs' in start ? start : undefined
    this.next = startsAt(start, stream)
    this.#moved = moved
  }

  /** Everything below is acknowledged, or was not to be delivered. */
  get position(): Offset {
    return this.#sent.first ?? this.next
  }

  reads(): boolean {
    return true
  }

  taken({ offset }: StreamRecord, awaited: boolean): DeliverySource {
    if (awaited) this.#sent.add(offset)
    this.next = offset + 1
    return this
  }

  began(): void {
    this.timed = undefined
  }

  passed(next: Offset): void {
    this.next = next
    if (this.#sent.size === 0) this.#moved(this)
  }

  settle(offset: Offset): void {
    const isFirst = offset === this.#sent.first
    if (this.#sent.settle(offset) && isFirst) this.#moved(this)
  }
}
