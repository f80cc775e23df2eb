import type { SessionStore } from '../../../persistence/contract.ts'
import { GroupCommit } from '../../commit/group-commit.ts'
import type { Frame } from '../../mqtt/frame.ts'
import type { AckPacket, ConnectPacket, PublishPacket, SubscribePacket, UnsubscribePacket } from '../../mqtt/packet.ts'
import { StreamWriteError } from '../../stream/errors.ts'
import type { ConsumerGroups } from '../../stream/groups/groups.ts'
import { messageOf } from '../aedes-packet.ts'
import type { Broker } from '../broker.ts'
import type { Connection } from '../connection.ts'
import type { Done, Engine } from '../engine.ts'
import { admit } from './admission.ts'
import type { BrokerSession } from './broker-session.ts'
import { NativeContext } from './context.ts'
import { Deliverer } from './deliver.ts'
import { SessionGroupPositions } from './group-positions.ts'
import { AckHandler } from './on-ack.ts'
import { PublishHandler } from './on-publish.ts'
import { SubscribeHandler } from './on-subscribe.ts'
import { Publication } from './publication.ts'
import { QueuePump } from './queue-pump.ts'
import { recover } from './recover.ts'
import { Redelivery } from './redelivery.ts'
import { RetainedDelivery } from './retained-delivery.ts'
import { Sessions } from './sessions.ts'
import { StreamChanges } from './stream-changes.ts'
import type { IntakeCounts } from './stream-intake.ts'
import { StreamIntakes } from './stream-intakes.ts'
import { type AckRule, type RoutedStream, StreamTargets } from './stream-targets.ts'
import { Subscriptions } from './subscriptions.ts'
import { Wills } from './wills.ts'

/** Cannot be the name of a declared stream. */
const storeName = '$store'

/** The engine on our own session store and streams: sessions in memory, everything durable through one group commit. */
export class NativeEngine implements Engine {
  readonly context: NativeContext
  readonly streamChanges: StreamChanges
  readonly #deliverer: Deliverer
  readonly #subscriptions: Subscriptions
  readonly #pump: QueuePump
  readonly #publisher: PublishHandler
  readonly #acks: AckHandler
  readonly #subscriber: SubscribeHandler
  readonly #wills: Wills
  readonly #sessions: Sessions
  readonly redelivery: Redelivery

