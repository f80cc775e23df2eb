import { decodePacket } from '../../lib/mqtt/decode.ts'
import { Frame, frameMalformed, readFrame } from '../../lib/mqtt/frame.ts'
import type { ControlPacket, ProtocolVersion, PublishPacket } from '../../lib/mqtt/packet.ts'
import { PacketError } from '../../lib/mqtt/packet-error.ts'
import { packetType } from '../../lib/mqtt/packet-type.ts'
import { decodePublish } from './decode-publish.ts'

/** The one packet that fills bytes[start, end), as the connection would read it; undefined when it is not whole. */
export function decodeOne(
  bytes: Buffer,
  version: ProtocolVersion,
  start = 0,
  end = bytes.length
): ControlPacket | PublishPacket | undefined {
  const frame = new Frame()
  const next = readFrame(bytes, start, end, 268_435_460, frame)
  if (next === frameMalformed) throw new PacketError(0x81, 'malformed Remaining Length')
  if (next <= 0) return undefined
  return frame.type === packetType.publish ? decodePublish(bytes, frame, version) : decodePacket(bytes, frame, version)
}

/** The PacketError that `action` throws; every other error goes through. */
export function packetErrorOf(action: () => unknown): PacketError | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    if (error instanceof PacketError) return error
    throw error
  }
}
