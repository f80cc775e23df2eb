/** Where one packet lies in a buffer; reused from packet to packet. */
export class Frame {
  /** Control packet type, 0 to 15. */
  type = 0
  /** Low four bits of the first byte. */
  flags = 0
  /** First byte after the fixed header. */
  bodyStart = 0
  /** One past the last byte of the packet. */
  bodyEnd = 0
  /** Bytes the Remaining Length took, 1 to 4: MQTT 5 forbids padding it, earlier versions do not say. */
  lengthBytes = 0
}

/** Results of readFrame that are not a position. */
export const frameIncomplete = 0
export const frameMalformed = -1
export const frameTooLarge = -2

/**
 * Finds the packet that begins at bytes[at] and ends before `end`. Hot path: allocates nothing.
 *
 * Returns the offset just after the packet; 0 when more bytes are needed; -1 when the Remaining Length has a fifth byte (section
 * 2.1.4, reason code 0x81); -2 when the whole packet, fixed header included, is larger than `maxPacketBytes` (reason code 0x95),
 * known as soon as the length is. `frame` is filled for results > 0, and its type and flags for -2 as well. For 0 `bodyEnd` says
 * how far the packet reaches once its fixed header is there, and is 0 before.
 */
export function readFrame(bytes: Uint8Array, at: number, end: number, maxPacketBytes: number, frame: Frame): number {
  frame.bodyEnd = 0
  if (end - at < 2) return frameIncomplete
  let position = at + 1
  let byte = bytes[position++]!
  let length = byte & 0x7f
  let shift = 7
  while (byte >= 0x80) {
    if (shift === 28) return frameMalformed
    if (position >= end) return frameIncomplete
    byte = bytes[position++]!
    length |= (byte & 0x7f) << shift
    shift += 7
  }
  const first = bytes[at]!
  frame.type = first >> 4
  frame.flags = first & 0x0f
  const bodyEnd = position + length
  if (bodyEnd - at > maxPacketBytes) return frameTooLarge
  frame.bodyEnd = bodyEnd
  if (bodyEnd > end) return frameIncomplete
  frame.bodyStart = position
  frame.lengthBytes = position - at - 1
  return bodyEnd
}

/** True when the Remaining Length was written with more bytes than needed [MQTT-1.5.5-1]. */
export function isLengthPadded(bytes: Uint8Array, frame: Frame): boolean {
  return frame.lengthBytes > 1 && bytes[frame.bodyStart - 1] === 0
}
