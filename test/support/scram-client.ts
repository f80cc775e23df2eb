import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'

export interface ScramClientOptions {
  nonce?: string
  /** GS2 header; `n,,` unless a test wants another one. */
  header?: string
}

/** The client's side of SCRAM-SHA-256, written apart from ours so that the two check each other. */
export class ScramClient {
  readonly #name: string
  readonly #password: string
  readonly #nonce: string
  readonly #header: string
  #serverSignature = ''

  constructor(username: string, password: string, options: ScramClientOptions = {}) {
    this.#name = username.replaceAll('=', '=3D').replaceAll(',', '=2C')
    this.#password = password
    this.#nonce = options.nonce ?? randomBytes(9).toString('base64url')
    this.#header = options.header ?? 'n,,'
  }

  get #bare(): string {
    return `n=${this.#name},r=${this.#nonce}`
  }

  first(): Buffer {
    return Buffer.from(this.#header + this.#bare)
  }

  final(serverFirst: Uint8Array | undefined): Buffer {
    const text = Buffer.from(serverFirst ?? []).toString()
    const [, nonce, salt, iterations] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(text) ?? []
    if (nonce === undefined || !nonce.startsWith(this.#nonce)) throw new Error(`no server-first-message: ${text}`)
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt ?? '', 'base64'), Number(iterations), 32, 'sha256')
    const withoutProof = `c=${Buffer.from(this.#header).toString('base64')},r=${nonce}`
    const message = `${this.#bare},${text},${withoutProof}`
    const clientKey = hmac(salted, 'Client Key')
    const signature = hmac(createHash('sha256').update(clientKey).digest(), message)
    const proof = clientKey.map((byte, i) => byte ^ (signature[i] ?? 0))
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), message).toString('base64')
    return Buffer.from(`${withoutProof},p=${Buffer.from(proof).toString('base64')}`)
  }

  /** True for the message only somebody with the verifier can write. */
  trusts(serverFinal: Uint8Array | undefined): boolean {
    return this.#serverSignature !== '' && Buffer.from(serverFinal ?? []).toString() === `v=${this.#serverSignature}`
  }
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
