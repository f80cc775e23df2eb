import type { SessionStore } from '../../../persistence/contract.ts'
import type { GroupCommit } from '../../commit/group-commit.ts'
import type { DeadLetter } from '../../dead-letter/contract.ts'
import type { Events } from '../../events/contract.ts'
import type { Counters } from '../../metrics/counters.ts'
import type { AckPacket } from '../../mqtt/packet.ts'
import type { Broker } from '../broker.ts'
import type { Connection } from '../connection.ts'
import type { BrokerLimits } from '../limits.ts'
import type { BrokerSession } from './broker-session.ts'
import { Burials } from './burials.ts'
import { DeferredWrites } from './deferred-writes.ts'
import type { SessionGroupPositions } from './group-positions.ts'
import { LostDeliveries } from './lost-deliveries.ts'
import type { StreamTargets } from './stream-targets.ts'
import { TopicRoutes } from './topic-routes.ts'

/** What the parts of the native engine share. */
export class NativeContext {
  readonly broker: Broker
  readonly store: SessionStore
  readonly commit: GroupCommit
  readonly streams: StreamTargets
  readonly positions: SessionGroupPositions
  readonly routes = new TopicRoutes()
  /** By Client Identifier. */
  readonly sessions = new Map<string, BrokerSession>()
  /** Topics whose retained message changed since, one set for each search of retained messages that is under way. */
  readonly retainedSearches = new Set<Set<string>>()
  /** Why nothing that needs the disk is taken; undefined while it is. */
  readOnly: string | undefined
  /** The broker is closed: store and streams take nothing any more. */
  stopped = false
  readonly counters: Counters
  readonly events: Events | undefined
  readonly limits: BrokerLimits
  readonly lost: LostDeliveries
  readonly burials = new Burials(this)

  constructor(
    broker: Broker,
    store: SessionStore,
    commit: GroupCommit,
    streams: StreamTargets,
    positions: SessionGroupPositions
  ) {
    this.broker = broker
    this.store = store
    this.commit = commit
    this.streams = streams
    this.positions = positions
    this.counters = broker.counters
    this.events = broker.events
    this.limits = broker.limits
    this.lost = new LostDeliveries(this, broker.opts.deadLetters)
  }

  now(): number {
    return this.broker.clock.now()
  }

  /** A message or delivery that ends here. QoS 0 and QoS 1/2 alike: nothing is dropped without a reason. */
  dropped(reason: string): void {
    const { dropped } = this.counters
    dropped.set(reason, (dropped.get(reason) ?? 0) + 1)
  }

  /**
   * A delivery that was owed ends undelivered: it is counted by its reason, and kept as a dead letter where there is a store for them.
   * True when it is: then it is in the open commit epoch.
   */
  deadLetter(letter: DeadLetter): boolean {
    this.dropped(letter.reason)
    return this.lost.keep(letter)
  }

  deferred(connection: Connection): DeferredWrites {
    connection.deferred ??= new DeferredWrites(connection, this.commit)
    return connection.deferred
  }

  /** Sends an acknowledgement, behind those of earlier packets that wait for the disk [MQTT-4.6.0-2], [MQTT-4.6.0-4]. */
  answer(connection: Connection, packet: AckPacket): void {
    if (connection.deferred?.waiting) connection.deferred.send(packet)
    else connection.send(packet)
  }
}
