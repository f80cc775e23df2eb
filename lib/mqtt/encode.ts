import { variableByteLength, writeVariableByte } from './encode-publish.ts'
import type {
  AckPacket,
  AuthPacket,
  ConnackPacket,
  DisconnectPacket,
  Properties,
  ProtocolVersion,
  ServerPacket,
  SubackPacket,
  UnsubackPacket
} from './packet.ts'
import { PacketError } from './packet-error.ts'
import { packetType } from './packet-type.ts'
import { encodeProperties } from './properties.ts'
import { type PropertyOwner, propertyOwner } from './property-table.ts'
import { reasonCode } from './reason-code.ts'

/**
 * Encodes what a server may send, PUBLISH aside (writePublish()). Properties never go to 3.1 and 3.1.1 peers, and what those
 * versions cannot say is translated: see connackReturnCode(), 3 where it knows none; failures in a SUBACK become 0x80.
 *
 * Reason String and User Properties are left out when the packet would be larger than the client's Maximum Packet Size
 * ([MQTT-3.2.2-19], [MQTT-3.2.2-20], [MQTT-3.4.2-2], [MQTT-3.4.2-3], [MQTT-3.5.2-2], [MQTT-3.5.2-3], [MQTT-3.6.2-2], [MQTT-3.6.2-3],
 * [MQTT-3.7.2-2], [MQTT-3.7.2-3], [MQTT-3.9.2-1], [MQTT-3.9.2-2], [MQTT-3.11.2-1], [MQTT-3.11.2-2], [MQTT-3.14.2-3], [MQTT-3.14.2-4],
 * [MQTT-3.15.2-2]), and when the client asked for no `problemInformation` [MQTT-3.1.2-29], which goes for CONNACK and DISCONNECT too
 * although the standard would let them pass. A result that is still larger must not be sent [MQTT-3.1.2-24].
 * Throws PacketError for properties that do not belong in the packet, and for DISCONNECT and AUTH before MQTT 5.
 */
export function encodePacket(
  packet: ServerPacket,
  version: ProtocolVersion,
  maximumPacketSize = Number.POSITIVE_INFINITY,
  problemInformation = true
): Buffer {
  if (packet.cmd === 'pingresp') return encode(packet, version)
  if (problemInformation) {
    const whole = encode(packet, version)
    if (whole.length <= maximumPacketSize) return whole
  }
  const { reasonString: _, userProperties: __, ...properties } = packet.properties
  return encode({ ...packet, properties } as ServerPacket, version)
}

/**
 * The 3.1.1 CONNACK return code that says best what the reason code `code` of MQTT 5 says; undefined when there is none and
 * closing the connection has to do.
 */
export function connackReturnCode(code: number): number | undefined {
  switch (code) {
    case reasonCode.success:
      return 0
    case reasonCode.unsupportedProtocolVersion:
      return 1
    case reasonCode.clientIdentifierNotValid:
      return 2
    case reasonCode.serverUnavailable:
    case reasonCode.serverBusy:
    case reasonCode.serverShuttingDown:
    case reasonCode.quotaExceeded:
    case reasonCode.useAnotherServer:
    case reasonCode.serverMoved:
    case reasonCode.connectionRateExceeded:
      return 3
    case reasonCode.badUserNameOrPassword:
    case reasonCode.badAuthenticationMethod:
      return 4
    case reasonCode.notAuthorized:
    case reasonCode.banned:
      return 5
    default:
      return undefined
  }
}

function encode(packet: ServerPacket, version: ProtocolVersion): Buffer {
  switch (packet.cmd) {
    case 'connack':
      return encodeConnack(packet, version)
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return encodeAck(packet, version)
    case 'suback':
      return encodeSuback(packet, version)
    case 'unsuback':
      return encodeUnsuback(packet, version)
    case 'pingresp':
      return Buffer.from([packetType.pingresp << 4, 0])
    case 'disconnect':
    case 'auth':
      return encodeReason(packet, version)
  }
}

function encodeConnack(packet: ConnackPacket, version: ProtocolVersion): Buffer {
  const { reasonCode: code } = packet
  // A refusal never claims a session [MQTT-3.2.2-6], [MQTT3-3.2.2-4]; in MQTT 3.1 the byte is reserved.
  const acknowledgeFlags = packet.sessionPresent && code === 0 && version !== 3 ? 1 : 0
  if (version !== 5) {
    const returnCode = code < 0x80 ? code : (connackReturnCode(code) ?? 3)
    return assemble(packetType.connack << 4, [acknowledgeFlags, returnCode], noProperties, nothing)
  }
  return assemble(packetType.connack << 4, [acknowledgeFlags, code], block(packet.properties, propertyOwner.connack), nothing)
}

