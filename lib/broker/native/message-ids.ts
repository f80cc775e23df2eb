import type { Offset } from '../../stream/contract.ts'

interface Appended {
  readonly offset: Offset
  readonly atMs: number
}

/** Memory of one entry besides the characters of its key. Bytes; 100,000 with keys of 25 characters took 165 each. */
const ENTRY_BYTES = 140

/**
 * What was appended to one stream lately, by the id that its producer gave it. Bounded by time and by number: the oldest go first.
 * Whatever is in here is in the log, or waits for the same sync as the log.
 */
export class MessageIds {
  readonly #windowMs: number
  readonly #maxEntries: number
  /** In the order of appending. */
  readonly #entries = new Map<string, Appended>()
  #keyBytes = 0

  constructor(windowMs: number, maxEntries: number) {
    this.#windowMs = windowMs
    this.#maxEntries = maxEntries
  }

  get size(): number {
    return this.#entries.size
  }

  /** Memory it takes, estimated. */
  get bytes(): number {
    return this.#keyBytes + this.#entries.size * ENTRY_BYTES
  }

  has(key: string, nowMs: number): boolean {
    const entry = this.#entries.get(key)
    return entry !== undefined && nowMs - entry.atMs < this.#windowMs
  }

  add(key: string, offset: Offset, atMs: number, nowMs = atMs): void {
    // One that was in the window no more: its place in the order is the new one's.
    this.#remove(key)
    this.#entries.set(key, { offset, atMs })
    this.#keyBytes += key.length
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= this.#maxEntries && nowMs - entry.atMs < this.#windowMs) break
      this.#remove(oldest)
    }
  }

  /** Records from this offset on are not in the log after all. */
  discard(from: Offset): void {
    for (const [key, { offset }] of this.#entries) if (offset >= from) this.#remove(key)
  }

  #remove(key: string): void {
    if (this.#entries.delete(key)) this.#keyBytes -= key.length
  }
}
