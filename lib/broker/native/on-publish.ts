import { isUtf8 } from 'node:buffer'
import type { StreamRedo } from '../../../persistence/contract.ts'
import { TributaryError } from '../../errors.ts'
import { countUp } from '../../metrics/counters.ts'
import type { Frame } from '../../mqtt/frame.ts'
import type { Message } from '../../mqtt/message.ts'
import type { Qos } from '../../mqtt/packet.ts'
import { forwardableProperties, PublishView, viewPublish } from '../../mqtt/publish-view.ts'
import { type ReasonCode, reasonCode } from '../../mqtt/reason-code.ts'
import type { ReceivedState } from '../../session/session.ts'
import type { Connection } from '../connection.ts'
import type { Done } from '../engine.ts'
import type { BrokerSession } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import { appendTo, Intake, type Verdict } from './intake.ts'
import { Publication } from './publication.ts'
import { publishThroughHook } from './publish-hook.ts'
import type { PublisherRoute } from './publisher-routes.ts'
import { messageNeedsDisk, needsDisk, notAuthorized, type Refusal, readOnlyRefusal, schemaRefusal } from './refused-publish.ts'
import { RouteFinder } from './route-finder.ts'
import type { SharedSubscriptions } from './shared-subscriptions.ts'
import type { StreamTarget } from './stream-targets.ts'
import { unsupportedPublish, unsupportedPublishFlags } from './unsupported.ts'

/** Where messages of a topic go besides the subscribers, and what their acknowledgement waits for. */
export type PublishWay = Pick<PublisherRoute, 'streams' | 'awaitsStore' | 'guarded'>

const noRedo: readonly StreamRedo[] = []

/**
 * The walk of a PUBLISH: view, route, rights, streams, queues, live subscribers, ack. Everything happens within the call;
 * what has to reach the disk first is in the open commit epoch when it returns.
 */
export class PublishHandler {
  readonly #context: NativeContext
  readonly #deliverer: Deliverer
  readonly #shared: SharedSubscriptions
  readonly #intake: Intake
  readonly #routes: RouteFinder
  readonly #view = new PublishView()
  /** The usual publication; a nested publish (from a hook or listener) gets its own. */
  readonly #publication = new Publication()
  readonly #unsupportedFlags: number
  #busy = false

  constructor(context: NativeContext, deliverer: Deliverer, shared: SharedSubscriptions) {
    this.#context = context
    this.#deliverer = deliverer
    this.#shared = shared
    this.#intake = new Intake(context)
    this.#routes = new RouteFinder(context)
    this.#unsupportedFlags = unsupportedPublishFlags(context.broker)
  }

