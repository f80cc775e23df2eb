import type { Message } from '../../mqtt/message.ts'
import type { Connection } from '../connection.ts'
import type { Done } from '../engine.ts'
import type { BrokerSession, RoutedSubscription } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import { Publication } from './publication.ts'

interface Granted {
  subscription: RoutedSubscription
  existed: boolean
}

/** Sends retained messages to a new subscription, by its Retain Handling [MQTT-3.3.1-9] to [MQTT-3.3.1-11]. */
export class RetainedDelivery {
  readonly #context: NativeContext
  readonly #deliverer: Deliverer

  constructor(context: NativeContext, deliverer: Deliverer) {
    this.#context = context
    this.#deliverer = deliverer
  }

  /**
   * To be called when subscriptions are put in force: what is published from then on is delivered by them, so that it must not come
   * as a retained message, too, nor its predecessor after it. Ends with deliver() or unwatch().
   */
  watch(): Set<string> {
    const changed = new Set<string>()
    this.#context.retainedSearches.add(changed)
    return changed
  }

  unwatch(changed: Set<string>): void {
    this.#context.retainedSearches.delete(changed)
  }

  /** Calls `done` at once when nothing has to be searched for. `changed` comes from watch(). */
  deliver(session: BrokerSession, connection: Connection, granted: readonly Granted[], changed: Set<string>, done: Done): void {
    const ended: Done = error => {
      this.unwatch(changed)
      done(error)
    }
    const searches: RoutedSubscription[] = []
    try {
      this.#exact(session, granted, changed, searches)
    } catch (error) {
      // The store cannot be read while it reopens itself.
      return ended(error as Error)
    }
    if (searches.length === 0) return ended()
    this.#search(session, connection, searches, changed).then(
      () => ended(),
      (error: Error) => ended(error)
    )
  }

  /** Topics without wildcards are one get; the others are collected in `searches`. */
  #exact(
    session: BrokerSession,
    granted: readonly Granted[],
    changed: ReadonlySet<string>,
    searches: RoutedSubscription[]
  ): void {
    if (this.#context.store.retainedCount === 0) return
    for (const { subscription, existed } of granted) {
      if (subscription.retainHandling === 2 || (subscription.retainHandling === 1 && existed)) continue
      if (subscription.filter.includes('+') || subscription.filter.includes('#')) searches.push(subscription)
      else if (!changed.has(subscription.filter)) {
        const message = this.#context.store.retainedByTopic(subscription.filter)
        if (message !== undefined) this.#send(session, subscription, message)
      }
    }
  }

  async #search(
    session: BrokerSession,
    connection: Connection,
    subscriptions: readonly RoutedSubscription[],
    changed: ReadonlySet<string>
  ): Promise<void> {
    const { store, limits } = this.#context
    for (const subscription of subscriptions) {
      for await (const message of store.retainedByFilter(subscription.filter)) {
        if (connection.outbound.waitingBytes > limits.maxOutboundBufferBytes) await uncongested(connection)
        if (connection.closed) return
        if (!changed.has(message.topic)) this.#send(session, subscription, message)
      }
    }
  }

  #send(session: BrokerSession, subscription: RoutedSubscription, message: Message): void {
    const nowMs = this.#context.now()
    if (message.expiresAtMs !== 0 && message.expiresAtMs <= nowMs) {
      this.#context.store.deleteRetained(message.topic)
      this.#context.commit.schedule()
      this.#context.dropped('retained-expired')
      return
    }
    const publication = new Publication()
    publication.beginMessage(message, this.#context.routes.route(message.topic), nowMs)
    const ids = subscription.subscriptionId > 0 ? [subscription.subscriptionId] : []
    // Sent because of a new subscription, so RETAIN is 1 [MQTT3-3.3.1-8].
    if (this.#deliverer.toSession(session, publication, subscription.qos, true, ids)) this.#context.commit.schedule()
  }
}

/** Resolves when the transport takes bytes again, or is gone. */
async function uncongested(connection: Connection): Promise<void> {
  // What waits is handed to the transport at the end of this turn; only then it can say that it is too much.
  await new Promise(resolve => setImmediate(resolve))
  if (connection.congestedSinceMs === 0 || connection.closed) return
  const { conn } = connection
  await new Promise<void>(resolve => {
    const done = (): void => {
      conn.off('drain', done)
      conn.off('close', done)
      resolve()
    }
    conn.on('drain', done)
    conn.on('close', done)
  })
}
