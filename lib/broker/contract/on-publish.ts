import { countUp } from '../../metrics/counters.ts'
import type { Frame } from '../../mqtt/frame.ts'
import type { Qos } from '../../mqtt/packet.ts'
import { decodeMessageProperties } from '../../mqtt/properties.ts'
import { forwardableProperties, PublishView, viewPublish } from '../../mqtt/publish-view.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import { utf8Error } from '../../mqtt/utf8.ts'
import { topicLevels, topicNameError } from '../../topic/name.ts'
import { toAedesProperties } from '../aedes-packet.ts'
import { askHook, endAfterHookError, HookError } from '../ask-hook.ts'
import type { Broker } from '../broker.ts'
import type { Done } from '../engine.ts'
import type { ContractClient } from './client.ts'
import type { ContractContext } from './context.ts'
import type { ContractPacket } from './plug-ins.ts'

/**
 * A client's PUBLISH: looked at, authorized, handed to broker.publish(), and acknowledged when that is done. One at a time for each
 * connection, because a plug-in promises no order among its own operations.
 */
export class PublishHandler {
  readonly #context: ContractContext
  readonly #view = new PublishView()

  constructor(context: ContractContext) {
    this.#context = context
  }

  handle(client: ContractClient, bytes: Buffer, frame: Frame): void {
    const packet = this.#packetOf(client, bytes, frame)
    if (packet === undefined) return
    let finished = false
    let suspended = false
    this.#authorize(client, packet, () => {
      if (finished) return
      finished = true
      if (suspended) client.resume()
    })
    if (finished) return
    suspended = true
    client.suspend()
  }

  /** The packet as Aedes' hooks know it; undefined after the client was told what is wrong with it. */
  #packetOf(client: ContractClient, bytes: Buffer, frame: Frame): ContractPacket | undefined {
    const view = this.#view
    const code = viewPublish(bytes, frame, client.version ?? 4, view)
    if (code !== 0) {
      client.protocolError(code, 'malformed PUBLISH')
      return undefined
    }
    this.#context.broker.counters.publishReceived[view.qos]++
    const topic = this.#topicOf(client, bytes)
    if (topic === undefined) return undefined
    const { qos, retain, dup, packetId, messageExpirySeconds } = view
    const payload = Buffer.from(bytes.subarray(view.payloadStart, view.payloadEnd))
    const packet: ContractPacket = { cmd: 'publish', topic, payload, qos, retain, dup, length: frame.bodyEnd - frame.bodyStart }
    if (qos > 0) packet.messageId = packetId
    const properties = forwardableProperties(bytes, view)
    if (properties.length > 0) packet.properties = toAedesProperties(decodeMessageProperties(properties))
    if (messageExpirySeconds >= 0) {
      packet.properties = { ...packet.properties, messageExpiryInterval: messageExpirySeconds }
      packet.messageExpiry = this.#context.now() + messageExpirySeconds * 1000
    }
    return packet
  }

  #topicOf(client: ContractClient, bytes: Buffer): string | undefined {
    const { topicStart, topicEnd, topicAlias } = this.#view
    const { limits } = this.#context.broker
    if (topicAlias > limits.topicAliasMaximum) {
      client.protocolError(reasonCode.topicAliasInvalid, 'Topic Alias above Topic Alias Maximum [MQTT-3.3.2-9]')
      return undefined
    }
    if (topicStart === topicEnd) {
      const topic = client.aliases?.get(topicAlias)
      if (topic === undefined) client.protocolError(reasonCode.protocolError, 'Topic Alias was never set')
      return topic
    }
    const malformed = utf8Error(bytes, topicStart, topicEnd)
    if (malformed !== undefined) {
      client.protocolError(reasonCode.malformedPacket, malformed)
      return undefined
    }
    const topic = bytes.toString('utf8', topicStart, topicEnd)
    const tooDeep = topicLevels(topic) > limits.maxTopicLevels
    const invalid = wildcardError(topic) ?? topicNameError(topic) ?? (tooDeep ? tooManyLevels : undefined)
    if (invalid !== undefined) {
      client.protocolError(reasonCode.topicNameInvalid, invalid)
      return undefined
    }
    if (topicAlias !== 0) {
      client.aliases ??= new Map()
      client.aliases.set(topicAlias, topic)
    }
    return topic
  }

  #authorize(client: ContractClient, packet: ContractPacket, done: () => void): void {
    const { policy } = client
    if (policy !== undefined && !policy.permitsAll && !policy.canPublish(packet.topic)) {
      this.#refuse(client, packet, new Error('not authorized to publish'))
      return done()
    }
    const { broker } = this.#context
    const call = (answer: Done) => broker.authorizePublish(client as never, packet as never, answer)
    askHook(broker, 'authorizePublish', client, call, error => {
      if (error instanceof HookError) endAfterHookError(client, error)
      if (client.closed) {
        // Not acknowledged and not taken in: the client will send it again when it comes back.
        client.broker.reportClientError(client, new Error('connection closed'))
        return done()
      }
      if (error) {
        this.#refuse(client, packet, error)
        return done()
      }
      this.#accept(client, packet, done)
    })
  }

  #refuse(client: ContractClient, packet: ContractPacket, error: Error): void {
    const { counters } = this.#context.broker
    countUp(counters.publishRefused, 'not-authorized')
    if (client.version !== 5) return client.disconnect(reasonCode.notAuthorized, error, 'not-authorized')
    if (packet.qos === 0) return this.#context.dropped('publish-denied')
    this.#acknowledge(client, packet, reasonCode.notAuthorized)
  }

  #accept(client: ContractClient, packet: ContractPacket, done: () => void): void {
    switch (packet.qos) {
      case 2:
        this.#acceptQos2(client, packet).then(done, (error: Error) => {
          this.#unavailable(client, error)
          done()
        })
        return
      case 1:
      case 0:
        client.broker.publish(packet, client, (error?: Error | null) => {
          if (error) this.#unavailable(client, error)
          else if (packet.qos === 1) this.#acknowledge(client, packet, reasonCode.success)
          done()
        })
        return
      default:
        // A hook made it something MQTT does not know.
        this.#context.dropped('publish-denied')
        done()
    }
  }

  async #acceptQos2(client: ContractClient, packet: ContractPacket): Promise<void> {
    const { broker, persistence } = this.#context
    const messageId = packet.messageId!
    const known = await persistence.incomingGetPacket(client, packet).then(Boolean, () => false)
    if (client.closed) return
    if (known) {
      // Sent again: acknowledged again, not delivered again [MQTT-4.3.3-10].
      this.#acknowledge(client, packet, reasonCode.success)
      return
    }
    const { received } = client
    const limit = broker.maxInflightInbound
    if (limit > 0 && received.size >= limit && !received.has(messageId)) {
      const message = `maxInflightInbound exceeded: ${limit} inbound QoS 2 messages already awaiting PUBREL`
      client.disconnect(reasonCode.receiveMaximumExceeded, new Error(message), 'receive-maximum-exceeded')
      return
    }
    received.add(messageId)
    try {
      await persistence.incomingStorePacket(client, packet)
    } catch (error) {
      received.delete(messageId)
      throw error
    }
    try {
      await new Promise<void>((resolve, reject) => {
        broker.publish(packet, client, (error?: Error | null) => (error ? reject(error) : resolve()))
      })
    } catch (error) {
      // An id that stays behind would make the client's next attempt a duplicate, and the message would be lost. One that went
      // before the subscribers had it would make it a second delivery.
      if (!this.#context.emitted.has(packet)) {
        received.delete(messageId)
        await persistence.incomingDelPacket(client, packet)
      }
      throw error
    }
    this.#acknowledge(client, packet, reasonCode.success)
  }

  /** PUBACK or PUBREC. */
  #acknowledge(client: ContractClient, packet: ContractPacket, code: number): void {
    if (client.closed || !client.connected) {
      client.broker.reportClientError(client, new Error('connection closed'))
      return
    }
    if (code === reasonCode.success) this.#context.broker.counters.acknowledged++
    const cmd = packet.qos === 1 ? 'puback' : 'pubrec'
    client.send({ cmd, messageId: packet.messageId!, reasonCode: code, properties: {} })
  }

  /** The store or the emitter failed: no acknowledgement. The client has to send again, which it does on a new connection. */
  #unavailable(client: ContractClient, error: Error): void {
    client.disconnect(reasonCode.unspecifiedError, error, 'store-failed')
  }
}

