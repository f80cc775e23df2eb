import fc from 'fast-check'
import type {
  AckPacket,
  ConnectPacket,
  ControlPacket,
  Properties,
  ProtocolVersion,
  PublishPacket,
  Qos,
  ServerPacket,
  Will
} from '../../lib/mqtt/packet.ts'

/** Well-formed text without U+0000. */
export const text = fc.string({ unit: 'binary', maxLength: 20 }).map(value => value.replaceAll('\u0000', '0'))
const topic = text.map(value => `t/${value.replaceAll(/[+#]/g, '_')}`)
const filter = fc.oneof(topic, fc.constantFrom('#', '+/a', 'a/+/b/#', '$share/g/a'))
export const bytes = fc.uint8Array({ maxLength: 300 }).map(value => Buffer.from(value))
const qos = fc.constantFrom<Qos>(0, 1, 2)
const packetId = fc.integer({ min: 1, max: 0xffff })
const twoByte = fc.integer({ min: 0, max: 0xffff })
const fourByte = fc.integer({ min: 0, max: 0xffffffff })
const bit = fc.constantFrom<0 | 1>(0, 1)
/** Values are not empty: mqtt-packet forgets an empty one when its name comes again. */
const userProperties = fc.array(fc.tuple(text, fc.string({ unit: 'grapheme', minLength: 1, maxLength: 9 })), {
  minLength: 1,
  maxLength: 4
})
const problem = { reasonString: text, userProperties }

