import { setImmediate as turnEnd, setTimeout as wait } from 'node:timers/promises'

/** Below this a timer waits longer than it was asked to. */
const WAIT_MIN_MS = 2

/** Keeps work in the background to a rate, and lets everybody else have a turn between its pieces. */
export class Pace {
  readonly #bytesPerMs: number
  readonly #signal: AbortSignal
  #dueMs = 0

  constructor(bytesPerSecond: number, signal: AbortSignal) {
    this.#bytesPerMs = bytesPerSecond / 1000
    this.#signal = signal
  }

  /** Resolves when the next piece may begin. Rejects when the signal is aborted. */
  async spent(bytes: number): Promise<void> {
    const nowMs = performance.now()
    this.#dueMs = Math.max(this.#dueMs, nowMs) + bytes / this.#bytesPerMs
    const signal = this.#signal
    if (this.#dueMs - nowMs < WAIT_MIN_MS) await turnEnd(undefined, { signal })
    else await wait(this.#dueMs - nowMs, undefined, { signal })
  }
}
