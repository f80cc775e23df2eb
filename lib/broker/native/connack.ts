import { fillPattern } from '../../access/rule-pattern.ts'
import type { ConnectPacket, Properties } from '../../mqtt/packet.ts'
import type { Connection } from '../connection.ts'

const responseTopicPrefixDefault = 'responses/{clientId}/'

/**
 * The properties of a successful CONNACK of MQTT 5. Limits that clients run into are always there; the rest only where it differs
 * from what the standard has a client assume, section 3.2.2.3.
 */
export function connackProperties(connection: Connection, packet: ConnectPacket, expirySeconds: number): Properties {
  const { limits, features } = connection.broker
  const properties: Properties = {
    receiveMaximum: limits.receiveMaximum,
    maximumPacketSize: limits.maxPacketBytes,
    topicAliasMaximum: limits.topicAliasMaximum
  }
  if (limits.maximumQos < 2) properties.maximumQoS = limits.maximumQos as 0 | 1 // [MQTT-3.2.2-9]
  if (!features.retain) properties.retainAvailable = false
  if (!features.wildcardSubscriptions) properties.wildcardSubscriptionAvailable = false
  if (!features.subscriptionIdentifiers) properties.subscriptionIdentifiersAvailable = false
  if (!features.sharedSubscriptions) properties.sharedSubscriptionAvailable = false
  // [MQTT-3.1.3-7], [MQTT-3.2.2-16]
  if (packet.clientId === '') properties.assignedClientIdentifier = connection.id ?? ''
  if (connection.keepAliveSeconds !== packet.keepalive) properties.serverKeepAlive = connection.keepAliveSeconds
  if (expirySeconds !== (packet.properties.sessionExpiryInterval ?? 0)) properties.sessionExpiryInterval = expirySeconds
  // Only when it was asked for [MQTT-3.1.2-28].
  const response = packet.properties.requestResponseInformation === true ? responseTopicPrefixOf(connection) : undefined
  if (response !== undefined) properties.responseInformation = response
  return properties
}

/**
 * Where a client may have its responses sent. None for an identity that does not fit into one topic level, because its topics would
 * overlap with those of others, and none for a client whose rights do not let it subscribe there: it would wait in vain.
 */
function responseTopicPrefixOf(connection: Connection): string | undefined {
  const { identity, policy } = connection
  const pattern = connection.broker.opts.responseTopicPrefix ?? responseTopicPrefixDefault
  if (pattern === '' || identity === undefined) return undefined
  const filled = fillPattern(pattern, identity)
  if (filled.type !== 'filter') return undefined
  return policy === undefined || policy.canSubscribe(`${filled.filter}#`) ? filled.filter : undefined
}
