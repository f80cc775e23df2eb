import { decodeAck } from './decode-acks.ts'
import { decodeConnect } from './decode-connect.ts'
import { decodeAuth, decodeDisconnect } from './decode-disconnect.ts'
import { decodeSubscribe, decodeUnsubscribe } from './decode-subscribe.ts'
import { type Frame, isLengthPadded } from './frame.ts'
import type { AckPacket, ControlPacket, ProtocolVersion } from './packet.ts'
import { packetType } from './packet-type.ts'
import { Reader } from './reader.ts'
import { reasonCode } from './reason-code.ts'

/**
 * Decodes what a client may send, PUBLISH aside (viewPublish()). A CONNECT learns its version itself, whatever
 * `version` says. Whether the packet may come at this moment is the session's question, as are the syntax of Topic Filters
 * (answered one by one in the SUBACK) and the longest Client Identifier.
 *
 * Throws PacketError, and nothing else, for anything the standard does not allow. The packet shares no memory with `bytes`.
 */
export function decodePacket(bytes: Buffer, frame: Frame, version: ProtocolVersion): ControlPacket {
  const ack = shortestAck(bytes, frame)
  if (ack !== undefined) return ack
  const reader = new Reader(bytes, frame.bodyStart, frame.bodyEnd)
  const padded = isLengthPadded(bytes, frame)
  if (frame.type === packetType.connect) {
    requireFlags(reader, frame, 0, 4) // [MQTT-2.1.3-1], [MQTT3-2.2.2-2]
    return decodeConnect(reader, padded)
  }
  if (padded && version === 5) reader.malformed('Remaining Length is padded [MQTT-1.5.5-1]')
  switch (frame.type) {
    case packetType.puback:
      requireFlags(reader, frame, 0, version)
      return decodeAck(reader, 'puback', version)
    case packetType.pubrec:
      requireFlags(reader, frame, 0, version)
      return decodeAck(reader, 'pubrec', version)
    case packetType.pubrel:
      requireFlags(reader, frame, 2, version) // [MQTT-3.6.1-1]
      return decodeAck(reader, 'pubrel', version)
    case packetType.pubcomp:
      requireFlags(reader, frame, 0, version)
      return decodeAck(reader, 'pubcomp', version)
    case packetType.subscribe:
      requireFlags(reader, frame, 2, version) // [MQTT-3.8.1-1]
      return decodeSubscribe(reader, version)
    case packetType.unsubscribe:
      requireFlags(reader, frame, 2, version) // [MQTT-3.10.1-1]
      return decodeUnsubscribe(reader, version)
    case packetType.pingreq:
      requireFlags(reader, frame, 0, version)
      reader.finish()
      return { cmd: 'pingreq' }
    case packetType.disconnect:
      requireFlags(reader, frame, 0, version) // [MQTT-3.14.1-1]
      return decodeDisconnect(reader, version)
    case packetType.auth:
      if (version !== 5) return reader.malformed('packet type 15 is reserved before MQTT 5')
      requireFlags(reader, frame, 0, version) // [MQTT-3.15.1-1]
      return decodeAuth(reader)
    case packetType.connack:
    case packetType.suback:
    case packetType.unsuback:
    case packetType.pingresp:
      return reader.fail(reasonCode.protocolError, `packet type ${frame.type} is for servers only (table 2-1)`)
    case packetType.publish:
      return reader.fail(reasonCode.implementationSpecificError, 'PUBLISH is not read by decodePacket()')
    default:
      return reader.malformed('packet type 0 is reserved (table 2-1)')
  }
}

const ackCommands = [undefined, undefined, undefined, undefined, 'puback', 'pubrec', 'pubrel', 'pubcomp'] as const

/**
 * The two-byte form of an acknowledgement, which every version shares: read without more ado because every QoS 1 delivery comes
 * back as one. Undefined for anything else, and for anything that is not perfectly in order.
 */
function shortestAck(bytes: Buffer, frame: Frame): AckPacket | undefined {
  const { type, flags, bodyStart } = frame
  const cmd = ackCommands[type]
  if (cmd === undefined || frame.bodyEnd - bodyStart !== 2 || frame.lengthBytes !== 1) return undefined
  if (flags !== (type === packetType.pubrel ? 2 : 0)) return undefined
  const messageId = (bytes[bodyStart]! << 8) | bytes[bodyStart + 1]!
  return messageId === 0 ? undefined : { cmd, messageId, reasonCode: reasonCode.success, properties: {} }
}

/**
 * Reserved flags have one legal value [MQTT-2.1.3-1]. MQTT 3.1 gives them a meaning instead: DUP may be set on a retry of what
 * is sent with QoS 1, and elsewhere they are not used.
 */
function requireFlags(reader: Reader, frame: Frame, flags: number, version: ProtocolVersion): void {
  const sound =
    version === 3 ? (frame.flags & flags) === flags && (flags === 0 || (frame.flags & 4) === 0) : frame.flags === flags
  if (!sound) reader.malformed(`flags of packet type ${frame.type} are ${frame.flags}, not ${flags} [MQTT-2.1.3-1]`)
}
