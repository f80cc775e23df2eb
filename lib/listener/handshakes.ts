import type { Server, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { destroyQuietly } from './accept.ts'

/**
 * Sockets between accept and the end of the TLS handshake. Nobody else would close those when the listener closes: Node gives
 * them out only afterwards, as another object, so the two are matched by address and port.
 */
export class Handshakes {
  readonly #sockets = new Map<string, Socket>()

  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      const key = peerKey(socket)
      this.#sockets.set(key, socket)
      socket.once('close', () => this.#sockets.delete(key))
    })
    server.on('secureConnection', (socket: TLSSocket) => this.#sockets.delete(peerKey(socket)))
  }

  destroyAll(): void {
    for (const socket of this.#sockets.values()) destroyQuietly(socket)
  }
}

function peerKey(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`
}