  handle(connection: Connection, bytes: Buffer, frame: Frame): void {
    const view = this.#view
    const code = viewPublish(bytes, frame, connection.version ?? 4, view)
    if (code !== 0) return connection.protocolError(code, 'malformed PUBLISH')
    const context = this.#context
    context.counters.publishReceived[view.qos]++
    if (((this.#unsupportedFlags >> frame.flags) & 1) === 1) {
      const unsupported = unsupportedPublish(context.broker, view.qos)
      return connection.protocolError(unsupported.code, unsupported.message)
    }
    const route = this.#routes.find(connection, bytes, view)
    if (route === undefined) return
    if (view.qos > 0 && !this.#withinReceiveMaximum(connection)) return
    if (!route.allowed) return this.refuse(connection, view.qos, view.packetId)
    if (view.payloadFormatIndicator === 1 && !isUtf8(bytes.subarray(view.payloadStart, view.payloadEnd))) {
      return this.#payloadFormatInvalid(connection, view.qos, view.packetId)
    }
    const nowMs = context.now()
    const publication = this.#busy ? new Publication() : this.#publication
    publication.begin(route.route, nowMs, connection.id ?? '')
    publication.bytes = bytes
    publication.payloadStart = view.payloadStart
    publication.payloadEnd = view.payloadEnd
    publication.qos = view.qos
    publication.retain = view.retain
    publication.dup = view.dup
    publication.properties = forwardableProperties(bytes, view)
    publication.expiresAtMs = view.messageExpirySeconds < 0 ? 0 : nowMs + view.messageExpirySeconds * 1000
    if (context.broker.hasPublishHook) {
      publishThroughHook(context, this, connection, publication.message(), view.packetId, view.dup)
      return
    }
    this.accept(connection, publication, route, view.packetId)
  }

  /** Authorized: takes the message in and acknowledges it at the QoS it came with, whatever a hook made of that. */
  accept(connection: Connection, publication: Publication, way: PublishWay, packetId: number, qos = publication.qos): void {
    const { streams } = way
    if (this.#context.readOnly !== undefined && needsDisk(this.#context, publication, way, connection.session, qos)) {
      return this.refuse(connection, qos, packetId, readOnlyRefusal(this.#context.readOnly))
    }
    if (qos === 2) return this.#acceptQos2(connection, publication, way, packetId)
    let verdict: Verdict | undefined
    if (way.guarded) {
      verdict = this.#intake.judge(publication, streams, qos === 1 ? connection : undefined, packetId)
      if (verdict.refusal !== undefined) return this.refuse(connection, qos, packetId, schemaRefusal(verdict.refusal))
    }
    const durable = this.take(publication, way, undefined, verdict)
    if (qos === 0) return
    const { deferred } = connection
    const waits = durable || deferred?.waiting === true
    if (verdict?.use !== undefined) this.#intake.acknowledged(connection, verdict, waits)
    if (waits) {
      this.#context.deferred(connection).puback(packetId)
      return
    }
    const unmatched = connection.version === 5 && publication.route.isEmpty && streams.length === 0
    if (unmatched && !this.#context.broker.hasListenerFor(publication.route.topic)) {
      connection.send({ cmd: 'puback', messageId: packetId, reasonCode: reasonCode.noMatchingSubscribers, properties: {} })
      return
    }
    this.#context.counters.acknowledged++
    const { outbound } = connection
    const chunk = outbound.room(4)
    const at = outbound.position
    chunk[at] = 0x40
    chunk[at + 1] = 2
    chunk[at + 2] = packetId >> 8
    chunk[at + 3] = packetId & 0xff
    outbound.filled(at + 4)
  }

  /**
   * Streams, retained, queues, live subscribers, in-process listeners. Returns true when the acknowledgement must wait for the
   * open epoch. `redo` collects where a QoS 2 message went. `verdict` says what streams make of it, if one of them is asked.
   */
  take(
    publication: Publication,
    { streams, awaitsStore }: PublishWay,
    redo: StreamRedo[] | undefined,
    verdict: Verdict | undefined
  ): boolean {
    const { broker, routes, store, commit, lost } = this.#context
    const nested = this.#busy
    this.#busy = true
    let durable = false
    if (verdict !== undefined) durable = this.#intake.append(publication, verdict, redo)
    else {
      for (let i = 0; i < streams.length; i++) {
        const target = streams[i]!
        const offset = appendTo(target, publication, publication.properties, 0)
        if (target.awaited) durable = true
        redo?.push({ stream: target.stream.name, offset })
      }
    }
    if (publication.retain) {
      this.#retain(publication)
      if (awaitsStore) durable = true
    }
    if (publication.route.generation !== routes.generation) routes.refresh(publication.route)
    if (publication.route.targets.length > 0 && this.#deliverer.deliver(publication) && awaitsStore) durable = true
    if (publication.route.groups.length > 0 && this.#shared.deliver(publication) && awaitsStore) durable = true
    if (lost.policy.noSubscriber && this.#nobodyTakes(publication, streams)) durable = true
    if (streams.length > 0 || store.dirty) commit.schedule()
    // A listener may publish in turn, and the caller is not done with this publication.
    if (broker.observesPublish) broker.observed(publication.message())
    this.#busy = nested
    return durable
  }

  /** Where such messages become dead letters, see deadLetter.noSubscriber. */
  #nobodyTakes(publication: Publication, streams: readonly StreamTarget[]): boolean {
    const { route, qos, retain, payloadStart, payloadEnd } = publication
    if (qos === 0 || !route.isEmpty || streams.length > 0) return false
    // Retained it waits for who subscribes later; and somebody in this process may listen.
    if ((retain && payloadEnd > payloadStart) || this.#context.broker.hasListenerFor(route.topic)) return false
    return this.#context.lost.live(
      'no-subscriber',
      undefined,
      publication,
      qos,
      'no subscription and no stream matches the topic'
    )
  }

  /** A message that is in memory already: broker.publish(), wills. `done` after the commit when something durable was written. */
  publishMessage(message: Message, done: Done): void {
    const { routes, commit, readOnly } = this.#context
    if (readOnly !== undefined && messageNeedsDisk(this.#context, message)) {
      this.#context.dropped('read-only')
      return done(new TributaryError('TRB_STORAGE_READ_ONLY', readOnly))
    }
    const publication = new Publication()
    publication.beginMessage(message, routes.route(message.topic))
    const way = this.wayOf(message.topic, message.publisherId)
    const verdict = way.guarded ? this.#intake.judge(publication, way.streams, undefined, 0) : undefined
    if (verdict?.refusal !== undefined) {
      this.#context.dropped('schema-invalid')
      return done(new TributaryError('TRB_SCHEMA_REJECTED', verdict.refusal))
    }
    const durable = this.take(publication, way, undefined, verdict)
    if (!durable) return done()
    commit.join({ committed: (_epoch, failure) => done(failure?.error) })
  }

  /** Streams and ack mode of a topic for this publisher, looked up. */
  wayOf(topic: string, clientId: string): PublishWay {
    const { streams } = this.#context
    const targets = streams.resolve(topic, clientId)
    return { streams: targets, awaitsStore: streams.awaitsStore(topic), guarded: streams.guarded(targets) }
  }

  /** Not taken: v5 is told (the connection lives on); 3.x can only be closed. */
  refuse(connection: Connection, qos: Qos, packetId: number, refusal: Refusal = notAuthorized): void {
    const { code, counted, droppedAs, closes, text } = refusal
    if (qos === 2 && this.#takenBefore(connection, packetId)) return
    countUp(this.#context.counters.publishRefused, counted)
    if (connection.version !== 5 && (qos > 0 || closes)) {
      connection.disconnect(code, new Error(text), counted)
      return
    }
    if (qos === 0) return this.#context.dropped(droppedAs)
    this.#negative(connection, qos, packetId, code, text)
  }

  /**
   * The payload is not the UTF-8 its Payload Format Indicator says, section 3.3.2.3.2. At QoS 0 a DISCONNECT is all that can tell
   * the client.
   */
  #payloadFormatInvalid(connection: Connection, qos: Qos, packetId: number): void {
    if (qos === 2 && this.#takenBefore(connection, packetId)) return
    countUp(this.#context.counters.publishRefused, 'payload-format-invalid')
    const message = 'the payload is not UTF-8, as its Payload Format Indicator says'
    if (qos === 0) connection.disconnect(reasonCode.payloadFormatInvalid, new Error(message), 'payload-format-invalid')
    else this.#negative(connection, qos, packetId, reasonCode.payloadFormatInvalid, message)
  }

  /**
   * A QoS 2 message that was taken in on an earlier attempt is acknowledged, whatever is thought of it now: told that it was refused,
   * the client would use its id for another message, which would then be taken for this one and be lost.
   */
  #takenBefore(connection: Connection, packetId: number): boolean {
    const session = connection.session as BrokerSession
    const known = session.receivedCount > 0 ? session.received.get(packetId) : undefined
    if (known === undefined) return false
    if (known.failedStreams === undefined) {
      this.#acknowledgeAgain(connection, packetId, known)
      return true
    }
    // A stream still misses it, and now it will not get it: that is a refusal, and the id is free again [MQTT-4.3.3-9].
    session.releaseReceived(packetId)
    if (session.stored) {
      this.#context.store.deleteReceived(session.key, packetId)
      this.#context.commit.schedule()
    }
    return false
  }

  #acknowledgeAgain(connection: Connection, packetId: number, known: ReceivedState): void {
    if (known.durable && !connection.deferred?.waiting) {
      connection.send({ cmd: 'pubrec', messageId: packetId, reasonCode: 0, properties: {} })
    } else this.#context.deferred(connection).pubrec(packetId, known)
  }

  /** PUBACK or PUBREC that says no. */
  #negative(connection: Connection, qos: 1 | 2, packetId: number, code: ReasonCode, reasonString: string): void {
    const cmd = qos === 1 ? 'puback' : 'pubrec'
    this.#context.answer(connection, { cmd, messageId: packetId, reasonCode: code, properties: { reasonString } })
  }

  #acceptQos2(connection: Connection, publication: Publication, way: PublishWay, packetId: number): void {
    const { streams } = way
    const context = this.#context
    const session = connection.session as BrokerSession
    const known = session.receivedCount > 0 ? session.received.get(packetId) : undefined
    if (known !== undefined) {
      // Sent again: acknowledged again, not delivered again [MQTT-4.3.3-10]. Streams that failed get their copy now.
      const failed = known.failedStreams
      if (failed !== undefined) {
        known.failedStreams = undefined
        const missing = streams.filter(({ stream }) => failed.has(stream.name))
        const redo: StreamRedo[] = []
        // It was taken in once: a stream that would refuse it today is too late.
        this.#intake.append(publication, this.#intake.judge(publication, missing, undefined, 0), redo)
        this.#remember(session, packetId, redo, publication)
      }
      return this.#acknowledgeAgain(connection, packetId, known)
    }
    let verdict: Verdict | undefined
    if (way.guarded) {
      this.#intake.took(session, packetId)
      verdict = this.#intake.judge(publication, streams, undefined, 0)
      if (verdict.refusal !== undefined) return this.refuse(connection, 2, packetId, schemaRefusal(verdict.refusal))
    }
    const redo: StreamRedo[] | undefined = session.stored && streams.length > 0 ? [] : undefined
    const state: ReceivedState = { durable: false, failedStreams: undefined, inherited: false }
    const durable = this.take(publication, way, redo, verdict)
    session.received.set(packetId, state)
    if (session.stored) this.#remember(session, packetId, redo ?? noRedo, publication)
    if ((session.stored && way.awaitsStore) || durable || connection.deferred?.waiting) {
      context.deferred(connection).pubrec(packetId, state)
    } else {
      state.durable = true
      connection.send({ cmd: 'pubrec', messageId: packetId, reasonCode: 0, properties: {} })
    }
  }

  #remember(session: BrokerSession, packetId: number, redo: readonly StreamRedo[], publication: Publication): void {
    const { store, commit } = this.#context
    store.putReceived(session.key, packetId, redo, redo.length > 0 ? publication.message() : undefined)
    if (redo.length > 0) commit.storeFirst()
    commit.schedule()
  }

  #retain(publication: Publication): void {
    const { store, limits, retainedSearches } = this.#context
    for (const changed of retainedSearches) changed.add(publication.route.topic)
    if (publication.payloadEnd === publication.payloadStart) return store.deleteRetained(publication.route.topic)
    if (store.retainedCount >= limits.maxRetainedMessages && store.retainedByTopic(publication.route.topic) === undefined) {
      return this.#context.dropped('retained-limit')
    }
    store.putRetained(publication.message())
  }

  #withinReceiveMaximum(connection: Connection): boolean {
    if (connection.version !== 5) return true
    const session = connection.session as BrokerSession
    // Ids of an earlier connection are not counted: Receive Maximum is about this one (section 3.1.2.11.3).
    const held = (connection.deferred?.unacknowledged ?? 0) + session.receivedCount - session.inheritedReceived
    if (held < this.#context.limits.receiveMaximum) return true
    const view = this.#view
    if (view.qos === 2 && session.received.has(view.packetId)) return true
    connection.protocolError(reasonCode.receiveMaximumExceeded, 'more PUBLISH packets in flight than Receive Maximum allows')
    return false
  }
}
