import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerOptions, STATUS_CODES } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { WebSocketServer } from 'ws'
import { destroyQuietly, HANDSHAKE_TIMEOUT_MS, listen, Reception, stopAccepting } from './accept.ts'
import type { Listener, ListenerOptions, TlsFiles, WebSocketOptions } from './contract.ts'
import { Handshakes } from './handshakes.ts'
import { handshakeRefusal, peerCertificate, peerIdentity } from './peer.ts'
import { clientCertificateOptions, readTlsFiles } from './tls-files.ts'
import { chooseSubprotocol, type UpgradeRefusal, type UpgradeRules, upgradeRefusal } from './upgrade.ts'
import { listenerUrl } from './url.ts'
import { WebSocketDuplex } from './websocket-duplex.ts'

const PATH_DEFAULT = '/mqtt'
const MESSAGE_BYTES_MAX_DEFAULT = 2 * 1024 * 1024
/** A peer that does not answer a close frame is cut off after this. */
const CLOSE_TIMEOUT_MS = 5_000

export type WebSocketListenerOptions = ListenerOptions & WebSocketOptions & { tls?: TlsFiles }

/** MQTT over WebSocket; with `tls` over wss. Rejects TRB_LISTENER_FAILED. */
export async function openWebSocketListener(options: WebSocketListenerOptions): Promise<Listener> {
  const transport = options.tls === undefined ? 'ws' : 'wss'
  const rules: UpgradeRules = {
    path: options.path ?? PATH_DEFAULT,
    origins: options.origins?.map(origin => origin.toLowerCase()),
    host: options.host
  }
  const reception = new Reception(options)
  const { server, handshakes, reload } = await createServer(options, reception)
  const webSockets = new WebSocketServer(webSocketServerOptions(options))

  server.on('request', (_request, response) => {
    response.writeHead(426, { connection: 'close', upgrade: 'websocket', 'content-type': 'text/plain' })
    response.end(`This port speaks MQTT over WebSocket at ${rules.path}.\n`)
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    reception.refuse('handshake', (socket as Socket).remoteAddress, error.code)
    destroyQuietly(socket)
  })
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const certificate = certificateOf(socket, options)
    const refusal = certificate === 'untrusted' ? untrusted : upgradeRefusal(request, rules)
    if (refusal !== undefined || certificate === 'untrusted') {
      answerRefusal(socket, refusal ?? untrusted, reception)
      return
    }
    webSockets.handleUpgrade(request, socket, head, webSocket => {
      const stream = new WebSocketDuplex(webSocket, socket)
      reception.accept(stream, request, peerIdentity(socket, transport, options, certificate))
    })
  })

  const port = await listen(server, options, reception)
  return {
    name: options.name,
    transport,
    host: options.host,
    port,
    url: listenerUrl(transport, options.host, port, rules.path),
    counts: reception.counts,
    reload,
    close: async () => {
      stopAccepting(server)
      handshakes?.destroyAll()
      // Only those that have not become WebSockets yet: the others are no longer HTTP connections.
      server.closeAllConnections()
    }
  }
}

interface HttpSide {
  server: Server
  handshakes: Handshakes | undefined
  reload(): Promise<void>
}

async function createServer(options: WebSocketListenerOptions, reception: Reception): Promise<HttpSide> {
  const { tls } = options
  const timeoutMs = options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS
  const http: ServerOptions = {
    noDelay: options.noDelay ?? true,
    headersTimeout: timeoutMs,
    requestTimeout: timeoutMs,
    connectionsCheckingInterval: Math.ceil(timeoutMs / 4)
  }
  if (tls === undefined) return { server: createHttpServer(http), handshakes: undefined, reload: async () => {} }

  const server = createHttpsServer({
    ...http,
    ...(await readTlsFiles(tls, options.name)),
    ...clientCertificateOptions(tls.clientCertificate),
    handshakeTimeout: timeoutMs
  })
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    const { reason, detail } = handshakeRefusal(error, socket)
    reception.refuse(reason, socket.remoteAddress, detail)
    destroyQuietly(socket)
  })
  const reload = async () => server.setSecureContext(await readTlsFiles(tls, options.name))
  return { server, handshakes: new Handshakes(server), reload }
}

function webSocketServerOptions(options: WebSocketListenerOptions) {
  return {
    noServer: true as const,
    clientTracking: false,
    // Telemetry is small and often compressed already; a zlib context costs some 300 KiB per connection.
    perMessageDeflate: false,
    maxPayload: options.messageBytesMax ?? MESSAGE_BYTES_MAX_DEFAULT,
    closeTimeout: CLOSE_TIMEOUT_MS,
    handleProtocols: (offered: Set<string>) => chooseSubprotocol(offered) ?? false
  }
}

function certificateOf(socket: Duplex, options: WebSocketListenerOptions): ReturnType<typeof peerCertificate> {
  if (!(socket instanceof TLSSocket) || options.tls?.clientCertificate === 'none') return undefined
  return peerCertificate(socket)
}

const untrusted: UpgradeRefusal = { reason: 'certificate', status: 403, message: 'the client certificate is not trusted here' }

function answerRefusal(socket: Socket, refusal: UpgradeRefusal, reception: Reception): void {
  reception.refuse(refusal.reason, socket.remoteAddress, refusal.message)
  const body = `${refusal.message}\n`
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\nconnection: close\r\n` +
      `content-type: text/plain\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  )
}
