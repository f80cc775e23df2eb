import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { saslPrepared } from './saslprep.ts'

/**
 * What a server keeps to check SCRAM-SHA-256 (RFC 5802 section 3): enough to see that the other side knows the password, not
 * enough to show it oneself.
 */
export interface ScramVerifier {
  readonly iterations: number
  readonly salt: Buffer
  /** 32 bytes. */
  readonly storedKey: Buffer
  /** 32 bytes. */
  readonly serverKey: Buffer
}

export interface ScramVerifierOptions {
  iterations?: number
  salt?: Uint8Array
}

/** RFC 7677 section 4 allows no fewer. */
const iterationsMin = 4096
/** More is a slip of the pen: a client would think for seconds each time it connects. */
const iterationsMax = 10_000_000
/** The client does this work at each connect; a small device in about a second, a server in 5 ms. */
export const iterationsByDefault = 15_000
const keyBytes = 32
const saltBytes = 16

const derive = promisify(pbkdf2)

/**
 * The verifier of a password, with a new salt unless one is given.
 * @throws RangeError when `iterations` is below 4,096 or above 10,000,000.
 */
export async function scramVerifier(
  password: string,
  { iterations = iterationsByDefault, salt = randomBytes(saltBytes) }: ScramVerifierOptions = {}
): Promise<ScramVerifier> {
  if (!soundIterations(iterations)) throw new RangeError(`iterations must be ${iterationsMin} to ${iterationsMax}`)
  const salted = await derive(saslPrepared(password), salt, iterations, keyBytes, 'sha256')
  const clientKey = hmac(salted, 'Client Key')
  return { iterations, salt: Buffer.from(salt), storedKey: sha256(clientKey), serverKey: hmac(salted, 'Server Key') }
}

/**
 * As it stands in a password file, in the manner of the PHC string format (no colon, base64 without padding):
 *
 *     verifier = "$scram-sha-256$i=" iterations "$" salt "$" stored-key "$" server-key
 */
export function formatScramVerifier({ iterations, salt, storedKey, serverKey }: ScramVerifier): string {
  return `$scram-sha-256$i=${iterations}$${unpadded(salt)}$${unpadded(storedKey)}$${unpadded(serverKey)}`
}

/** undefined for anything `formatScramVerifier` does not write. */
export function parseScramVerifier(text: string): ScramVerifier | undefined {
  const found = /^\$scram-sha-256\$i=([1-9]\d{0,9})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]{43})\$([A-Za-z0-9+/]{43})$/.exec(text)
  if (found === null) return undefined
  const [, iterations, salt, storedKey, serverKey] = found
  const verifier: ScramVerifier = {
    iterations: Number(iterations),
    salt: Buffer.from(salt!, 'base64'),
    storedKey: Buffer.from(storedKey!, 'base64'),
    serverKey: Buffer.from(serverKey!, 'base64')
  }
  // Written anew, as base64 has spellings of one value that differ in their last character.
  return soundIterations(verifier.iterations) && formatScramVerifier(verifier) === text ? verifier : undefined
}

export function hmac(key: Uint8Array, text: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

export function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

function soundIterations(iterations: number): boolean {
  return Number.isInteger(iterations) && iterations >= iterationsMin && iterations <= iterationsMax
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
