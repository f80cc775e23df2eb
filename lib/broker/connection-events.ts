import type { ClosedBy } from '../events/contract.ts'
import type { ConnackPacket } from '../mqtt/packet.ts'
import type { Connection } from './connection.ts'

/** What connections tell the ring of events. Nothing here runs when there is none. */

export function tellConnected(connection: Connection, { sessionPresent }: ConnackPacket): void {
  const { broker, session } = connection
  broker.events?.add({
    type: 'connected',
    client: connection.id ?? '',
    address: connection.address,
    listener: connection.peer?.listener,
    username: connection.identity?.username,
    version: connection.version ?? 0,
    clean: connection.clean,
    sessionPresent,
    keepAliveSeconds: connection.keepAliveSeconds,
    expirySeconds: connection.sessionExpirySeconds ?? 0,
    queued: session?.backlog ?? 0
  })
}

export function tellRefused(connection: Connection, code: number, error: Error): void {
  const { broker, id, address, identity } = connection
  broker.events?.add({
    type: 'connect-refused',
    client: id ?? '',
    address,
    username: identity?.username,
    code,
    error: error.message
  })
}

/** Before the session learns that its connection is gone, so that it says what was on its way. */
export function tellDisconnected(connection: Connection, error: Error | undefined): void {
  const { broker, session, closeReason: reason, disconnectExpirySeconds } = connection
  broker.events?.add({
    type: 'disconnected',
    client: connection.id ?? '',
    reason,
    by: closedBy(reason),
    error: error?.message,
    seconds: Math.round((broker.clock.now() - connection.connectedAtMs) / 1000),
    bytesReceived: connection.bytesReceived,
    bytesSent: connection.outbound.bytesSent,
    queued: session?.backlog ?? 0,
    expirySeconds: disconnectExpirySeconds ?? session?.expirySeconds ?? 0
  })
}

function closedBy(reason: string): ClosedBy {
  if (reason === 'client-disconnect') return 'client'
  if (reason === 'administrative-action') return 'operator'
  if (reason === 'connection-lost' || reason === 'transport-error') return 'network'
  return 'server'
}
