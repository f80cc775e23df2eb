import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { Aedes } from 'aedes'
import type { Authenticator, PeerIdentity, Policy } from '../access/contract.ts'
import type { Redriver } from '../dead-letter/dead-letter-desk.ts'
import type { Events } from '../events/contract.ts'
import { Counters, countUp } from '../metrics/counters.ts'
import type { Message } from '../mqtt/message.ts'
import type { PublishPacket } from '../mqtt/packet.ts'
import type { GroupDescription } from '../stream/groups/contract.ts'
import type { ConsumerGroups } from '../stream/groups/groups.ts'
import { aedesPacketOf, toPublishPacket } from './aedes-packet.ts'
import { askHook } from './ask-hook.ts'
import { aedesLimits, type BrokerLogger, type BrokerOptions, type Clock } from './broker-options.ts'
import { type ClientDescription, describeClients } from './client-description.ts'
import { closeNative } from './close-native.ts'
import { Connection } from './connection.ts'
import { ContractEngine } from './contract/engine.ts'
import type { ContractPacket } from './contract/plug-ins.ts'
import { type DisconnectOptions, disconnectCode } from './disconnect-code.ts'
import { EndingTransports, lingerMs } from './ending-transports.ts'
import type { Done, Engine } from './engine.ts'
import type { AuthenticateEnhancedHook } from './enhanced-authentication.ts'
import { type BrokerFeatures, defaultFeatures } from './features.ts'
import { type BrokerLimits, defaultLimits } from './limits.ts'
import { NativeEngine } from './native/engine.ts'
import type { StreamChanges } from './native/stream-changes.ts'
import type { IntakeCounts } from './native/stream-intake.ts'
import { FlushQueue } from './outbound.ts'
import { sweepConnections } from './sweep.ts'
import { TopicEmitter } from './topic-emitter.ts'

export type { BrokerLogger, BrokerOptions, Clock } from './broker-options.ts'

/** How often time-driven work is looked at: keep alive, timeouts, expiry. Milliseconds. */
const sweepIntervalMs = 250

const aedesDefaults = new Aedes()

/**
 * The broker: Aedes' public contract (options, handle, hooks, events, plug-ins) over our own connection, codec and engines.
 *
 * With `store` the native engine acknowledges QoS 1 and 2 only after what they acknowledge is on disk. Without it the contract
 * engine runs on any Aedes persistence and mqemitter, as durable as those are.
 */
export class Broker extends Aedes {
  declare id: string
  declare closed: boolean
  declare connectedClients: number
  declare counter: number
  declare clients: Record<string, Connection>
  declare mq: TopicEmitter
  declare persistence: unknown
  declare opts: BrokerOptions
  declare maxClientsIdLength: number
  declare maxInflightInbound: number
  declare queueLimit: number

  readonly limits: BrokerLimits
  readonly features: BrokerFeatures
  readonly counters: Counters
  readonly events: Events | undefined
  readonly logger: BrokerLogger | undefined
  readonly clock: Clock
  readonly flushQueue: FlushQueue
  readonly connections = new Set<Connection>()
  readonly authenticator: Authenticator | undefined
  readonly policy: Policy | undefined
  /** May be set like Aedes' hooks. */
  authenticateEnhanced: AuthenticateEnhancedHook | undefined
  readonly engine: Engine
  readonly assignedClientIdPrefix: string
  readonly #native: NativeEngine | undefined
  readonly #contract: ContractEngine | undefined
  readonly #ending = new EndingTransports()
  #compiledGeneration = 0
  #closing: Promise<void> | undefined
  #sweepTimer: NodeJS.Timeout | undefined
  #heartbeatTimer: NodeJS.Timeout | undefined

  constructor(options: BrokerOptions = {}) {
    if (options.store !== undefined && (options.persistence || options.mq)) {
      throw new TypeError(
        'store selects the native engine; persistence and mq plug-ins need the contract engine: pass one or the other'
      )
    }
    // mqemitter exhausts the stack when a few thousand messages wait for a place; ours does not.
    super({ ...options, mq: options.mq ?? new TopicEmitter(options.store ? {} : { concurrency: options.concurrency ?? 100 }) })
    this.limits = { ...defaultLimits, ...aedesLimits(options), ...options.limits }
    this.features = { ...defaultFeatures, ...options.features }
    this.counters = options.counters ?? new Counters()
    this.flushQueue = new FlushQueue(this.counters)
    this.events = options.events
    this.logger = options.logger
    this.clock = options.clock ?? Date
    this.authenticator = options.access?.authenticator
    this.policy = options.access?.policy
    this.authenticateEnhanced = options.authenticateEnhanced
    this.#compiledGeneration = this.policyGeneration
    if (options.store === undefined) {
      this.#contract = new ContractEngine(this)
      this.engine = this.#contract
      this.assignedClientIdPrefix = 'aedes_'
    } else {
      this.#native = new NativeEngine(this, options.store, options.streams ?? [], options.ackRules ?? [])
      this.engine = this.#native
      this.assignedClientIdPrefix = 'tributary-'
    }
    this.handle = (stream, req) => this.accept(stream as Duplex, req, undefined) as never
  }

