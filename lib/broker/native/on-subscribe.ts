import type { Qos, SubscribePacket, SubscriptionRequest, UnsubscribePacket } from '../../mqtt/packet.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import { topicFilterError } from '../../topic/filter.ts'
import { topicLevels } from '../../topic/name.ts'
import { askHook, endAfterHookError, HookError } from '../ask-hook.ts'
import type { Connection } from '../connection.ts'
import type { Done } from '../engine.ts'
import { type BrokerSession, type RoutedSubscription, storedSubscription } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import { failureProperties } from './reason-text.ts'
import type { RetainedDelivery } from './retained-delivery.ts'
import { readsOwnStream, readsStream } from './stream-subscriptions.ts'
import type { Subscriptions } from './subscriptions.ts'
import { unsupportedFilter, unsupportedSubscribe } from './unsupported.ts'

const sharePrefix = '$share/'

interface Granted {
  subscription: RoutedSubscription
  existed: boolean
}

/**
 * SUBSCRIBE and UNSUBSCRIBE. Only what was granted is routed and stored. For stored sessions the SUBACK leaves after the commit.
 * The connection decodes nothing in between, so SUBACK, retained messages and later packets keep their order.
 */
export class SubscribeHandler {
  readonly #context: NativeContext
  readonly #retained: RetainedDelivery
  readonly #subscriptions: Subscriptions

  constructor(context: NativeContext, retained: RetainedDelivery, subscriptions: Subscriptions) {
    this.#context = context
    this.#retained = retained
    this.#subscriptions = subscriptions
  }

