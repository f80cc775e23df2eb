import type { Offset, ReadFrom, Stream, StreamRecord } from '../../stream/contract.ts'
import type { GroupMember } from '../../stream/groups/contract.ts'
import type { ConsumerGroup } from '../../stream/groups/group.ts'
import { GroupReader } from '../../stream/groups/group-reader.ts'
import { PartitionClaim } from '../../stream/groups/partition.ts'
import type { RoutedSubscription } from './broker-session.ts'
import type { Reading } from './stream-reading.ts'
import type { StreamRun } from './stream-run.ts'

/** An MQTT client's reading as a member of a consumer group: the records of its partitions, each from where the group is there. */
export class GroupReading implements Reading, GroupMember {
  readonly kind = 'mqtt'
  readonly subscription: RoutedSubscription
  readonly stream: Stream
  readonly filter: string
  /** Where a group that this member makes begins. */
  readonly from: ReadFrom
  readonly timed = undefined
  run: StreamRun | undefined
  #reader: GroupReader
  readonly #restart: (reading: GroupReading) => void

  constructor(subscription: RoutedSubscription, group: ConsumerGroup, from: ReadFrom, restart: (reading: GroupReading) => void) {
    this.subscription = subscription
    this.stream = group.stream
    this.filter = group.name.filter
    this.from = from
    this.#reader = new GroupReader(group, this)
    this.#restart = restart
  }

  get id(): string {
    return this.subscription.session.clientId
  }

  get group(): ConsumerGroup {
    return this.#reader.group
  }

  /** The group it was a member of was removed, and made again. */
  movesTo(group: ConsumerGroup): void {
    this.#reader = new GroupReader(group, this)
  }

  /** Where to read on; undefined when it has no partition. */
  get next(): Offset | undefined {
    return this.#reader.begin()
  }

  reads(partition: number): boolean {
    return this.#reader.owns(partition)
  }

  takes(record: StreamRecord): boolean {
    return this.#reader.takes(record)
  }

  attempt(record: StreamRecord): number {
    return this.#reader.attempt(record)
  }

  taken(record: StreamRecord, awaited: boolean): PartitionClaim {
    return this.#reader.handOut(record, awaited)
  }

  began(): void {}

  passed(next: Offset): void {
    this.#reader.passed(next)
  }

  reassigned(): void {
    this.#restart(this)
  }

  ended(): void {
    this.#restart(this)
  }

  /** The subscription ended, or the connection. What was not acknowledged goes to the others. */
  leave(): void {
    const { session } = this.subscription
    // While the client is there it may acknowledge what it has, and until then its packet ids are taken [MQTT-2.2.1-4].
    if (session.connection === undefined && session.inflightCount > 0) {
      for (const [packetId, { source }] of session.inflight.entries()) {
        if (source instanceof PartitionClaim && (source.member === this || !source.valid)) session.inflight.complete(packetId)
      }
    }
    this.group.leave(this, `client ${this.id} left`)
  }
}
