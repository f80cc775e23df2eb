import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Throw-away certificates, made by the openssl program. */
export interface CertificateAuthority {
  caFile: string
  /** Issues a certificate for 127.0.0.1 and localhost; returns the paths of its PEM files. */
  issue(commonName: string, keyType?: KeyType): { certFile: string; keyFile: string }
}

export type KeyType = 'ec' | 'rsa'

/** Why tests that need openssl cannot run here; false when they can. On CI its absence is a failure, not a skip. */
export function opensslMissing(): string | false {
  if (spawnSync('openssl', ['version']).status === 0) return false
  if (process.env.CI) throw new Error('openssl is not installed: it is needed to make the certificates of the TLS tests')
  return 'openssl is not installed'
}

export function makeAuthority(folder: string, name = 'ca'): CertificateAuthority {
  const caFile = join(folder, `${name}.pem`)
  const caKey = join(folder, `${name}.key`)
  const days = ['-days', '2']
  openssl(['req', '-x509', ...newKey('ec', caKey), '-out', caFile, ...days, '-subj', `/O=Tributary test/CN=${name}`])
  return {
    caFile,
    issue(commonName, keyType = 'ec') {
      const file = (extension: string) => join(folder, `${name}-${commonName}-${keyType}.${extension}`)
      const [certFile, keyFile] = [file('pem'), file('key')]
      openssl(['req', ...newKey(keyType, keyFile), '-out', file('csr'), '-subj', `/O=Tributary test/CN=${commonName}`])
      writeFileSync(file('ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
      const signer = ['-CA', caFile, '-CAkey', caKey, '-CAcreateserial']
      openssl(['x509', '-req', '-in', file('csr'), ...signer, '-out', certFile, ...days, '-extfile', file('ext')])
      return { certFile, keyFile }
    }
  }
}

function newKey(type: KeyType, keyFile: string): string[] {
  const kind = type === 'ec' ? ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'] : ['-newkey', 'rsa:2048']
  return [...kind, '-nodes', '-keyout', keyFile]
}

function openssl(args: string[]): void {
  const result = spawnSync('openssl', args, { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`openssl ${args.join(' ')}: ${result.stderr}`)
}
