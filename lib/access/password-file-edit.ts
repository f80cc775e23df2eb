import { readFile } from 'node:fs/promises'
import { TributaryError } from '../errors.ts'
import { roleNamePattern } from './acl.ts'
import { formatEntry, linesOf, parsePasswordFile, usernameOf, usernameProblem } from './password-file.ts'
import { writeFileAtomically } from './write-file-atomically.ts'

export interface PasswordChange {
  username: string
  /** As `hashPassword` makes it. */
  hash: string
  /** Left out: a user who is there already keeps the roles. */
  roles?: readonly string[] | undefined
  /**
   * The SCRAM verifier of the same password, as `formatScramVerifier` writes it. `add` false: only for a user who has one
   * already. Left out: the user has none any more, since that of the old password must not stay.
   */
  scram?: { verifier: string; add: boolean } | undefined
}

/**
 * Adds a user or replaces password, roles and SCRAM verifier of one; the file is made when it is not there. Comments, empty lines and the order
 * stay. The file appears as a whole or not at all and only its owner can read it (0600).
 * @throws TributaryError TRB_ACCESS_FILE_INVALID when the name or a role cannot stand in the file, or the file is not one.
 */
export async function setPassword(file: string, change: PasswordChange): Promise<'added' | 'replaced'> {
  const { username, hash, roles } = change
  const problem = usernameProblem(username)
  if (problem !== undefined) throw invalid(`the username ${JSON.stringify(username)} cannot be used: ${problem}`)
  const wrong = roles?.find(role => !roleNamePattern.test(role))
  if (wrong !== undefined) throw invalid(`${JSON.stringify(wrong)} cannot be the name of a role`)

  const { lines, known } = await readLines(file)
  const before = known.get(username)
  const scram = change.scram?.add === true || before?.scram !== undefined ? change.scram?.verifier : undefined
  const entry = formatEntry({ username, hash, roles: roles ?? before?.roles ?? [], scram })
  const at = lines.findIndex(line => usernameOf(line) === username)
  if (at >= 0) lines[at] = entry
  else lines.push(entry)
  await writeLines(file, lines)
  return at >= 0 ? 'replaced' : 'added'
}

/** Removes a user; false when there is none of that name. */
export async function removePassword(file: string, username: string): Promise<boolean> {
  const { lines } = await readLines(file)
  const rest = lines.filter(line => usernameOf(line) !== username)
  if (rest.length === lines.length) return false
  await writeLines(file, rest)
  return true
}

async function readLines(file: string) {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw invalid(`${file}: expected a password file that can be read, got: ${error.message}`)
  })
  // A file with a mistake in it is not touched: what looks like a comment or a user may not be one.
  const known = parsePasswordFile(text, file)
  const lines = linesOf(text)
  if (lines.at(-1) === '') lines.pop()
  return { lines, known }
}

function writeLines(file: string, lines: readonly string[]): Promise<void> {
  return writeFileAtomically(file, lines.map(line => `${line}\n`).join(''), 0o600)
}

function invalid(message: string): TributaryError {
  return new TributaryError('TRB_ACCESS_FILE_INVALID', message)
}
