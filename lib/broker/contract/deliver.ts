import type { Qos } from '../../mqtt/packet.ts'
import { callHook, endAfterHookError, HookError } from '../ask-hook.ts'
import type { Done } from '../engine.ts'
import type { ClientSubscription, ContractClient } from './client.ts'
import type { ContractContext } from './context.ts'
import { delivery } from './outbox.ts'
import type { ContractPacket } from './plug-ins.ts'

/** Hands messages that mqemitter, the stored queue or a program brings to a client, after asking who may see them. */
export class Deliverer {
  readonly #context: ContractContext

  constructor(context: ContractContext) {
    this.#context = context
  }

  /** What mqemitter calls for one subscription of one client. */
  listener(client: ContractClient, filter: string): ClientSubscription['func'] {
    return (message, done) => {
      const { subscriptions } = client
      if (client.closed) return this.#missed(client, message, done)
      if (subscriptions[filter] === undefined) return this.#context.settle(done)
      this.#onMessage(client, message, done)
    }
  }

  /** client.publish(): to this client and nobody else, subscribed or not. */
  toClient(client: ContractClient, message: ContractPacket, queued: boolean, done: Done): void {
    const packet = this.permitted(client, { ...message })
    if (packet === undefined) return this.#skip(client, message, queued, done)
    client.outbox.add(delivery(packet, packet.qos, queued, done))
  }

  /** A retained message for a new subscription. It is not in the queue: a client that loses it asks again by subscribing. */
  retained(client: ContractClient, subscription: ClientSubscription, stored: ContractPacket, done: Done): void {
    const { topic, payload, qos, properties, messageExpiry } = stored
    const original: Partial<ContractPacket> & { topic: string } = { topic, payload, qos, retain: true }
    if (properties !== undefined) original.properties = properties
    if (messageExpiry !== undefined) original.messageExpiry = messageExpiry
    const packet = this.permitted(client, this.#context.brokerPacket(original))
    if (packet === undefined) return done()
    const one = delivery(packet, lower(packet.qos, subscription.qos), false, done)
    if (subscription.subscriptionIdentifier !== undefined) one.subscriptionIds = [subscription.subscriptionIdentifier]
    client.outbox.add(one)
  }

  /** The message as this client may see it: the policy and the authorizeForward hook are asked. */
  permitted(client: ContractClient, packet: ContractPacket): ContractPacket | undefined {
    const { policy } = client
    if (policy === undefined || policy.permitsAll || policy.canReceive(packet.topic)) {
      const forwarded = this.#asked(client, packet)
      if (forwarded) return forwarded as unknown as ContractPacket
    }
    this.#context.dropped('forward-denied')
    return undefined
  }

  #asked(client: ContractClient, packet: ContractPacket): unknown {
    const { broker } = this.#context
    try {
      return callHook(broker, 'authorizeForward', client, () => broker.authorizeForward(client as never, packet as never))
    } catch (error) {
      if (!(error instanceof HookError)) throw error
      endAfterHookError(client, error)
      return undefined
    }
  }

  #onMessage(client: ContractClient, message: ContractPacket, done: Done): void {
    const wanting = client.wanting(message.topic, message.clientId)
    const all = wanting.length > 0 ? wanting : client.wanting(message.topic, undefined)
    const subscribedQos = all.reduce<Qos>((highest, { qos }) => (qos > highest ? qos : highest), 0)
    // Whoever is subscribed at QoS 1 or 2 and keeps its session has the message in its queue already.
    const queued = client.stored && lower(message.qos, subscribedQos) > 0
    // Nothing is left of a subscription that begins with a wildcard when the topic begins with $ [MQTT-4.7.2-1].
    if (all.length === 0) return this.#context.settle(done)
    // Overlapping subscriptions deliver once, and what the stored queue brought on reconnecting is not brought again.
    const mayComeTwice = all.length > 1 || client.stored || message.brokerId !== client.broker.id
    if (mayComeTwice && client.sawBefore(message)) return this.#context.settle(done)
    if (wanting.length === 0) return this.#skip(client, message, queued, done)
    const copy = this.#context.brokerPacket(message)
    // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
    copy.retain = copy.retain && wanting.some(({ rap }) => rap)
    copy.dup = false
    const packet = this.permitted(client, copy)
    if (packet === undefined) return this.#skip(client, message, queued, done)
    const one = delivery(packet, lower(packet.qos, subscribedQos), queued, done)
    one.subscriptionIds = subscriptionIds(wanting)
    client.outbox.add(one)
  }

  /** The client went away a moment ago. Its queue, if it has one, keeps QoS 1 and 2; the rest is lost, which is said. */
  #missed(client: ContractClient, message: ContractPacket, done: Done): void {
    if (!client.disconnectedCleanly && !(client.stored && message.qos > 0)) {
      this.#context.dropped('connection-closed')
      client.broker.reportClientError(client, new Error('connection closed'))
    }
    this.#context.settle(done)
  }

  /** Not for this client after all: it leaves the queue, too. */
  #skip(client: ContractClient, message: ContractPacket, queued: boolean, done: Done): void {
    // Unless the hook could not say, which ended the connection.
    if (queued && !client.closed) client.outbox.forgetQueued(delivery(message, message.qos, true, noop))
    this.#context.settle(done)
  }
}

export function lower(a: Qos, b: Qos): Qos {
  return a < b ? a : b
}

/** [MQTT-3.3.4-3], [MQTT-3.3.4-4] */
function subscriptionIds(wanting: readonly ClientSubscription[]): readonly number[] {
  const ids: number[] = []
  for (const { subscriptionIdentifier } of wanting) if (subscriptionIdentifier) ids.push(subscriptionIdentifier)
  return ids
}

function noop(): void {}
