import type { Logger } from 'pino'

/** What to close, last opened first. */
export class Cleanup {
  readonly #logger: Logger | undefined
  readonly #steps: { name: string; close: () => Promise<void> }[] = []

  constructor(logger: Logger | undefined) {
    this.#logger = logger
  }

  add(name: string, close: () => Promise<void>): void {
    this.#steps.push({ name, close })
  }

  /** A step that fails does not keep the others from their turn. Returns what failed. */
  async run(): Promise<Error[]> {
    const errors: Error[] = []
    for (const { name, close } of this.#steps.reverse()) {
      try {
        await close()
      } catch (error) {
        this.#logger?.error({ err: error, part: name }, 'could not be closed properly')
        errors.push(error instanceof Error ? error : new Error(String(error)))
      }
    }
    this.#steps.length = 0
    return errors
  }
}
