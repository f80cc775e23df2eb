import type { Connection } from './connection.ts'
import type { BrokerSession } from './native/broker-session.ts'

/** One client as operators see it. Counts are of this moment. */
export interface ClientDescription {
  clientId: string
  connected: boolean
  address: string | undefined
  listener: string | undefined
  username: string | undefined
  /** 3, 4 or 5 */
  protocolVersion: number
  keepAliveSeconds: number | undefined
  /** 0xFFFFFFFF = never */
  sessionExpirySeconds: number
  connectedAtMs: number | undefined
  disconnectedAtMs: number | undefined
  subscriptions: string[]
  /** QoS 1/2 messages not acknowledged by the client, in whatever state. */
  backlog: number
  inflight: number
  bytesReceived: number
  bytesSent: number
}

export function describeClients(
  connections: Iterable<Connection>,
  sessions: ReadonlyMap<string, BrokerSession> | undefined
): ClientDescription[] {
  if (sessions === undefined) {
    const described: ClientDescription[] = []
    for (const connection of connections) if (connection.connected) described.push(describe(connection, undefined))
    return described
  }
  return [...sessions.values()].map(session => describe(session.connection, session))
}

function describe(connection: Connection | undefined, session: BrokerSession | undefined): ClientDescription {
  return {
    clientId: session?.clientId ?? connection?.id ?? '',
    connected: connection?.connected ?? false,
    address: connection?.address,
    listener: connection?.peer?.listener,
    username: connection?.identity?.username ?? session?.username,
    protocolVersion: session?.version ?? connection?.version ?? 0,
    keepAliveSeconds: connection?.keepAliveSeconds,
    sessionExpirySeconds: session?.expirySeconds ?? 0,
    connectedAtMs: connection?.connectedAtMs,
    disconnectedAtMs: session?.disconnectedAtMs || undefined,
    subscriptions:
      session && session.subscriptionCount > 0 ? [...session.subscriptions.keys()] : Object.keys(connection?.subscriptions ?? {}),
    backlog: session?.backlog ?? 0,
    inflight: session?.inflightCount ?? 0,
    bytesReceived: connection?.bytesReceived ?? 0,
    bytesSent: connection?.outbound.bytesSent ?? 0
  }
}
