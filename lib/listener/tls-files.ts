import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls'
import { TributaryError } from '../errors.ts'
import type { TlsFiles } from './contract.ts'

/**
 * Reads the PEM files and tries them, so that a wrong one is found at start with its name and not at the first handshake.
 * Rejects TRB_LISTENER_FAILED.
 */
export async function readTlsFiles(files: TlsFiles, listener: string): Promise<SecureContextOptions> {
  const [cert, key, ca] = await Promise.all([
    readPem(files.certFile, `${listener}.cert`),
    readPem(files.keyFile, `${listener}.key`),
    files.caFile === undefined ? undefined : readPem(files.caFile, `${listener}.ca`)
  ])
  const context: SecureContextOptions = { cert, key, minVersion: files.minVersion ?? 'TLSv1.2' }
  if (ca !== undefined) context.ca = ca
  if (files.keyPassphrase !== undefined) context.passphrase = files.keyPassphrase
  // One at a time, so that the message names the file that is wrong.
  attempt(() => new X509Certificate(cert), `${listener}.cert: ${files.certFile} holds no usable PEM certificate`)
  if (ca !== undefined) attempt(() => new X509Certificate(ca), `${listener}.ca: ${files.caFile} holds no usable PEM certificate`)
  attempt(
    () => createSecureContext(context),
    `${listener}.key: ${files.keyFile} is no private key that belongs to ${files.certFile}`
  )
  return context
}

/** Server options that say how client certificates are treated. */
export function clientCertificateOptions(mode: TlsFiles['clientCertificate']): TlsOptions {
  return { requestCert: mode !== 'none', rejectUnauthorized: mode === 'require' }
}

async function readPem(file: string, setting: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw failed(`${setting}: cannot read ${file}: ${readFault(error)}`, error)
  }
}

function readFault(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT') return 'no such file'
  if (code === 'EACCES') return 'this user may not read it'
  return error instanceof Error ? error.message : String(error)
}

function attempt(use: () => unknown, message: string): void {
  try {
    use()
  } catch (error) {
    throw failed(`${message} (${error instanceof Error ? error.message : error})`, error)
  }
}

function failed(message: string, cause: unknown): TributaryError {
  return new TributaryError('TRB_LISTENER_FAILED', message, { cause })
}
