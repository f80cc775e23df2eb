import { isUtf8 } from 'node:buffer'

/** The messages of SCRAM as a client writes them, RFC 5802 section 7. Pure text, no secrets and no decisions. */

export interface ClientFirst {
  /** Up to and with the comma before the username; the client repeats it in base64 in its last message. */
  header: string
  /** On behalf of whom; undefined or '' = the user itself. */
  authorizationId: string | undefined
  username: string
  nonce: string
  /** Everything after the header. */
  bare: string
}

export interface ClientFinal {
  header: string
  nonce: string
  /** 32 bytes. */
  proof: Buffer
  withoutProof: string
}

/** What is wrong with a message, for people. */
export interface Malformed {
  problem: string
}

/** Names and nonces are short; what is longer is no message of an honest client. */
const messageBytesMax = 4096
const proofBytes = 32
/** Printable ASCII but the comma. */
const nonceField = /^r=([\x21-\x2b\x2d-\x7e]+)$/
const extensionField = /^[A-Za-z]=.+$/s

export function parseClientFirst(data: Uint8Array): ClientFirst | Malformed {
  const message = textOf(data)
  if (message === undefined) return malformed('is not text of at most 4096 bytes')
  const [header, flag = '', authorization] = /^([^,]*),(?:a=([^,]*))?,/.exec(message) ?? []
  if (header === undefined) return malformed('has no GS2 header')
  // "y" says that the client could bind to the channel and believes we cannot: so it is.
  if (flag.startsWith('p=')) return malformed('asks for channel binding, which is not supported')
  if (flag !== 'n' && flag !== 'y') return malformed('has no channel binding flag')
  const authorizationId = authorization === undefined ? undefined : unescaped(authorization)
  if (authorization !== undefined && authorizationId === undefined) return malformed('has a badly escaped authzid')

  const bare = message.slice(header.length)
  if (bare.startsWith('m=')) return malformed('demands an extension')
  const [user = '', random = '', ...extensions] = bare.split(',')
  const username = user.startsWith('n=') ? unescaped(user.slice(2)) : undefined
  if (username === undefined || username === '') return malformed('has no username, or it is badly escaped')
  const nonce = nonceField.exec(random)?.[1]
  if (nonce === undefined) return malformed('has no nonce')
  if (!extensions.every(field => extensionField.test(field))) return malformed('ends in something that is no extension')
  return { header, authorizationId, username, nonce, bare }
}

export function parseClientFinal(data: Uint8Array): ClientFinal | Malformed {
  const message = textOf(data)
  if (message === undefined) return malformed('is not text of at most 4096 bytes')
  const fields = message.split(',')
  const last = fields.pop() ?? ''
  const [binding = '', random = '', ...extensions] = fields
  const header = binding.startsWith('c=') ? base64(binding.slice(2)) : undefined
  if (header === undefined) return malformed('has no channel binding in base64')
  const nonce = nonceField.exec(random)?.[1]
  if (nonce === undefined) return malformed('has no nonce')
  if (!extensions.every(field => extensionField.test(field))) return malformed('holds something that is no extension')
  const proof = last.startsWith('p=') ? base64(last.slice(2)) : undefined
  if (proof?.length !== proofBytes) return malformed('does not end in a proof of 32 bytes in base64')
  return { header: header.toString('latin1'), nonce, proof, withoutProof: fields.join(',') }
}

function textOf(data: Uint8Array): string | undefined {
  if (data.length > messageBytesMax || !isUtf8(data) || data.includes(0)) return undefined
  return Buffer.from(data).toString('utf8')
}

/** A saslname: "=2C" is a comma, "=3D" an equals sign, and any other use of "=" is an error. */
function unescaped(text: string): string | undefined {
  if (/=(?!2C|3D)/.test(text)) return undefined
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=')
}

/** undefined for what is not base64 in its one canonical form, padding included. */
function base64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

function malformed(problem: string): Malformed {
  return { problem }
}
