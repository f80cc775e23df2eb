import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { writeFileAtomically } from '../access/write-file-atomically.ts'
import { formatProblems, type Problem } from '../config/problem.ts'
import { TributaryError } from '../errors.ts'

/**
 * A token file has a line per token, empty lines and comments:
 *
 *     line    = token | comment | blank
 *     token   = name ":" role ":" sha256
 *     comment = "#" anything
 *
 * `name` is who has the token, for the audit log. `role` is `read` or `write`, which includes reading. `sha256` is the hash of the
 * token in 64 hexadecimal digits. A plain hash is enough, because `tributary token` makes tokens of 256 random bits, which nobody can
 * guess; do not put hashes of words in here.
 */
export type AdminRole = 'read' | 'write'

export interface AdminToken {
  name: string
  role: AdminRole
  hash: Buffer
}

/** Who may use the admin API, as a file says. */
export class AdminTokens {
  readonly #file: string
  #tokens: readonly AdminToken[]

  private constructor(file: string, tokens: readonly AdminToken[]) {
    this.#file = file
    this.#tokens = tokens
  }

  /** @throws TributaryError TRB_ACCESS_FILE_INVALID */
  static async load(file: string): Promise<AdminTokens> {
    return new AdminTokens(file, await readTokens(file))
  }

  /** Reads the file again. When it is not valid, the old tokens stay in force and it rejects TRB_ACCESS_FILE_INVALID. */
  async reload(): Promise<void> {
    this.#tokens = await readTokens(this.#file)
  }

  /** The time it takes says nothing about which token was near. */
  find(token: string): AdminToken | undefined {
    const hash = hashOf(token)
    let found: AdminToken | undefined
    for (const candidate of this.#tokens) if (timingSafeEqual(candidate.hash, hash)) found = candidate
    return found
  }
}

/**
 * Makes a token for `name`, in place of the one it has; the file is made when it is not there. Only its hash is stored: the token that is
 * returned is the only one there is. Rejects TRB_ACCESS_FILE_INVALID.
 */
export async function addToken(file: string, name: string, role: AdminRole): Promise<string> {
  if (!namePattern.test(name)) throw invalid(`the name ${JSON.stringify(name)} cannot be used: expected ${nameExpected}`)
  const token = `trb_${randomBytes(32).toString('base64url')}`
  const lines = await readLines(file)
  const line = `${name}:${role}:${hashOf(token).toString('hex')}`
  const at = lines.findIndex(text => nameOf(text) === name)
  if (at >= 0) lines[at] = line
  else lines.push(line)
  await writeFileAtomically(file, `${lines.join('\n')}\n`, 0o600)
  return token
}

/** False when nobody of that name has one. */
export async function removeToken(file: string, name: string): Promise<boolean> {
  const lines = await readLines(file)
  const rest = lines.filter(text => nameOf(text) !== name)
  if (rest.length === lines.length) return false
  await writeFileAtomically(file, rest.map(text => `${text}\n`).join(''), 0o600)
  return true
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/
const nameExpected = 'letters, digits, ".", "_", "@" and "-", beginning with a letter or digit, 64 at most'

async function readTokens(file: string): Promise<AdminToken[]> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw invalid(`${file}: expected a token file that can be read, got: ${reason}\n  hint: \`tributary token\` makes one`, cause)
  }
  return parseTokens(text, file)
}

export function parseTokens(text: string, file: string): AdminToken[] {
  const tokens: AdminToken[] = []
  const problems: Problem[] = []
  text.split(/\r?\n/).forEach((content, index) => {
    if (nameOf(content) === undefined) return
    const [name = '', role = '', hash = '', ...more] = content.trim().split(':')
    const problem = (expected: string, got: string) =>
      problems.push({ line: index + 1, path: '', expected, got, hint: '`tributary token` writes such lines' })
    // The third part is not shown: somebody may have put the token itself there.
    if (more.length > 0 || hash === '') problem('name:role:sha256', 'something else')
    else if (!namePattern.test(name)) problem(nameExpected, JSON.stringify(name))
    else if (role !== 'read' && role !== 'write') problem('the role read or write', JSON.stringify(role))
    else if (!/^[0-9a-f]{64}$/i.test(hash)) problem('a SHA-256 hash in 64 hexadecimal digits', 'something else')
    else if (tokens.some(token => token.name === name)) problem('every name once', `${name} again`)
    else tokens.push({ name, role, hash: Buffer.from(hash, 'hex') })
  })
  if (problems.length > 0) throw invalid(formatProblems(file, problems))
  return tokens
}

async function readLines(file: string): Promise<string[]> {
  try {
    const text = await readFile(file, 'utf8')
    parseTokens(text, file)
    return text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Undefined when the line holds no token. */
function nameOf(line: string): string | undefined {
  const content = line.trim()
  return content === '' || content.startsWith('#') ? undefined : content.split(':', 1)[0]
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

function invalid(message: string, cause?: unknown): TributaryError {
  return new TributaryError('TRB_ACCESS_FILE_INVALID', message, cause === undefined ? undefined : { cause })
}
