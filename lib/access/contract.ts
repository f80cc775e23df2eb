/** Who is connected, as far as access decisions are concerned. Sees no sockets and no packets. */
export interface Identity {
  clientId: string
  /** undefined = anonymous */
  username: string | undefined
  roles: readonly string[]
  /** How the identity was established. */
  by: 'anonymous' | 'password' | 'certificate' | 'hook'
}

/** What the listener knows about a peer before any MQTT byte. */
export interface PeerIdentity {
  listener: string
  address: string
  port: number
  /** Transport as configured: tcp, tls, ws, wss. */
  transport: 'tcp' | 'tls' | 'ws' | 'wss'
  /** True for listeners on which clients without credentials are let in. */
  anonymousAllowed: boolean
  /** Verified client certificate, when one was presented. */
  certificate: { commonName: string; fingerprint256: string; subject: string } | undefined
}

export interface Credentials {
  clientId: string
  username: string | undefined
  password: Buffer | undefined
  peer: PeerIdentity | undefined
}

/** Refused and unavailable stay apart all the way to the wire. */
export type AuthenticationVerdict =
  | { type: 'granted'; identity: Identity }
  | { type: 'refused'; reason: 'bad-credentials' | 'not-authorized' | 'banned'; message: string }
  | { type: 'unavailable'; cause: unknown }

export interface Authenticator {
  authenticate(credentials: Credentials): AuthenticationVerdict | Promise<AuthenticationVerdict>
}

/** Where an exchange of enhanced authentication starts: a CONNECT with an Authentication Method, or a client that proves itself anew. */
export interface EnhancedStart {
  /** Authentication Method as the client named it. */
  method: string
  clientId: string
  /** User Name of the CONNECT, if it had one; nothing has proved it. */
  username: string | undefined
  /** Password of the CONNECT; undefined when the client authenticates again. */
  password: Buffer | undefined
  peer: PeerIdentity | undefined
  /** The identity in force while the client authenticates again; undefined in the exchange that CONNECT starts. */
  current: Identity | undefined
}

/** What an exchange answers to the client's Authentication Data. `data` are the bytes that go back with it. */
export type EnhancedStep =
  | { type: 'continue'; data?: Uint8Array | undefined }
  | { type: 'granted'; identity: EnhancedIdentity; data?: Uint8Array | undefined }
  | Exclude<AuthenticationVerdict, { type: 'granted' }>

/** Whom an exchange has proved; the Client Identifier is the connection's own. */
export interface EnhancedIdentity {
  /** undefined = anonymous */
  username: string | undefined
  /** Left out: none. */
  roles?: readonly string[] | undefined
  /** Left out: `hook`. */
  by?: Identity['by'] | undefined
}

/** One exchange on one connection; it is not used after an answer other than `continue`. */
export interface EnhancedExchange {
  /** Authentication Data of CONNECT or AUTH; undefined when the packet had none. */
  step(data: Buffer | undefined): EnhancedStep | Promise<EnhancedStep>
}

/** One method of enhanced authentication, MQTT 5 section 4.12. A step that throws or rejects is `unavailable`. */
export interface EnhancedAuthenticator {
  /** undefined: clients cannot authenticate in this way here (0x8C). */
  begin(start: EnhancedStart): EnhancedExchange | undefined | Promise<EnhancedExchange | undefined>
}

/** A policy compiled for one identity: placeholders filled in, roles resolved. Synchronous and free of I/O. */
export interface CompiledPolicy {
  canPublish(topic: string): boolean
  canSubscribe(filter: string): boolean
  /** Checked at delivery: may a message on this topic be shown to the identity? */
  canReceive(topic: string): boolean
  /** True when every answer is yes, so that callers can skip the checks. */
  readonly permitsAll: boolean
}

export interface Policy {
  compile(identity: Identity): CompiledPolicy
  /** Changes whenever compiled policies are outdated (reload). */
  readonly generation: number
}

/** Who decides about clients: all the broker knows of access. */
export interface BrokerAccess {
  authenticator?: Authenticator | undefined
  /** By Authentication Method; they come before the hook `authenticateEnhanced`. */
  enhanced?: ReadonlyMap<string, EnhancedAuthenticator> | undefined
  policy?: Policy | undefined
}
