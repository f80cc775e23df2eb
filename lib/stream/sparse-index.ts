import type { Offset } from './contract.ts'

/** One entry per this many segment bytes: a lookup scans at most that much. 64 MiB make 1,024 entries of 24 bytes. */
const INDEX_INTERVAL_BYTES = 64 * 1024

export interface IndexEntry {
  /** First offset of a batch. */
  offset: Offset
  /** Where that batch begins. */
  position: number
  /** Largest timestamp of the records before it in the segment, 0 for the first batch. Never falls from entry to entry. */
  maxTimestampBeforeMs: number
}

/**
 * Where to begin looking for an offset or a time in one segment. Time is indexed by the largest timestamp so far rather than by
 * each batch's own, because a clock that is set back must not hide records: the first record at or after T can only lie behind
 * the last entry that has nothing at or after T before it.
 */
export class SparseIndex {
  readonly #entries: IndexEntry[] = []

  get entries(): readonly IndexEntry[] {
    return this.#entries
  }

  /** Takes note of a batch if it is far enough from the last one noted. */
  note(offset: Offset, position: number, maxTimestampBeforeMs: number): void {
    const last = this.#entries.at(-1)
    if (last === undefined || position - last.position >= INDEX_INTERVAL_BYTES) {
      this.#entries.push({ offset, position, maxTimestampBeforeMs })
    }
  }

  push(entry: IndexEntry): void {
    this.#entries.push(entry)
  }

  /** The last entry at or before the offset; undefined when there is none. */
  floorOffset(offset: Offset): IndexEntry | undefined {
    return this.#last(entry => entry.offset <= offset)
  }

  /** The last entry before which no record has a timestamp at or after `timeMs`. */
  floorTime(timeMs: number): IndexEntry | undefined {
    return this.#last(entry => entry.maxTimestampBeforeMs < timeMs) ?? this.#entries[0]
  }

  /** Binary search for the last entry of those that pass, which are the first ones. */
  #last(passes: (entry: IndexEntry) => boolean): IndexEntry | undefined {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (passes(this.#entries[middle]!)) low = middle + 1
      else high = middle
    }
    return this.#entries[low - 1]
  }
}
