import type { SubscribePacket, SubscriptionRequest, UnsubscribePacket } from '../../mqtt/packet.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import { topicFilterError } from '../../topic/filter.ts'
import { topicLevels } from '../../topic/name.ts'
import { askHook, endAfterHookError, HookError } from '../ask-hook.ts'
import type { Done } from '../engine.ts'
import type { ClientSubscription, ContractClient } from './client.ts'
import type { ContractContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import type { ContractPacket, StoredSubscription } from './plug-ins.ts'

/** The answer to one filter: what was granted, or the code that refuses it. */
type Answer = { granted: StoredSubscription } | { refused: number }

/** A subscription as Aedes' hooks and events know it. */
type Asked = StoredSubscription & { qos: number }

/** SUBSCRIBE and UNSUBSCRIBE. Only what was granted is stored and registered with mqemitter. */
export class SubscribeHandler {
  readonly #context: ContractContext
  readonly #deliverer: Deliverer

  constructor(context: ContractContext, deliverer: Deliverer) {
    this.#context = context
    this.#deliverer = deliverer
  }

  /** Resolves when SUBACK was sent, or what takes its place when a program subscribes. */
  async subscribe(client: ContractClient, packet: SubscribePacket, program?: readonly object[]): Promise<void> {
    const fromProgram = program !== undefined
    const requests = packet.subscriptions
    for (const { topic } of requests) {
      const invalid = this.#filterError(topic, 'SUBSCRIBE')
      if (invalid !== undefined && (fromProgram || client.version !== 5)) throw new Error(invalid)
    }
    const identifier = packet.properties.subscriptionIdentifiers?.[0]
    const asked = requests.map(request => this.#askedFor(client, request, identifier))
    const answers = await Promise.all(asked.map(one => this.#authorize(client, one)))
    if (client.closed || this.#context.broker.closed) return
    // A filter that comes twice: the last one counts, as if it had come in a packet of its own [MQTT-3.8.4-3].
    const granted = new Map<string, StoredSubscription>()
    for (const answer of answers) if ('granted' in answer) granted.set(answer.granted.topic, answer.granted)
    this.#enforceLimit(client, answers, granted)
    const subscriptions = [...granted.values()]
    if (client.stored && subscriptions.length > 0) {
      await this.#context.persistence.addSubscriptions(client, subscriptions)
      if (client.closed) return
    }
    const existed = new Set(subscriptions.filter(({ topic }) => client.subscriptions[topic]).map(({ topic }) => topic))
    await Promise.all(subscriptions.map(one => this.#register(client, one)))
    if (client.closed) return
    const codes = answers.map(answer => ('granted' in answer ? answer.granted.qos : answer.refused))
    if (!fromProgram) {
      if (!client.connected) throw new Error('connection closed')
      // 3.1.1 knows one failure code [MQTT3-3.9.3-2].
      const wire = client.version === 5 ? codes : codes.map(code => Math.min(code, 0x80))
      client.send({ cmd: 'suback', messageId: packet.messageId, granted: wire, properties: {} })
    }
    this.#announce(client, asked, codes, program)
    this.#sendRetained(client, subscriptions, existed)
  }

  /** Subscriptions of a stored session, asked for again because rights may have changed. They bring no retained messages. */
  async restore(client: ContractClient, stored: StoredSubscription[]): Promise<void> {
    const answers = await Promise.all(stored.map(({ ...one }) => this.#authorize(client, one)))
    if (client.closed) return
    const refusedFilters = stored.filter((_, index) => !('granted' in answers[index]!)).map(({ topic }) => topic)
    // What may not be received any more must not be queued any more.
    if (refusedFilters.length > 0) await this.#context.persistence.removeSubscriptions(client, refusedFilters)
    if (client.closed) return
    await Promise.all(answers.map(answer => ('granted' in answer ? this.#register(client, answer.granted) : undefined)))
  }

  async unsubscribe(client: ContractClient, packet: UnsubscribePacket, fromProgram: boolean): Promise<void> {
    const { unsubscriptions } = packet
    for (const filter of unsubscriptions) {
      const invalid = this.#filterError(filter, 'UNSUBSCRIBE')
      if (invalid !== undefined && (fromProgram || client.version !== 5)) throw new Error(invalid)
    }
    if (client.stored) await this.#context.persistence.removeSubscriptions(client, unsubscriptions)
    const codes = unsubscriptions.map(filter =>
      client.subscriptions[filter] ? reasonCode.success : reasonCode.noSubscriptionExisted
    )
    await Promise.all(unsubscriptions.map(filter => this.#unregister(client, filter)))
    if (client.closed) return
    if (!fromProgram) {
      if (!client.connected) throw new Error('connection closed')
      client.send({ cmd: 'unsuback', messageId: packet.messageId, granted: codes, properties: {} })
    }
    this.announceUnsubscriptions(client, unsubscriptions)
  }

  /** The connection ends: mqemitter forgets its listeners. The filters, once that is done. */
  async release(client: ContractClient): Promise<void> {
    await Promise.all(Object.keys(client.subscriptions).map(filter => this.#unregister(client, filter)))
  }

  announceUnsubscriptions(client: ContractClient, filters: string[]): void {
    const { broker } = this.#context
    if (filters.length === 0) return
    broker.emit('unsubscribe', filters as never, client as never)
    broker.announceSubscriptions('new/unsubscribes', client, filters)
  }

  #filterError(filter: string, packet: 'SUBSCRIBE' | 'UNSUBSCRIBE'): string | undefined {
    if (filter === '') return `impossible to ${packet} to an empty topic`
    if (topicLevels(filter) > this.#context.broker.limits.maxTopicLevels) return 'topic has too many levels'
    return topicFilterError(filter)
  }

  #askedFor(client: ContractClient, request: SubscriptionRequest, identifier: number | undefined): Asked {
    const { topic, qos } = request
    const asked: Asked = { topic, qos }
    const { rh, rap, nl } = client.bridge ? { rh: 0, rap: true, nl: true } : request
    // Before MQTT 5 there are no options, and plug-ins expect them absent.
    if (client.version === 5 || rh || rap || nl) Object.assign(asked, { rh, rap, nl })
    if (identifier !== undefined) asked.subscriptionIdentifier = identifier
    return asked
  }

  /** The filter rules, the policy, then the authorizeSubscribe hook. An error of the hook ends the connection, as in Aedes. */
  #authorize(client: ContractClient, asked: Asked): Promise<Answer> {
    const { broker } = this.#context
    const { policy } = client
    if (this.#filterError(asked.topic, 'SUBSCRIBE') !== undefined) return refused(reasonCode.topicFilterInvalid)
    if (client.version === 5 && asked.topic.startsWith('$share/')) return refused(reasonCode.sharedSubscriptionsNotSupported)
    if (policy !== undefined && !policy.permitsAll && !policy.canSubscribe(asked.topic)) return refused(reasonCode.notAuthorized)
    return new Promise((resolve, reject) => {
      const call = (done: Done) => broker.authorizeSubscribe(client as never, asked as never, done as never)
      askHook<object | null>(broker, 'authorizeSubscribe', client, call, (error, answer) => {
        if (error instanceof HookError) endAfterHookError(client, error)
        if (error) reject(error)
        else if (!answer || typeof answer !== 'object') resolve({ refused: reasonCode.notAuthorized })
        else resolve({ granted: answer as StoredSubscription })
      })
    })
  }

  /** Filters beyond limits.maxSubscriptionsPerSession are refused, in the order they came. */
  #enforceLimit(client: ContractClient, answers: Answer[], granted: Map<string, StoredSubscription>): void {
    const { maxSubscriptionsPerSession } = this.#context.broker.limits
    let count = Object.keys(client.subscriptions).length
    for (const [topic] of granted) {
      if (client.subscriptions[topic] !== undefined || ++count <= maxSubscriptionsPerSession) continue
      granted.delete(topic)
      answers.forEach((answer, index) => {
        if ('granted' in answer && answer.granted.topic === topic) answers[index] = { refused: reasonCode.quotaExceeded }
      })
    }
  }

  /** Live from here on. A filter that is subscribed already keeps its listener, so that no message falls between two of them. */
  #register(client: ContractClient, granted: StoredSubscription): Promise<void> | undefined {
    const { topic, qos, rh, rap, nl, subscriptionIdentifier } = granted
    const existing = client.subscriptions[topic]
    if (existing !== undefined) {
      Object.assign(existing, { qos, rh, rap, nl, subscriptionIdentifier })
      return undefined
    }
    const func = this.#deliverer.listener(client, topic)
    client.addSubscription({ topic, qos, rh, rap, nl, subscriptionIdentifier, func })
    return new Promise((resolve, reject) => {
      this.#context.broker.subscribe(topic, func as never, ((error?: Error) => (error ? reject(error) : resolve())) as never)
    })
  }

  #unregister(client: ContractClient, filter: string): Promise<void> | undefined {
    const existing = client.subscriptions[filter]
    if (existing === undefined) return undefined
    client.removeSubscription(existing)
    return new Promise((resolve, reject) => {
      const done = (error?: Error): void => (error ? reject(error) : resolve())
      this.#context.broker.unsubscribe(filter, existing.func as never, done as never)
    })
  }

  /** A filter that came twice is told of once. A program gets its own list back, with what was granted in it, as from Aedes. */
  #announce(client: ContractClient, asked: Asked[], codes: number[], program: readonly object[] = asked): void {
    const { broker } = this.#context
    for (const [index, one] of program.entries()) Object.assign(one, { qos: Math.min(codes[index] ?? 0x80, 0x80) })
    const last = new Map(asked.map((one, index) => [one.topic, program[index]]))
    const subs = last.size === program.length ? program : [...last.values()]
    broker.emit('subscribe', subs as never, client as never)
    broker.announceSubscriptions('new/subscribes', client, subs as object[])
  }

  #sendRetained(client: ContractClient, subscriptions: StoredSubscription[], existed: ReadonlySet<string>): void {
    for (const { topic, rh } of subscriptions) {
      // [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11]
      if (rh === 2 || (rh === 1 && existed.has(topic))) continue
      client.track(this.#sendRetainedOf(client, topic))
    }
  }

  async #sendRetainedOf(client: ContractClient, filter: string): Promise<void> {
    for await (const packet of this.#context.persistence.createRetainedStreamCombi([filter])) {
      const subscription: ClientSubscription | undefined = client.subscriptions[filter]
      if (client.closed || subscription === undefined) return
      const retained = packet as ContractPacket
      if (retained.topic.startsWith('$') && /^[+#]/.test(filter)) continue
      await new Promise<void>(resolve => this.#deliverer.retained(client, subscription, retained, () => resolve()))
    }
  }
}

function refused(code: number): Promise<Answer> {
  return Promise.resolve({ refused: code })
}
