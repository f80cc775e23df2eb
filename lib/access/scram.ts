import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { EnhancedAuthenticator, EnhancedExchange, EnhancedStart, EnhancedStep } from './contract.ts'
import { type ClientFirst, parseClientFinal, parseClientFirst } from './scram-messages.ts'
import { hmac, type ScramVerifier, sha256 } from './scram-verifier.ts'

/** Authentication Method under which clients ask for it. */
export const scramMethod = 'SCRAM-SHA-256'

export interface ScramUser {
  verifier: ScramVerifier
  roles: readonly string[]
}

/** Who can authenticate by SCRAM: a password file, or a database of the operator's own. */
export interface ScramUsers {
  /** Asked when the exchange starts and again before it succeeds: what was changed in between counts. */
  find(username: string): ScramUser | undefined | Promise<ScramUser | undefined>
  /** What names that do not exist are shown. The same secret gives the same name the same salt, as a user has. */
  readonly decoy: { readonly secret: Uint8Array; readonly iterations: number }
}

/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding: CONNECT or AUTH 0x19 carries the client-first-message, an AUTH
 * each way the server-first- and the client-final-message, and the server-final-message (`v=`) comes with the CONNACK or the
 * last AUTH. A client that sends nothing at first is asked for its first message.
 *
 * A name nobody has gets the same exchange as a wrong password, so that it is not told which names exist.
 */
export class ScramSha256 implements EnhancedAuthenticator {
  readonly #users: ScramUsers
  readonly #makeNonce: () => string

  /** `makeNonce` is there for test vectors. */
  constructor(users: ScramUsers, makeNonce: () => string = randomNonce) {
    this.#users = users
    this.#makeNonce = makeNonce
  }

  begin(start: EnhancedStart): EnhancedExchange {
    return new ScramExchange(start, this.#users, this.#makeNonce())
  }
}

interface Challenge {
  first: ClientFirst
  verifier: ScramVerifier
  nonce: string
  serverFirst: string
}

class ScramExchange implements EnhancedExchange {
  readonly #start: EnhancedStart
  readonly #users: ScramUsers
  readonly #nonce: string
  #asked = false
  #challenge: Challenge | undefined

  constructor(start: EnhancedStart, users: ScramUsers, nonce: string) {
    this.#start = start
    this.#users = users
    this.#nonce = nonce
  }

  async step(data: Buffer | undefined): Promise<EnhancedStep> {
    if (this.#challenge !== undefined) return this.#conclude(data, this.#challenge)
    if (data !== undefined) return this.#challengeFor(data)
    if (this.#asked) return malformed('there is no client-first-message')
    this.#asked = true
    return { type: 'continue' }
  }

  async #challengeFor(data: Buffer): Promise<EnhancedStep> {
    const first = parseClientFirst(data)
    if ('problem' in first) return malformed(`the client-first-message ${first.problem}`)
    const { username, authorizationId = '' } = first
    if (authorizationId !== '' && authorizationId !== username) return notAuthorized('nobody may act on behalf of somebody else')
    const named = this.#start.username
    if (named !== undefined && named !== username) return notAuthorized('the User Name of CONNECT is another one')
    const found = await this.#users.find(username)
    const verifier = found?.verifier ?? decoyVerifier(username, this.#users.decoy)
    const nonce = first.nonce + this.#nonce
    const serverFirst = `r=${nonce},s=${verifier.salt.toString('base64')},i=${verifier.iterations}`
    this.#challenge = { first, verifier, nonce, serverFirst }
    return { type: 'continue', data: Buffer.from(serverFirst) }
  }

  async #conclude(data: Buffer | undefined, { first, verifier, nonce, serverFirst }: Challenge): Promise<EnhancedStep> {
    const final = parseClientFinal(data ?? Buffer.alloc(0))
    if ('problem' in final) return malformed(`the client-final-message ${final.problem}`)
    // Otherwise somebody in between took away what the client said about channel binding.
    if (final.header !== Buffer.from(first.header).toString('latin1'))
      return malformed('the GS2 header is not the one sent before')
    if (final.nonce !== nonce) return malformed('the nonce is not the one of this exchange')
    const signed = `${first.bare},${serverFirst},${final.withoutProof}`
    const clientKey = xor(final.proof, hmac(verifier.storedKey, signed))
    const proved = timingSafeEqual(sha256(clientKey), verifier.storedKey)
    const user = await this.#users.find(first.username)
    // Also false for a name nobody has: what it was shown is nobody's verifier.
    const current = user !== undefined && timingSafeEqual(user.verifier.storedKey, verifier.storedKey)
    if (!proved || !current) {
      return { type: 'refused', reason: 'bad-credentials', message: 'username or password is wrong' }
    }
    const signature = hmac(verifier.serverKey, signed).toString('base64')
    const identity = { username: first.username, roles: user.roles, by: 'password' as const }
    return { type: 'granted', identity, data: Buffer.from(`v=${signature}`) }
  }
}

/** Looks like a user's and fits no password, as nobody knows what would hash to its random key. */
function decoyVerifier(username: string, { secret, iterations }: ScramUsers['decoy']): ScramVerifier {
  const salt = hmac(secret, username).subarray(0, 16)
  return { iterations, salt, storedKey: randomBytes(32), serverKey: randomBytes(32) }
}

/** 24 characters of base64, which has no comma. */
function randomNonce(): string {
  return randomBytes(18).toString('base64')
}

function xor(left: Buffer, right: Buffer): Buffer {
  return Buffer.from(left.map((byte, index) => byte ^ right[index]!))
}

function malformed(message: string): EnhancedStep {
  return notAuthorized(message)
}

function notAuthorized(message: string): EnhancedStep {
  return { type: 'refused', reason: 'not-authorized', message }
}
