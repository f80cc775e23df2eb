import type { DeliverySource } from '../../session/inflight-window.ts'
import type { Offset, ReadFrom, Stream } from '../../stream/contract.ts'
import type { RoutedSubscription } from './broker-session.ts'

/**
 * One subscription that reads a stream: where it stands. The position is the first offset that is not acknowledged; everything
 * below it was delivered. What is sent and not acknowledged is above it, in order.
 */
export class StreamReading implements DeliverySource {
  readonly subscription: RoutedSubscription
  readonly stream: Stream
  /** Which topics of the stream it wants. */
  readonly filter: string
  /** The next offset to read; valid once `start` is undefined. */
  next: Offset
  /** Where to begin, until the first record was found. */
  start: ReadFrom | undefined
  /** Ends the loop that reads and sends; undefined while none runs. */
  stop: AbortController | undefined
  /** Tells the loop that the window may be open. */
  wake: (() => void) | undefined
  readonly #sent = new Set<Offset>()
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
    this.start = start
    this.next = startsAt(start, stream)
    this.#moved = moved
  }

  /** Everything below is acknowledged, or was not to be delivered. */
  get position(): Offset {
    for (const offset of this.#sent) return offset
    return this.next
  }

  /** Sent at QoS 1: it counts until it is acknowledged. */
  sent(offset: Offset): void {
    this.#sent.add(offset)
    this.next = offset + 1
  }

  /** Read up to `offset`, with nothing in between to wait for. */
  passed(next: Offset): void {
    this.next = next
    if (this.#sent.size === 0) this.#moved(this)
  }

  settle(offset: Offset): void {
    const before = this.position
    this.#sent.delete(offset)
    if (this.position !== before) this.#moved(this)
  }
}

/** Where a read begins; for a time that is found out by reading, so the earliest place it may be. */
function startsAt(start: ReadFrom, stream: Stream): Offset {
  if (start === 'latest') return stream.nextOffset
  if (typeof start === 'object' && 'offset' in start) return start.offset
  return stream.stats().earliestOffset
}
