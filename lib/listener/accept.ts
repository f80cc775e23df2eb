import type { Server as NetServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { type ErrorCode, TributaryError } from '../errors.ts'
import type { ListenerCounts, ListenerOptions, RefusalReason } from './contract.ts'

const BACKLOG_DEFAULT = 4096
export const HANDSHAKE_TIMEOUT_MS = 10_000

/** Counts and reports what a listener did with connections; one per listener. */
export class Reception {
  readonly counts: ListenerCounts = {
    accepted: 0,
    refused: { limit: 0, handshake: 0, certificate: 0, path: 0, origin: 0, subprotocol: 0 }
  }
  readonly #options: ListenerOptions

  constructor(options: ListenerOptions) {
    this.#options = options
  }

  accept(...connection: Parameters<ListenerOptions['onConnection']>): void {
    this.counts.accepted++
    try {
      this.#options.onConnection(...connection)
    } catch (error) {
      // One connection that cannot be taken must not take the process, and all other connections, with it.
      this.#options.log?.warn({ err: error, listener: this.#options.name }, 'connection could not be handed on')
      destroyQuietly(connection[0])
    }
  }

  refuse(reason: RefusalReason, address: string | undefined, detail?: string): void {
    this.counts.refused[reason]++
    this.#options.onRefused?.(reason)
    this.#options.log?.debug({ listener: this.#options.name, address, reason, detail }, 'connection refused')
  }
}

/** Binds `server`; from then on its errors are logged and never thrown. Resolves with the port bound. */
export async function listen(server: NetServer, options: ListenerOptions, reception: Reception): Promise<number> {
  if (options.connectionsMax !== undefined) server.maxConnections = options.connectionsMax
  // Node closes what is above maxConnections before it has built a socket for it: the cheapest refusal there is.
  server.on('drop', drop => reception.refuse('limit', drop?.remoteAddress))
  await bind(server, options.host, options.port, options.name, { backlog: options.backlog ?? BACKLOG_DEFAULT })
  server.on('error', error => options.log?.warn({ err: error, listener: options.name }, 'listener error'))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : options.port
}

/** Listens on host:port or rejects TRB_LISTENER_FAILED saying what to do about it. `name` is the setting to change. */
export function bind(
  server: NetServer,
  host: string,
  port: number,
  name: string,
  extra: { backlog?: number } = {}
): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => reject(bindError(error, host, port, name))
    server.once('error', failed)
    server.listen({ host, port, ...extra }, () => {
      server.off('error', failed)
      resolve()
    })
  })
}

/** Stops accepting. Does not wait for connections: `close` of net.Server would, and they are not the listener's any more. */
export function stopAccepting(server: NetServer): void {
  if (server.listening) server.close()
}

export function destroyQuietly(stream: Duplex): void {
  // A socket that is thrown away may still report a reset; nobody is left who wants to know.
  stream.on('error', ignoreError)
  stream.destroy()
}

function ignoreError(): void {}

const code: ErrorCode = 'TRB_LISTENER_FAILED'

function bindError(error: NodeJS.ErrnoException, host: string, port: number, name: string): TributaryError {
  return new TributaryError(code, bindMessage(error, host, port, name), { cause: error })
}

function bindMessage(error: NodeJS.ErrnoException, host: string, port: number, name: string): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `port ${port} on ${host} is in use: stop the other program or set another port for ${name}`
    case 'EACCES':
      return `port ${port} on ${host} is not open to this user: set a port above 1023 for ${name} or grant CAP_NET_BIND_SERVICE`
    case 'EADDRNOTAVAIL':
      return `${host} is not an address of this machine: set another host for ${name}`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `host name ${host} does not resolve: set another host for ${name}`
    default:
      return `${name} cannot listen on ${host}:${port}: ${error.message}`
  }
}
