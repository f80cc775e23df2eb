const rememberedMax = 256

/**
 * Numbers of the latest messages of one broker. Messages overtake each other on their way through an asynchronous store, so "higher
 * than the last one" would call late messages duplicates and lose them.
 */
export class RecentCounters {
  readonly #counters = new Set<number>()

  /** False when the number was there already. */
  add(counter: number): boolean {
    if (this.#counters.has(counter)) return false
    this.#counters.add(counter)
    if (this.#counters.size > rememberedMax) {
      for (const oldest of this.#counters) {
        this.#counters.delete(oldest)
        break
      }
    }
    return true
  }
}
