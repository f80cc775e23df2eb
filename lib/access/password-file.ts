import { readFile } from 'node:fs/promises'
import { formatProblems, type Problem, showValue } from '../config/problem.ts'
import { TributaryError } from '../errors.ts'
import { roleNamePattern } from './acl.ts'
import { isPasswordHash } from './password-hash.ts'
import { parseScramVerifier, type ScramVerifier } from './scram-verifier.ts'

/**
 * A password file has a line per user, empty lines and comments:
 *
 *     line    = user | comment | blank
 *     user    = username ":" hash [":" [role *("," role)] [":" verifier]]
 *     comment = "#" anything
 *
 * The hash is argon2id in PHC string format, the verifier is that of SCRAM-SHA-256 (see scram-verifier.ts); neither holds a
 * colon. Users without a verifier cannot authenticate by SCRAM. Usernames hold no colon, no control characters, no space at
 * either end, and do not start with "#".
 */
export interface PasswordEntry {
  username: string
  hash: string
  roles: readonly string[]
  scram?: ScramVerifier | undefined
  /** Where it stands, from 1. */
  line: number
}

/** @throws TributaryError TRB_ACCESS_FILE_INVALID with a line per problem; hashes are not shown. */
export async function readPasswordFile(file: string): Promise<Map<string, PasswordEntry>> {
  try {
    return parsePasswordFile(await readFile(file, 'utf8'), file)
  } catch (cause) {
    if (cause instanceof TributaryError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    const message = `${file}: expected a password file that can be read, got: ${reason}\n  hint: \`tributary passwd\` makes one`
    throw new TributaryError('TRB_ACCESS_FILE_INVALID', message, { cause })
  }
}

export function parsePasswordFile(text: string, file: string): Map<string, PasswordEntry> {
  const entries = new Map<string, PasswordEntry>()
  const problems: Problem[] = []
  linesOf(text).forEach((content, index) => {
    if (!isUserLine(content)) return
    const line = index + 1
    const entry = parseLine(content, line)
    if ('expected' in entry) problems.push(entry)
    else if (entries.has(entry.username)) {
      const got = `${showValue(entry.username)} again, after line ${entries.get(entry.username)?.line}`
      problems.push({ line, path: '', expected: 'every username once', got, hint: 'remove one of the two lines' })
    } else entries.set(entry.username, entry)
  })
  if (problems.length > 0) throw new TributaryError('TRB_ACCESS_FILE_INVALID', formatProblems(file, problems))
  return entries
}

export function linesOf(text: string): string[] {
  return text.replace(/^\uFEFF/, '').split(/\r?\n/)
}

/** The username of a line, or undefined for comments and empty lines. */
export function usernameOf(line: string): string | undefined {
  return isUserLine(line) ? line.split(':', 1)[0] : undefined
}

/** Why a name cannot stand in a password file, or undefined when it can. */
export function usernameProblem(username: string): string | undefined {
  if (username === '') return 'it is empty'
  if (username.startsWith('#')) return 'it starts with #, as comments do'
  if (username.includes(':')) return 'it holds a colon'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  if (/[\u0000-\u001f\u007f]/.test(username)) return 'it holds a control character'
  return username === username.trim() ? undefined : 'it starts or ends with a space'
}

/** `scram` as formatScramVerifier() writes it. */
export function formatEntry({
  username,
  hash,
  roles,
  scram
}: Omit<PasswordEntry, 'line' | 'scram'> & { scram?: string | undefined }): string {
  const parts = [username, hash]
  if (roles.length > 0 || scram !== undefined) parts.push(roles.join(','))
  if (scram !== undefined) parts.push(scram)
  return parts.join(':')
}

function isUserLine(line: string): boolean {
  return line.trim() !== '' && !line.startsWith('#')
}

function parseLine(content: string, line: number): PasswordEntry | Problem {
  const [username = '', hash = '', roleList, verifier, ...rest] = content.split(':')
  const problem = usernameProblem(username)
  if (problem !== undefined) return { line, path: '', expected: 'a username', got: showValue(username), hint: problem }
  if (!isPasswordHash(hash) || rest.length > 0) {
    const expected = 'username:argon2id-hash[:role,role[:scram-verifier]]'
    const got = hash === '' ? 'no hash' : rest.length > 0 ? 'more than four parts' : 'something else after the username'
    return { line, path: username, expected, got, hint: 'write the line with `tributary passwd`' }
  }
  const roles = roleList === undefined || roleList === '' ? [] : roleList.split(',').map(role => role.trim())
  const wrong = roles.find(role => !roleNamePattern.test(role))
  if (wrong !== undefined) return { line, path: username, expected: 'the name of a role', got: showValue(wrong) }
  if (verifier === undefined) return { username, hash, roles, line }
  const scram = parseScramVerifier(verifier)
  if (scram === undefined) {
    const expected = 'a SCRAM verifier, $scram-sha-256$i=iterations$salt$stored-key$server-key with at least 4096 iterations'
    const got = verifier === '' ? 'nothing after the last colon' : 'something else'
    return { line, path: username, expected, got, hint: 'write the line with `tributary passwd --scram`' }
  }
  return { username, hash, roles, scram, line }
}
