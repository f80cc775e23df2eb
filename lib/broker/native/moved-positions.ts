/**
 * Positions that have moved and are not in the store's batch yet. Acknowledgements come by the hundred in one turn of the event
 * loop; each position is stored once for all of them, when the turn ends.
 */
export class MovedPositions<T> {
  readonly #store: (moved: T) => void
  #moved = new Set<T>()
  readonly #atTurnEnd = () => this.flush()

  constructor(store: (moved: T) => void) {
    this.#store = store
  }

  add(moved: T): void {
    if (this.#moved.size === 0) setImmediate(this.#atTurnEnd)
    this.#moved.add(moved)
  }

  /** Stores them now. */
  flush(): void {
    if (this.#moved.size === 0) return
    const all = this.#moved
    this.#moved = new Set()
    for (const moved of all) this.#store(moved)
  }
}
