/**
 * Little-endian integers as the log's formats use them: u64 fields that hold safe integers, and unsigned LEB128 varints up to
 * 2^53 - 1, plain and zigzag.
 */

const TWO_32 = 4294967296

/** Largest number of bytes a varint of a safe integer takes. */
export const VARINT_BYTES_MAX = 8

export function writeUint64(out: Buffer, at: number, value: number): void {
  out.writeUInt32LE(value % TWO_32, at)
  out.writeUInt32LE(Math.floor(value / TWO_32), at + 4)
}

/** NaN when the field holds no safe integer, so that every comparison a caller makes with it is false. */
export function readUint64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * TWO_32
  return value <= Number.MAX_SAFE_INTEGER ? value : Number.NaN
}

export function writeVarint(out: Uint8Array, at: number, value: number): number {
  let rest = value
  while (rest > 0x7fffffff) {
    out[at++] = (rest % 128) | 0x80
    rest = Math.floor(rest / 128)
  }
  while (rest > 127) {
    out[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  out[at++] = rest
  return at
}

/** Zigzag by arithmetic: -1 is 1, 1 is 2. Doubles keep it exact for differences below 2^52. */
export function writeSignedVarint(out: Uint8Array, at: number, value: number): number {
  return writeVarint(out, at, value < 0 ? -2 * value - 1 : 2 * value)
}

/**
 * Reads varints one after the other. One object per block instead of a pair per number: `at` is the position after the last one
 * read. Reading past `end` throws a RangeError, which a checksummed batch can only do when its writer was wrong.
 */
export class VarintReader {
  readonly bytes: Buffer
  at: number
  readonly end: number

  constructor(bytes: Buffer, at: number, end: number) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  unsigned(): number {
    const byte = this.bytes[this.at]!
    if (byte < 0x80 && this.at < this.end) {
      this.at++
      return byte
    }
    return this.#long()
  }

  signed(): number {
    const value = this.unsigned()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /** Steps over `length` bytes and returns where they begin. */
  skip(length: number): number {
    const start = this.at
    if (start + length > this.end) throw new RangeError(`field of ${length} bytes at ${start} passes the end at ${this.end}`)
    this.at = start + length
    return start
  }

  #long(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      if (this.at >= this.end) break
      const byte = this.bytes[this.at++]!
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
    throw new RangeError(`varint before ${this.at} is cut off or too long`)
  }
}