function encodeAck(packet: AckPacket, version: ProtocolVersion): Buffer {
  const firstByte = (packetType[packet.cmd] << 4) | (packet.cmd === 'pubrel' ? 2 : 0) // [MQTT-3.6.1-1]
  const { messageId, reasonCode: code } = packet
  const head = [messageId >> 8, messageId & 0xff]
  if (version !== 5) return assemble(firstByte, head, noProperties, nothing)
  return assembleShortest(firstByte, head, code, packet.properties, propertyOwner.acknowledgement)
}

function encodeSuback(packet: SubackPacket, version: ProtocolVersion): Buffer {
  const { messageId, granted } = packet
  const head = [messageId >> 8, messageId & 0xff]
  if (version === 5) {
    return assemble(packetType.suback << 4, head, block(packet.properties, propertyOwner.acknowledgement), granted)
  }
  // 3.1.1 knows one failure [MQTT3-3.9.3-2]; 3.1 knows none and reads the two low bits, QoS 0.
  const returnCodes = granted.map(code => (code > 2 ? 0x80 : code))
  return assemble(packetType.suback << 4, head, noProperties, returnCodes)
}

function encodeUnsuback(packet: UnsubackPacket, version: ProtocolVersion): Buffer {
  const { messageId, granted } = packet
  const head = [messageId >> 8, messageId & 0xff]
  if (version !== 5) return assemble(packetType.unsuback << 4, head, noProperties, nothing)
  return assemble(packetType.unsuback << 4, head, block(packet.properties, propertyOwner.acknowledgement), granted)
}

function encodeReason(packet: DisconnectPacket | AuthPacket, version: ProtocolVersion): Buffer {
  if (version !== 5)
    throw new PacketError(reasonCode.protocolError, `a server sends no ${packet.cmd.toUpperCase()} before MQTT 5`)
  const owner = packet.cmd === 'auth' ? propertyOwner.auth : propertyOwner.disconnect
  if (packet.cmd === 'disconnect' && packet.properties.sessionExpiryInterval !== undefined) {
    throw new PacketError(reasonCode.protocolError, 'Session Expiry Interval in a DISCONNECT from the server [MQTT-3.14.2-2]')
  }
  if (
    packet.cmd === 'auth' &&
    packet.reasonCode !== reasonCode.success &&
    packet.reasonCode !== reasonCode.continueAuthentication
  ) {
    throw new PacketError(reasonCode.protocolError, `AUTH with reason code ${packet.reasonCode} from a server [MQTT-3.15.2-1]`)
  }
  // An AUTH always has an Authentication Method, so it never takes the shortest form in practice.
  return assembleShortest(packetType[packet.cmd] << 4, [], packet.reasonCode, packet.properties, owner)
}

const nothing: readonly number[] = []
const noProperties = Buffer.alloc(0)

/** Property Length and properties. */
function block(properties: Properties, owner: PropertyOwner): Buffer {
  const encoded = encodeProperties(properties, owner)
  const prefix = variableByteLength(encoded.length)
  const out = Buffer.allocUnsafe(prefix + encoded.length)
  encoded.copy(out, writeVariableByte(out, 0, encoded.length))
  return out
}

/** Leaves out the properties when there are none, and then the reason code when it is Success (sections 3.4.2.1, 3.14.2.1). */
function assembleShortest(firstByte: number, head: number[], code: number, properties: Properties, owner: PropertyOwner): Buffer {
  const encoded = block(properties, owner)
  if (encoded.length > 1) return assemble(firstByte, [...head, code], encoded, nothing)
  return assemble(firstByte, code === 0 ? head : [...head, code], noProperties, nothing)
}

function assemble(firstByte: number, head: readonly number[], properties: Buffer, tail: readonly number[]): Buffer {
  const body = head.length + properties.length + tail.length
  const out = Buffer.allocUnsafe(1 + variableByteLength(body) + body)
  out[0] = firstByte
  let at = writeVariableByte(out, 1, body)
  for (const byte of head) out[at++] = byte
  at += properties.copy(out, at)
  for (const byte of tail) out[at++] = byte
  return out
}
