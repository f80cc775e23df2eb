import type { Duplex } from 'node:stream'

/** A transport that is being ended gets this long to take its last bytes and to close its own side. Milliseconds. */
export const lingerMs = 2000
/** So many transports may be in that state; further ones are closed as soon as their last bytes are handed over. */
const endingMax = 1000

/**
 * Transports after the last packet to them.
 *
 * Closing a socket that has unread bytes, or gets more, makes the kernel send a TCP reset, and a peer that is reset may never
 * read what was sent before: the DISCONNECT that says why, acknowledgements. So only our side is closed at first; what still
 * arrives is read and thrown away until the peer closes its side too, for a bounded time.
 */
export class EndingTransports {
  /** By when the peer has to be done. Epoch milliseconds. */
  readonly #deadlines = new Map<Duplex, number>()
  #emptied: (() => void) | undefined

  /** Ends `stream` after its last bytes. */
  end(stream: Duplex, nowMs: number): void {
    if (stream.destroyed) return
    const lingers = this.#deadlines.size < endingMax
    this.#deadlines.set(stream, nowMs + lingerMs)
    stream.once('close', () => this.#forget(stream))
    if (lingers) {
      stream.once('end', () => stream.end(() => stream.destroy()))
      stream.end()
      stream.resume()
    } else stream.end(() => stream.destroy())
  }

  /** Cuts those whose time is over. */
  sweep(nowMs: number): void {
    for (const [stream, deadlineMs] of this.#deadlines) if (deadlineMs <= nowMs) this.#cut(stream)
  }

  /** Resolves when none is left. */
  async over(): Promise<void> {
    if (this.#deadlines.size === 0) return
    await new Promise<void>(resolve => {
      this.#emptied = resolve
    })
  }

  cutAll(): void {
    for (const stream of this.#deadlines.keys()) this.#cut(stream)
  }

  #cut(stream: Duplex): void {
    this.#forget(stream)
    stream.destroy()
  }

  #forget(stream: Duplex): void {
    this.#deadlines.delete(stream)
    if (this.#deadlines.size === 0) this.#emptied?.()
  }
}
