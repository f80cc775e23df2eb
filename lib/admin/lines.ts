import { once } from 'node:events'
import type { Writable } from 'node:stream'

/** Characters collected before they are written, so that a long read costs one system call for many records. */
const CHUNK_LENGTH = 32_768

/** Writes many short lines in few pieces: what is added in one turn of the event loop goes out together. */
export class Lines {
  readonly #out: Writable
  #text = ''
  #scheduled: NodeJS.Immediate | undefined

  constructor(out: Writable) {
    this.#out = out
  }

  add(line: string): void {
    this.#text += `${line}\n`
    if (this.#text.length >= CHUNK_LENGTH) this.flush()
    else this.#scheduled ??= setImmediate(() => this.flush())
  }

  /** True when the other side is behind; then await `drained` before adding more. */
  get full(): boolean {
    return this.#out.writableNeedDrain
  }

  async drained(signal: AbortSignal): Promise<void> {
    await once(this.#out, 'drain', { signal })
  }

  flush(): void {
    this.stop()
    if (this.#text === '' || this.#out.destroyed) return
    this.#out.write(this.#text)
    this.#text = ''
  }

  /** Forgets what is planned; what was added and not flushed is not written. */
  stop(): void {
    if (this.#scheduled !== undefined) clearImmediate(this.#scheduled)
    this.#scheduled = undefined
  }
}
