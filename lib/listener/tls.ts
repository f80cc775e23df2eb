import { createServer, type TLSSocket } from 'node:tls'
import { destroyQuietly, HANDSHAKE_TIMEOUT_MS, listen, Reception, stopAccepting } from './accept.ts'
import type { Listener, ListenerOptions, TlsFiles } from './contract.ts'
import { Handshakes } from './handshakes.ts'
import { handshakeRefusal, peerCertificate, peerIdentity } from './peer.ts'
import { clientCertificateOptions, readTlsFiles } from './tls-files.ts'
import { listenerUrl } from './url.ts'

/**
 * MQTT over TLS 1.2 or later, with session resumption by tickets (TLS 1.2) and pre-shared keys (TLS 1.3); a resumed connection
 * carries the client certificate of its first handshake. Rejects TRB_LISTENER_FAILED.
 */
export async function openTlsListener(options: ListenerOptions & { tls: TlsFiles }): Promise<Listener> {
  const { tls } = options
  const reception = new Reception(options)
  const server = createServer(
    {
      ...(await readTlsFiles(tls, options.name)),
      ...clientCertificateOptions(tls.clientCertificate),
      noDelay: options.noDelay ?? true,
      handshakeTimeout: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS
    },
    socket => {
      const certificate = tls.clientCertificate === 'none' ? undefined : peerCertificate(socket)
      if (certificate === 'untrusted') {
        reception.refuse('certificate', socket.remoteAddress, String(socket.authorizationError))
        destroyQuietly(socket)
        return
      }
      reception.accept(socket, undefined, peerIdentity(socket, 'tls', options, certificate))
    }
  )
  const handshakes = new Handshakes(server)
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    const { reason, detail } = handshakeRefusal(error, socket)
    reception.refuse(reason, socket.remoteAddress, detail)
    destroyQuietly(socket)
  })
  const port = await listen(server, options, reception)
  return {
    name: options.name,
    transport: 'tls',
    host: options.host,
    port,
    url: listenerUrl('tls', options.host, port),
    counts: reception.counts,
    reload: async () => server.setSecureContext(await readTlsFiles(tls, options.name)),
    close: async () => {
      stopAccepting(server)
      handshakes.destroyAll()
    }
  }
}
