import type { SubscribePacket } from '../../mqtt/packet.ts'
import { type ReasonCode, reasonCode } from '../../mqtt/reason-code.ts'
import type { Broker } from '../broker.ts'
import type { BrokerFeatures } from '../features.ts'

/** Why a packet asks for something that is switched off here, and with which code an MQTT 5 client is disconnected. */
export interface Unsupported {
  code: ReasonCode
  message: string
}

/** Bit n is set when a PUBLISH with the fixed header flags n is one this server does not take: one look for QoS and RETAIN. */
export function unsupportedPublishFlags({ limits, features }: Broker): number {
  let unsupported = 0
  for (let flags = 0; flags < 16; flags++) {
    const qos = (flags >> 1) & 3
    if ((qos > limits.maximumQos && qos < 3) || ((flags & 1) === 1 && !features.retain)) unsupported |= 1 << flags
  }
  return unsupported
}

/** For a PUBLISH that unsupportedPublishFlags() told of. */
export function unsupportedPublish({ limits }: Broker, qos: number): Unsupported {
  // Sections 3.2.2.3.4 and 3.2.2.3.5.
  if (qos > limits.maximumQos) return { code: reasonCode.qosNotSupported, message: `QoS is above ${limits.maximumQos}` }
  return { code: reasonCode.retainNotSupported, message: 'retained messages are not supported' }
}

/** A SUBSCRIBE of MQTT 5 that asks for what CONNACK said there is not: a Protocol Error, sections 3.2.2.3.11 to 3.2.2.3.13. */
export function unsupportedSubscribe(features: BrokerFeatures, packet: SubscribePacket): Unsupported | undefined {
  if (!features.subscriptionIdentifiers && packet.properties.subscriptionIdentifiers !== undefined) {
    return { code: reasonCode.subscriptionIdentifiersNotSupported, message: 'subscription identifiers are not supported' }
  }
  for (const { topic } of packet.subscriptions) {
    const code = unsupportedFilter(features, topic)
    if (code !== undefined) return { code, message: 'the kind of subscription is not supported' }
  }
  return undefined
}

export function unsupportedFilter(features: BrokerFeatures, filter: string): ReasonCode | undefined {
  if (!features.sharedSubscriptions && filter.startsWith('$share/')) return reasonCode.sharedSubscriptionsNotSupported
  if (!features.wildcardSubscriptions && /[+#]/.test(filter)) return reasonCode.wildcardSubscriptionsNotSupported
  return undefined
}