/** [MQTT-3.3.2-2] in Aedes' words. */
function wildcardError(topic: string): string | undefined {
  if (topic.includes('#')) return '# is not allowed in PUBLISH'
  return topic.includes('+') ? '+ is not allowed in PUBLISH' : undefined
}

const tooManyLevels = 'topic has too many levels'

/**
 * broker.publish() for everybody: retained message, queues of the subscribed sessions, mqemitter, `published`. `done` when all of
 * it happened, with the error of whatever failed. This is Aedes' own sequence, except that the failure of a lookup ends it too.
 */
export function publishMessage(
  context: ContractContext,
  original: ContractPacket,
  client: ContractClient | null,
  done: Done
): void {
  const { broker } = context
  if (topicLevels(original.topic) > broker.limits.maxTopicLevels) return done(new Error(tooManyLevels))
  const packet = context.brokerPacket(original)
  const emit = (): void => {
    if (client?.id) packet.clientId = client.id
    broker.mq.emit(packet as never, (error?: Error) => {
      if (error) return done(error)
      if (packet.qos === 2) context.emitted.add(original)
      announce(broker, original, client, done)
    })
  }
  if (!packet.retain && packet.qos === 0) return emit()
  // A failure of what comes after must not look like one of the store: then() gets both handlers.
  storeMessage(context, packet).then(emit, (error: Error) => done(error))
}

