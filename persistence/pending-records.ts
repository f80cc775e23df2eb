/**
 * Writes that wait for their batch, by id: a value to put, or undefined to delete. Two generations: `active` takes writes,
 * `writing` is on its way to the disk. A later write to the same id replaces the earlier one, and a delete of what never reached
 * the disk takes the put with it.
 */
export class PendingRecords<V> {
  #active = new Map<string, V | undefined>()
  #writing: Map<string, V | undefined> | undefined
  /** Ids of batches whose write failed: they may be on disk although a read does not show them yet. */
  readonly #uncertain = new Set<string>()
  /** Ids whose pending delete an active put has replaced: if that put goes, the delete must come back. */
  readonly #buried = new Set<string>()

  get dirty(): boolean {
    return this.#active.size > 0
  }

  put(id: string, value: V): void {
    if (this.#active.has(id) && this.#active.get(id) === undefined) this.#buried.add(id)
    this.#active.set(id, value)
  }

  /** `onDisk` is asked only when nothing pending tells. */
  delete(id: string, onDisk: () => boolean): void {
    if (this.#presentBelow(id, onDisk)) this.#active.set(id, undefined)
    else this.#active.delete(id)
  }

  /** Forgets a put that waits in the active batch; whatever is on disk stays. */
  cancel(id: string): void {
    this.#active.delete(id)
  }

  /** The pending value; null = pending delete; undefined = nothing pending, so the disk knows. */
  lookup(id: string): V | null | undefined {
    if (this.#active.has(id)) return this.#active.get(id) ?? null
    if (this.#writing?.has(id)) return this.#writing.get(id) ?? null
    return undefined
  }

  /** All pending ids with what a reader should see; null = deleted. */
  snapshot(wanted: (id: string) => boolean): Map<string, V | null> {
    const seen = new Map<string, V | null>()
    for (const generation of [this.#writing, this.#active]) {
      if (generation === undefined) continue
      for (const [id, value] of generation) if (wanted(id)) seen.set(id, value ?? null)
    }
    return seen
  }

  /** Turns the active generation into the writing one and returns it. */
  begin(): ReadonlyMap<string, V | undefined> {
    this.#writing = this.#active
    this.#active = new Map()
    this.#buried.clear()
    return this.#writing
  }

  done(): void {
    this.#writing = undefined
    this.#uncertain.clear()
  }

  /** Puts the failed generation back under the active one: older first, newer wins. */
  failed(): void {
    for (const [id, value] of this.#writing ?? []) {
      this.#uncertain.add(id)
      if (!this.#active.has(id)) this.#active.set(id, value)
    }
    this.#writing = undefined
  }

  #presentBelow(id: string, onDisk: () => boolean): boolean {
    if (this.#uncertain.has(id) || this.#buried.has(id)) return true
    if (this.#writing?.has(id)) return this.#writing.get(id) !== undefined
    return onDisk()
  }
}
