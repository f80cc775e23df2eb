import { randomBytes } from 'node:crypto'
import type { VarintReader } from './bytes.ts'
import type { KeyField } from './key-partition.ts'

/** A topic and publisher as compaction meets them in a batch: where their definition and the key in it lie. */
export interface CompactionSource {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  readonly keyStart: number
  readonly keyEnd: number
  /** 32 bits of the key's hash. */
  readonly hash: number
  /** In which batch that is being written it was defined last, and as what number. */
  batch: number
  number: number
}

/**
 * Reads sources as one run needs them. Keys are found by HalfSipHash-2-4 (https://github.com/veorq/SipHash) with a secret of the run,
 * because clients choose their ids and must not be able to make all of them land in one place.
 */
export class SourceReader {
  readonly #field: KeyField
  readonly #k0: number
  readonly #k1: number

  constructor(field: KeyField) {
    this.#field = field
    const secret = randomBytes(8)
    this.#k0 = secret.readInt32LE(0)
    this.#k1 = secret.readInt32LE(4)
  }

  /** Reads a definition and steps over it. */
  read(reader: VarintReader): CompactionSource {
    const start = reader.at
    const topicBytes = reader.unsigned()
    const topicStart = reader.skip(topicBytes)
    const clientIdBytes = reader.unsigned()
    const clientIdStart = reader.skip(clientIdBytes)
    reader.unsigned()
    const { bytes, at: end } = reader
    const byTopic = this.#field === 'topic'
    const keyStart = byTopic ? topicStart : clientIdStart
    const keyEnd = keyStart + (byTopic ? topicBytes : clientIdBytes)
    return { bytes, start, end, keyStart, keyEnd, hash: this.#hash(bytes, keyStart, keyEnd), batch: -1, number: 0 }
  }

  #hash(bytes: Buffer, start: number, end: number): number {
    let v0 = this.#k0
    let v1 = this.#k1
    let v2 = 0x6c796765 ^ this.#k0
    let v3 = 0x74656462 ^ this.#k1
    let word = 0
    // The last word holds the bytes that are left and the length; four rounds more end it.
    const words = ((end - start) >> 2) + 1
    for (let i = 0; i < words + 2; i++) {
      if (i < words - 1) {
        const at = start + 4 * i
        word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
      } else if (i === words - 1) {
        word = (end - start) << 24
        for (let at = start + 4 * i; at < end; at++) word |= bytes[at]! << (8 * ((at - start) & 3))
      } else {
        if (i === words) v2 ^= 0xff
        word = 0
      }
      v3 ^= word
      for (let round = 0; round < 2; round++) {
        v0 = (v0 + v1) | 0
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
        v0 = (v0 << 16) | (v0 >>> 16)
        v2 = (v2 + v3) | 0
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
        v0 = (v0 + v3) | 0
        v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
        v2 = (v2 + v1) | 0
        v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
        v2 = (v2 << 16) | (v2 >>> 16)
      }
      v0 ^= word
    }
    return (v1 ^ v3) >>> 0
  }
}
