import type { KeyHash } from './compaction-source.ts'
import type { Offset } from './contract.ts'

/** 16 bytes of hash and 8 of offset. */
const SLOT_BYTES = 24
const SLOTS_MIN = 1024
/** Above this part of the slots in use, looking for one takes too many steps. */
const LOAD_MAX = 0.75

/**
 * The last offset of each key, in open addressing over typed arrays: 32 bytes a key instead of the 150 that a Map of strings takes.
 * It never takes more than `memoryBytes`, while it grows included.
 */
export class KeyTable {
  readonly #slotsMax: number
  #words = new Uint32Array(SLOTS_MIN * 4)
  #offsets = emptyOffsets(SLOTS_MIN)
  #size = 0

  constructor(memoryBytes: number) {
    // While it grows, the table of half the size is there as well.
    const slots = Math.floor(memoryBytes / (SLOT_BYTES * 1.5))
    this.#slotsMax = Math.max(SLOTS_MIN, 2 ** Math.floor(Math.log2(Math.max(1, slots))))
  }

  get size(): number {
    return this.#size
  }

  /** False when the key is new and there is no room for it. */
  set(key: KeyHash, offset: Offset): boolean {
    let slot = this.#find(key)
    if (this.#offsets[slot]! < 0) {
      if (this.#size >= this.#offsets.length * LOAD_MAX) {
        if (this.#offsets.length >= this.#slotsMax) return false
        this.#grow()
        slot = this.#find(key)
      }
      this.#words.set([key.a, key.b, key.c, key.d], slot * 4)
      this.#size++
    }
    this.#offsets[slot] = offset
    return true
  }

  /** -1 when the key is not in the table. */
  get(key: KeyHash): Offset {
    return this.#offsets[this.#find(key)]!
  }

  /** The key's slot, or the one it would get. */
  #find({ a, b, c, d }: KeyHash): number {
    const words = this.#words
    const mask = this.#offsets.length - 1
    let slot = a & mask
    while (this.#offsets[slot]! >= 0) {
      const at = slot * 4
      if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) return slot
      slot = (slot + 1) & mask
    }
    return slot
  }

  #grow(): void {
    const words = this.#words
    const offsets = this.#offsets
    this.#words = new Uint32Array(words.length * 2)
    this.#offsets = emptyOffsets(offsets.length * 2)
    for (const [slot, offset] of offsets.entries()) {
      if (offset < 0) continue
      const at = slot * 4
      const to = this.#find({ a: words[at]!, b: words[at + 1]!, c: words[at + 2]!, d: words[at + 3]! })
      this.#words.set(words.subarray(at, at + 4), to * 4)
      this.#offsets[to] = offset
    }
  }
}

function emptyOffsets(slots: number): Float64Array {
  return new Float64Array(slots).fill(-1)
}
