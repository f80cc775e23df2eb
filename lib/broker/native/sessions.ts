import type { LoadedSession } from '../../../persistence/contract.ts'
import type { ConnackPacket, ConnectPacket } from '../../mqtt/packet.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import type { PendingQueue } from '../../session/pending-queue.ts'
import { neverExpires } from '../../session/session.ts'
import type { Connection } from '../connection.ts'
import type { Done } from '../engine.ts'
import { BrokerSession, type RoutedSubscription } from './broker-session.ts'
import { connackProperties } from './connack.ts'
import type { NativeContext } from './context.ts'
import { lostFrom } from './lost-deliveries.ts'
import type { QueuePump } from './queue-pump.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { Wills } from './wills.ts'

/** Why a session ends. */
type EndReason = 'session-expired' | 'session-discarded' | 'connection-ended'

/** Life of sessions: opened by CONNECT, taken over, resumed, kept past the connection, expired. */
export class Sessions {
  readonly #context: NativeContext
  readonly #pump: QueuePump
  readonly #wills: Wills
  readonly #subscriptions: Subscriptions
  /** Sessions without a connection that end some day. */
  readonly #expiring = new Set<BrokerSession>()

  constructor(context: NativeContext, pump: QueuePump, wills: Wills, subscriptions: Subscriptions) {
    this.#context = context
    this.#pump = pump
    this.#wills = wills
    this.#subscriptions = subscriptions
  }

