import { EventEmitter } from 'node:events'
import { PassThrough, Writable } from 'node:stream'
import type { CliContext } from '../../lib/cli/context.ts'
import { runCli } from '../../lib/cli/main.ts'

/** A stream that keeps what is written to it. */
export class Paper extends Writable {
  text = ''
  isTTY = false
  readonly #events = new EventEmitter()

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk
    this.#events.emit('written')
    done()
  }

  /** Resolves once the text matches. */
  shows(pattern: RegExp): Promise<void> {
    return new Promise(resolve => {
      const look = () => {
        if (!pattern.test(this.text)) return
        this.#events.off('written', look)
        resolve()
      }
      this.#events.on('written', look)
      look()
    })
  }
}

/** Standard streams, a keyboard and Ctrl-C for a command that runs in this process. */
export class Terminal {
  readonly out = new Paper()
  readonly err = new Paper()
  readonly in = Object.assign(new PassThrough(), { isTTY: false, setRawMode: (raw: boolean) => (this.raw = raw) })
  readonly env: Record<string, string> = {}
  readonly #interrupt = new AbortController()
  raw = false

  run(...args: string[]): Promise<number> {
    const context: CliContext = { out: this.out, err: this.err, in: this.in, env: this.env, signal: this.#interrupt.signal }
    return runCli(args, context)
  }

  ctrlC(): void {
    this.#interrupt.abort()
  }
}
