import { createServer } from 'node:net'
import { listen, Reception, stopAccepting } from './accept.ts'
import type { Listener, ListenerOptions } from './contract.ts'
import { peerIdentity } from './peer.ts'
import { listenerUrl } from './url.ts'

/** MQTT over plain TCP. Rejects TRB_LISTENER_FAILED. */
export async function openTcpListener(options: ListenerOptions): Promise<Listener> {
  const reception = new Reception(options)
  const server = createServer({ noDelay: options.noDelay ?? true }, socket => {
    reception.accept(socket, undefined, peerIdentity(socket, 'tcp', options, undefined))
  })
  const port = await listen(server, options, reception)
  return {
    name: options.name,
    transport: 'tcp',
    host: options.host,
    port,
    url: listenerUrl('tcp', options.host, port),
    counts: reception.counts,
    reload: async () => {},
    close: async () => stopAccepting(server)
  }
}