/** Any subset of these properties, for MQTT 5; none before. */
function some(version: ProtocolVersion, shape: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Properties> {
  if (version !== 5) return fc.constant({})
  return fc.record(shape, { requiredKeys: [], noNullPrototype: true }) as fc.Arbitrary<Properties>
}

const messageShape = {
  payloadFormatIndicator: bit,
  messageExpiryInterval: fourByte,
  contentType: text,
  responseTopic: topic,
  correlationData: bytes,
  userProperties
}

export function anyPublish(version: ProtocolVersion): fc.Arbitrary<PublishPacket> {
  const shape = { ...messageShape, topicAlias: fc.integer({ min: 1, max: 0xffff }) }
  return fc
    .record({
      topic,
      payload: bytes,
      qos,
      retain: fc.boolean(),
      again: fc.boolean(),
      id: packetId,
      properties: some(version, shape)
    })
    .map(({ again, id, ...rest }) => ({
      cmd: 'publish',
      ...rest,
      dup: again && rest.qos > 0,
      messageId: rest.qos === 0 ? undefined : id
    }))
}

function anyWill(version: ProtocolVersion): fc.Arbitrary<Will> {
  const shape = { ...messageShape, willDelayInterval: fourByte }
  return fc.record({ topic, payload: bytes, qos, retain: fc.boolean(), properties: some(version, shape) })
}

export function anyConnect(version: ProtocolVersion): fc.Arbitrary<ConnectPacket> {
  const shape = {
    sessionExpiryInterval: fourByte,
    receiveMaximum: fc.integer({ min: 1, max: 0xffff }),
    maximumPacketSize: fc.integer({ min: 1, max: 0xffffffff }),
    topicAliasMaximum: twoByte,
    requestResponseInformation: fc.boolean(),
    requestProblemInformation: fc.boolean(),
    authenticationMethod: text,
    userProperties
  }
  return fc
    .record({
      clientId: text.map(value => `c${value}`),
      clean: fc.boolean(),
      keepalive: twoByte,
      username: fc.option(text, { nil: undefined }),
      password: fc.option(bytes, { nil: undefined }),
      will: fc.option(anyWill(version), { nil: undefined }),
      properties: some(version, shape)
    })
    .map(rest => ({
      cmd: 'connect',
      protocolVersion: version,
      bridgeMode: false,
      ...rest,
      password: rest.username === undefined ? undefined : rest.password
    }))
}

export function anyAck(version: ProtocolVersion): fc.Arbitrary<AckPacket> {
  return fc.constantFrom<AckPacket['cmd']>('puback', 'pubrec', 'pubrel', 'pubcomp').chain(cmd => {
    const failures = cmd === 'puback' || cmd === 'pubrec' ? [0, 0x10, 0x80, 0x87, 0x99] : [0, 0x92]
    return fc.record({
      cmd: fc.constant(cmd),
      messageId: packetId,
      reasonCode: version === 5 ? fc.constantFrom(...failures) : fc.constant(0),
      properties: some(version, problem)
    })
  })
}

/** Anything a client may send, PUBLISH included. */
export function anyClientPacket(version: ProtocolVersion): fc.Arbitrary<ControlPacket | PublishPacket> {
  const five = version === 5
  const request = fc
    .record({
      topic: filter,
      qos,
      nl: five ? fc.boolean() : fc.constant(false),
      rap: five ? fc.boolean() : fc.constant(false),
      rh: five ? fc.constantFrom<0 | 1 | 2>(0, 1, 2) : fc.constant<0>(0)
    })
    .map(each => ({ ...each, nl: each.nl && !each.topic.startsWith('$share/') }))
  const subscriptionIdentifiers = fc.integer({ min: 1, max: 268_435_455 }).map(id => [id])
  const subscribe = fc.record({
    cmd: fc.constant('subscribe' as const),
    messageId: packetId,
    subscriptions: fc.array(request, { minLength: 1, maxLength: 5 }),
    properties: some(version, { subscriptionIdentifiers, userProperties })
  })
  const unsubscribe = fc.record({
    cmd: fc.constant('unsubscribe' as const),
    messageId: packetId,
    unsubscriptions: fc.array(filter, { minLength: 1, maxLength: 5 }),
    properties: some(version, { userProperties })
  })
  const disconnect = fc.record({
    cmd: fc.constant('disconnect' as const),
    reasonCode: five ? fc.constantFrom(0, 4, 0x80, 0x99) : fc.constant(0),
    properties: some(version, { ...problem, sessionExpiryInterval: fourByte })
  })
  const auth = fc.record({
    cmd: fc.constant('auth' as const),
    reasonCode: fc.constantFrom(0x18, 0x19),
    properties: fc
      .tuple(text, some(5, { ...problem, authenticationData: bytes }))
      .map(([authenticationMethod, rest]) => ({ ...rest, authenticationMethod }))
  })
  const always = [anyConnect(version), anyPublish(version), anyAck(version), subscribe, unsubscribe, disconnect]
  return fc.oneof(...always, ...(five ? [auth] : []), fc.constant({ cmd: 'pingreq' as const }))
}

/** Anything a server may send, PUBLISH aside. */
export function anyServerPacket(version: ProtocolVersion): fc.Arbitrary<ServerPacket> {
  const five = version === 5
  const connack = fc
    .record({
      sessionPresent: version === 3 ? fc.constant(false) : fc.boolean(),
      reasonCode: five ? fc.constantFrom(0, 0, 0x84, 0x87) : fc.integer({ min: 0, max: 5 }),
      properties: some(version, {
        ...problem,
        sessionExpiryInterval: fourByte,
        receiveMaximum: fc.integer({ min: 1, max: 0xffff }),
        maximumQoS: bit,
        retainAvailable: fc.boolean(),
        maximumPacketSize: fc.integer({ min: 1, max: 0xffffffff }),
        assignedClientIdentifier: text,
        topicAliasMaximum: twoByte,
        wildcardSubscriptionAvailable: fc.boolean(),
        subscriptionIdentifiersAvailable: fc.boolean(),
        sharedSubscriptionAvailable: fc.boolean(),
        serverKeepAlive: twoByte,
        responseInformation: text,
        serverReference: text,
        authenticationMethod: text,
        authenticationData: bytes
      })
    })
    .map(rest => ({ cmd: 'connack' as const, ...rest, sessionPresent: rest.sessionPresent && rest.reasonCode === 0 }))
  const granted = (codes: number[]) => fc.array(fc.constantFrom(...codes), { minLength: 1, maxLength: 200 })
  const suback = fc.record({
    cmd: fc.constant('suback' as const),
    messageId: packetId,
    granted: granted(five ? [0, 1, 2, 0x80, 0x8f] : [0, 1, 2, 0x80]),
    properties: some(version, problem)
  })
  const unsuback = fc.record({
    cmd: fc.constant('unsuback' as const),
    messageId: packetId,
    granted: granted([0, 0x11, 0x87]),
    properties: some(version, problem)
  })
  const always = [connack, anyAck(version), suback, unsuback, fc.constant({ cmd: 'pingresp' as const })]
  if (!five) return fc.oneof(...always)
  const disconnect = fc.record({
    cmd: fc.constant('disconnect' as const),
    reasonCode: fc.constantFrom(0, 0x8b, 0x9c),
    properties: some(5, { ...problem, serverReference: text })
  })
  const auth = fc.record({
    cmd: fc.constant('auth' as const),
    reasonCode: fc.constantFrom(0, 0x18),
    properties: fc
      .tuple(text, some(5, { ...problem, authenticationData: bytes }))
      .map(([authenticationMethod, rest]) => ({ ...rest, authenticationMethod }))
  })
  return fc.oneof(...always, disconnect, auth)
}
