import type { LoadedSession } from '../../../persistence/contract.ts'
import type { SubscribePacket } from '../../mqtt/packet.ts'
import type { BrokerSession, RoutedSubscription } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import { SharedGroup } from './shared-group.ts'
import { type SentAgain, SharedSubscriptions } from './shared-subscriptions.ts'
import { StreamReading } from './stream-reading.ts'
import { readsStream, StreamSubscriptions } from './stream-subscriptions.ts'

/** The three kinds of subscriptions: to topics, shared ones, and those that read a stream. */
export class Subscriptions {
  readonly shared: SharedSubscriptions
  readonly streams: StreamSubscriptions
  readonly #context: NativeContext
  readonly #deliverer: Deliverer
  /** Members are found in the store before their group is, which knows where to go on; undefined once everything was found. */
  #unrestored: RoutedSubscription[] | undefined = []

  constructor(context: NativeContext, deliverer: Deliverer) {
    this.#context = context
    this.#deliverer = deliverer
    this.shared = new SharedSubscriptions(context, deliverer)
    this.streams = new StreamSubscriptions(context, deliverer)
  }

  /** A SUBSCRIBE was granted; `renewed` when the session had this Topic Filter before [MQTT-3.8.4-3]. */
  granted(subscription: RoutedSubscription, packet: SubscribePacket, renewed: boolean): void {
    if (readsStream(subscription.filter)) this.streams.begin(subscription, packet)
    else if (renewed) this.#context.routes.changed()
    else this.shared.add(subscription)
  }

  restore(subscription: RoutedSubscription): void {
    if (!readsStream(subscription.filter)) this.shared.add(subscription)
    else if (this.#unrestored === undefined) this.streams.restore(subscription)
    else this.#unrestored.push(subscription)
  }

  /** A backlog of a shared subscription found in the store; false when the session is a client's own. */
  restoreBacklog(loaded: LoadedSession): boolean {
    return this.shared.restore(loaded) || this.streams.groups.restore(loaded)
  }

  /** After what does not belong to one client was restored, before sessions are. */
  backlogsRestored(): void {
    this.streams.groups.groups.restore()
  }

  /** After all sessions were restored. */
  restored(): void {
    this.shared.restored()
    const waiting = this.#unrestored ?? []
    this.#unrestored = undefined
    for (const subscription of waiting) this.streams.restore(subscription)
  }

  /** `reason` counts what only this subscription kept alive. */
  remove(subscription: RoutedSubscription, reason: string): void {
    if (readsStream(subscription.filter)) this.streams.remove(subscription)
    else this.shared.remove(subscription, reason)
  }

  /** CONNACK or SUBACK was sent. What the last connection left comes first. */
  online(session: BrokerSession): void {
    this.shared.online(session)
    if (session.inflightCount > 0) {
      for (const [, { source, outstanding }] of session.inflight.entries()) {
        if (source !== undefined && !outstanding) session.resends = true
      }
    }
    this.streams.online(session)
    this.serve(session)
  }

  /** The window opened, or there is something new to take. */
  serve(session: BrokerSession): void {
    if (session.resends) void this.#resend(session)
    else if (session.groups !== undefined || session.readings !== undefined) {
      this.shared.serve(session)
      this.streams.serve(session)
    }
  }

  /** The connection ended and the session waits. */
  offline(session: BrokerSession): void {
    session.resends = false
    this.streams.offline(session)
    this.shared.offline(session)
  }

  /** The session ends; its subscriptions are removed next. */
  ended(session: BrokerSession): void {
    session.resends = false
    this.streams.offline(session)
    this.shared.ended(session)
  }

  /** Sends again, with DUP and the packet ids of the last connection [MQTT-4.4.0-1]. */
  async #resend(session: BrokerSession): Promise<void> {
    const { connection } = session
    if (session.resending || connection === undefined) return
    session.resending = true
    try {
      for (const [packetId, entry] of [...session.inflight.entries()]) {
        const { source, outstanding, seq } = entry
        if (source === undefined || outstanding) continue
        if (!this.#deliverer.windowOpen(session, connection)) return
        const { packet, entry: shared } = await this.#again(session, source, seq, packetId)
        if (session.connection !== connection || connection.closed) return
        if (session.inflight.get(packetId) !== entry) continue
        // The session's own queue may have filled the window while this was read [MQTT-3.3.4-9].
        if (!this.#deliverer.windowOpen(session, connection)) return
        session.inflight.resent(packetId)
        if (packet !== undefined && this.#deliverer.send(connection, packet)) continue
        if (source instanceof SharedGroup && shared !== undefined) this.shared.lostAgain(source, shared, packet && connection)
        this.#deliverer.forget(session, packetId)
      }
      session.resends = false
    } catch (error) {
      this.#context.broker.reportClientError(connection, error as Error)
      connection.close()
    } finally {
      session.resending = false
    }
    this.serve(session)
  }

  async #again(session: BrokerSession, source: object, seq: number, packetId: number): Promise<SentAgain> {
    if (source instanceof SharedGroup) return this.shared.again(session, source, seq, packetId)
    if (source instanceof StreamReading) return { packet: await this.streams.again(source, seq, packetId) }
    return { packet: undefined }
  }
}
