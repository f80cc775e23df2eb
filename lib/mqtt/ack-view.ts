import { decodePacket } from './decode.ts'
import { type Frame, isLengthPadded } from './frame.ts'
import type { AckPacket, ProtocolVersion } from './packet.ts'
import { PacketError } from './packet-error.ts'
import { packetType } from './packet-type.ts'
import { type ReasonCode, reasonCode } from './reason-code.ts'

/** One PUBACK, PUBREC, PUBREL or PUBCOMP; reused from packet to packet. */
export class AckView {
  packetId = 0
  /** Reason Code the peer gave; 0 where it gave none. */
  reasonCode = 0
}

/**
 * Reads an acknowledgement without building a packet object: every QoS 1 delivery comes back as one. Returns 0, or the reason
 * code to disconnect with. Accepts and refuses exactly what decodePacket() does. Allocates only for acknowledgements of MQTT 5
 * that carry a reason code.
 */
export function viewAck(bytes: Buffer, frame: Frame, version: ProtocolVersion, view: AckView): ReasonCode {
  const start = frame.bodyStart
  const flags = frame.type === packetType.pubrel ? 2 : 0
  if (frame.bodyEnd - start === 2 && frame.flags === flags && !isLengthPadded(bytes, frame)) {
    const packetId = (bytes[start]! << 8) | bytes[start + 1]!
    view.packetId = packetId
    view.reasonCode = 0
    return packetId === 0 ? reasonCode.protocolError : 0 // [MQTT-2.2.1-3]
  }
  try {
    const packet = decodePacket(bytes, frame, version) as AckPacket
    view.packetId = packet.messageId
    view.reasonCode = packet.reasonCode
    return 0
  } catch (error) {
    if (error instanceof PacketError) return error.reasonCode
    throw error
  }
}

/**
 * Writes an acknowledgement that says Success and returns the position after its four bytes: the same in every version.
 * `firstByte` is 0x40 PUBACK, 0x50 PUBREC, 0x62 PUBREL or 0x70 PUBCOMP.
 */
export function writeAck(out: Buffer, at: number, firstByte: 0x40 | 0x50 | 0x62 | 0x70, packetId: number): number {
  out[at] = firstByte
  out[at + 1] = 2
  out[at + 2] = packetId >> 8
  out[at + 3] = packetId
  return at + 4
}
