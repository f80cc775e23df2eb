import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { PeerIdentity } from '../access/contract.ts'

/**
 * A listener accepts transport connections and hands each on as `(stream, request, peer)`. It knows no MQTT: what the bytes
 * mean is the business of whoever takes `onConnection`.
 */
export interface Listener {
  /** As configured, for messages: `listeners[0]`. */
  readonly name: string
  readonly transport: PeerIdentity['transport']
  /** The port really bound, also when port 0 was asked for. */
  readonly port: number
  readonly host: string
  /** What a client would be told to dial: `mqtt://127.0.0.1:1883`, `ws://127.0.0.1:8083/mqtt`. */
  readonly url: string
  readonly counts: Readonly<ListenerCounts>
  /**
   * Reads certificate, key and CA files again; connections made from then on use them, open ones stay. Sessions of earlier
   * handshakes cannot be resumed afterwards, so a certificate no longer trusted is not let in by an old ticket. When the new
   * files are not usable, rejects TRB_LISTENER_FAILED and the old ones stay. Does nothing on listeners without TLS.
   */
  reload(): Promise<void>
  /** Stops accepting and drops what is still in a handshake. Connections handed on are not touched: they belong to the broker. */
  close(): Promise<void>
}

export interface ListenerCounts {
  /** Handed to `onConnection`. */
  accepted: number
  /** Closed before that, by reason. */
  refused: Record<RefusalReason, number>
}

/**
 * `limit`: maxConnections reached. `handshake`: TLS or HTTP handshake failed or took too long. `certificate`: a client
 * certificate was missing or not trusted. `path`, `origin`, `subprotocol`: the WebSocket upgrade asked for what is not served.
 */
export type RefusalReason = 'limit' | 'handshake' | 'certificate' | 'path' | 'origin' | 'subprotocol'

export type OnConnection = (stream: Duplex, request: IncomingMessage | undefined, peer: PeerIdentity) => void

/** The part of a pino logger that listeners use. */
export interface ListenerLog {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export interface ListenerOptions {
  name: string
  host: string
  /** 0 = any free port. */
  port: number
  /** Whether clients without credentials may be let in; only handed on in the PeerIdentity. */
  anonymousAllowed: boolean
  onConnection: OnConnection
  /** Also called for every refusal that is counted. */
  onRefused?: (reason: RefusalReason) => void
  log?: ListenerLog
  /** Switches Nagle's algorithm off; default true. */
  noDelay?: boolean
  /** Further connections are closed at once and counted; default: no limit. */
  connectionsMax?: number
  /** Connections the kernel may hold for us while a storm of them comes in; default 4096. */
  backlog?: number
  /** Time for the TLS and HTTP handshakes, milliseconds; default 10 000. */
  handshakeTimeoutMs?: number
}

/** PEM files. A path in an error message is the one given here. */
export interface TlsFiles {
  certFile: string
  keyFile: string
  /** Certificate authorities of *clients*. */
  caFile?: string
  keyPassphrase?: string
  /**
   * `none`: not asked for. `request`: may be left out, but one that is presented must be trusted. `require`: no connection
   * without a trusted one.
   */
  clientCertificate: 'none' | 'request' | 'require'
  /** Oldest version spoken; default TLSv1.2. */
  minVersion?: 'TLSv1.2' | 'TLSv1.3'
}

export interface WebSocketOptions {
  /** Default `/mqtt`. A query string in the request is ignored. */
  path?: string
  /**
   * Origins browsers may come from, `*` = all. Requests without an Origin header do not come from a browser page and pass.
   * Default: pages of the same host only.
   */
  origins?: readonly string[]
  /** A WebSocket message above this closes the connection with 1009; it may carry several MQTT packets. Bytes. */
  messageBytesMax?: number
}
