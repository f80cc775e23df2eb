/**
 * Says what is wrong with the UTF-8 in bytes[start, end), or undefined when it is well-formed. Never allocates for good input.
 *
 * Refused: encodings of surrogates, overlong and truncated forms, code points above U+10FFFF [MQTT-1.5.4-1], and U+0000
 * [MQTT-1.5.4-2]. A leading EF BB BF is an ordinary character [MQTT-1.5.4-3]. Control characters and non-characters are only
 * discouraged by the standard and are let through.
 */
export function utf8Error(bytes: Uint8Array, start: number, end: number): string | undefined {
  let at = start
  while (at < end) {
    const first = bytes[at]!
    if (first < 0x80) {
      if (first === 0) return 'U+0000 in a UTF-8 string [MQTT-1.5.4-2]'
      at++
      continue
    }
    const length = sequenceLength(bytes, at, end, first)
    if (length === 0) return 'ill-formed UTF-8 [MQTT-1.5.4-1]'
    at += length
  }
  return undefined
}

/** Bytes of the well-formed multi-byte sequence at `at`, or 0. The ranges are those of RFC 3629 section 4. */
function sequenceLength(bytes: Uint8Array, at: number, end: number, first: number): number {
  // 80..BF is a lone continuation byte, C0 and C1 could only begin an overlong form of ASCII.
  if (first < 0xc2 || first > 0xf4) return 0
  if (first < 0xe0) return at + 1 < end && isContinuation(bytes[at + 1]!) ? 2 : 0
  if (at + 2 >= end) return 0
  const second = bytes[at + 1]!
  if (!isContinuation(second) || !isContinuation(bytes[at + 2]!)) return 0
  if (first < 0xf0) {
    if (first === 0xe0 && second < 0xa0) return 0 // overlong
    if (first === 0xed && second > 0x9f) return 0 // surrogates U+D800..U+DFFF
    return 3
  }
  if (at + 3 >= end || !isContinuation(bytes[at + 3]!)) return 0
  if (first === 0xf0 && second < 0x90) return 0 // overlong
  if (first === 0xf4 && second > 0x8f) return 0 // above U+10FFFF
  return 4
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}