  static override async createBroker(options?: BrokerOptions): Promise<Broker> {
    const broker = new Broker(options)
    await broker.listen()
    return broker
  }

  /** Takes a transport over: `handle` of Aedes, with what the listener knows about the peer. */
  accept(stream: Duplex, req: IncomingMessage | undefined, peer: PeerIdentity | undefined): Connection {
    this.counters.connectionsOpened++
    const connection = this.#contract?.connect(stream, req, peer) ?? new Connection(this, stream, req, peer)
    if (this.#closing !== undefined) {
      connection.closeReason = 'server-shutdown'
      connection.close()
    }
    return connection
  }

  override async listen(): Promise<void> {
    this.#sweepTimer = setInterval(() => this.#sweep(), sweepIntervalMs)
    if (this.#native === undefined) return super.listen()
    this.connectedClients = 0
    await this.#native.recover()
    this.closed = false
    const { heartbeatInterval = 60_000 } = this.opts
    this.#publishStatus('birth')
    this.#heartbeatTimer = setInterval(() => this.#publishStatus('heartbeat'), heartbeatInterval)
  }

  override publish(packet: unknown, client?: unknown, done?: unknown): void {
    const callback = (typeof client === 'function' ? client : (done ?? noop)) as Done
    const publisher = typeof client === 'object' ? (client as Connection | null) : null
    if (this.#native === undefined) {
      this.#contract!.publishMessage(packet as ContractPacket, publisher, callback)
      return
    }
    this.#native.publishMessage(this.publishPacketOf(packet as { topic: string }), publisher?.id ?? '', callback)
  }

  /**
   * Ends the broker gracefully: nobody is read any more, what was accepted is made durable and acknowledged, v5 clients are told
   * 0x8B (or 0x9C, where the options name another server), wills are published, and the store holds everything when `done` is called. The store and streams stay open: their owner
   * closes them.
   */
  override close(done: (error?: Error) => void = noop): void {
    if (this.#closing !== undefined) {
      void this.#closing.then(() => done(), done)
      return
    }
    if (this.closed) {
      this.#stopTimers()
      done()
      return
    }
    if (this.#native === undefined) {
      this.#stopTimers()
      super.close(() => {
        for (const connection of this.connections) if (!connection.connecting) connection.close()
        // A hook that thinks about a client is left to answer, for a while: on-connect.ts ends that connection then.
        setTimeout(() => {
          for (const connection of this.connections) connection.close()
        }, lingerMs).unref()
        done()
      })
      return
    }
    this.#closing = this.#closeNative(this.#native)
    void this.#closing.then(() => done(), done)
  }

  async #closeNative(native: NativeEngine): Promise<void> {
    await closeNative(this, native, this.#ending)
    this.#stopTimers()
    this.emit('closed')
    await new Promise<void>(resolve => this.mq.close(() => resolve()))
  }

  #stopTimers(): void {
    clearInterval(this.#sweepTimer)
    clearInterval(this.#heartbeatTimer)
  }

  /**
   * Ends a client's connection from outside. Its session stays; its will is published. A v5 client is told why; `reasonCode` is one
   * of a DISCONNECT from a server (section 3.14.2.1), by default 0x98 Administrative action, or 0x9C with a `serverReference`.
   * Returns whether the client was connected. Throws RangeError for a reason code that a server does not send.
   */
  disconnectClient(clientId: string, { reasonCode: asked, reason, ...properties }: DisconnectOptions = {}): boolean {
    const code = disconnectCode(asked, properties.serverReference)
    for (const connection of this.connections) {
      if (connection.id !== clientId || !connection.connected) continue
      connection.disconnect(code, new Error(reason ?? 'disconnected by the operator'), 'administrative-action', properties)
      return true
    }
    return false
  }

  /** The native engine, for operators and tests; undefined with the contract engine. */
  get native(): NativeEngine | undefined {
    return this.#native
  }

  /** What operators see of clients, the disconnected ones with a session included. */
  describeClients(): ClientDescription[] {
    return describeClients(this.connections, this.#native?.context.sessions)
  }

  /** Consumer groups of streams: to join one, and for operators. Native engine only. */
  get groups(): ConsumerGroups {
    if (this.#native === undefined) throw new TypeError('consumer groups need the native engine: give the broker a store')
    return this.#native.groups
  }

  /** What streams with a schema or de-duplication have seen. Native engine only. */
  describeIntakes(): IntakeCounts[] {
    return this.#native?.describeIntakes() ?? []
  }

  /** Consumer groups of streams, those without members too. */
  describeGroups(): GroupDescription[] {
    return this.#native?.groups.describe() ?? []
  }

  /** Adds, changes and removes streams while clients are connected; undefined without a `store`. */
  get streamChanges(): StreamChanges | undefined {
    return this.#native?.streamChanges
  }

  /** Sends dead letters again; undefined with the contract engine. */
  get redriver(): Redriver | undefined {
    return this.#native?.redelivery
  }

  /** Publishes that need the disk are refused with this reason from now on; undefined takes them again. Native engine only. */
  setReadOnly(reason: string | undefined): void {
    if (this.#native !== undefined) this.#native.context.readOnly = reason
  }

  get sessionCount(): number {
    return this.#native?.context.sessions.size ?? this.connections.size
  }

  get subscriptionCount(): number {
    return this.#native?.context.routes.subscriptionCount ?? 0
  }

  // ---- for connections and engines --------------------------------------------------------------------------------------------

  get policyGeneration(): number {
    return this.policy?.generation ?? 0
  }

  get hasPublishHook(): boolean {
    return this.authorizePublish !== aedesDefaults.authorizePublish
  }

  get hasSubscribeHook(): boolean {
    return this.authorizeSubscribe !== aedesDefaults.authorizeSubscribe
  }

  get hasForwardHook(): boolean {
    return this.authorizeForward !== aedesDefaults.authorizeForward
  }

  get hasAckListener(): boolean {
    return this.listenerCount('ack') > 0
  }

  /** Does anybody in this process want to see accepted messages? */
  get observesPublish(): boolean {
    return this.listenerCount('publish') > 0 || this.published !== aedesDefaults.published || this.mq.hasListeners
  }

  hasListenerFor(topic: string): boolean {
    return this.mq.matches(topic)
  }

  /** Hands an accepted message to in-process subscribers, the `published` hook and the `publish` event. */
  observed(message: Message): void {
    const packet = aedesPacketOf(message, this.id, ++this.counter)
    const client = this.clients[message.publisherId] ?? null
    if (this.mq.hasListeners) this.mq.emit(packet)
    if (this.published !== aedesDefaults.published) {
      askHook(this, 'published', client, done => this.published(packet as never, client as never, done), noop)
    }
    this.emit('publish', packet as never, client as never)
  }

  publishPacketOf(packet: { topic: string }): PublishPacket {
    return toPublishPacket(packet)
  }

  /** A client got its session. */
  registered(connection: Connection): void {
    const id = connection.id ?? ''
    connection.registered = true
    this.connectedClients++
    this.counters.connected++
    this.clients[id] = connection
    this.emit('client', connection as never)
    this.#publishSystem('new/clients', () => Buffer.from(id))
  }

  ready(connection: Connection): void {
    this.emit('clientReady', connection as never)
    connection.emit('connected')
  }

  unregistered(connection: Connection): void {
    if (!connection.registered) return
    connection.registered = false
    const id = connection.id ?? ''
    this.connectedClients--
    this.counters.connected--
    if (this.clients[id] === connection) delete this.clients[id]
    this.emit('clientDisconnect', connection as never)
    this.#publishSystem('disconnect/clients', () => Buffer.from(id))
  }

  announceSubscriptions(kind: 'new/subscribes' | 'new/unsubscribes', connection: Connection, subs: unknown[]): void {
    this.#publishSystem(kind, () => Buffer.from(JSON.stringify({ clientId: connection.id, subs })))
  }

  /** A connection is over. */
  forget(connection: Connection): void {
    this.connections.delete(connection)
    countUp(this.counters.connectionsClosed, connection.closeReason)
  }

  reportClientError(connection: Connection, error: Error): void {
    const { id, address, closeReason } = connection
    this.logger?.debug({ err: error, clientId: id, address, closeReason }, 'connection ended with an error')
    this.emit(id === null ? 'connectionError' : 'clientError', connection as never, error)
  }

  /** Ends a transport after its last bytes; a peer that does not take them, or does not close its side, is cut after a while. */
  endTransport(stream: Duplex): void {
    this.#ending.end(stream, this.clock.now())
  }

  /** The policy was reloaded: every connection's rights are compiled anew. */
  refreshPolicies(): void {
    this.#compiledGeneration = this.policyGeneration
    for (const connection of this.connections) {
      if (connection.identity === undefined) continue
      connection.policy = this.policy?.compile(connection.identity)
      this.engine.policyChanged(connection)
    }
  }

  #sweep(): void {
    const nowMs = this.clock.now()
    if (this.#compiledGeneration !== this.policyGeneration) this.refreshPolicies()
    sweepConnections(this, nowMs)
    this.#ending.sweep(nowMs)
    this.engine.sweep(nowMs)
  }

  #publishStatus(kind: 'birth' | 'heartbeat'): void {
    this.#publishSystem(kind, () => Buffer.from(this.id))
  }

  /** $SYS messages are made only when somebody listens. */
  #publishSystem(kind: string, payload: () => Buffer): void {
    const native = this.#native
    const topic = `$SYS/${this.id}/${kind}`
    // Who listens behind a mqemitter plug-in, possibly on other machines, cannot be known.
    if (native && !this.mq.matches(topic) && native.context.routes.route(topic).isEmpty) return
    this.publish({ cmd: 'publish', topic, payload: payload(), qos: 0, retain: false }, noop)
  }
}

function noop(): void {}