  subscribe(connection: Connection, packet: SubscribePacket, done?: Done): void {
    const unsupported = connection.version === 5 ? unsupportedSubscribe(this.#context.broker.features, packet) : undefined
    if (unsupported !== undefined) {
      connection.protocolError(unsupported.code, unsupported.message)
      return done?.(new Error(unsupported.message))
    }
    const session = connection.session as BrokerSession
    connection.suspend()
    this.#authorizeAll(connection, packet.subscriptions, answers => {
      const failure = answers.find(answer => answer.error instanceof HookError)?.error
      if (failure instanceof HookError) endAfterHookError(connection, failure)
      if (connection.closed) return done?.(new Error('connection closed'))
      const codes: number[] = []
      const granted: Granted[] = []
      const changed = this.#retained.watch()
      packet.subscriptions.forEach((request, index) => {
        const answer = answers[index]
        codes.push(this.#grant(connection, session, request, answer, packet, granted))
      })
      const afterCommit = () => {
        if (connection.closed) {
          this.#retained.unwatch(changed)
          return done?.(new Error('connection closed'))
        }
        if (packet.messageId > 0) {
          const properties = failureProperties(codes)
          connection.send({ cmd: 'suback', messageId: packet.messageId, granted: subackCodes(connection, codes), properties })
        }
        const { broker } = this.#context
        if (granted.length > 0) {
          broker.emit(
            'subscribe',
            granted.map(({ subscription }) => aedesSubscription(subscription)),
            connection
          )
          broker.announceSubscriptions(
            'new/subscribes',
            connection,
            granted.map(({ subscription }) => aedesSubscription(subscription))
          )
        }
        // A shared subscription brings no retained messages (section 4.8.2), but what waits in its group; one to a stream, its records.
        const own = granted.filter(({ subscription: { filter } }) => !filter.startsWith(sharePrefix) && !readsStream(filter))
        if (own.length < granted.length) this.#subscriptions.online(session)
        this.#retained.deliver(session, connection, own, changed, error => {
          if (error) connection.disconnect(reasonCode.implementationSpecificError, error, 'retained-unavailable')
          connection.resume()
          done?.(error)
        })
      }
      this.#whenDurable(session, connection, afterCommit)
    })
  }

  unsubscribe(connection: Connection, packet: UnsubscribePacket, done?: Done): void {
    const session = connection.session as BrokerSession
    const codes: number[] = []
    const removed: string[] = []
    for (const filter of packet.unsubscriptions) {
      const subscription = session.subscriptions.get(filter) as RoutedSubscription | undefined
      if (subscription === undefined) {
        codes.push(topicFilterError(filter) === undefined ? reasonCode.noSubscriptionExisted : reasonCode.topicFilterInvalid)
        continue
      }
      codes.push(reasonCode.success)
      session.subscriptions.delete(filter)
      this.#subscriptions.remove(subscription, 'unsubscribed')
      if (session.stored) this.#context.store.deleteSubscription(session.key, filter)
      removed.push(filter)
    }
    connection.suspend()
    this.#whenDurable(session, connection, () => {
      if (connection.closed) return done?.(new Error('connection closed'))
      if (packet.messageId > 0) {
        connection.send({ cmd: 'unsuback', messageId: packet.messageId, granted: codes, properties: failureProperties(codes) })
      }
      const { broker } = this.#context
      broker.emit('unsubscribe', packet.unsubscriptions, connection)
      if (removed.length > 0) broker.announceSubscriptions('new/unsubscribes', connection, removed)
      connection.resume()
      done?.()
    })
  }

  #whenDurable(session: BrokerSession, connection: Connection, then: () => void): void {
    const { commit, store } = this.#context
    if (!session.stored || !store.dirty) {
      then()
      return
    }
    commit.join({
      committed: (_epoch, failure) => {
        if (failure) connection.disconnect(reasonCode.implementationSpecificError, failure.error, 'commit-failed')
        then()
      }
    })
  }

  /** Asks the authorizeSubscribe hook for each filter, one after the other; at once when there is no hook. */
  #authorizeAll(connection: Connection, requests: SubscriptionRequest[], then: (answers: HookAnswer[]) => void): void {
    const { broker } = this.#context
    if (!broker.hasSubscribeHook) return then([])
    const answers: HookAnswer[] = []
    const next = (index: number): void => {
      if (index === requests.length) return then(answers)
      const request = requests[index]!
      const call = (done: HookDone) => broker.authorizeSubscribe(connection as never, { ...request } as never, done as never)
      askHook<SubscriptionRequest | null>(broker, 'authorizeSubscribe', connection, call, (error, subscription) => {
        answers[index] = error ? { error } : { subscription }
        next(index + 1)
      })
    }
    next(0)
  }

  /** The reason code of one subscription; adds it when it is granted. */
  #grant(
    connection: Connection,
    session: BrokerSession,
    request: SubscriptionRequest,
    answer: HookAnswer | undefined,
    packet: SubscribePacket,
    granted: Granted[]
  ): number {
    const { limits, store } = this.#context
    if (answer?.error) return reasonCode.notAuthorized
    if (answer && !answer.subscription) return reasonCode.notAuthorized
    const wanted = answer?.subscription ?? request
    if (topicFilterError(wanted.topic) !== undefined) return reasonCode.topicFilterInvalid
    // `$share/{ShareName}/` is two levels of the filter and none of any topic.
    const levels = topicLevels(wanted.topic) - (wanted.topic.startsWith(sharePrefix) ? 2 : 0)
    if (levels > limits.maxTopicLevels) return reasonCode.topicFilterInvalid
    const unsupported = unsupportedFilter(this.#context.broker.features, wanted.topic)
    if (unsupported !== undefined) return unsupported
    if (connection.policy && !connection.policy.canSubscribe(wanted.topic)) return reasonCode.notAuthorized
    const reads = readsStream(wanted.topic)
    // The broker's own streams are for those who were given the right to read them.
    if (reads && readsOwnStream(wanted.topic) && !connection.policy && !answer) return reasonCode.notAuthorized
    if (reads && this.#subscriptions.streams.problem(wanted.topic, packet) !== undefined) return reasonCode.topicFilterInvalid
    if (reads && this.#subscriptions.streams.exceedsGroups(wanted.topic)) return reasonCode.quotaExceeded
    const existing = session.subscriptions.get(wanted.topic) as RoutedSubscription | undefined
    if (existing === undefined && session.subscriptionCount >= limits.maxSubscriptionsPerSession) return reasonCode.quotaExceeded
    const subscription: RoutedSubscription = existing ?? {
      session,
      filter: wanted.topic,
      qos: 0,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
      subscriptionId: 0
    }
    // A stream repeats what was not acknowledged: at least once is the most it gives. What is asked for above Maximum QoS is granted
    // as far as it goes [MQTT-3.2.2-10].
    subscription.qos = Math.min(wanted.qos, reads ? 1 : 2, limits.maximumQos) as Qos
    subscription.noLocal = connection.bridge || (wanted.nl ?? false)
    subscription.retainAsPublished = connection.bridge || (wanted.rap ?? false)
    subscription.retainHandling = wanted.rh ?? 0
    subscription.subscriptionId = packet.properties.subscriptionIdentifiers?.[0] ?? 0
    if (!existing) session.subscriptions.set(wanted.topic, subscription)
    this.#subscriptions.granted(subscription, packet, existing !== undefined)
    if (session.stored) store.putSubscription(session.key, storedSubscription(subscription))
    // A copy: a later filter of this packet may replace it, and retained messages go by what this one asked [MQTT-3.8.4-5].
    granted.push({ subscription: { ...subscription }, existed: existing !== undefined })
    return subscription.qos
  }
}

type HookDone = (error?: Error | null, subscription?: SubscriptionRequest | null) => void
type HookAnswer = { error?: Error; subscription?: SubscriptionRequest | null | undefined }

/** 3.1.1 knows one failure code [MQTT3-3.9.3-2]; 3.1 knows none, and its clients take 0x80 as the later version means it. */
function subackCodes(connection: Connection, codes: number[]): number[] {
  return connection.version === 5 ? codes : codes.map(code => Math.min(code, 0x80))
}

function aedesSubscription(subscription: RoutedSubscription): object {
  return { topic: subscription.filter, qos: subscription.qos }
}
