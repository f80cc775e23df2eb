import type { Socket } from 'node:net'
import type { DetailedPeerCertificate, PeerCertificate, TLSSocket } from 'node:tls'
import type { PeerIdentity } from '../access/contract.ts'
import type { ListenerOptions, RefusalReason } from './contract.ts'

/** What is known about the other end of an accepted socket before it has said a word. */
export function peerIdentity(
  socket: Socket,
  transport: PeerIdentity['transport'],
  options: ListenerOptions,
  certificate: PeerIdentity['certificate']
): PeerIdentity {
  return {
    listener: options.name,
    address: socket.remoteAddress ?? '',
    port: socket.remotePort ?? 0,
    transport,
    anonymousAllowed: options.anonymousAllowed,
    certificate
  }
}

/** The verified certificate of the peer; `untrusted` when it presented one that does not verify; undefined when it presented none. */
export function peerCertificate(socket: TLSSocket): PeerIdentity['certificate'] | 'untrusted' {
  const certificate: PeerCertificate | DetailedPeerCertificate | null = socket.getPeerCertificate(false)
  if (certificate === null || certificate.fingerprint256 === undefined) return undefined
  if (!socket.authorized) return 'untrusted'
  return {
    commonName: firstValue(certificate.subject?.CN),
    fingerprint256: certificate.fingerprint256,
    subject: subjectText(certificate.subject)
  }
}

/** Why a TLS handshake failed, as far as it is counted apart: Node tells of a certificate it rejected in a property of the socket. */
export function handshakeRefusal(error: NodeJS.ErrnoException, socket: TLSSocket): { reason: RefusalReason; detail: string } {
  // Empty until something was wrong with the certificate; typed as always set.
  const certificateFault: Error | string | null | undefined = socket.authorizationError
  if (certificateFault) return { reason: 'certificate', detail: String(certificateFault) }
  const detail = error.code ?? error.message
  return { reason: detail.includes('CERTIFICATE') ? 'certificate' : 'handshake', detail }
}

/** A subject may name several values of one kind; the first is what Mosquitto and OpenSSL's lookup take too. */
function firstValue(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value[0] : value) ?? ''
}

function subjectText(subject: PeerCertificate['subject'] | undefined): string {
  const parts: string[] = []
  for (const [kind, value] of Object.entries(subject ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) parts.push(`${kind}=${one}`)
  }
  return parts.join(', ')
}
