import { hash, verify } from '@node-rs/argon2'

/** How passwords are hashed and compared; injected so that tests can watch it. */
export interface PasswordHasher {
  hash(password: string | Uint8Array): Promise<string>
  verify(hashed: string, password: string | Uint8Array): Promise<boolean>
}

/**
 * Argon2id with the parameters OWASP's Password Storage Cheat Sheet names as minimum: 19 MiB, 2 passes, 1 lane. A verification
 * takes some 20 ms of one core and so does a guess.
 */
export const argon2: PasswordHasher = {
  hash: password => hash(password, { memoryCost: 19_456, timeCost: 2, parallelism: 1 }),
  verify: (hashed, password) => verify(hashed, password)
}

/** What is written into a password file; argon2id is the default algorithm of the library. */
export function hashPassword(password: string | Uint8Array): Promise<string> {
  return argon2.hash(password)
}

/** True for the text `hashPassword` makes (PHC string format), whatever its parameters. */
export function isPasswordHash(text: string): boolean {
  return /^\$argon2id\$v=19\$m=\d{1,10},t=\d{1,10},p=\d{1,3}\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}$/.test(text)
}
