import { topicNameError } from '../topic/name.ts'
import type { ConnectPacket, ProtocolVersion, Qos, Will } from './packet.ts'
import { readProperties } from './properties.ts'
import { propertyOwner } from './property-table.ts'
import type { Reader } from './reader.ts'
import { reasonCode } from './reason-code.ts'

/** Bits of the Connect Flags, section 3.1.2.3. */
const connectFlag = { reserved: 0x01, clean: 0x02, will: 0x04, willRetain: 0x20, password: 0x40, username: 0x80 } as const

/** Body of a CONNECT, section 3.1. `padded`: its Remaining Length was, which only MQTT 5 minds. */
export function decodeConnect(reader: Reader, padded: boolean): ConnectPacket {
  const name = reader.string('Protocol Name')
  const level = reader.byte('Protocol Level')
  const version = protocolVersion(reader, name, level)
  reader.connect = { protocolVersion: version }
  if (padded && version === 5) reader.malformed('Remaining Length is padded [MQTT-1.5.5-1]')
  const flags = reader.byte('Connect Flags')
  checkFlags(reader, flags, version)
  const keepalive = reader.twoByte('Keep Alive')
  const properties = version === 5 ? readProperties(reader, propertyOwner.connect) : {}
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    reader.fail(reasonCode.protocolError, 'Authentication Data without Authentication Method (section 3.1.2.11.10)')
  }
  const clientId = reader.string('Client Identifier')
  const will = (flags & connectFlag.will) === 0 ? undefined : readWill(reader, flags, version)
  // MQTT 3.1: the Remaining Length takes precedence over the User Name and Password flags, so both may be missing.
  const lenient = version === 3
  const hasUsername = (flags & connectFlag.username) !== 0 && !(lenient && reader.atEnd)
  const username = hasUsername ? reader.string('User Name') : undefined // [MQTT-3.1.3-12]
  const hasPassword = (flags & connectFlag.password) !== 0 && !(lenient && reader.atEnd)
  const password = hasPassword ? reader.binary('Password') : undefined
  reader.finish()
  const clean = (flags & connectFlag.clean) !== 0
  checkClientId(reader, clientId, clean, version)
  return {
    cmd: 'connect',
    protocolVersion: version,
    bridgeMode: level > 0x80,
    clientId,
    clean,
    keepalive,
    username,
    password,
    will,
    properties
  }
}

/** The version asked for, or an error that says how to refuse it. The top bit of the level marks a bridge (3.1 and 3.1.1). */
function protocolVersion(reader: Reader, name: string, level: number): ProtocolVersion {
  if (name === 'MQTT') {
    if (level === 5) return 5
    if ((level & 0x7f) === 4) return 4
    // [MQTT-3.1.2-2]: what comes after MQTT 5 is told so in its words, everything else in those of 3.1.1.
    reader.connect = { protocolVersion: level > 5 && level < 0x80 ? 5 : 4, connackReturnCode: 1 }
    return reader.fail(reasonCode.unsupportedProtocolVersion, 'Invalid protocol version')
  }
  if (name === 'MQIsdp') {
    if ((level & 0x7f) === 3) return 3
    reader.connect = { protocolVersion: 4, connackReturnCode: 1 }
    return reader.fail(reasonCode.unsupportedProtocolVersion, 'unacceptable protocol version')
  }
  // Not MQTT as far as anybody can tell: closed without an answer [MQTT-3.1.2-1].
  return reader.fail(reasonCode.unsupportedProtocolVersion, 'Invalid protocolId')
}

/** MQTT 3.1 disregards what 3.1.1 and 5 reserve. Clause numbers are those of MQTT 5 where both have the rule. */
function checkFlags(reader: Reader, flags: number, version: ProtocolVersion): void {
  const willQos = (flags >> 3) & 3
  if ((flags & connectFlag.will) !== 0) {
    if (willQos === 3) reader.malformed('Will QoS is 3 [MQTT-3.1.2-12]')
  } else if (version !== 3) {
    if (willQos !== 0) reader.malformed('Will QoS without Will Flag [MQTT-3.1.2-11]')
    if ((flags & connectFlag.willRetain) !== 0) reader.malformed('Will Retain without Will Flag [MQTT-3.1.2-13]')
  }
  if (version !== 3 && (flags & connectFlag.reserved) !== 0) reader.malformed('reserved Connect Flag is set [MQTT-3.1.2-3]')
  // MQTT 5 allows it, to carry credentials other than a password.
  if (version !== 5 && (flags & connectFlag.password) !== 0 && (flags & connectFlag.username) === 0) {
    reader.malformed('Password without User Name [MQTT3-3.1.2-22]')
  }
}

function readWill(reader: Reader, flags: number, version: ProtocolVersion): Will {
  const properties = version === 5 ? readProperties(reader, propertyOwner.will) : {}
  checkResponseTopic(reader, properties.responseTopic)
  const topic = reader.string('Will Topic') // [MQTT-3.1.3-11]
  const error = topicNameError(topic)
  if (error !== undefined) reader.fail(reasonCode.topicNameInvalid, `Will Topic: ${error}`)
  return {
    topic,
    payload: reader.binary('Will Payload'),
    qos: ((flags >> 3) & 3) as Qos,
    retain: (flags & connectFlag.willRetain) !== 0,
    properties
  }
}

function checkResponseTopic(reader: Reader, topic: string | undefined): void {
  const error = topic === undefined ? undefined : topicNameError(topic)
  if (error !== undefined) reader.fail(reasonCode.protocolError, `Response Topic: ${error}`) // [MQTT-3.3.2-14]
}

/** Who may leave the Client Identifier empty: MQTT 5 always, 3.1.1 with Clean Session [MQTT3-3.1.3-7], 3.1 never. */
function checkClientId(reader: Reader, clientId: string, clean: boolean, version: ProtocolVersion): void {
  if (clientId.length > 0 || version === 5 || (version === 4 && clean)) return
  reader.connect = { protocolVersion: version, connackReturnCode: 2 } // [MQTT3-3.1.3-8]
  const message = version === 4 ? 'clientId must be given if cleanSession set to 0' : 'clientId must be supplied before 3.1.1'
  reader.fail(reasonCode.clientIdentifierNotValid, message)
}
