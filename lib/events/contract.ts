import type { Qos } from '../mqtt/packet.ts'

/**
 * What happened to clients and messages that an operator may ask about later. The types are a closed list with stable names; a type may
 * get further fields, and none changes its meaning.
 */

/** Who ended a connection. */
export type ClosedBy = 'client' | 'server' | 'network' | 'operator'

/** Where the names are the same, they mean the same in each type. */
export interface EventFields {
  'broker-started': {
    version: string
    /** The run before did not end properly. */
    afterCrash: boolean
    /** Sessions that were restored. */
    sessions: number
  }
  'broker-stopped': { connections: number }
  connected: {
    client: string
    /** IP address and port. */
    address: string
    listener: string | undefined
    username: string | undefined
    /** 3 (MQTT 3.1), 4 (3.1.1) or 5. */
    version: number
    /** Clean Start, or Clean Session. */
    clean: boolean
    sessionPresent: boolean
    keepAliveSeconds: number
    /** Session Expiry Interval in force; 4294967295 = never. */
    expirySeconds: number
    /** Messages that waited for it. */
    queued: number
  }
  'connect-refused': { client: string; address: string; username: string | undefined; code: number; error: string }
  disconnected: {
    client: string
    /** As in `tributary_connections_closed_total`. */
    reason: string
    by: ClosedBy
    error: string | undefined
    seconds: number
    bytesReceived: number
    bytesSent: number
    /** Messages that wait for it now, those that it had not acknowledged included. */
    queued: number
    /** How long the session is kept: 0 = it ended, 4294967295 = for ever. */
    expirySeconds: number
  }
  /** Another connection with the same Client Identifier came, and the older one was closed. */
  'took-over': { client: string; address: string; oldAddress: string }
  'session-expired': { client: string; queued: number }
  /** The client asked for a new session (Clean Start). */
  'session-discarded': { client: string; queued: number }
  subscribed: { client: string; filter: string; qos: Qos }
  unsubscribed: { client: string; filter: string }
  'subscribe-denied': { client: string; filter: string; code: number }
  'publish-refused': { client: string; topic: string; reason: string; qos: Qos }
  /** A message, or one delivery of it, ended without a dead letter. `client` is who should have had it, where it was for one. */
  dropped: { client: string | undefined; topic: string | undefined; reason: string; publisher: string | undefined; qos: Qos }
  'dead-letter': {
    client: string | undefined
    topic: string
    reason: string
    publisher: string
    qos: Qos
    /** Of the first one, where several are one event. */
    id: number
    /** Of the last one. */
    lastId: number
    error: string
  }
  /** The queue of a session crossed 50, 80 or 100 percent of what it may hold. */
  'queue-peak': { client: string; percent: number; queued: number; limit: number }
  /** The client came back, and what it had not acknowledged is sent again. */
  redelivered: { client: string; messages: number }
  'rights-reloaded': { generation: number }
  'read-only': { reason: string }
  writable: Record<never, never>
  /** Only for topics of `events.trace`. */
  traced: {
    client: string | undefined
    topic: string
    step: 'accepted' | 'sent' | 'queued' | 'acknowledged'
    publisher: string | undefined
    qos: Qos
    packetId: number
  }
  /** There were more events than could be kept; `lost` is how many are missing. */
  'events-lost': { lost: number; reason: string }
}

export type EventType = keyof EventFields

/** What is told: the fields of its type. Those that may be undefined may be left out. */
export type BrokerEvent = { [Type in EventType]: { readonly type: Type } & Told<EventFields[Type]> }[EventType]

type Told<Fields> = {
  readonly [Name in keyof Fields as undefined extends Fields[Name] ? never : Name]: Fields[Name]
} & { readonly [Name in keyof Fields as undefined extends Fields[Name] ? Name : never]?: Fields[Name] }

/** As it is kept: with the time, and how many like it came within a second. */
export type KeptEvent = BrokerEvent & {
  /** Epoch milliseconds; of the first one, where several are one event. */
  readonly timeMs: number
  readonly count: number
}

/** Where events go. */
export interface Events {
  /** Takes it; never waits and never throws. */
  add(event: BrokerEvent): void
}
