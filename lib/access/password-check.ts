import { BoundedQueue } from './bounded-queue.ts'
import type { PasswordEntry } from './password-file.ts'
import type { PasswordHasher } from './password-hash.ts'
import { VerifiedCredentials } from './verified-credentials.ts'

export interface PasswordCheckLimits {
  /**
   * Verifications at the same time. They run on libuv's thread pool (4 threads unless UV_THREADPOOL_SIZE says otherwise), and so
   * does every fdatasync: some threads must stay free for those.
   */
  concurrency: number
  waitingMax: number
  rememberedMax: number
}

export const passwordCheckLimits: PasswordCheckLimits = { concurrency: 2, waitingMax: 1000, rememberedMax: 50_000 }

export type PasswordVerdict = PasswordEntry | 'wrong' | 'overloaded'

/** Compares credentials with a password file, at the same price for users who exist and users who do not. */
export class PasswordCheck {
  #entries: ReadonlyMap<string, PasswordEntry>
  /** A hash to compare with when there is no such user. */
  readonly #decoy: string
  readonly #hasher: PasswordHasher
  readonly #queue: BoundedQueue
  readonly #verified: VerifiedCredentials

  constructor(entries: ReadonlyMap<string, PasswordEntry>, decoy: string, hasher: PasswordHasher, limits = passwordCheckLimits) {
    this.#entries = entries
    this.#decoy = decoy
    this.#hasher = hasher
    this.#queue = new BoundedQueue(limits)
    this.#verified = new VerifiedCredentials(limits.rememberedMax)
  }

  /** Takes over another file. Passwords that were right before must prove themselves again. */
  replace(entries: ReadonlyMap<string, PasswordEntry>): void {
    this.#entries = entries
    this.#verified.clear()
  }

  /** Answers at once for credentials that were right before and when too many others wait. */
  check(username: string, password: Uint8Array): PasswordVerdict | Promise<PasswordVerdict> {
    const entry = this.#entries.get(username)
    if (entry !== undefined && this.#verified.has(username, password, entry.hash)) return entry
    return this.#queue.run(() => this.#verify(username, password)) ?? 'overloaded'
  }

  async #verify(username: string, password: Uint8Array): Promise<PasswordVerdict> {
    // Looked up again: the file may have been reloaded while this check waited.
    const entry = this.#entries.get(username)
    const right = await this.#hasher.verify(entry?.hash ?? this.#decoyHash(), password)
    if (!right || entry === undefined) return 'wrong'
    const current = this.#entries.get(username)
    // Reloaded meanwhile with another password: only the new one counts.
    if (current?.hash !== entry.hash) return this.#verify(username, password)
    this.#verified.add(username, password, entry.hash)
    return current
  }

  /** With the parameters of a user of the file, so that it takes as long; its answer is not used. */
  #decoyHash(): string {
    for (const { hash } of this.#entries.values()) return hash
    return this.#decoy
  }
}
