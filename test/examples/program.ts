import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** The repository, seen from build/test/examples. */
const root = new URL('../../../', import.meta.url)

/** A file of the repository, by its path in it. */
export function inRepository(path: string): string {
  return fileURLToPath(new URL(path, root))
}

/** One of the examples as its own process, run as its header says. */
export class Program {
  readonly #child: ChildProcess
  out = ''
  err = ''

  constructor(path: string, ...args: string[]) {
    this.#child = spawn(process.execPath, [inRepository(`build/examples/${path}`), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, DEVICE_PASSWORD: 'blue' }
    })
    this.#child.stdout?.on('data', chunk => (this.out += chunk))
    this.#child.stderr?.on('data', chunk => (this.err += chunk))
  }

  /** Resolves with the match once it was printed. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.out)
      if (match !== null) return match
      if (this.#child.exitCode !== null) throw new Error(`it ended without printing ${pattern}:\n${this.out}${this.err}`)
      await Promise.race([once(this.#child.stdout!, 'data'), once(this.#child, 'close')])
    }
  }

  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'close')
    return this.#child.exitCode
  }

  async stop(): Promise<void> {
    this.#child.kill()
    await this.ended()
  }
}
