import type { Offset, Stream, StreamRecord } from '../contract.ts'
import { assign } from './assignment.ts'
import type {
  ExhaustedRecord,
  GroupMember,
  GroupName,
  GroupPositions,
  GroupRecord,
  GroupSettings,
  PartitionPosition,
  StoredGroup
} from './contract.ts'
import { GroupPartition, type PartitionEvents, strikesWithoutAppeal } from './partition.ts'

/** What a group needs of its surroundings. */
export interface GroupSurroundings {
  readonly positions: GroupPositions
  /** Epoch milliseconds. */
  now(): number
  settings(stream: string): GroupSettings
  /** Called in the turn in which the group moves on, so that both are in the same commit. */
  exhausted(given: ExhaustedRecord): void
}

/** A consumer group of a stream: its members share the partitions, each is handed records of its own. */
export class ConsumerGroup implements PartitionEvents {
  readonly name: GroupName
  readonly stream: Stream
  partitions: readonly GroupPartition[]
  /** The record at the time it is to begin with is being looked for. */
  seeking: Promise<void> | undefined
  /** It is not in the store any more, and takes no members. */
  removed = false
  /** It was removed from the store by an operator. */
  forgotten = false
  unwatch: (() => void) | undefined
  /** Since the broker started. */
  committed = 0
  redelivered = 0
  deadLetters = 0
  lost = 0
  readonly #surroundings: GroupSurroundings
  readonly #members = new Set<GroupMember>()
  /** Members that let the time to acknowledge run out; they get partitions again once they show life. */
  readonly #stalled = new Set<GroupMember>()
  #record: GroupRecord | undefined

  /** `stored` may have another number of partitions, as the stream had then; without it the group is new and begins at `start`. */
  constructor(name: GroupName, stream: Stream, stored: StoredGroup | undefined, start: Offset, surroundings: GroupSurroundings) {
    this.name = name
    this.stream = stream
    this.#surroundings = surroundings
    this.partitions = this.#partitionsAt(stored?.partitions ?? [], start)
    this.#record = surroundings.positions.open(name, this.partitions, stored)
  }

  get members(): ReadonlySet<GroupMember> {
    return this.#members
  }

  get settings(): GroupSettings {
    return this.#surroundings.settings(this.stream.name)
  }

  now(): number {
    return this.#surroundings.now()
  }

  isStalled(member: GroupMember): boolean {
    return this.#stalled.has(member)
  }

