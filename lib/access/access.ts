import { randomBytes } from 'node:crypto'
import type { AccessConfig } from '../config/config.ts'
import { didYouMean } from '../config/did-you-mean.ts'
import { formatProblems, type Problem, showValue } from '../config/problem.ts'
import { TributaryError } from '../errors.ts'
import type { Acl } from './acl.ts'
import { readAclFile } from './acl-file.ts'
import { AclPolicy } from './acl-policy.ts'
import { BuiltInAuthenticator } from './authenticator.ts'
import type { Authenticator, EnhancedAuthenticator, Policy } from './contract.ts'
import { type AedesHooks, loadHooks } from './hooks.ts'
import { PasswordCheck, type PasswordCheckLimits } from './password-check.ts'
import { type PasswordEntry, readPasswordFile } from './password-file.ts'
import { PasswordFileScram } from './password-file-scram.ts'
import { argon2, type PasswordHasher } from './password-hash.ts'
import { scramMethod } from './scram.ts'

export interface AccessOptions {
  hasher?: PasswordHasher
  limits?: PasswordCheckLimits
}

/** Everything the settings under `access` come to: who is let in, what they may do, and hooks of the operator's own. */
export class Access {
  readonly authenticator: Authenticator
  /** By Authentication Method. */
  readonly enhanced: ReadonlyMap<string, EnhancedAuthenticator>
  /** undefined: there is no ACL file and everybody who is let in may do everything. */
  readonly policy: Policy | undefined
  readonly hooks: AedesHooks | undefined
  readonly #config: AccessConfig
  readonly #passwords: PasswordCheck | undefined
  readonly #scram: PasswordFileScram | undefined
  readonly #policy: AclPolicy | undefined

  private constructor(
    config: AccessConfig,
    passwords: PasswordCheck | undefined,
    scram: PasswordFileScram | undefined,
    acl: Acl | undefined,
    hooks: AedesHooks | undefined
  ) {
    this.#config = config
    this.#passwords = passwords
    this.#scram = scram
    this.enhanced = new Map(scram === undefined ? [] : [[scramMethod, scram]])
    this.#policy = acl && new AclPolicy(acl)
    this.authenticator = new BuiltInAuthenticator(config, passwords)
    this.policy = this.#policy
    this.hooks = hooks
  }

  /** @throws TributaryError TRB_ACCESS_FILE_INVALID when a file is not what it should be, with file, line and what was expected. */
  static async load(config: AccessConfig, { hasher = argon2, limits }: AccessOptions = {}): Promise<Access> {
    const { entries, acl } = await readFiles(config)
    const passwords = entries && new PasswordCheck(entries, await hasher.hash(randomBytes(24).toString('base64')), hasher, limits)
    const scram = entries === undefined || config.scram === false ? undefined : new PasswordFileScram(entries)
    const hooks = config.hooks === undefined ? undefined : await loadHooks(config.hooks)
    return new Access(config, passwords, scram, acl, hooks)
  }

  /**
   * Reads password and ACL file again; both come into force together, or neither when one of them is not valid (then it rejects
   * as `load` does). The policy's generation changes. Hooks stay: Node does not unload modules.
   */
  async reload(): Promise<void> {
    const { entries, acl } = await readFiles(this.#config)
    if (entries !== undefined) {
      this.#passwords?.replace(entries)
      this.#scram?.replace(entries)
    }
    if (acl !== undefined) this.#policy?.replace(acl)
  }
}

interface Files {
  entries: Map<string, PasswordEntry> | undefined
  acl: Acl | undefined
}

async function readFiles({ passwordFile, aclFile, scram }: AccessConfig): Promise<Files> {
  const entries = passwordFile === undefined ? undefined : await readPasswordFile(passwordFile)
  const acl = aclFile === undefined ? undefined : await readAclFile(aclFile)
  if (passwordFile !== undefined && entries !== undefined && acl !== undefined) checkRoles(passwordFile, entries, acl)
  if (passwordFile !== undefined && entries !== undefined && scram === true) checkVerifiers(passwordFile, entries)
  return { entries, acl }
}

/** Where SCRAM is asked for, a file nobody can use it with is a mistake. */
function checkVerifiers(passwordFile: string, entries: ReadonlyMap<string, PasswordEntry>): void {
  for (const { scram } of entries.values()) if (scram !== undefined) return
  throw new TributaryError(
    'TRB_ACCESS_FILE_INVALID',
    `${passwordFile}: expected a user with a SCRAM verifier, as access.scram is true, got none\n` +
      '  hint: set the password anew with `tributary passwd --scram`'
  )
}

/** A role that the ACL file does not know would give nothing, and whatever it was meant to deny would be missing. */
function checkRoles(passwordFile: string, entries: ReadonlyMap<string, PasswordEntry>, { roles }: Acl): void {
  const problems = [...entries.values()].flatMap(({ username, roles: given, line }): Problem[] =>
    given
      .filter(role => !roles.has(role))
      .map(role => {
        const suggestion = didYouMean(role, roles.keys())
        const hint =
          suggestion === undefined ? `the roles are ${[...roles.keys()].join(', ')}` : `did you mean \`${suggestion}\`?`
        return { line, path: username, expected: 'a role of the ACL file', got: showValue(role), hint }
      })
  )
  if (problems.length > 0) throw new TributaryError('TRB_ACCESS_FILE_INVALID', formatProblems(passwordFile, problems))
}
