import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { PeerIdentity } from '../../access/contract.ts'
import type { ConnackPacket, ServerPacket, SubscriptionRequest } from '../../mqtt/packet.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import { TopicTrie } from '../../topic/trie.ts'
import { subscribePacketOf } from '../aedes-packet.ts'
import type { Broker } from '../broker.ts'
import { Connection } from '../connection.ts'
import type { Done } from '../engine.ts'
import type { ContractContext } from './context.ts'
import { EarlyPackets } from './early-packets.ts'
import { Outbox } from './outbox.ts'
import type { ContractPacket } from './plug-ins.ts'
import { RecentCounters } from './recent-counters.ts'

/** One granted subscription of a connected client; the object Aedes shows in client.subscriptions. */
export interface ClientSubscription {
  topic: string
  qos: 0 | 1 | 2
  rh: number | undefined
  rap: boolean | undefined
  nl: boolean | undefined
  subscriptionIdentifier: number | undefined
  /** What is registered with mqemitter. */
  func: (packet: ContractPacket, done: () => void) => void
}

/** A connection of the contract engine, with the state Aedes keeps in its client. */
export class ContractClient extends Connection {
  declare subscriptions: Record<string, ClientSubscription>
  /** By broker id: what came lately, so that overlapping subscriptions deliver once. Aedes resets it when that broker is reborn. */
  readonly duplicates: Record<string, RecentCounters> = Object.create(null)
  /** Session state is kept in the persistence, and messages wait there. */
  stored = false
  /** Seconds the session outlives the connection; Infinity = never expires. */
  expirySeconds = 0
  /** Packet ids of QoS 2 messages received and not released. */
  readonly received = new Set<number>()
  /** Inbound Topic Alias table of a v5 client. */
  aliases: Map<number, string> | undefined
  readonly outbox: Outbox
  readonly #context: ContractContext
  readonly #trie = new TopicTrie<ClientSubscription>()
  readonly #tracked = new Set<Promise<unknown>>()
  #lastMessage: ContractPacket | undefined
  #drainTimer: NodeJS.Timeout | undefined
  #early: EarlyPackets | undefined
  #waitingEnded = false
  /** The peer left while its CONNECT was looked at. */
  #endedEarly = false

  constructor(
    broker: Broker,
    conn: Duplex,
    req: IncomingMessage | undefined,
    peer: PeerIdentity | undefined,
    context: ContractContext
  ) {
    super(broker, conn, req, peer)
    this.#context = context
    this.subscriptions = Object.create(null)
    this.outbox = new Outbox(this, context)
  }

  /** In the next tick: who writes into an in-process stream sees what follows after write() returned, as with a socket. */
  override receiveStreamed(bytes: Buffer): void {
    process.nextTick(() => this.receive(bytes, bytes.length))
  }

  override receive(bytes: Buffer, end: number): void {
    this.#context.reading = true
    try {
      super.receive(bytes, end)
    } finally {
      this.#context.reading = false
    }
    // While a hook thinks about the CONNECT, bytes are read on and kept: a peer that leaves is noticed, and one that sends without
    // end is stopped by Aedes' queueLimit.
    if (!this.connecting || !this.suspended || this.closed) return
    this.#lookAtEarly()
    if (!this.closed) this.conn.resume()
  }

