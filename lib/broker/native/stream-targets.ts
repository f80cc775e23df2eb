import type { RecordSource, Stream } from '../../stream/contract.ts'
import { topicMatches } from '../../topic/filter.ts'

export type AckMode = 'synced' | 'written' | 'received'

/** A stream as the router sees it. */
export interface RoutedStream {
  readonly stream: Stream
  readonly filter: string
  readonly ack: AckMode
}

/** One (topic, publisher) pair's way into one stream. */
export interface StreamTarget {
  readonly stream: Stream
  readonly source: RecordSource
  /** True when the publisher's ack waits for this stream's commit. */
  readonly awaited: boolean
}

const none: readonly StreamTarget[] = []

/** Which streams a topic enters. */
export class StreamTargets {
  readonly #streams: readonly RoutedStream[]

  constructor(streams: readonly RoutedStream[]) {
    this.#streams = streams
  }

  get streams(): readonly RoutedStream[] {
    return this.#streams
  }

  resolve(topic: string, clientId: string): readonly StreamTarget[] {
    let targets: StreamTarget[] | undefined
    for (const { stream, filter, ack } of this.#streams) {
      if (!topicMatches(filter, topic)) continue
      targets ??= []
      targets.push({ stream, source: stream.source(topic, clientId), awaited: ack !== 'received' })
    }
    return targets ?? none
  }

  get(name: string): Stream | undefined {
    return this.#streams.find(({ stream }) => stream.name === name)?.stream
  }

  /** Bytes that wait for their sync over all streams. */
  get pendingBytes(): number {
    let bytes = 0
    for (const { stream } of this.#streams) bytes += stream.pendingBytes
    return bytes
  }
}
