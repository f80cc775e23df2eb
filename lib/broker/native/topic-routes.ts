import type { Qos } from '../../mqtt/packet.ts'
import { TopicTrie } from '../../topic/trie.ts'
import type { BrokerSession, RoutedSubscription } from './broker-session.ts'
import { SharedGroup } from './shared-group.ts'

/**
 * Topic Name to subscribers. A match over the trie is done once per topic and kept until any subscription changes; publishers
 * keep the TopicRoute itself, so the usual publish does no lookup at all.
 */

/** Topics remembered; when full the cache starts anew. */
const cachedTopicsMax = 100_000
/** And characters of topics: a topic may be 64 KiB long. */
const cachedTopicCharsMax = 16 * 1024 * 1024

const noGroups: readonly SharedGroup[] = []

/** One receiving session, its overlapping subscriptions merged into one delivery [MQTT-3.3.4-2], [MQTT3-3.3.5-1]. */
export interface Target {
  readonly session: BrokerSession
  /** Highest QoS of the matching subscriptions. */
  readonly qos: Qos
  readonly retainAsPublished: boolean
  readonly subscriptionIds: readonly number[]
  /** Set when one of several subscriptions has No Local: the publisher's own messages need a second look. */
  readonly noLocal: boolean
  readonly subscriptions: readonly RoutedSubscription[]
}

export class TopicRoute {
  readonly topic: string
  readonly topicBytes: Buffer
  generation = -1
  targets: readonly Target[] = []
  /** Shared subscriptions: each gets one copy. */
  groups: readonly SharedGroup[] = noGroups

  constructor(topic: string) {
    this.topic = topic
    this.topicBytes = Buffer.from(topic)
  }

  /** Nobody is subscribed. */
  get isEmpty(): boolean {
    return this.targets.length === 0 && this.groups.length === 0
  }
}

export class TopicRoutes {
  readonly #trie = new TopicTrie<RoutedSubscription | SharedGroup>()
  #groups = 0
  /** Subscriptions that are members of a group. */
  sharedMembers = 0
  readonly #cache = new Map<string, TopicRoute>()
  #cachedChars = 0
  /** Grows with every change of subscriptions. */
  generation = 0

  get subscriptionCount(): number {
    return this.#trie.size - this.#groups + this.sharedMembers
  }

  add(subscription: RoutedSubscription): void {
    this.#trie.add(subscription.filter, subscription)
    this.generation++
  }

  /** An existing subscription got other options. */
  changed(): void {
    this.generation++
  }

  remove(subscription: RoutedSubscription): void {
    this.#trie.remove(subscription.filter, subscription)
    this.generation++
  }

  addGroup(group: SharedGroup): void {
    this.#trie.add(group.filter, group)
    this.#groups++
    this.generation++
  }

  removeGroup(group: SharedGroup): void {
    this.#trie.remove(group.filter, group)
    this.#groups--
    this.generation++
  }

  /** The route of a topic, its targets up to date. The topic must be a valid Topic Name. */
  route(topic: string): TopicRoute {
    let route = this.#cache.get(topic)
    if (route === undefined) {
      this.#cachedChars += topic.length
      if (this.#cache.size >= cachedTopicsMax || this.#cachedChars > cachedTopicCharsMax) {
        this.#cache.clear()
        this.#cachedChars = topic.length
      }
      route = new TopicRoute(topic)
      this.#cache.set(topic, route)
    }
    if (route.generation !== this.generation) this.refresh(route)
    return route
  }

  refresh(route: TopicRoute): void {
    const found = this.#trie.match(route.topic)
    if (this.#groups === 0) {
      route.groups = noGroups
      route.targets = mergeBySession(found as RoutedSubscription[])
    } else {
      const groups = found.filter(one => one instanceof SharedGroup)
      route.groups = groups.length === 0 ? noGroups : groups
      route.targets = mergeBySession(found.filter((one): one is RoutedSubscription => !(one instanceof SharedGroup)))
    }
    route.generation = this.generation
  }
}

/** The merge of a target's subscriptions without those that have No Local; undefined when none is left [MQTT-3.8.3-3]. */
export function withoutNoLocal(target: Target): Target | undefined {
  const rest = target.subscriptions.filter(subscription => !subscription.noLocal)
  return rest.length === 0 ? undefined : merge(target.session, rest)
}

function mergeBySession(subscriptions: readonly RoutedSubscription[]): Target[] {
  if (subscriptions.length === 0) return []
  if (subscriptions.length === 1) return [merge(subscriptions[0]!.session, subscriptions as RoutedSubscription[])]
  const bySession = new Map<BrokerSession, RoutedSubscription[]>()
  for (const subscription of subscriptions) {
    const same = bySession.get(subscription.session)
    if (same) same.push(subscription)
    else bySession.set(subscription.session, [subscription])
  }
  const targets: Target[] = []
  for (const [session, own] of bySession) targets.push(merge(session, own))
  return targets
}

function merge(session: BrokerSession, subscriptions: readonly RoutedSubscription[]): Target {
  let qos: Qos = 0
  let retainAsPublished = false
  let noLocal = false
  const subscriptionIds: number[] = []
  for (const subscription of subscriptions) {
    if (subscription.qos > qos) qos = subscription.qos
    if (subscription.retainAsPublished) retainAsPublished = true
    if (subscription.noLocal) noLocal = true
    // All identifiers of matching subscriptions go along [MQTT-3.3.4-4].
    if (subscription.subscriptionId > 0) subscriptionIds.push(subscription.subscriptionId)
  }
  return { session, qos, retainAsPublished, subscriptionIds, noLocal, subscriptions }
}
