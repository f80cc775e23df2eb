import { encodePacket } from '../mqtt/encode.ts'
import type { ServerPacket } from '../mqtt/packet.ts'
import type { Connection } from './connection.ts'

/** A reason string is for people; what hooks and errors say may be longer than that. Characters. */
const reasonStringCharsMax = 1024

/**
 * The bytes of a packet for this client: in its version of the protocol, with reason string and user properties only where it wants
 * them and has room for them. Undefined when the packet is too large for the client whatever is left out: it must not be sent
 * [MQTT-3.1.2-24].
 */
export function encodeFor(connection: Connection, packet: ServerPacket): Buffer | undefined {
  const { maximumPacketSize } = connection
  const version = connection.version ?? 4
  const bytes = encodePacket(sayable(packet), version, maximumPacketSize, connection.requestProblemInformation)
  return bytes.length > maximumPacketSize ? undefined : bytes
}

/** The packet with a reason string that can be sent, whoever wrote it: hooks do, and clients are quoted in it. */
function sayable(packet: ServerPacket): ServerPacket {
  if (packet.cmd === 'pingresp') return packet
  const { reasonString } = packet.properties
  if (reasonString === undefined) return packet
  const text = reasonString.replaceAll('\0', ' ').slice(0, reasonStringCharsMax)
  return text === reasonString ? packet : { ...packet, properties: { ...packet.properties, reasonString: text } }
}
