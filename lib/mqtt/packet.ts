/**
 * Packets as plain objects. Field names are those of `mqtt-packet` (`cmd`, `messageId`, `clientId` ...) because Aedes hooks and
 * events hand these objects to users. The hot path does not build them: it works on views of the bytes (publish-view.ts).
 */

export type Qos = 0 | 1 | 2
/** Protocol Level byte of CONNECT: 3 = MQTT 3.1, 4 = MQTT 3.1.1, 5 = MQTT 5. */
export type ProtocolVersion = 3 | 4 | 5

/** User properties in wire order; a name may repeat [MQTT-3.1.3-10]. `mqtt-packet` merges them into an object: see lib/broker/aedes-packet.ts. */
export type UserProperties = [name: string, value: string][]

/** MQTT 5 properties, section 2.2.2.2. Only those allowed in the packet at hand are ever set. */
export interface Properties {
  payloadFormatIndicator?: 0 | 1
  messageExpiryInterval?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Buffer
  subscriptionIdentifiers?: number[]
  sessionExpiryInterval?: number
  assignedClientIdentifier?: string
  serverKeepAlive?: number
  authenticationMethod?: string
  authenticationData?: Buffer
  requestProblemInformation?: boolean
  willDelayInterval?: number
  requestResponseInformation?: boolean
  responseInformation?: string
  serverReference?: string
  reasonString?: string
  receiveMaximum?: number
  topicAliasMaximum?: number
  topicAlias?: number
  maximumQoS?: 0 | 1
  retainAvailable?: boolean
  userProperties?: UserProperties
  maximumPacketSize?: number
  wildcardSubscriptionAvailable?: boolean
  subscriptionIdentifiersAvailable?: boolean
  sharedSubscriptionAvailable?: boolean
}

export interface Will {
  topic: string
  payload: Buffer
  qos: Qos
  retain: boolean
  /** Will properties of MQTT 5, willDelayInterval among them. */
  properties: Properties
}

export interface ConnectPacket {
  cmd: 'connect'
  protocolVersion: ProtocolVersion
  /** True when the top bit of the level byte marked a bridge connection (0x83 / 0x84, a Mosquitto convention). */
  bridgeMode: boolean
  clientId: string
  /** Clean Session (3.1.1) or Clean Start (5). */
  clean: boolean
  /** Seconds; 0 = off. */
  keepalive: number
  username: string | undefined
  password: Buffer | undefined
  will: Will | undefined
  properties: Properties
}

/** Off the hot path only (hooks, wills, programmatic publish). */
export interface PublishPacket {
  cmd: 'publish'
  topic: string
  payload: Buffer
  qos: Qos
  retain: boolean
  dup: boolean
  /** Packet Identifier; undefined at QoS 0. */
  messageId: number | undefined
  properties: Properties
}

export interface AckPacket {
  cmd: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'
  messageId: number
  reasonCode: number
  properties: Properties
}

export interface SubscriptionRequest {
  topic: string
  qos: Qos
  /** No Local */
  nl: boolean
  /** Retain As Published */
  rap: boolean
  /** Retain Handling */
  rh: 0 | 1 | 2
}

export interface SubscribePacket {
  cmd: 'subscribe'
  messageId: number
  subscriptions: SubscriptionRequest[]
  properties: Properties
}

export interface UnsubscribePacket {
  cmd: 'unsubscribe'
  messageId: number
  unsubscriptions: string[]
  properties: Properties
}

export interface PingreqPacket {
  cmd: 'pingreq'
}

export interface DisconnectPacket {
  cmd: 'disconnect'
  reasonCode: number
  properties: Properties
}

export interface AuthPacket {
  cmd: 'auth'
  reasonCode: number
  properties: Properties
}

/** What a client may send, PUBLISH aside (that one has its own decoder). */
export type ControlPacket =
  | ConnectPacket
  | AckPacket
  | SubscribePacket
  | UnsubscribePacket
  | PingreqPacket
  | DisconnectPacket
  | AuthPacket

export interface ConnackPacket {
  cmd: 'connack'
  sessionPresent: boolean
  /** Return code for 3.1/3.1.1 (0-5), reason code for 5. */
  reasonCode: number
  properties: Properties
}

export interface SubackPacket {
  cmd: 'suback'
  messageId: number
  /** Granted QoS or 0x80 (3.1.1); reason codes (5). */
  granted: number[]
  properties: Properties
}

export interface UnsubackPacket {
  cmd: 'unsuback'
  messageId: number
  /** Reason codes, MQTT 5 only on the wire. */
  granted: number[]
  properties: Properties
}

export interface PingrespPacket {
  cmd: 'pingresp'
}

/** What the broker may send, PUBLISH aside. */
export type ServerPacket =
  | ConnackPacket
  | AckPacket
  | SubackPacket
  | UnsubackPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket
