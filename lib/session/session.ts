import type { Message } from '../mqtt/message.ts'
import type { ProtocolVersion, Qos } from '../mqtt/packet.ts'
import { InflightWindow } from './inflight-window.ts'
import type { PendingQueue } from './pending-queue.ts'

/** Session Expiry Interval that never ends, section 3.1.2.11.2; also Clean Session 0 of 3.1/3.1.1. */
export const neverExpires = 0xffffffff

export interface SessionSubscription {
  readonly filter: string
  qos: Qos
  noLocal: boolean
  retainAsPublished: boolean
  retainHandling: 0 | 1 | 2
  /** 0 = none */
  subscriptionId: number
  /** Subscriptions to a stream: the first offset not acknowledged. */
  position?: number
}

/** A QoS 1/2 message that waits in memory for a session that lives only as long as its connection. */
export interface PendingDelivery {
  message: Message
  qos: 1 | 2
  retain: boolean
  subscriptionIds: readonly number[]
}

/**
 * A QoS 2 packet id received and not released. `durable` once its commit succeeded. `failedStreams`: streams whose commit failed,
 * to which a resend must append the message again.
 */
export interface ReceivedState {
  durable: boolean
  /** Received on an earlier connection. */
  inherited: boolean
  failedStreams: ReadonlySet<string> | undefined
}

/**
 * One client's protocol state: subscriptions, what was received at QoS 2, what is on its way out, and where its queue stands.
 * No sockets, no disk: the engine moves bytes and keeps the store in step.
 *
 * A *stored* session lives in the session store and outlives its connection; its queue is on disk and `firstSeq..nextSeq` are
 * positions in it. A session that is not stored keeps its few waiting messages in `pending`.
 */
export class Session {
  readonly clientId: string
  /** The store's key; 0 when the session is not stored. */
  key = 0
  stored = false
  version: ProtocolVersion
  expirySeconds: number
  readonly createdAtMs: number
  /** 0 while connected. */
  disconnectedAtMs = 0
  username: string | undefined

  /** Created on first use: most device sessions only publish. */
  #subscriptions: Map<string, SessionSubscription> | undefined
  #received: Map<number, ReceivedState> | undefined
  #inheritedReceived = 0
  #inflight: InflightWindow | undefined

  /** Stored sessions: the seq the next enqueue gets, and the first seq not yet sent on this connection. */
  nextSeq = 0
  sendSeq = 0
  /** Lowest seq that may still be in the store. */
  firstSeq = 0
  /** Entries in the queue on disk, inflight included. */
  queued = 0
  /** Not stored: messages beyond the window. */
  pending: PendingQueue | undefined

  constructor(clientId: string, version: ProtocolVersion, expirySeconds: number, createdAtMs: number) {
    this.clientId = clientId
    this.version = version
    this.expirySeconds = expirySeconds
    this.createdAtMs = createdAtMs
  }

  get subscriptions(): Map<string, SessionSubscription> {
    this.#subscriptions ??= new Map()
    return this.#subscriptions
  }

  get subscriptionCount(): number {
    return this.#subscriptions?.size ?? 0
  }

  /** QoS 2 packet ids received and not released [MQTT-4.3.3-10]. */
  get received(): Map<number, ReceivedState> {
    this.#received ??= new Map()
    return this.#received
  }

  /** QoS 2 ids that an earlier connection left behind. */
  get inheritedReceived(): number {
    return this.#inheritedReceived
  }

  /** A new connection took the session up. */
  inheritReceived(): void {
    this.#inheritedReceived = this.receivedCount
    if (this.#received) for (const state of this.#received.values()) state.inherited = true
  }

  /** PUBREL arrived; false when the id is not known. */
  releaseReceived(packetId: number): boolean {
    const state = this.#received?.get(packetId)
    if (state === undefined) return false
    if (state.inherited) this.#inheritedReceived--
    return this.#received?.delete(packetId) ?? false
  }

  get receivedCount(): number {
    return this.#received?.size ?? 0
  }

  get inflight(): InflightWindow {
    this.#inflight ??= new InflightWindow()
    return this.#inflight
  }

  get inflightCount(): number {
    return this.#inflight?.size ?? 0
  }

  /** Messages not acknowledged yet, in whatever state. */
  get backlog(): number {
    return this.stored ? this.queued : this.inflightCount + (this.pending?.length ?? 0)
  }

  /** Epoch milliseconds at which the session ends; Infinity while connected or when it never does. */
  get expiresAtMs(): number {
    if (this.disconnectedAtMs === 0 || this.expirySeconds === neverExpires) return Infinity
    return this.disconnectedAtMs + this.expirySeconds * 1000
  }
}
