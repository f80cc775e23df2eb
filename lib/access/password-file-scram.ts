import { randomBytes } from 'node:crypto'
import type { EnhancedAuthenticator, EnhancedExchange, EnhancedStart } from './contract.ts'
import type { PasswordEntry } from './password-file.ts'
import { ScramSha256, type ScramUser, type ScramUsers } from './scram.ts'
import { iterationsByDefault, sha256 } from './scram-verifier.ts'

/** SCRAM-SHA-256 for the users of a password file who have a verifier. The method is not there as long as nobody has one. */
export class PasswordFileScram implements EnhancedAuthenticator, ScramUsers {
  readonly #scram = new ScramSha256(this)
  #entries: ReadonlyMap<string, PasswordEntry> = new Map()
  #decoy: ScramUsers['decoy'] | undefined

  constructor(entries: ReadonlyMap<string, PasswordEntry>) {
    this.replace(entries)
  }

  /** Takes over another file; exchanges under way end with what it says. */
  replace(entries: ReadonlyMap<string, PasswordEntry>): void {
    this.#entries = entries
    this.#decoy = decoyOf(entries)
  }

  begin(start: EnhancedStart): EnhancedExchange | undefined {
    return this.#decoy && this.#scram.begin(start)
  }

  find(username: string): ScramUser | undefined {
    const entry = this.#entries.get(username)
    return entry?.scram && { verifier: entry.scram, roles: entry.roles }
  }

  get decoy(): ScramUsers['decoy'] {
    return this.#decoy ?? nobody
  }
}

/** For an exchange that began before a reload took the last verifier away. */
const nobody: ScramUsers['decoy'] = { secret: randomBytes(32), iterations: iterationsByDefault }

/**
 * The secret must outlive a restart, or a name whose salt changes is known to be nobody's, and no user may know it. The argon2id
 * hash that stands first in the file is that: its salt is random and never leaves the file. Salts of names that do not exist
 * change with that one user's password.
 */
function decoyOf(entries: ReadonlyMap<string, PasswordEntry>): ScramUsers['decoy'] | undefined {
  let secret: Uint8Array | undefined
  for (const { hash, scram } of entries.values()) {
    secret ??= sha256(Buffer.from(`decoy of ${hash}`))
    if (scram !== undefined) return { secret, iterations: scram.iterations }
  }
  return undefined
}
