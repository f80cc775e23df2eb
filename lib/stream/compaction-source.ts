import { createHash, randomBytes } from 'node:crypto'
import type { VarintReader } from './bytes.ts'
import type { KeyField } from './key-partition.ts'

/** 128 bits of a key's hash. */
export interface KeyHash {
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
}

/** A topic and publisher as compaction meets them: the definition's bytes, to copy, and the hash of the key. */
export interface CompactionSource {
  readonly definition: Buffer
  readonly key: KeyHash
  /** In which batch that is being written it was defined last, and as what number. */
  batch: number
  number: number
}

/** How many sources are remembered, about 20 MiB of them; more are read and hashed again. */
const SOURCES_MAX = 64 * 1024

/**
 * The sources of one run. Keys are compared by 128 bits of SHA-256 with a salt of the run: two keys that collide would lose one of
 * them its last value, and clients choose their own ids.
 */
export class CompactionSources {
  readonly none: CompactionSource = { definition: Buffer.alloc(0), key: { a: 0, b: 0, c: 0, d: 0 }, batch: -1, number: 0 }
  readonly #field: KeyField
  readonly #salt = randomBytes(16)
  readonly #known = new Map<string, CompactionSource>()

  constructor(field: KeyField) {
    this.#field = field
  }

  /** Reads a definition and steps over it. */
  define(reader: VarintReader): CompactionSource {
    const start = reader.at
    const topicBytes = reader.unsigned()
    const topicAt = reader.skip(topicBytes)
    const clientIdBytes = reader.unsigned()
    const clientIdAt = reader.skip(clientIdBytes)
    reader.unsigned()
    const name = reader.bytes.toString('latin1', start, reader.at)
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const [at, length] = this.#field === 'topic' ? [topicAt, topicBytes] : [clientIdAt, clientIdBytes]
    const key = this.#hash(reader.bytes.subarray(at, at + length))
    const source = { definition: Buffer.from(reader.bytes.subarray(start, reader.at)), key, batch: -1, number: 0 }
    // A cache that starts anew costs less to keep than one that knows what was used last.
    if (this.#known.size >= SOURCES_MAX) this.#known.clear()
    this.#known.set(name, source)
    return source
  }

  #hash(key: Buffer): KeyHash {
    const digest = createHash('sha256').update(this.#salt).update(key).digest()
    const word = (at: number): number => digest.readUInt32LE(at)
    return { a: word(0), b: word(4), c: word(8), d: word(12) }
  }
}
