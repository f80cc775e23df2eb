import type { Message } from '../mqtt/message.ts'
import type {
  Properties,
  PublishPacket,
  Qos,
  SubscribePacket,
  SubscriptionRequest,
  UnsubscribePacket,
  UserProperties
} from '../mqtt/packet.ts'
import { decodeMessageProperties, encodeMessageProperties } from '../mqtt/properties.ts'

/**
 * Translation between the broker's own shapes and the objects Aedes' hooks, events and plug-ins exchange.
 */

/** What hooks, events and in-process subscribers see: an Aedes packet. `properties` only when there are any. */
export interface AedesPublishPacket {
  cmd: 'publish'
  brokerId?: string
  brokerCounter?: number
  clientId?: string
  topic: string
  payload: Buffer
  qos: Qos
  retain: boolean
  dup: boolean
  messageId?: number | undefined
  properties?: object
}

const noProperties = Buffer.alloc(0)

/** Anything a user passes to publish(), as a whole packet. */
export function toPublishPacket(packet: {
  topic: string
  payload?: string | Uint8Array | undefined
  qos?: number
  retain?: boolean
  dup?: boolean
  messageId?: number | undefined
  properties?: object | undefined
}): PublishPacket {
  const { payload = noProperties } = packet
  return {
    cmd: 'publish',
    topic: packet.topic,
    payload: typeof payload === 'string' ? Buffer.from(payload) : Buffer.isBuffer(payload) ? payload : Buffer.from(payload),
    qos: (packet.qos ?? 0) as Qos,
    retain: packet.retain ?? false,
    dup: packet.dup ?? false,
    messageId: packet.messageId,
    properties: fromAedesProperties(packet.properties)
  }
}

export function messageOf(packet: PublishPacket, publisherId: string, nowMs: number): Message {
  const { messageExpiryInterval } = packet.properties
  return {
    topic: packet.topic,
    payload: packet.payload,
    qos: packet.qos,
    retain: packet.retain,
    properties: hasProperties(packet.properties) ? encodeMessageProperties(packet.properties) : noProperties,
    expiresAtMs: messageExpiryInterval === undefined ? 0 : nowMs + messageExpiryInterval * 1000,
    publishedAtMs: nowMs,
    publisherId
  }
}

/**
 * What a hook made of a message that it was shown as aedesPacketOf(). That form has lost the order of user properties with
 * different names: where the hook left them alone they are those of the message again [MQTT-3.3.2-17], [MQTT-3.3.2-18].
 */
export function messageFromHook(packet: AedesPublishPacket, message: Message): Message {
  const publish = toPublishPacket(packet)
  const original = message.properties.length === 0 ? undefined : decodeMessageProperties(message.properties).userProperties
  if (original !== undefined && samePairs(publish.properties.userProperties, mergedAndBack(original))) {
    publish.properties.userProperties = original
  }
  return { ...messageOf(publish, message.publisherId, message.publishedAtMs), expiresAtMs: message.expiresAtMs }
}

function mergedAndBack(userProperties: UserProperties): UserProperties | undefined {
  return fromAedesProperties(toAedesProperties({ userProperties })).userProperties
}

function samePairs(a: UserProperties | undefined, b: UserProperties | undefined): boolean {
  if (a === undefined || b === undefined || a.length !== b.length) return false
  return a.every(([name, value], i) => name === b[i]![0] && value === b[i]![1])
}

export function aedesPacketOf(message: Message, brokerId: string, brokerCounter: number): AedesPublishPacket {
  const packet: AedesPublishPacket = {
    cmd: 'publish',
    brokerId,
    brokerCounter,
    topic: message.topic,
    payload: message.payload,
    qos: message.qos,
    retain: message.retain,
    dup: false
  }
  if (message.publisherId !== '') packet.clientId = message.publisherId
  if (message.qos > 0) packet.messageId = undefined
  if (message.properties.length > 0) packet.properties = toAedesProperties(decodeMessageProperties(message.properties))
  return packet
}

/** mqtt-packet merges user properties into an object of strings or string arrays. */
export function toAedesProperties(properties: Properties): object {
  const { userProperties, ...rest } = properties
  if (userProperties === undefined) return rest
  const merged: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of userProperties) {
    const seen = merged[name]
    merged[name] = seen === undefined ? value : Array.isArray(seen) ? [...seen, value] : [seen, value]
  }
  return { ...rest, userProperties: merged }
}

export function fromAedesProperties(properties: object | undefined): Properties {
  if (properties === undefined || properties === null) return {}
  const { userProperties, ...rest } = properties as Properties & { userProperties?: unknown }
  const result: Properties = { ...rest }
  if (Array.isArray(userProperties)) result.userProperties = userProperties as [string, string][]
  else if (userProperties !== undefined && userProperties !== null) {
    result.userProperties = []
    for (const [name, value] of Object.entries(userProperties as Record<string, string | string[]>)) {
      for (const one of Array.isArray(value) ? value : [value]) result.userProperties.push([name, one])
    }
  }
  const format: unknown = result.payloadFormatIndicator
  if (typeof format === 'boolean') result.payloadFormatIndicator = format ? 1 : 0
  return result
}

/** Aedes' client.subscribe() takes one subscription, a list, or a packet. */
export function subscribePacketOf(subscriptions: unknown): SubscribePacket {
  const list = listOf(subscriptions, 'subscriptions') as Partial<SubscriptionRequest>[]
  return {
    cmd: 'subscribe',
    messageId: 0,
    subscriptions: list.map(({ topic = '', qos = 0, nl = false, rap = false, rh = 0 }) => ({ topic, qos, nl, rap, rh })),
    properties: {}
  }
}

export function unsubscribePacketOf(unsubscriptions: unknown): UnsubscribePacket {
  const list = listOf(unsubscriptions, 'unsubscriptions') as (string | { topic: string })[]
  return {
    cmd: 'unsubscribe',
    messageId: 0,
    unsubscriptions: list.map(one => (typeof one === 'string' ? one : one.topic)),
    properties: {}
  }
}

function listOf(value: unknown, key: string): unknown[] {
  if (Array.isArray(value)) return value
  const inner = (value as Record<string, unknown>)[key]
  return Array.isArray(inner) ? inner : [value]
}

function hasProperties(properties: Properties): boolean {
  for (const _ in properties) return true
  return false
}