/** The `published` hook, then the event, then whatever waits: the client's next packet must not come between the two. */
function announce(broker: Broker, packet: ContractPacket, client: ContractClient | null, done: Done): void {
  let emitted = false
  let answer: { error?: Error | null | undefined } | undefined
  const call = (answered: Done) => broker.published(packet as never, client as never, answered)
  askHook(broker, 'published', client, call, error => {
    // A hook that fails over a message that is taken in takes nothing back.
    const outcome = error instanceof HookError ? undefined : error
    if (emitted) done(outcome)
    else answer = { error: outcome }
  })
  broker.emit('publish', packet as never, client as never)
  emitted = true
  if (answer !== undefined) done(answer.error)
}

async function storeMessage(context: ContractContext, packet: ContractPacket): Promise<void> {
  const { broker, persistence } = context
  if (packet.retain) await persistence.storeRetained(packet)
  if (packet.qos === 0) return
  let subscriptions: { clientId: string; topic: string; qos: Qos | number }[]
  try {
    subscriptions = await persistence.subscriptionsByTopic(packet.topic)
  } catch (error) {
    // Aedes reports this one to the whole broker.
    if (broker.listenerCount('error') > 0) broker.emit('error', error as Error)
    else broker.logger?.error({ err: error, topic: packet.topic }, 'subscriptions could not be looked up')
    throw error
  }
  const receivers = new Map<string, { clientId: string; topic: string; qos: number }>()
  for (const subscription of subscriptions) {
    // [MQTT-4.7.2-1]
    if (packet.topic.startsWith('$') && /^[+#]/.test(subscription.topic)) continue
    // A client is listed once for each of its matching filters; it gets the message once.
    if (!receivers.has(subscription.clientId)) receivers.set(subscription.clientId, subscription)
  }
  await persistence.outgoingEnqueueCombi([...receivers.values()], packet)
}
