import { reasonCode } from '../../mqtt/reason-code.ts'
import { PartitionClaim } from '../../stream/groups/partition.ts'
import { parseStreamFilter } from '../../stream/read-from.ts'
import { parseSharedFilter } from '../../topic/filter.ts'
import type { BrokerSession, RoutedSubscription } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import { StreamReading } from './stream-reading.ts'
import { readsStream } from './stream-subscriptions.ts'
import type { RoutedStream } from './stream-targets.ts'
import type { Subscriptions } from './subscriptions.ts'

/** A consumer group of a stream, or somebody who reads it over MQTT without one, and how far it is. */
export interface StreamReader {
  kind: 'group' | 'client'
  /** Name of the group, or Client Identifier. */
  name: string
  filter: string
  /** The first offset that is not acknowledged, or not sent at QoS 0; a group's lowest. */
  position: number
}

/** Streams that come, change and go while clients publish and read. */
export class StreamChanges {
  readonly #context: NativeContext
  readonly #subscriptions: Subscriptions

  constructor(context: NativeContext, subscriptions: Subscriptions) {
    this.#context = context
    this.#subscriptions = subscriptions
  }

  /** The very next publish on a matching topic enters the stream. Who subscribed to it when it was there before reads on. */
  add(routed: RoutedStream): void {
    const { streams, commit, sessions } = this.#context
    streams.put(routed)
    commit.addStream(routed.stream)
    this.#renewRoutes()
    for (const session of sessions.values()) {
      const waiting = subscriptionsTo(routed.stream.name, session).filter(({ filter }) => !session.readings?.has(filter))
      for (const subscription of waiting) this.#subscriptions.restore(subscription)
      if (waiting.length > 0 && session.online) this.#subscriptions.online(session)
    }
  }

  /** The very next publish goes by the new filter, key, partitions and ack mode. */
  change(routed: RoutedStream): void {
    this.#context.streams.put(routed)
    this.#renewRoutes()
    this.#subscriptions.streams.groups.groups.repartition(routed.stream)
  }

  /**
   * No publish enters it any more, its consumer groups are gone, and so are the subscriptions that read it: MQTT has no other way to
   * tell a client than to end its connection (0x98). Resolves when what was appended is on disk and acknowledged: it may be closed.
   */
  async remove(name: string): Promise<void> {
    const { streams, commit, sessions } = this.#context
    streams.delete(name)
    this.#renewRoutes()
    for (const session of sessions.values()) this.#endReadings(name, session)
    this.#subscriptions.streams.groups.groups.removeStream(name)
    await commit.removeStream(name)
  }

  readers(name: string): StreamReader[] {
    const readers: StreamReader[] = []
    for (const { stream, group, filter, partitions } of this.#subscriptions.streams.groups.groups.describe()) {
      if (stream !== name) continue
      readers.push({ kind: 'group', name: group, filter, position: Math.min(...partitions.map(({ position }) => position)) })
    }
    for (const { clientId, readings } of this.#context.sessions.values()) {
      for (const [filter, reading] of readings ?? []) {
        if (!(reading instanceof StreamReading) || reading.stream.name !== name) continue
        readers.push({ kind: 'client', name: clientId, filter, position: reading.position })
      }
    }
    return readers
  }

  #endReadings(name: string, session: BrokerSession): void {
    const gone = subscriptionsTo(name, session)
    if (gone.length === 0) return
    for (const subscription of gone) {
      const reading = session.readings?.get(subscription.filter)
      session.subscriptions.delete(subscription.filter)
      this.#subscriptions.remove(subscription, 'stream-removed')
      if (session.stored) this.#context.store.deleteSubscription(session.key, subscription.filter)
      if (session.inflightCount === 0) continue
      for (const [packetId, { source }] of [...session.inflight.entries()]) {
        const read = source instanceof PartitionClaim ? source.member : source
        if (read === (reading as object | undefined)) session.inflight.complete(packetId)
      }
    }
    this.#context.commit.schedule()
    const error = new Error(`stream ${name} was removed`)
    session.connection?.disconnect(reasonCode.administrativeAction, error, 'stream-removed')
  }

  /** What publishers remember of topics is asked again; here, once, rather than with every packet. */
  #renewRoutes(): void {
    for (const { publisher } of this.#context.broker.connections) publisher?.renew(publisher.policyGeneration)
  }
}

function subscriptionsTo(name: string, session: BrokerSession): RoutedSubscription[] {
  if (session.subscriptionCount === 0) return []
  return [...session.subscriptions.values()].filter(({ filter }) => {
    if (!readsStream(filter)) return false
    const parsed = parseStreamFilter(parseSharedFilter(filter)?.filter ?? filter)
    return typeof parsed === 'object' && parsed.stream === name
  }) as RoutedSubscription[]
}
