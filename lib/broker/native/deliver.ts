import type { Message } from '../../mqtt/message.ts'
import type { Qos } from '../../mqtt/packet.ts'
import { PendingQueue } from '../../session/pending-queue.ts'
import { endAfterHookError, HookError } from '../ask-hook.ts'
import type { Connection } from '../connection.ts'
import { forwarded } from '../message-hooks.ts'
import type { BrokerSession } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import { lostFrom } from './lost-deliveries.ts'
import { Publication } from './publication.ts'
import { encodePublish, type OutgoingPublish, PublishWriter, tooLargeFor } from './publish-writer.ts'
import { type Target, withoutNoLocal } from './topic-routes.ts'

const noIds: readonly number[] = []

/** Payloads from this size on are shared by reference even with a client that has aliases: copying costs more than the topic saves. */
const sharedPayloadBytesMin = 4096

/** Live fan-out: hands a publication to the sessions that want it. */
export class Deliverer {
  readonly #context: NativeContext
  readonly #writer: PublishWriter

  constructor(context: NativeContext) {
    this.#context = context
    this.#writer = new PublishWriter(context)
  }

  /** Returns true when something was stored, so that the publisher's ack must wait for the commit. */
  deliver(publication: Publication): boolean {
    const { targets } = publication.route
    let stored = false
    // A hook may have thought longer than the message lives [MQTT-3.3.2-5]. One that lives for 0 seconds is delivered at once.
    if (publication.expiresAtMs !== 0 && publication.expiresAtMs < publication.nowMs) {
      const error = 'the Message Expiry Interval was over before a hook had answered'
      return this.#context.lost.live('message-expired', undefined, publication, publication.qos, error)
    }
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!
      const session = target.session
      let effective: Target | undefined = target
      if (target.noLocal && session.clientId === publication.publisherId) {
        effective = withoutNoLocal(target)
        if (effective === undefined) continue
      }
      const retain = effective.retainAsPublished && publication.retain
      if (this.toSession(session, publication, effective.qos, retain, effective.subscriptionIds)) stored = true
    }
    return stored
  }

  /** One delivery at most at `maxQos`. True when it was stored. */
  toSession(
    session: BrokerSession,
    publication: Publication,
    maxQos: Qos,
    retain: boolean,
    subscriptionIds: readonly number[]
  ): boolean {
    const shown = this.shownTo(session, publication)
    return shown !== undefined && this.permitted(session, shown, maxQos, retain, subscriptionIds, publication)
  }

  /** The publication as policy and forward hook let this session see it; undefined = not at all, which is counted. */
  shownTo(session: BrokerSession, publication: Publication): Publication | undefined {
    const { policy, connection } = session
    if (policy !== undefined && !policy.permitsAll && !policy.canReceive(publication.route.topic)) {
      this.#context.dropped('forward-denied')
      return undefined
    }
    if (connection === undefined || !this.#context.broker.hasForwardHook) return publication
    const message = publication.message()
    let shown: Message | undefined
    try {
      shown = forwarded(this.#context.broker, connection, message)
    } catch (error) {
      return this.#afterHookError(session, connection, publication, error)
    }
    if (shown === undefined) this.#context.dropped('forward-denied')
    if (shown === undefined || shown === message) return shown && publication
    const rewritten = new Publication()
    rewritten.beginMessage(shown, this.#context.routes.route(shown.topic), publication.nowMs)
    return rewritten
  }

  /** The hook could not say: the connection ends, and a session that outlives it has the message queued, to be asked about again. */
  #afterHookError(session: BrokerSession, connection: Connection, publication: Publication, error: unknown) {
    if (!(error instanceof HookError)) throw error
    endAfterHookError(connection, error)
    if (this.#context.sessions.get(session.clientId) === session) return publication
    this.#context.dropped('hook-failed')
    return undefined
  }

  /**
   * As toSession(), for a publication that shownTo() gave. What is queued is the `original`: the forward hook is asked about it again
   * whenever it is sent, as rights may have changed by then.
   */
  permitted(
    session: BrokerSession,
    publication: Publication,
    maxQos: Qos,
    retain: boolean,
    subscriptionIds: readonly number[],
    original = publication
  ): boolean {
    const { connection } = session
    const qos = maxQos < publication.qos ? maxQos : publication.qos
    if (qos === 0) {
      return connection?.connected === true && this.#atMostOnce(session, connection, publication, retain, subscriptionIds)
    }
    if (session.stored) return this.#stored(session, publication, qos, retain, subscriptionIds, original)
    return connection !== undefined && this.#inMemory(session, connection, publication, qos, retain, subscriptionIds)
  }

  #atMostOnce(
    session: BrokerSession,
    connection: Connection,
    publication: Publication,
    retain: boolean,
    subscriptionIds: readonly number[]
  ): boolean {
    if (connection.congestedSinceMs !== 0) {
      this.#context.dropped('outbound-buffer-full')
      return this.#context.lost.keepLive(
        'queue-full',
        session,
        publication,
        0,
        'the client takes no bytes and its buffer is full'
      )
    }
    const aliased =
      connection.outboundAliases !== undefined && publication.payloadEnd - publication.payloadStart < sharedPayloadBytesMin
    if (aliased || (connection.version === 5 && (subscriptionIds.length > 0 || publication.expiresAtMs !== 0))) {
      const packet = outgoing(publication, 0, retain, 0, subscriptionIds, this.#context.now())
      return !this.send(connection, packet) && this.#tooLarge(session, connection, publication, 0)
    }
    const variant = (connection.version === 5 ? 2 : 0) + (retain ? 1 : 0)
    let bytes = publication.shared[variant]
    if (bytes === undefined) {
      // A single subscriber gets the packet written straight into its chunk.
      if (publication.route.targets.length < 4) {
        const packet = outgoing(publication, 0, retain, 0, noIds, publication.nowMs)
        return !this.send(connection, packet) && this.#tooLarge(session, connection, publication, 0)
      }
      bytes = encodePublish(outgoing(publication, 0, retain, 0, noIds, publication.nowMs), connection.version === 5 ? 5 : 4)
      publication.shared[variant] = bytes
    }
    if (bytes.length > connection.maximumPacketSize) {
      this.#writer.tooLarge(connection, publication.route.topic, bytes.length)
      return this.#tooLarge(session, connection, publication, 0)
    }
    this.#context.counters.publishSent[0]++
    connection.outbound.writeShared(bytes)
    return false
  }

  #stored(
    session: BrokerSession,
    publication: Publication,
    qos: 1 | 2,
    retain: boolean,
    subscriptionIds: readonly number[],
    original: Publication
  ): boolean {
    const { store, limits } = this.#context
    if (session.queued >= limits.maxQueuedMessagesPerSession + session.inflightCount) {
      return this.#queueFull(session, original, qos)
    }
    original.ref ??= store.message(original.message())
    const seq = session.nextSeq++
    session.queued++
    this.#context.counters.queued++
    const connection = session.connection
    const direct =
      connection?.connected === true && session.sendSeq === seq && !session.pumping && this.windowOpen(session, connection)
    const packetId = direct ? session.inflight.allocate() : 0
    store.enqueue(session.key, seq, original.ref, qos, retain, subscriptionIds, packetId)
    if (packetId === 0 || connection === undefined) return true
    session.sendSeq = seq + 1
    session.inflight.sent(packetId, seq, qos)
    const packet = outgoing(publication, qos, retain, packetId, subscriptionIds, publication.nowMs)
    if (!this.sendStored(connection, packet)) {
      const entry = { message: original.message(), qos, seq }
      this.#context.lost.keepEntry('packet-too-large', lostFrom(session), entry, 0, tooLargeFor(connection))
      this.forget(session, packetId)
    }
    return true
  }

  #inMemory(
    session: BrokerSession,
    connection: Connection,
    publication: Publication,
    qos: 1 | 2,
    retain: boolean,
    subscriptionIds: readonly number[]
  ): boolean {
    const { pending } = session
    if (connection.connected && (pending === undefined || pending.length === 0) && this.windowOpen(session, connection)) {
      const packetId = session.inflight.allocate()
      session.inflight.sent(packetId, 0, qos)
      const packet = outgoing(publication, qos, retain, packetId, subscriptionIds, publication.nowMs)
      if (this.send(connection, packet)) return false
      session.inflight.complete(packetId)
      return this.#tooLarge(session, connection, publication, qos)
    }
    if (pending !== undefined && pending.length >= this.#context.limits.maxQueuedMessagesPerSession) {
      return this.#queueFull(session, publication, qos)
    }
    session.pending ??= new PendingQueue()
    session.pending.push({ message: publication.message(), qos, retain, subscriptionIds })
    return false
  }

  #queueFull(session: BrokerSession, publication: Publication, qos: Qos): boolean {
    const { maxQueuedMessagesPerSession } = this.#context.limits
    const error = `the queue of the client is full, it holds ${maxQueuedMessagesPerSession} (limits.maxQueuedMessagesPerSession)`
    return this.#context.lost.live('queue-full', session, publication, qos, error)
  }

  #tooLarge(session: BrokerSession, connection: Connection, publication: Publication, qos: Qos): boolean {
    return this.#context.lost.keepLive('packet-too-large', session, publication, qos, tooLargeFor(connection))
  }

  /** May another QoS 1/2 PUBLISH go out now? [MQTT-3.3.4-9] */
  windowOpen(session: BrokerSession, connection: Connection): boolean {
    return this.windowRoom(session, connection) > 0
  }

  /** How many more. */
  windowRoom(session: BrokerSession, connection: Connection): number {
    if (connection.congestedSinceMs !== 0) return 0
    const { maxInflight } = this.#context.limits
    return Math.min(connection.receiveMaximum, maxInflight) - session.inflight.outstanding
  }

  /** Sends now. False when the client cannot take a packet that large: the delivery is over. */
  send(connection: Connection, packet: OutgoingPublish): boolean {
    return this.#writer.send(connection, packet)
  }

  /**
   * First delivery of an entry of a stored session. A QoS 2 PUBLISH must not reach the client before its packet id is on disk:
   * after a crash it would get another one. QoS 1 waits for nothing but its place behind those. False as with send().
   */
  sendStored(connection: Connection, packet: OutgoingPublish): boolean {
    const { deferred } = connection
    const atOnce = packet.qos === 1 && (deferred === undefined || deferred.publishes === 0)
    return atOnce ? this.#writer.send(connection, packet) : this.#writer.sendDeferred(connection, packet)
  }

  /** A delivery of a session is over, acknowledged or impossible. */
  forget(session: BrokerSession, packetId: number): void {
    const entry = session.inflight.get(packetId)
    if (entry === undefined) return
    session.inflight.complete(packetId)
    if (entry.source !== undefined) entry.source.settle(entry.seq)
    else if (session.stored) this.dequeue(session, entry.seq)
  }

  /** Removes an entry from the queue on disk; it costs a write only if the entry was written. */
  dequeue(session: BrokerSession, seq: number): void {
    this.#context.store.dequeue(session.key, seq)
    session.queued--
    this.#context.counters.queued--
    // Numbers removed out of turn leave the lowest one behind; an empty queue is the moment to catch up.
    if (session.queued === 0) session.firstSeq = session.nextSeq
    else if (seq === session.firstSeq) session.firstSeq = seq + 1
    this.#context.commit.schedule()
  }
}

export function outgoing(
  publication: Publication,
  qos: Qos,
  retain: boolean,
  packetId: number,
  subscriptionIds: readonly number[],
  nowMs: number
): OutgoingPublish {
  return {
    topicName: publication.route.topic,
    topic: publication.route.topicBytes,
    qos,
    retain,
    dup: false,
    packetId,
    remainingSeconds: publication.remainingSeconds(nowMs),
    subscriptionIds,
    properties: publication.properties,
    bytes: publication.bytes,
    payloadStart: publication.payloadStart,
    payloadEnd: publication.payloadEnd
  }
}
