import type { Message } from '../lib/mqtt/message.ts'
import type { ProtocolVersion, Qos } from '../lib/mqtt/packet.ts'
import type { Offset } from '../lib/stream/contract.ts'

/**
 * The batch contract of the session store: what the engine prefers over Aedes' promise-per-operation contract.
 *
 * Every write method is synchronous, cheap and lands in the active batch. `commit()` makes the active batch durable as one atomic
 * Level batch with `sync: true`. Reads see every write made before the call, committed or not. An entry that is put and deleted
 * again before its batch is written costs no disk write at all.
 */

/** Number the store gives a client id for the life of its session data; keeps keys short and prefix-safe. */
export type SessionKey = number

export interface StoredSession {
  clientId: string
  version: ProtocolVersion
  /** Session Expiry Interval in seconds; 0xFFFFFFFF = never. */
  expirySeconds: number
  createdAtMs: number
  /** Epoch ms of the last disconnect; 0 while connected (also what a crash leaves behind). */
  disconnectedAtMs: number
  username: string | undefined
}

export interface StoredSubscription {
  filter: string
  qos: Qos
  noLocal: boolean
  retainAsPublished: boolean
  retainHandling: 0 | 1 | 2
  /** 0 = none */
  subscriptionId: number
  /** Subscriptions to a stream: the first offset not acknowledged. */
  position?: Offset
}

/** A message body stored once, however many queues refer to it. Made by `message()`, written with its first enqueue. */
export interface MessageRef {
  readonly message: Message
}

/**
 * `queued`: not sent yet. `sent`: PUBLISH sent with packetId, not acknowledged. `released`: QoS 2, PUBREC received, PUBREL owed.
 */
export type QueueState = 'queued' | 'sent' | 'released'

export interface QueueEntry {
  /** Position in this session's queue; grows by one per enqueue, survives restart. */
  seq: number
  qos: 1 | 2
  /** RETAIN flag to send with this delivery. */
  retain: boolean
  subscriptionIds: readonly number[]
  state: QueueState
  /** 0 while queued. */
  packetId: number
  message: Message
}

/** Where a QoS 2 message went in a stream, kept until PUBREL so that a crash between the two syncs can be redone exactly once. */
export interface StreamRedo {
  stream: string
  offset: Offset
}

export interface ReceivedPacket {
  packetId: number
  /** Empty when the message went into no stream. */
  redo: readonly StreamRedo[]
  /** The message to append again; undefined when redo is empty. */
  message: Message | undefined
}

/** Everything about a session but its queue's bodies, as found at start. */
export interface LoadedSession {
  key: SessionKey
  session: StoredSession
  subscriptions: StoredSubscription[]
  /** Entries sent or released, in seq order, without bodies. */
  inflight: { seq: number; packetId: number; qos: 1 | 2; state: 'sent' | 'released' }[]
  /**
   * Lowest seq in the queue (equal to nextSeq when empty), and the seq the next enqueue must use: one above the highest in the
   * queue. Numbers above that were removed before the restart, so nothing refers to them any more.
   */
  firstSeq: number
  nextSeq: number
  /** Entries in the queue, inflight included. */
  queued: number
  received: ReceivedPacket[]
}

export interface StoredWill {
  clientId: string
  message: Message
  delaySeconds: number
  /** Epoch ms at which a delayed will is due; 0 while the client is connected. */
  dueAtMs: number
}

export interface SessionStore {
  /** All sessions, once, after open. */
  loadSessions(): AsyncIterable<LoadedSession>
  loadWills(): AsyncIterable<StoredWill>

  /** The key of a client id; allocated on first use, and after deleteSession() on the next use anew. */
  sessionKey(clientId: string): SessionKey
  /** Has to be written in the same batch as the first of the session's other data, or earlier: without it they are not loaded. */
  putSession(key: SessionKey, session: StoredSession): void
  /**
   * Removes the session, its subscriptions, queue, inflight and received ids. The will has a life of its own. The key is dead from
   * then on: later writes with it are ignored, they would be discarded with the session.
   */
  deleteSession(key: SessionKey, clientId: string): void
  /** What is stored under the key goes on as another session; the client id it had is free for a new one. */
  renameSession(key: SessionKey, session: StoredSession): void
  putSubscription(key: SessionKey, subscription: StoredSubscription): void
  deleteSubscription(key: SessionKey, filter: string): void

  message(message: Message): MessageRef
  /** `packetId` > 0 stores the entry as already sent with that id. */
  enqueue(
    key: SessionKey,
    seq: number,
    ref: MessageRef,
    qos: 1 | 2,
    retain: boolean,
    subscriptionIds: readonly number[],
    packetId: number
  ): void
  markSent(key: SessionKey, seq: number, packetId: number): void
  /** PUBREC received: the body is no longer needed, the packet id is. */
  markReleased(key: SessionKey, seq: number): void
  dequeue(key: SessionKey, seq: number): void
  /**
   * Entries with seq >= fromSeq in order, at most `limit`, bodies included (for `released` entries topic and payload are empty).
   * Fewer than `limit` only at the end of the queue.
   */
  readQueue(key: SessionKey, fromSeq: number, limit: number): Promise<QueueEntry[]>

  /** QoS 2 received, not yet released [MQTT-4.3.3-10]. */
  putReceived(key: SessionKey, packetId: number, redo: readonly StreamRedo[], message: Message | undefined): void
  deleteReceived(key: SessionKey, packetId: number): void

  /** An empty payload deletes [MQTT-3.3.1-6]. */
  putRetained(message: Message): void
  deleteRetained(topic: string): void
  /**
   * One get. Expired messages are still returned; the caller decides. Throws TRB_CLOSED while the store reopens itself after a
   * failed write; the other reads wait for that.
   */
  retainedByTopic(topic: string): Message | undefined
  /** Topics are matched on the key; what does not match is not decoded. `$`-topics are not matched by a leading wildcard. */
  retainedByFilter(filter: string): AsyncIterable<Message>
  readonly retainedCount: number

  putWill(will: StoredWill): void
  deleteWill(clientId: string): void

  /** True when there is something to commit. */
  readonly dirty: boolean
  /**
   * Makes everything written before the call durable. One at a time. Rejects TRB_STORE_WRITE_FAILED; then the batch is kept and
   * is part of the next commit.
   *
   * `before` is called in the turn in which the batch is taken, and the batch is written when what it returns has resolved. When that
   * rejects, so does the commit, with the same error, and nothing was written.
   */
  commit(before?: () => Promise<void> | undefined): Promise<void>
  close(): Promise<void>
}
