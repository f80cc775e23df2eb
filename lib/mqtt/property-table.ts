import type { Properties } from './packet.ts'
import { propertyId as id } from './property-id.ts'
import { type ReasonCode, reasonCode } from './reason-code.ts'

/** What carries properties; `will` are those inside a CONNECT's payload, `message` those kept with a message. One bit each. */
export const propertyOwner = {
  connect: 0x001,
  connack: 0x002,
  publish: 0x004,
  will: 0x008,
  /** PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK know the same two. */
  acknowledgement: 0x010,
  subscribe: 0x020,
  unsubscribe: 0x040,
  disconnect: 0x080,
  auth: 0x100,
  message: 0x200
} as const

export type PropertyOwner = (typeof propertyOwner)[keyof typeof propertyOwner]

/** Wire form: `flag` is a byte that is false or true, `bit` a byte that is 0 or 1. */
export type PropertyType = 'flag' | 'bit' | 'twoByte' | 'fourByte' | 'variableByte' | 'string' | 'binary' | 'pair'

export interface PropertyRule {
  readonly id: number
  readonly name: keyof Properties
  readonly type: PropertyType
  /** Sum of the owners that may carry it, table 2-4. */
  readonly owners: number
  /** Sum of the owners in which it may stand more than once. */
  readonly repeats: number
  /** Reason code when the value is 0, for numbers that may not be. */
  readonly zero: ReasonCode | undefined
}

const { connect, connack, publish, will, acknowledgement, subscribe, unsubscribe, disconnect, auth, message } = propertyOwner
const everywhere = connect | connack | publish | will | acknowledgement | subscribe | unsubscribe | disconnect | auth | message
const { protocolError, topicAliasInvalid } = reasonCode

/** Table 2-4 of the standard, in the order in which properties are written. */
export const propertyRules: readonly PropertyRule[] = [
  rule(id.payloadFormatIndicator, 'payloadFormatIndicator', 'bit', publish | will | message),
  rule(id.messageExpiryInterval, 'messageExpiryInterval', 'fourByte', publish | will),
  rule(id.contentType, 'contentType', 'string', publish | will | message),
  rule(id.responseTopic, 'responseTopic', 'string', publish | will | message),
  rule(id.correlationData, 'correlationData', 'binary', publish | will | message),
  // Section 3.8.2.1.2 and 3.3.2.3.8: never 0; only a PUBLISH to a client may carry several.
  rule(id.subscriptionIdentifier, 'subscriptionIdentifiers', 'variableByte', publish | subscribe, publish, protocolError),
  rule(id.sessionExpiryInterval, 'sessionExpiryInterval', 'fourByte', connect | connack | disconnect),
  rule(id.assignedClientIdentifier, 'assignedClientIdentifier', 'string', connack),
  rule(id.serverKeepAlive, 'serverKeepAlive', 'twoByte', connack),
  rule(id.authenticationMethod, 'authenticationMethod', 'string', connect | connack | auth),
  rule(id.authenticationData, 'authenticationData', 'binary', connect | connack | auth),
  rule(id.requestProblemInformation, 'requestProblemInformation', 'flag', connect),
  rule(id.willDelayInterval, 'willDelayInterval', 'fourByte', will),
  rule(id.requestResponseInformation, 'requestResponseInformation', 'flag', connect),
  rule(id.responseInformation, 'responseInformation', 'string', connack),
  rule(id.serverReference, 'serverReference', 'string', connack | disconnect),
  rule(id.reasonString, 'reasonString', 'string', connack | acknowledgement | disconnect | auth),
  rule(id.receiveMaximum, 'receiveMaximum', 'twoByte', connect | connack, 0, protocolError), // section 3.1.2.11.3
  rule(id.topicAliasMaximum, 'topicAliasMaximum', 'twoByte', connect | connack),
  rule(id.topicAlias, 'topicAlias', 'twoByte', publish, 0, topicAliasInvalid), // [MQTT-3.3.2-8]
  rule(id.maximumQoS, 'maximumQoS', 'bit', connack),
  rule(id.retainAvailable, 'retainAvailable', 'flag', connack),
  rule(id.userProperty, 'userProperties', 'pair', everywhere, everywhere),
  rule(id.maximumPacketSize, 'maximumPacketSize', 'fourByte', connect | connack, 0, protocolError), // section 3.1.2.11.4
  rule(id.wildcardSubscriptionAvailable, 'wildcardSubscriptionAvailable', 'flag', connack),
  rule(id.subscriptionIdentifiersAvailable, 'subscriptionIdentifiersAvailable', 'flag', connack),
  rule(id.sharedSubscriptionAvailable, 'sharedSubscriptionAvailable', 'flag', connack)
]

const rulesById: readonly (PropertyRule | undefined)[] = propertyRules.reduce<PropertyRule[]>((rules, entry) => {
  rules[entry.id] = entry
  return rules
}, [])

/** The rule for a property identifier from the wire; undefined for one the standard does not know. */
export function propertyRule(identifier: number): PropertyRule | undefined {
  return rulesById[identifier]
}

function rule(
  id: number,
  name: keyof Properties,
  type: PropertyType,
  owners: number,
  repeats = 0,
  zero: ReasonCode | undefined = undefined
): PropertyRule {
  return { id, name, type, owners, repeats, zero }
}
