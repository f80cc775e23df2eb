/**
 * A failed stream is not written again before somebody publishes to it, and who is not ready is not published to. So a failure
 * counts for this long, unless a write succeeds or fails again before. Milliseconds.
 */
const FAILURE_COUNTS_MS = 30_000

export type Phase = 'opening' | 'open' | 'closing'

/** Whether the broker takes messages and can keep its promises; what `/readyz` says. */
export class Health {
  readonly #now: () => number
  readonly #failures = new Map<string, { error: Error; atMs: number }>()
  phase: Phase = 'opening'
  /** Why nothing that needs the disk is taken; undefined while it is. */
  readOnly: string | undefined

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** The last write of a stream or of the store (`part`) succeeded or, with `error`, failed. */
  wrote(part: string, error: Error | undefined): void {
    if (error === undefined) this.#failures.delete(part)
    else this.#failures.set(part, { error, atMs: this.#now() })
  }

  /** Empty when ready; otherwise why not, for people. */
  problems(): string[] {
    const problems: string[] = this.phase === 'open' ? [] : [`the broker is ${this.phase}`]
    if (this.readOnly !== undefined) problems.push(`read-only: ${this.readOnly}`)
    for (const [part, { error, atMs }] of this.#failures) {
      const secondsAgo = Math.floor((this.#now() - atMs) / 1000)
      if (secondsAgo * 1000 < FAILURE_COUNTS_MS)
        problems.push(`${part}: the last write failed ${secondsAgo} s ago: ${error.message}`)
    }
    return problems
  }
}