  constructor(broker: Broker, store: SessionStore, streams: readonly RoutedStream[], ackRules: readonly AckRule[]) {
    const { counters, logger } = broker
    const intakes = new StreamIntakes(broker.opts.intake)
    const commit = new GroupCommit({
      store: {
        name: storeName,
        get dirty() {
          return store.dirty || positions.waiting
        },
        prepare: () => positions.write(),
        sync: before => store.commit(before)
      },
      ahead: broker.opts.deadLetters?.log,
      streams: streams.map(({ stream }) => stream),
      onSync: (member, seconds) => {
        const histogram = member.name === storeName ? counters.storeSync : counters.streamSync
        histogram.observe(seconds)
        broker.opts.onCommit?.(member.name, undefined)
      },
      onFailure: (member, err) => {
        // In the same turn: what was discarded must not be taken for a repetition when it is sent again.
        if (err instanceof StreamWriteError) intakes.discard(err.stream, err.discardedFrom)
        logger?.error({ err, member: member.name }, 'commit failed; what it held was not acknowledged')
        broker.opts.onCommit?.(member.name, err)
      }
    })
    const positions = new SessionGroupPositions(store, commit, () => broker.clock.now())
    const targets = new StreamTargets(streams, ackRules, broker.opts.deadLetters?.log?.stream, intakes)
    this.context = new NativeContext(broker, store, commit, targets, positions)
    this.#deliverer = new Deliverer(this.context)
    this.#subscriptions = new Subscriptions(this.context, this.#deliverer)
    this.streamChanges = new StreamChanges(this.context, this.#subscriptions)
    this.#pump = new QueuePump(this.context, this.#deliverer, this.#subscriptions)
    this.#publisher = new PublishHandler(this.context, this.#deliverer, this.#subscriptions.shared)
    this.#acks = new AckHandler(this.context, this.#deliverer, this.#pump)
    this.#subscriber = new SubscribeHandler(
      this.context,
      new RetainedDelivery(this.context, this.#deliverer),
      this.#subscriptions
    )
    this.#wills = new Wills(this.context, this.#publisher)
    this.redelivery = new Redelivery(this.context, this.#deliverer, this.#publisher)
    this.#sessions = new Sessions(this.context, this.#pump, this.#wills, this.#subscriptions)
  }

  recover(): Promise<void> {
    return recover(this.context, this.#sessions, this.#wills, this.#subscriptions)
  }

  open(connection: Connection, packet: ConnectPacket): void {
    if (admit(connection, packet)) this.#sessions.open(connection, packet)
  }

  publish(connection: Connection, bytes: Buffer, frame: Frame): void {
    this.#publisher.handle(connection, bytes, frame)
  }

  /** broker.publish(): in-process publishers go the same way as everybody. */
  publishMessage(packet: PublishPacket, publisherId: string, done: Done): void {
    this.#publisher.publishMessage(messageOf(packet, publisherId, this.context.now()), done)
  }

  acknowledge(connection: Connection, packet: AckPacket): void {
    this.#acks.handle(connection, packet)
  }

  subscribe(connection: Connection, packet: SubscribePacket): void {
    this.#subscriber.subscribe(connection, packet)
  }

  unsubscribe(connection: Connection, packet: UnsubscribePacket): void {
    this.#subscriber.unsubscribe(connection, packet)
  }

  chunkEnd(connection: Connection): void {
    const { context } = this
    if (context.streams.pendingBytes <= context.limits.maxUncommittedBytes) return
    // The disk is behind: this publisher is read again when the epoch it filled is on disk.
    connection.suspend()
    context.commit.join({ committed: () => connection.resume() })
  }

  drained(connection: Connection): void {
    if (connection.session) this.#pump.pump(connection.session as BrokerSession)
  }

  policyChanged(connection: Connection): void {
    const session = connection.session as BrokerSession | undefined
    if (session?.connection === connection) session.policy = connection.policy
    // What this publisher may do was remembered by topic.
    connection.publisher?.renew(this.context.broker.policyGeneration)
  }

  closed(connection: Connection, done: Done): void {
    this.#sessions.closed(connection, done)
  }

  sweep(nowMs: number): void {
    this.#sessions.sweep(nowMs)
    this.#wills.sweep(nowMs)
    this.groups.sweep(nowMs)
  }

  sendTo(connection: Connection, packet: PublishPacket, done: Done): void {
    const session = connection.session as BrokerSession | undefined
    if (session === undefined || connection.closed) return done(new Error('connection closed'))
    const { context } = this
    const publication = new Publication()
    publication.beginMessage(messageOf(packet, '', context.now()), context.routes.route(packet.topic))
    const stored = this.#deliverer.toSession(session, publication, packet.qos, packet.retain, [])
    if (!stored) return done()
    context.commit.join({ committed: (_epoch, failure) => done(failure?.error) })
  }

  subscribeFor(connection: Connection, packet: SubscribePacket, done: Done): void {
    this.#subscriber.subscribe(connection, packet, done)
  }

  unsubscribeFor(connection: Connection, packet: UnsubscribePacket, done: Done): void {
    this.#subscriber.unsubscribe(connection, packet, done)
  }

  emptyOutgoingQueue(connection: Connection, done: Done): void {
    const session = connection.session as BrokerSession | undefined
    if (session === undefined || session.connection !== connection) return done()
    const { store, counters, commit } = this.context
    for (const [packetId] of [...session.inflight.entries()]) this.#deliverer.forget(session, packetId)
    session.pending = undefined
    if (!session.stored) return done()
    // Not every number stands for an entry: those acknowledged before are gone.
    for (let seq = session.sendSeq; seq < session.nextSeq; seq++) store.dequeue(session.key, seq)
    counters.queued -= session.queued
    session.queued = 0
    session.sendSeq = session.nextSeq
    session.firstSeq = session.nextSeq
    commit.join({ committed: (_epoch, failure) => done(failure?.error) })
  }

  get groups(): ConsumerGroups {
    return this.#subscriptions.streams.groups.groups
  }

  describeIntakes(): IntakeCounts[] {
    return this.context.streams.intakes.counts
  }

  /** After the last drain(). */
  stop(): void {
    this.context.stopped = true
    this.context.positions.stop()
    this.context.commit.stop()
  }

  async drain(): Promise<void> {
    this.#subscriptions.streams.storePositions()
    await this.context.commit.flush()
  }
}
