import type { RecordSource, Stream } from '../../stream/contract.ts'
import { defaultGroupSettings, type GroupSettings } from '../../stream/groups/contract.ts'
import { topicMatches } from '../../topic/filter.ts'
import type { StreamIntake } from './stream-intake.ts'
import type { StreamIntakes } from './stream-intakes.ts'

export type AckMode = 'synced' | 'written' | 'received'

/** A stream as the router sees it. */
export interface RoutedStream {
  readonly stream: Stream
  readonly filter: string
  readonly ack: AckMode
  /** How consumer groups of the stream treat what they cannot process; default as in defaultGroupSettings. */
  readonly groups?: GroupSettings
}

/** One (topic, publisher) pair's way into one stream. */
export interface StreamTarget {
  readonly stream: Stream
  readonly source: RecordSource
  /** True when the publisher's ack waits for this stream's commit. */
  readonly awaited: boolean
  /** What the stream asks of messages; undefined when it takes all. */
  readonly intake: StreamIntake | undefined
}

const none: readonly StreamTarget[] = []

/** What the acknowledgement of topics matching a filter waits for, as far as queues and retained messages are concerned. */
export interface AckRule {
  readonly filter: string
  readonly mode: AckMode
}

/** Which streams a topic enters, and what its acknowledgement waits for. */
export class StreamTargets {
  #streams: readonly RoutedStream[]
  readonly #ackRules: readonly AckRule[]
  /** The broker's own stream: it can be read and takes no publishes. */
  readonly #own: Stream | undefined
  readonly intakes: StreamIntakes

  constructor(streams: readonly RoutedStream[], ackRules: readonly AckRule[], own: Stream | undefined, intakes: StreamIntakes) {
    this.#streams = streams
    this.#ackRules = ackRules
    this.#own = own
    this.intakes = intakes
    for (const { stream } of streams) intakes.of(stream)
  }

  /**
   * False when an operator asked for acks of this topic that do not wait for queues and retained messages to be on disk. The first
   * matching rule counts. `written` is answered like `synced`: the store knows no state between.
   */
  awaitsStore(topic: string): boolean {
    for (const { filter, mode } of this.#ackRules) if (topicMatches(filter, topic)) return mode !== 'received'
    return true
  }

  get streams(): readonly RoutedStream[] {
    return this.#streams
  }

  /** Adds the stream, or takes the place of the one of its name. Routes that were resolved before do not know it. */
  put(routed: RoutedStream): void {
    const { name } = routed.stream
    this.intakes.of(routed.stream)
    const known = this.#streams.some(({ stream }) => stream.name === name)
    this.#streams = known ? this.#streams.map(one => (one.stream.name === name ? routed : one)) : [...this.#streams, routed]
  }

  delete(name: string): void {
    this.intakes.forget(name)
    this.#streams = this.#streams.filter(({ stream }) => stream.name !== name)
  }

  resolve(topic: string, clientId: string): readonly StreamTarget[] {
    let targets: StreamTarget[] | undefined
    for (const { stream, filter, ack } of this.#streams) {
      if (!topicMatches(filter, topic)) continue
      targets ??= []
      targets.push({
        stream,
        source: stream.source(topic, clientId),
        awaited: ack !== 'received',
        intake: this.intakes.of(stream)
      })
    }
    return targets ?? none
  }

  /** Does a message on its way into these streams have to be looked at first? */
  guarded(targets: readonly StreamTarget[]): boolean {
    return this.intakes.byPacketId || targets.some(({ intake }) => intake !== undefined)
  }

  get(name: string): Stream | undefined {
    return this.#streams.find(({ stream }) => stream.name === name)?.stream ?? (name === this.#own?.name ? this.#own : undefined)
  }

  groupSettings(name: string): GroupSettings {
    return this.#streams.find(({ stream }) => stream.name === name)?.groups ?? defaultGroupSettings
  }

  /** Bytes that wait for their sync over all streams. */
  get pendingBytes(): number {
    let bytes = this.#own?.pendingBytes ?? 0
    for (const { stream } of this.#streams) bytes += stream.pendingBytes
    return bytes
  }
}