  join(member: GroupMember): void {
    if (this.removed || this.#members.has(member)) return
    this.#members.add(member)
    this.#rebalance()
  }

  /** The member is gone. What it did not acknowledge goes to the others. */
  leave(member: GroupMember, error: string): void {
    if (!this.#members.delete(member)) return
    this.#stalled.delete(member)
    this.#release(member, error)
    this.#rebalance()
  }

  /** The partition of a record; a stream that had more of them once keeps their numbers in its records. */
  partition(index: number): GroupPartition {
    return this.partitions[index % this.partitions.length]!
  }

  owned(member: GroupMember): GroupPartition[] {
    return this.partitions.filter(({ owner }) => owner === member)
  }

  /** Is a record with so many strikes not handed out again? */
  givesUp(strikes: number): boolean {
    const { maxDeliveryAttempts } = this.settings
    return strikes >= strikesWithoutAppeal || (maxDeliveryAttempts > 0 && strikes >= maxDeliveryAttempts)
  }

  /** Gives a record up that was handed out as often as may be. */
  exhaust(partition: GroupPartition, record: StreamRecord): void {
    const attempts = partition.attemptsOf(record.offset)
    const error = partition.errorOf(record.offset)
    this.deadLetters++
    this.#surroundings.exhausted({ name: this.name, record, attempts, error })
    partition.giveUp(record.offset)
  }

  /** An attempt failed; the record is handed out again after the delay, or given up. */
  refused(partition: GroupPartition, offset: Offset, error: string): void {
    partition.fail(offset, 1, this.now() + this.settings.retryDelayMs, error)
    this.#atOnceIfGivenUp(partition, offset)
  }

  /** Everything that time decides. */
  sweep(nowMs: number): void {
    const { ackTimeoutMs } = this.settings
    const late = new Set<GroupMember>()
    for (const part of this.partitions) {
      const { owner } = part
      if (owner === undefined) continue
      const timeoutMs = owner.ackTimeoutMs ?? ackTimeoutMs
      if (timeoutMs > 0 && part.inFlight > 0 && part.overdue(nowMs - timeoutMs)) late.add(owner)
      if (part.dueAtMs !== 0 && part.dueAtMs <= nowMs) owner.reassigned()
    }
    for (const member of late) this.#late(member, nowMs)
  }

  /** Reads on from elsewhere in one partition, members or not: what is on its way counts for nothing any more. */
  reset(partition: GroupPartition, offset: Offset): void {
    partition.moveTo(offset)
    partition.owner?.reassigned()
  }

  /** The stream has another number of partitions now; what members have and did not acknowledge is handed out again. */
  repartition(): void {
    const before = this.partitions
    if (before.length === this.stream.partitions) return
    for (const part of before) {
      part.takeBack(`stream ${this.stream.name} was divided anew`)
      part.give(undefined)
      this.#record?.dropped(part)
    }
    this.partitions = this.#partitionsAt(before, 0)
    for (const part of this.partitions) this.#record?.changed(part)
    this.#rebalance()
    // Who has no partition any more has to hear of it, too.
    for (const member of this.#members) if (this.owned(member).length === 0) member.reassigned()
  }

  /** Ends the group for its members; with `forget` it is removed from the store, too. */
  end(forget: boolean): void {
    this.removed = true
    this.forgotten = forget
    this.unwatch?.()
    if (forget) this.#record?.remove()
    this.#record = undefined
    const members = [...this.#members]
    this.#members.clear()
    for (const part of this.partitions) part.give(undefined)
    for (const member of members) member.ended()
  }

  // ---- what partitions tell ---------------------------------------------------------------------------------------------------

  moved(partition: GroupPartition): void {
    this.#record?.changed(partition)
  }

  acknowledged(): void {
    this.committed++
  }

  declined(partition: GroupPartition, offset: Offset, error: string): void {
    if (this.settings.refused === 'retry') return this.refused(partition, offset, error)
    // Nobody else is asked [MQTT-4.8.2-6], and neither is this member again [MQTT-4.4.0-2].
    partition.fail(offset, strikesWithoutAppeal, this.now(), error)
    this.#atOnceIfGivenUp(partition, offset)
  }

  idle(partition: GroupPartition): void {
    const { heir } = partition
    partition.give(heir)
    heir?.reassigned()
  }

  reopened(partition: GroupPartition): void {
    partition.owner?.reassigned()
  }

  late(member: GroupMember): void {
    if (this.#stalled.delete(member)) this.#rebalance()
  }

  #partitionsAt(before: readonly PartitionPosition[], start: Offset): GroupPartition[] {
    const count = this.stream.partitions
    return Array.from({ length: count }, (_, index) => {
      const { position, attempts } = positionOf(index, count, before) ?? { position: start, attempts: 0 }
      const end = this.stream.nextOffset
      return position <= end ? new GroupPartition(index, position, attempts, this) : new GroupPartition(index, end, 0, this)
    })
  }

  // ---- helpers ----------------------------------------------------------------------------------------------------------------

  /** A record that is not handed out again has nothing to wait for. */
  #atOnceIfGivenUp(partition: GroupPartition, offset: Offset): void {
    if (!this.givesUp(partition.strikesOf(offset))) return
    partition.dueAtMs = this.now()
    partition.owner?.reassigned()
  }

  /** Somebody else is asked, as long as there is somebody; otherwise the same member once more. */
  #late(member: GroupMember, nowMs: number): void {
    const timeoutMs = member.ackTimeoutMs ?? this.settings.ackTimeoutMs
    const error = `not acknowledged within ${timeoutMs} ms by ${member.id}`
    if (this.#members.size - this.#stalled.size > 1) {
      this.#stalled.add(member)
      this.#release(member, error)
      this.#rebalance()
      member.reassigned()
      return
    }
    // It keeps its claim: what it acknowledges late is acknowledged.
    for (const part of this.owned(member)) if (part.overdue(nowMs - timeoutMs)) part.takeBack(error)
    member.reassigned()
  }

  #release(member: GroupMember, error: string): void {
    for (const part of this.partitions) {
      if (part.heir === member) part.keep()
      if (part.owner !== member) continue
      part.takeBack(error)
      part.give(undefined)
    }
  }

  #rebalance(): void {
    let members = [...this.#members].filter(member => !this.#stalled.has(member))
    if (members.length === 0) {
      this.#stalled.clear()
      members = [...this.#members]
    }
    const wanted = assign(
      this.partitions.map(({ heir, owner }) => heir ?? owner),
      members
    )
    const changed = new Set<GroupMember>()
    for (const part of this.partitions) {
      const member = wanted[part.index]
      if (member === part.owner) part.keep()
      else if (part.owner !== undefined && part.inFlight > 0) part.heir = member
      else {
        part.give(member)
        if (member !== undefined) changed.add(member)
      }
    }
    for (const member of changed) member.reassigned()
  }
}

/**
 * Where the group is in a partition. If the stream had another number of them, records keep the partition they have: it goes on at the
 * lowest position of those whose records it may hold, so that nothing is passed over, and some records come again.
 */
function positionOf(index: number, count: number, before: readonly PartitionPosition[]): PartitionPosition | undefined {
  if (before.length === count) return before.find(part => part.index === index)
  let lowest: PartitionPosition | undefined
  for (const part of before) if (lowest === undefined || part.position < lowest.position) lowest = part
  // Field by field: the position of a partition that is in use is a getter, which a spread leaves out.
  return lowest && { index, position: lowest.position, attempts: 0 }
}
