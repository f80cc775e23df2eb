import type { CompactionSource } from './compaction-source.ts'
import type { Offset } from './contract.ts'

/** 4 bytes of hash, 4 that say where the key is, 8 of offset. */
const SLOT_BYTES = 16
const SLOTS_MIN = 1024
const KEY_BYTES_MIN = 16 * 1024
/** Above this part of the slots in use, looking for one takes too many steps. */
const LOAD_MAX = 0.75
/** A key is stored behind its length. */
const LENGTH_BYTES = 4

/**
 * The last offset of each key, in open addressing over typed arrays with the keys themselves in one piece of memory: about 30 bytes and
 * the key instead of the 150 that a Map of strings takes, and nothing for the collector to walk. It never takes more than
 * `memoryBytes`, while it grows included.
 */
export class KeyTable {
  readonly #memoryBytes: number
  #hashes = new Uint32Array(SLOTS_MIN)
  #places = new Uint32Array(SLOTS_MIN)
  #offsets = emptyOffsets(SLOTS_MIN)
  #size = 0
  #keys = Buffer.allocUnsafeSlow(KEY_BYTES_MIN)
  #keysEnd = 0

  constructor(memoryBytes: number) {
    this.#memoryBytes = memoryBytes
  }

  get size(): number {
    return this.#size
  }

  /** False when the key is new and there is no room for it. */
  set(source: CompactionSource, offset: Offset): boolean {
    let slot = this.#find(source)
    if (this.#offsets[slot]! < 0) {
      const { bytes, keyStart, keyEnd, hash } = source
      const needed = LENGTH_BYTES + keyEnd - keyStart
      if (!this.#makeRoom(needed)) return false
      slot = this.#find(source)
      this.#hashes[slot] = hash
      this.#places[slot] = this.#keysEnd
      this.#keys.writeUInt32LE(keyEnd - keyStart, this.#keysEnd)
      bytes.copy(this.#keys, this.#keysEnd + LENGTH_BYTES, keyStart, keyEnd)
      this.#keysEnd += needed
      this.#size++
    }
    this.#offsets[slot] = offset
    return true
  }

  /** -1 when the key is not in the table. */
  get(source: CompactionSource): Offset {
    return this.#offsets[this.#find(source)]!
  }

  /** The key's slot, or the one it would get. */
  #find(source: CompactionSource): number {
    const { hash } = source
    const mask = this.#offsets.length - 1
    let slot = hash & mask
    while (this.#offsets[slot]! >= 0) {
      if (this.#hashes[slot] === hash && this.#isKey(this.#places[slot]!, source)) return slot
      slot = (slot + 1) & mask
    }
    return slot
  }

  #isKey(place: number, { bytes, keyStart, keyEnd }: CompactionSource): boolean {
    const keys = this.#keys
    const length = keyEnd - keyStart
    if (keys.readUInt32LE(place) !== length) return false
    for (let i = 0; i < length; i++) if (keys[place + LENGTH_BYTES + i] !== bytes[keyStart + i]) return false
    return true
  }

  /** One key is always taken, so that a run comes forward however little memory it has. */
  #makeRoom(keyBytes: number): boolean {
    const slots = this.#offsets.length
    const moreSlots = this.#size + 1 > slots * LOAD_MAX
    const moreKeys = this.#keysEnd + keyBytes > this.#keys.length
    const newSlots = moreSlots ? slots * 2 : 0
    const newKeys = moreKeys ? Math.max(this.#keys.length * 2, this.#keysEnd + keyBytes) : 0
    const total = (slots + newSlots) * SLOT_BYTES + this.#keys.length + newKeys
    if ((moreSlots || moreKeys) && total > this.#memoryBytes && this.#size > 0) return false
    if (moreKeys) {
      const grown = Buffer.allocUnsafeSlow(newKeys)
      this.#keys.copy(grown, 0, 0, this.#keysEnd)
      this.#keys = grown
    }
    if (moreSlots) this.#rehash(newSlots)
    return true
  }

  #rehash(slots: number): void {
    const [hashes, places, offsets] = [this.#hashes, this.#places, this.#offsets]
    this.#hashes = new Uint32Array(slots)
    this.#places = new Uint32Array(slots)
    this.#offsets = emptyOffsets(slots)
    const mask = slots - 1
    for (let from = 0; from < offsets.length; from++) {
      if (offsets[from]! < 0) continue
      let slot = hashes[from]! & mask
      while (this.#offsets[slot]! >= 0) slot = (slot + 1) & mask
      this.#hashes[slot] = hashes[from]!
      this.#places[slot] = places[from]!
      this.#offsets[slot] = offsets[from]!
    }
  }
}

function emptyOffsets(slots: number): Float64Array {
  return new Float64Array(slots).fill(-1)
}
