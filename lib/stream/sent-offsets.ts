/**
 * Offsets that were sent and are not acknowledged yet. They come in ascending order and go in nearly the same one, so they stand in
 * a row: the first is found at once, and the others by halving. A Set would walk over everything that was deleted before its first
 * entry, for every acknowledgement.
 *
 * As many as a client's window has room for, which is what bounds it.
 */
export class SentOffsets {
  /** Ascending; an acknowledged offset `o` stands as `-1 - o` until everything before it is acknowledged too. */
  #row: number[] = []
  /** Where the first offset that is not acknowledged stands. */
  #head = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The lowest one; undefined when there is none. */
  get first(): number | undefined {
    return this.#row[this.#head]
  }

  /** `offset` must lie above all that are in here. */
  add(offset: number): void {
    this.#row.push(offset)
    this.#size++
  }

  /** Acknowledged; false when it was not in here. */
  settle(offset: number): boolean {
    const row = this.#row
    const at = row[this.#head] === offset ? this.#head : this.#find(offset)
    if (at === -1) return false
    row[at] = -1 - offset
    this.#size--
    if (at === this.#head) this.#advance()
    return true
  }

  clear(): void {
    this.#row = []
    this.#head = 0
    this.#size = 0
  }

  #advance(): void {
    const row = this.#row
    let head = this.#head + 1
    while (head < row.length && row[head]! < 0) head++
    // What is done with goes when it is most of the row: each offset is moved once on average.
    if (head === row.length) {
      row.length = 0
      head = 0
    } else if (head >= 64 && head * 2 >= row.length) {
      row.splice(0, head)
      head = 0
    }
    this.#head = head
  }

  #find(offset: number): number {
    const row = this.#row
    let low = this.#head
    let high = row.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const value = row[middle]!
      if ((value < 0 ? -1 - value : value) < offset) low = middle + 1
      else high = middle
    }
    return row[low] === offset ? low : -1
  }
}