  open(connection: Connection, packet: ConnectPacket): void {
    const { broker, sessions } = this.#context
    const will = connection.will
    if (will !== null && connection.policy !== undefined && !connection.policy.canPublish(will.topic)) {
      connection.refuse(reasonCode.notAuthorized, 5, new Error('not authorized to publish the will topic'))
      return
    }
    const clientId = connection.id ?? ''
    const expirySeconds = this.#expiryOf(packet)
    let session = sessions.get(clientId)
    // The older connection goes first [MQTT-3.1.4-3]; its will is settled while the session still is the old one.
    if (session?.connection !== undefined) {
      session.connection.disconnect(reasonCode.sessionTakenOver, undefined, 'session-taken-over')
      session = sessions.get(clientId)
    }
    // One whose time is over has ended [MQTT-4.1.0-2], whether the sweep came by or not.
    const expired = session !== undefined && session.expiresAtMs <= this.#context.now()
    let discarded = false
    if (session !== undefined && (packet.clean || expired)) {
      discarded = session.stored
      this.end(session, expired ? 'session-expired' : 'session-discarded')
      session = undefined
    }
    const sessionPresent = session !== undefined
    session ??= this.#create(clientId, packet, expirySeconds)
    this.#attach(session, connection, packet, expirySeconds)
    this.#wills.set(connection, will)
    const connack = this.#connack(connection, packet, sessionPresent, expirySeconds)
    broker.registered(connection)
    // A listener may have closed it.
    if (connection.closed) return
    if (!session.stored && !discarded && will === null) return this.#accept(session, connection, connack)
    // What CONNACK promises about the session is on disk before it leaves.
    connection.suspend()
    this.#context.commit.join({
      committed: (_epoch, failure) => {
        if (connection.closed) return
        if (failure)
          connection.refuse(reasonCode.serverUnavailable, 3, new Error('the session cannot be stored', { cause: failure.error }))
        else this.#accept(session, connection, connack)
        connection.resume()
      }
    })
  }

  /** The connection ended: the session ends with it, or waits. */
  closed(connection: Connection, done: Done): void {
    const session = connection.session as BrokerSession | undefined
    const { broker, store, commit } = this.#context
    if (session === undefined || session.connection !== connection) {
      // Refused before it got a session, or taken over already.
      broker.unregistered(connection)
      return done()
    }
    session.connection = undefined
    session.policy = connection.policy
    if (connection.disconnectExpirySeconds !== undefined) session.expirySeconds = this.#capped(connection.disconnectExpirySeconds)
    session.disconnectedAtMs = this.#context.now()
    if (session.inflightCount > 0) session.inflight.reset()
    session.sendSeq = session.firstSeq
    const endsInSeconds = session.expirySeconds === neverExpires ? Infinity : session.expirySeconds
    this.#wills.connectionEnded(connection, endsInSeconds, error => {
      broker.unregistered(connection)
      done(error)
    })
    if (session.expirySeconds === 0) return this.end(session, 'connection-ended')
    this.#subscriptions.offline(session)
    store.putSession(session.key, storedForm(session))
    commit.schedule()
    if (session.expirySeconds !== neverExpires) this.#expiring.add(session)
  }

  /** Removes a session and everything stored for it. What waited in its queue is counted, and becomes dead letters where they are kept. */
  end(session: BrokerSession, reason: EndReason): void {
    const { sessions, store, commit, counters, lost } = this.#context
    const buried = session.stored && session.queued > 0 && lost.kept
    for (let left = session.stored && !buried ? session.queued : 0; left > 0; left--) this.#context.dropped(reason)
    if (session.pending !== undefined) this.#dropPending(session, session.pending, reason)
    // Also without subscriptions: it may still hold what came from a group that it left.
    if (session.subscriptionCount > 0 || session.inflightCount > 0) this.#subscriptions.ended(session)
    if (session.subscriptionCount > 0) {
      for (const subscription of session.subscriptions.values()) {
        this.#subscriptions.remove(subscription as RoutedSubscription, reason)
      }
    }
    this.#expiring.delete(session)
    if (sessions.get(session.clientId) === session) sessions.delete(session.clientId)
    if (buried) {
      const queue = { from: session.firstSeq, end: session.nextSeq, queued: session.queued }
      const filters = [...session.subscriptions.keys()]
      this.#context.burials.session(session.key, storedForm(session), letterReason(reason), queue, filters)
    } else if (session.stored) {
      counters.queued -= session.queued
      store.deleteSession(session.key, session.clientId)
      commit.schedule()
    }
    this.#wills.sessionEnded(session.clientId)
  }

  #dropPending(session: BrokerSession, pending: PendingQueue, reason: EndReason): void {
    const { lost } = this.#context
    if (!lost.policy.cleanSessions) {
      for (let left = pending.length; left > 0; left--) this.#context.dropped(reason)
      return
    }
    const error = 'the session ended with its connection'
    for (let entry = pending.shift(); entry !== undefined; entry = pending.shift()) {
      lost.entry(letterReason(reason), lostFrom(session), entry, 0, error)
    }
  }

  /** Ends what has expired; called by the broker's sweep. */
  sweep(nowMs: number): void {
    for (const session of this.#expiring) if (session.expiresAtMs <= nowMs) this.end(session, 'session-expired')
  }

  /** Takes up a session found in the store at start. */
  restore(loaded: LoadedSession): void {
    const { sessions, counters } = this.#context
    const { clientId, version, expirySeconds, createdAtMs, disconnectedAtMs, username } = loaded.session
    const session = new BrokerSession(clientId, version, expirySeconds, createdAtMs)
    session.key = loaded.key
    session.stored = true
    session.username = username
    session.firstSeq = loaded.firstSeq
    session.sendSeq = loaded.firstSeq
    session.nextSeq = loaded.nextSeq
    session.queued = loaded.queued
    counters.queued += loaded.queued
    // 0 says the broker stopped while the client was connected: its session expiry starts now.
    session.disconnectedAtMs = disconnectedAtMs === 0 ? this.#context.now() : disconnectedAtMs
    for (const stored of loaded.subscriptions) {
      const subscription: RoutedSubscription = { session, ...stored }
      session.subscriptions.set(stored.filter, subscription)
      this.#subscriptions.restore(subscription)
    }
    for (const { seq, packetId, qos, state } of loaded.inflight) session.inflight.restore(packetId, seq, qos, state)
    for (const { packetId } of loaded.received)
      session.received.set(packetId, { durable: true, failedStreams: undefined, inherited: true })
    sessions.set(clientId, session)
    if (expirySeconds === 0) return this.end(session, 'session-expired')
    if (expirySeconds === neverExpires) return
    this.#expiring.add(session)
    // Its expiry runs from here, also when the broker goes down again before it ends.
    if (disconnectedAtMs === 0) this.#context.store.putSession(session.key, storedForm(session))
  }

  #create(clientId: string, packet: ConnectPacket, expirySeconds: number): BrokerSession {
    const session = new BrokerSession(clientId, packet.protocolVersion, expirySeconds, this.#context.now())
    this.#context.sessions.set(clientId, session)
    return session
  }

  #attach(session: BrokerSession, connection: Connection, packet: ConnectPacket, expirySeconds: number): void {
    const { store } = this.#context
    this.#expiring.delete(session)
    session.connection = connection
    session.policy = connection.policy
    session.version = packet.protocolVersion
    session.expirySeconds = expirySeconds
    session.disconnectedAtMs = 0
    session.username = connection.identity?.username ?? packet.username
    session.sendSeq = session.firstSeq
    session.inheritReceived()
    connection.session = session
    if (expirySeconds > 0 && !session.stored) {
      session.key = store.sessionKey(session.clientId)
      session.stored = true
    }
    if (session.stored) store.putSession(session.key, storedForm(session))
  }

  #accept(session: BrokerSession, connection: Connection, connack: ConnackPacket): void {
    connection.accept(connack)
    if (connection.closed) return
    this.#context.broker.ready(connection)
    this.#subscriptions.online(session)
    this.#pump.pump(session)
  }

  /** Clean Session 0 of 3.1 and 3.1.1 is a session that never expires [MQTT3-3.1.2-4]. */
  #expiryOf(packet: ConnectPacket): number {
    if (packet.protocolVersion === 5) return this.#capped(packet.properties.sessionExpiryInterval ?? 0)
    return packet.clean ? 0 : this.#capped(neverExpires)
  }

  #capped(expirySeconds: number): number {
    return Math.min(expirySeconds, this.#context.limits.sessionExpirySecondsMax)
  }

  #connack(connection: Connection, packet: ConnectPacket, sessionPresent: boolean, expirySeconds: number): ConnackPacket {
    const connack: ConnackPacket = { cmd: 'connack', sessionPresent, reasonCode: reasonCode.success, properties: {} }
    if (packet.protocolVersion !== 5) return connack
    connack.properties = connackProperties(connection, packet, expirySeconds)
    return connack
  }
}

/** A session that ends with its connection has a Session Expiry Interval of 0: it is over, section 3.1.2.11.2. */
function letterReason(reason: EndReason): 'session-expired' | 'session-discarded' {
  return reason === 'connection-ended' ? 'session-expired' : reason
}

function storedForm(session: BrokerSession) {
  const { clientId, version, expirySeconds, createdAtMs, disconnectedAtMs, username } = session
  return { clientId, version, expirySeconds, createdAtMs, disconnectedAtMs, username }
}
