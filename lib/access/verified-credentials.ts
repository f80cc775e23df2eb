import { createHmac, randomBytes } from 'node:crypto'

/**
 * Remembers credentials that were right, so that thousands of devices that come back at once do not pay for argon2 each time.
 * Kept is a keyed hash of name and password, with a key that never leaves the process: what is in memory cannot be tried out
 * against guesses elsewhere. Wrong passwords are not remembered. Least recently used first out.
 */
export class VerifiedCredentials {
  readonly #key = randomBytes(32)
  /** Digest to the password hash it was verified against. */
  readonly #verified = new Map<string, string>()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#verified.size
  }

  /** True when this password was verified against this very hash. */
  has(username: string, password: Uint8Array, hash: string): boolean {
    const digest = this.#digest(username, password)
    if (this.#verified.get(digest) !== hash) return false
    this.#verified.delete(digest)
    this.#verified.set(digest, hash)
    return true
  }

  add(username: string, password: Uint8Array, hash: string): void {
    const digest = this.#digest(username, password)
    this.#verified.delete(digest)
    this.#verified.set(digest, hash)
    if (this.#verified.size > this.#max) {
      const oldest = this.#verified.keys().next()
      if (!oldest.done) this.#verified.delete(oldest.value)
    }
  }

  clear(): void {
    this.#verified.clear()
  }

  #digest(username: string, password: Uint8Array): string {
    const name = Buffer.from(username)
    const length = Buffer.alloc(4)
    // With the length in front, `ab` + `c` and `a` + `bc` are different.
    length.writeUInt32BE(name.length)
    return createHmac('sha256', this.#key).update(length).update(name).update(password).digest('base64')
  }
}