  #lookAtEarly(): void {
    this.#early ??= new EarlyPackets(this.broker.limits.maxPacketBytes)
    const error = this.#early.look(this.unread, this.broker.queueLimit)
    if (error === undefined) return
    this.errored = true
    this.closeReason = 'protocol-error'
    // Aedes' event for clients that are not connected yet.
    this.broker.emit('connectionError', this as never, error)
    this.close()
  }

  /** A peer may send all it has right after CONNECT, and leave: that is handled first. */
  override transportEnded(): void {
    if (this.connecting && this.suspended && this.unread.length > 0) this.#endedEarly = true
    else this.close()
  }

  override resume(): void {
    super.resume()
    // What had come early is read now; an exchange of AUTH packets may stop the reading once more.
    if (!this.suspended) this.#early = undefined
    if (this.#endedEarly && !this.suspended) this.close()
  }

  override accept(connack: ConnackPacket): void {
    super.accept(connack)
    this.#early = undefined
  }

  /** Aedes' clients report every error as an event of their own, too. */
  override fail(error: Error, closeReason: string): void {
    if (this.closed || this.errored) return
    super.fail(error, closeReason)
    if (closeReason !== 'error') this.emit('error', error)
  }

  override send(packet: ServerPacket): boolean {
    const sent = super.send(packet)
    this.flush()
    return sent
  }

  /** At once, so that backpressure is known when the sender's callback is due; what one read of a client causes shares a write. */
  flush(): void {
    if (!this.#context.reading) this.outbound.flush()
  }

  /** The transport's buffer is full: nothing is sent, and publishers wait, until it drains. Aedes' contract knows no other limit. */
  override onBackpressure(): void {
    if (this.congestedSinceMs !== 0) return
    this.onCongested()
    const { drainTimeoutMs } = this.broker.limits
    if (drainTimeoutMs > 0) {
      this.#drainTimer = setTimeout(() => this.fail(new Error('drain timeout'), 'drain-timeout'), drainTimeoutMs)
      this.#drainTimer.unref()
      this.waitForDrain(() => clearTimeout(this.#drainTimer))
    }
  }

  /** Aedes': calls back when the transport drained, or with an error when the connection closed first. */
  waitForDrain(callback: (error: Error | null, client: this) => void): void {
    // Closing emits `drain`, too.
    this.conn.once('drain', () => setImmediate(callback, this.closed ? new Error('connection closed') : null, this))
  }

  addSubscription(subscription: ClientSubscription): void {
    this.subscriptions[subscription.topic] = subscription
    this.#trie.add(subscription.topic, subscription)
  }

  removeSubscription(subscription: ClientSubscription): void {
    delete this.subscriptions[subscription.topic]
    this.#trie.remove(subscription.topic, subscription)
  }

  /** Subscriptions that want this message. No Local ones do not want the client's own [MQTT-3.8.3-3]. */
  wanting(topic: string, publisherId: string | undefined): ClientSubscription[] {
    const matching = this.#trie.match(topic)
    return publisherId === this.id ? matching.filter(({ nl }) => !nl) : matching
  }

  /** Did this message come already, by another matching subscription or from the stored queue? Remembers it. */
  sawBefore(message: ContractPacket): boolean {
    const { brokerId, brokerCounter } = message
    if (!brokerId || !brokerCounter) {
      // Emitted past the broker. Listeners of one process get the same object in the same tick; later it may be used again.
      if (message === this.#lastMessage) return true
      this.#lastMessage = message
      queueMicrotask(() => (this.#lastMessage = undefined))
      return false
    }
    let recent = this.duplicates[brokerId]
    if (!(recent instanceof RecentCounters)) {
      recent = new RecentCounters()
      this.duplicates[brokerId] = recent
    }
    return !recent.add(brokerCounter)
  }

  /** Work on the store that must be over before the connection counts as settled. Its failure ends the connection. */
  track(work: Promise<unknown>): void {
    const tracked: Promise<unknown> = work
      .catch((error: Error) => {
        if (!this.closed) this.emit('error', error)
      })
      .then(() => this.#tracked.delete(tracked))
    this.#tracked.add(tracked)
  }

  async tracked(): Promise<void> {
    while (this.#tracked.size > 0) await Promise.all(this.#tracked)
  }

  /** Aedes': one subscription, a list or a packet. The 'subscribe' event shows the caller's own list. */
  override subscribe(subscriptions: unknown, done?: Done): void {
    const own = Array.isArray(subscriptions) ? subscriptions : (subscriptions as { subscriptions?: unknown }).subscriptions
    const packet = subscribePacketOf(subscriptions)
    if (Array.isArray(own)) packet.subscriptions = own as SubscriptionRequest[]
    this.broker.engine.subscribeFor(this, packet, done ?? noop)
  }

  override get sessionExpirySeconds(): number {
    return this.expirySeconds
  }

  /** Aedes' broker.close() closes its clients one by one: v5 clients are told why. */
  override close(done?: Done): void {
    if (this.broker.closed && this.connected) this.disconnect(reasonCode.serverShuttingDown, undefined, 'server-shutdown')
    super.close(done)
    this.endWaiting()
  }

  /** As Aedes: whoever waits for the transport to drain is not left waiting. */
  endWaiting(): void {
    if (this.#waitingEnded) return
    this.#waitingEnded = true
    this.conn.emit('drain')
  }

  // ---- names of Aedes' own that programs and its tests look at -------------------------------------------------------------------

  get _nextId(): number {
    return this.outbox.nextId
  }

  set _nextId(packetId: number) {
    this.outbox.nextId = packetId
  }

  get _inboundInflight(): ReadonlySet<number> {
    return this.received
  }

  get _parser(): { _queue: { length: number } | null; emit(event: 'packet', packet: { cmd: string }): void } {
    const early = this.#early
    return {
      _queue: this.connackSent ? null : { length: early?.count ?? 0 },
      emit: (_event, { cmd }) => {
        process.nextTick(() => this.protocolError(reasonCode.protocolError, `unknown packet ${cmd}`))
      }
    }
  }
}

function noop(): void {}
