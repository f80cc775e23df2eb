export interface BoundedQueueOptions {
  /** Tasks that run at the same time. */
  concurrency: number
  /** Tasks that wait for their turn; more are not taken. */
  waitingMax: number
}

/** Runs tasks a few at a time in the order they came and says no when too many wait. */
export class BoundedQueue {
  readonly #options: BoundedQueueOptions
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(options: BoundedQueueOptions) {
    this.#options = options
  }

  /** The result of the task, or undefined at once when the queue is full. */
  run<Result>(task: () => Promise<Result>): Promise<Result> | undefined {
    if (this.#running < this.#options.concurrency) {
      this.#running++
      return this.#finish(task)
    }
    if (this.#waiting.length >= this.#options.waitingMax) return undefined
    return new Promise<void>(resolve => this.#waiting.push(resolve)).then(() => this.#finish(task))
  }

  async #finish<Result>(task: () => Promise<Result>): Promise<Result> {
    try {
      return await task()
    } finally {
      // The place of the finished task passes on to the next one that waits.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
}
