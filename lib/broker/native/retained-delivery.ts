import type { Message } from '../../mqtt/message.ts'
import type { Connection } from '../connection.ts'
import type { Done } from '../engine.ts'
import type { BrokerSession } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import { Publication } from './publication.ts'
import type { RoutedSubscription } from './topic-routes.ts'

/** Sends retained messages to a new subscription, by its Retain Handling [MQTT-3.3.1-9] to [MQTT-3.3.1-11]. */
export class RetainedDelivery {
  readonly #context: NativeContext
  readonly #deliverer: Deliverer

  constructor(context: NativeContext, deliverer: Deliverer) {
    this.#context = context
    this.#deliverer = deliverer
  }

  /** Calls `done` at once when nothing has to be searched for. */
  deliver(
    session: BrokerSession,
    connection: Connection,
    granted: readonly { subscription: RoutedSubscription; existed: boolean }[],
    done: Done
  ): void {
    const searches: RoutedSubscription[] = []
    if (this.#context.store.retainedCount > 0) {
      for (const { subscription, existed } of granted) {
        if (subscription.retainHandling === 2 || (subscription.retainHandling === 1 && existed)) continue
        if (subscription.filter.includes('+') || subscription.filter.includes('#')) searches.push(subscription)
        else {
          const message = this.#context.store.retainedByTopic(subscription.filter)
          if (message !== undefined) this.#send(session, subscription, message)
        }
      }
    }
    if (searches.length === 0) return done()
    this.#search(session, connection, searches).then(
      () => done(),
      (error: Error) => done(error)
    )
  }

  async #search(session: BrokerSession, connection: Connection, subscriptions: readonly RoutedSubscription[]): Promise<void> {
    for (const subscription of subscriptions) {
      for await (const message of this.#context.store.retainedByFilter(subscription.filter)) {
        if (connection.closed) return
        this.#send(session, subscription, message)
      }
    }
  }

  #send(session: BrokerSession, subscription: RoutedSubscription, message: Message): void {
    if (message.expiresAtMs !== 0 && message.expiresAtMs <= this.#context.now()) {
      this.#context.store.deleteRetained(message.topic)
      this.#context.commit.schedule()
      this.#context.dropped('retained-expired')
      return
    }
    const publication = new Publication()
    publication.beginMessage(message, this.#context.routes.route(message.topic))
    const ids = subscription.subscriptionId > 0 ? [subscription.subscriptionId] : []
    // Sent because of a new subscription, so RETAIN is 1 [MQTT-3.3.1-8].
    if (this.#deliverer.toSession(session, publication, subscription.qos, true, ids)) this.#context.commit.schedule()
  }
}
