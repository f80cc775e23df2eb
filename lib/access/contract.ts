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
