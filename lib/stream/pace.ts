import { setImmediate as turnEnd, setTimeout as wait } from 'node:timers/promises'

/** Work in the background gives the others a turn after this long. */
const PIECE_MS = 1
/** And rests this many times as long as it worked, so that it has a fifth of the main thread at most. */
const REST = 4
/** Below this a timer waits longer than it was asked to. */
const WAIT_MIN_MS = 2

/** Keeps work in the background to a rate and to small pieces. */
export class Pace {
  readonly #bytesPerMs: number
  readonly #signal: AbortSignal
  /** Rests that were too short for a timer. */
  #owedMs = 0
  #begunMs = performance.now()
  #bytes = 0

  constructor(bytesPerSecond: number, signal: AbortSignal) {
    this.#bytesPerMs = bytesPerSecond / 1000
    this.#signal = signal
  }

  /** Takes note of bytes that were read or written. True when it is time to rest(). Throws when the signal is aborted. */
  spend(bytes: number): boolean {
    this.#signal.throwIfAborted()
    this.#bytes += bytes
    return performance.now() - this.#begunMs >= PIECE_MS
  }

  /** Resolves when the next piece may begin. Rejects when the signal is aborted. */
  async rest(): Promise<void> {
    const workedMs = performance.now() - this.#begunMs
    this.#owedMs += Math.max(workedMs * REST, this.#bytes / this.#bytesPerMs - workedMs)
    this.#bytes = 0
    const signal = this.#signal
    if (this.#owedMs < WAIT_MIN_MS) {
      await turnEnd(undefined, { signal })
    } else {
      const ms = Math.floor(this.#owedMs)
      this.#owedMs -= ms
      await wait(ms, undefined, { signal })
    }
    this.#begunMs = performance.now()
  }
}
