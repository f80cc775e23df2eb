import type { ProtocolVersion, Qos, SubscribePacket, SubscriptionRequest, UnsubscribePacket } from './packet.ts'
import { readProperties } from './properties.ts'
import { propertyOwner } from './property-table.ts'
import type { Reader } from './reader.ts'
import { reasonCode } from './reason-code.ts'

/** Body of a SUBSCRIBE, section 3.8. */
export function decodeSubscribe(reader: Reader, version: ProtocolVersion): SubscribePacket {
  const messageId = reader.packetIdentifier()
  const properties = version === 5 ? readProperties(reader, propertyOwner.subscribe) : {}
  if (reader.atEnd) reader.fail(reasonCode.protocolError, 'SUBSCRIBE without a Topic Filter [MQTT-3.8.3-2]')
  const subscriptions: SubscriptionRequest[] = []
  while (!reader.atEnd) {
    const topic = reader.string('Topic Filter') // [MQTT-3.8.3-1]
    const options = reader.byte('Subscription Options')
    subscriptions.push(version === 5 ? readOptions(reader, topic, options) : readRequestedQos(reader, topic, options, version))
  }
  return { cmd: 'subscribe', messageId, subscriptions, properties }
}

/** Body of an UNSUBSCRIBE, section 3.10. */
export function decodeUnsubscribe(reader: Reader, version: ProtocolVersion): UnsubscribePacket {
  const messageId = reader.packetIdentifier()
  const properties = version === 5 ? readProperties(reader, propertyOwner.unsubscribe) : {}
  if (reader.atEnd) reader.fail(reasonCode.protocolError, 'UNSUBSCRIBE without a Topic Filter [MQTT-3.10.3-2]')
  const unsubscriptions: string[] = []
  while (!reader.atEnd) unsubscriptions.push(reader.string('Topic Filter')) // [MQTT-3.10.3-1]
  return { cmd: 'unsubscribe', messageId, unsubscriptions, properties }
}

/** Subscription Options of MQTT 5, section 3.8.3.1. */
function readOptions(reader: Reader, topic: string, options: number): SubscriptionRequest {
  if ((options & 0xc0) !== 0) reader.malformed('reserved Subscription Options are set [MQTT-3.8.3-5]')
  const qos = options & 3
  const rh = (options >> 4) & 3
  const nl = (options & 4) !== 0
  if (qos === 3) reader.fail(reasonCode.protocolError, 'Maximum QoS is 3 (section 3.8.3.1)')
  if (rh === 3) reader.fail(reasonCode.protocolError, 'Retain Handling is 3 (section 3.8.3.1)')
  if (nl && topic.startsWith('$share/')) {
    reader.fail(reasonCode.protocolError, 'No Local on a Shared Subscription [MQTT-3.8.3-4]')
  }
  return { topic, qos: qos as Qos, nl, rap: (options & 8) !== 0, rh: rh as 0 | 1 | 2 }
}

/** Requested QoS of 3.1 and 3.1.1; the upper bits are reserved by 3.1.1 [MQTT3-3.8.3-4] and not used in 3.1. */
function readRequestedQos(reader: Reader, topic: string, options: number, version: ProtocolVersion): SubscriptionRequest {
  if (version === 4 && options > 3) reader.malformed('reserved bits of the Requested QoS are set [MQTT3-3.8.3-4]')
  const qos = options & 3
  if (qos === 3) reader.malformed('Requested QoS is 3 [MQTT3-3.8.3-4]')
  return { topic, qos: qos as Qos, nl: false, rap: false, rh: 0 }
}
