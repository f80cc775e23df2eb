import { TributaryError } from '../lib/errors.ts'

const INITIAL_BYTES = 4096
/** A writer that grew above this for one big message gives the memory back. */
const KEPT_BYTES_MAX = 1 << 20
const TWO_32 = 2 ** 32

/**
 * Builds one record at a time in a buffer that is reused, because Level copies what is put. Numbers are big-endian; a varint has
 * seven bits a byte, least significant group first. Numbers out of range wrap rather than throw: an exception while a batch is
 * being written would fail every commit after it.
 */
export class RecordWriter {
  readonly #initialBytes: number
  #bytes: Buffer
  #at = 0

  constructor(initialBytes = INITIAL_BYTES) {
    this.#initialBytes = initialBytes
    this.#bytes = Buffer.allocUnsafe(initialBytes)
  }

  start(): this {
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#bytes = Buffer.allocUnsafe(this.#initialBytes)
    this.#at = 0
    return this
  }

  /** The record; valid until the next start(). */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }

  /** The record as a buffer of its own. */
  copy(): Buffer {
    return Buffer.from(this.view())
  }

  u8(value: number): this {
    this.#reserve(1)
    this.#bytes[this.#at++] = value
    return this
  }

  u16(value: number): this {
    this.#reserve(2)
    this.#bytes[this.#at++] = value >>> 8
    this.#bytes[this.#at++] = value
    return this
  }

  u32(value: number): this {
    this.#reserve(4)
    this.#putU32(value)
    return this
  }

  u48(value: number): this {
    this.#reserve(6)
    const high = Math.floor(value / TWO_32)
    this.#bytes[this.#at++] = high >>> 8
    this.#bytes[this.#at++] = high
    this.#putU32(value % TWO_32)
    return this
  }

  varint(value: number): this {
    this.#reserve(8)
    let rest = value
    while (rest > 0x7f) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#at++] = rest
    return this
  }

  text(value: string): this {
    // A UTF-16 unit takes at most three bytes of UTF-8; five more for the length in front.
    this.#reserve(value.length * 3 + 5)
    if (value.length < 0x2b) {
      // At most 126 bytes, so the length takes one byte and can be filled in after writing.
      const written = this.#bytes.write(value, this.#at + 1)
      this.#bytes[this.#at] = written
      this.#at += 1 + written
      return this
    }
    this.varint(Buffer.byteLength(value))
    this.#at += this.#bytes.write(value, this.#at)
    return this
  }

  bytes(value: Uint8Array): this {
    return this.varint(value.length).rest(value)
  }

  /** Bytes without a length in front: the end of a record. */
  rest(value: Uint8Array): this {
    this.#reserve(value.length)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
    return this
  }

  #putU32(value: number): void {
    this.#bytes[this.#at++] = value >>> 24
    this.#bytes[this.#at++] = value >>> 16
    this.#bytes[this.#at++] = value >>> 8
    this.#bytes[this.#at++] = value
  }

  #reserve(more: number): void {
    const needed = this.#at + more
    if (needed <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2))
    this.#bytes.copy(grown, 0, 0, this.#at)
    this.#bytes = grown
  }
}

/** Reads a record from its first byte to its last. Whatever does not fit throws TRB_STORE_CORRUPT. */
export class RecordReader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes
    this.#at = at
  }

  get position(): number {
    return this.#at
  }

  /** Every record starts with the version of its own layout. */
  version(known: number): this {
    const found = this.u8()
    if (found !== known) throw corrupt(`record version ${found} is not known`)
    return this
  }

  u8(): number {
    const value = this.#bytes[this.#take(1)]
    return value ?? 0
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#take(2))
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#take(4))
  }

  u48(): number {
    return this.#bytes.readUIntBE(this.#take(6), 6)
  }

  varint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.u8()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      scale *= 0x80
    }
    throw corrupt('a number is too long')
  }

  text(): string {
    const length = this.varint()
    const at = this.#take(length)
    return this.#bytes.toString('utf8', at, at + length)
  }

  /** A view; the record's own buffer belongs to the reader, so nothing is copied. */
  bytes(): Buffer {
    const length = this.varint()
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  rest(): Buffer {
    const at = this.#at
    this.#at = this.#bytes.length
    return this.#bytes.subarray(at)
  }

  skip(): void {
    this.#take(this.varint())
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw corrupt(`${this.#bytes.length - this.#at} bytes too many`)
  }

  #take(length: number): number {
    const at = this.#at
    if (at + length > this.#bytes.length) throw corrupt('the record ends too early')
    this.#at = at + length
    return at
  }
}

export function corrupt(why: string): TributaryError {
  return new TributaryError('TRB_STORE_CORRUPT', why)
}
