import type { ListenerConfig, TlsSettings } from '../config/config.ts'
import type { Listener, ListenerOptions, TlsFiles } from './contract.ts'
import { openTcpListener } from './tcp.ts'
import { openTlsListener } from './tls.ts'
import { openWebSocketListener } from './websocket.ts'

/** What the configuration does not say about a listener. */
export interface ListenerSurroundings extends Omit<ListenerOptions, 'host' | 'port'> {
  /** Largest WebSocket message; other transports have no messages. Bytes. */
  messageBytesMax?: number
}

/** Opens the listener a configuration describes. Rejects TRB_LISTENER_FAILED. */
export function openListener(config: ListenerConfig, surroundings: ListenerSurroundings): Promise<Listener> {
  const { messageBytesMax, ...rest } = surroundings
  const options: ListenerOptions = { ...rest, host: config.host, port: config.port }
  switch (config.type) {
    case 'tcp':
      return openTcpListener(options)
    case 'tls':
      return openTlsListener({ ...options, tls: tlsFilesOf(config) })
    case 'ws':
    case 'wss':
      return openWebSocketListener({
        ...options,
        path: config.path,
        ...(config.origins === undefined ? {} : { origins: config.origins }),
        ...(messageBytesMax === undefined ? {} : { messageBytesMax }),
        ...(config.type === 'wss' ? { tls: tlsFilesOf(config) } : {})
      })
    default:
      throw new TypeError(`unknown listener type: ${JSON.stringify(config satisfies never)}`)
  }
}

export function tlsFilesOf({ cert, key, ca, clientCertificate, minVersion }: TlsSettings): TlsFiles {
  return { certFile: cert, keyFile: key, ...(ca === undefined ? {} : { caFile: ca }), clientCertificate, minVersion }
}
