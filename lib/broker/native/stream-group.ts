import type { DeliverySource } from '../../session/inflight-window.ts'
import type { Offset, Stream, StreamRecord } from '../../stream/contract.ts'
import type { BrokerSession, RoutedSubscription } from './broker-session.ts'
import type { Reading } from './stream-reading.ts'

/** One partition of a stream as a group sees it: who reads it, and how far it is acknowledged. */
export class GroupPartition implements DeliverySource {
  readonly index: number
  owner: GroupReading | undefined
  /** Gets the partition once its owner has acknowledged what it was sent: so order holds, and nothing comes twice. */
  heir: GroupReading | undefined
  /** The next offset to read. */
  next: Offset
  readonly #group: StreamGroup
  readonly #sent = new Set<Offset>()

  constructor(group: StreamGroup, index: number, next: Offset) {
    this.#group = group
    this.index = index
    this.next = next
  }

  /** Everything below is acknowledged, or was not to be delivered. */
  get position(): Offset {
    for (const offset of this.#sent) return offset
    return this.next
  }

  get idle(): boolean {
    return this.#sent.size === 0
  }

  sent(offset: Offset, awaited: boolean): void {
    this.next = offset + 1
    if (awaited) this.#sent.add(offset)
  }

  passed(next: Offset): void {
    if (next <= this.next) return
    this.next = next
    if (this.idle) this.#group.moved(this)
  }

  settle(offset: Offset): void {
    const before = this.position
    if (!this.#sent.delete(offset)) return
    if (this.position !== before) this.#group.moved(this)
    if (this.idle && this.heir !== undefined) this.#group.handOver(this)
  }

  /** The owner is gone: what it did not acknowledge is read again. */
  takeBack(): void {
    this.next = this.position
    this.#sent.clear()
    this.owner = undefined
    this.heir = undefined
  }

  /** Reads on from another offset; nothing may be on its way. */
  moveTo(offset: Offset): void {
    this.next = offset
    this.#group.moved(this)
  }
}

/** One member's reading: the records of its partitions, each from where the group is there. */
export class GroupReading implements Reading {
  readonly subscription: RoutedSubscription
  readonly group: StreamGroup
  readonly stream: Stream
  readonly filter: string
  readonly timed = undefined
  stop: AbortController | undefined
  wake: (() => void) | undefined

  constructor(subscription: RoutedSubscription, group: StreamGroup) {
    this.subscription = subscription
    this.group = group
    this.stream = group.stream
    this.filter = group.filter
  }

  get partitions(): GroupPartition[] {
    return this.group.partitions.filter(({ owner }) => owner === this)
  }

  /** Where to read on; undefined when it has no partition. */
  get next(): Offset | undefined {
    const { partitions } = this
    return partitions.length === 0 ? undefined : Math.min(...partitions.map(({ next }) => next))
  }

  takes({ partition, offset }: StreamRecord): boolean {
    const part = this.group.partition(partition)
    return part.owner === this && part.heir === undefined && offset >= part.next
  }

  taken({ partition, offset }: StreamRecord, awaited: boolean): DeliverySource {
    const part = this.group.partition(partition)
    part.sent(offset, awaited)
    return part
  }

  began(): void {}

  passed(next: Offset): void {
    // One that is to be handed over was not looked at to the end.
    for (const part of this.partitions) if (part.heir === undefined) part.passed(next)
  }
}

export interface StreamGroupEvents {
  /** A partition's position changed. */
  moved(partition: GroupPartition): void
  /** A member has other partitions than before: its reading starts anew. */
  reassigned(reading: GroupReading): void
}

/** A consumer group of a stream: members that are connected share its partitions. */
export class StreamGroup {
  readonly name: string
  readonly stream: Stream
  /** Which of the stream's topics are wanted. */
  readonly filter: string
  partitions: GroupPartition[]
  readonly #events: StreamGroupEvents
  readonly #members: GroupReading[] = []
  /** The record at the time it is to begin with is being looked for. */
  seeking: Promise<void> | undefined

  constructor(name: string, stream: Stream, filter: string, positions: (partition: number) => Offset, events: StreamGroupEvents) {
    this.name = name
    this.stream = stream
    this.filter = filter
    this.#events = events
    this.partitions = Array.from({ length: stream.partitions }, (_, index) => new GroupPartition(this, index, positions(index)))
  }

  get members(): readonly GroupReading[] {
    return this.#members
  }

  join(reading: GroupReading): void {
    if (this.#members.includes(reading)) return
    this.#members.push(reading)
    this.#rebalance()
  }

  /** The member is gone, or its connection is. What it did not acknowledge goes to the others. */
  leave(reading: GroupReading, session: BrokerSession): void {
    const at = this.#members.indexOf(reading)
    if (at === -1) return
    this.#members.splice(at, 1)
    if (session.inflightCount > 0) {
      for (const [packetId, { source }] of session.inflight.entries()) {
        if (source instanceof GroupPartition && source.owner === reading) session.inflight.complete(packetId)
      }
    }
    for (const part of this.partitions) {
      if (part.heir === reading) part.heir = undefined
      if (part.owner === reading) part.takeBack()
    }
    this.#rebalance()
  }

  /**
   * The stream has `count` partitions now. Which records of another partitioning were acknowledged cannot be told apart from those that
   * were not, so all go on at the lowest position: nothing is lost, and some comes again.
   */
  repartition(count: number): void {
    const members = [...this.#members]
    for (const member of members) this.leave(member, member.subscription.session)
    const lowest = Math.min(...this.partitions.map(({ position }) => position))
    this.partitions = Array.from({ length: count }, (_, index) => new GroupPartition(this, index, lowest))
    for (const partition of this.partitions) this.moved(partition)
    for (const member of members) this.join(member)
  }

  /** The partition of a record; a stream that had more of them once keeps their numbers in its records. */
  partition(index: number): GroupPartition {
    return this.partitions[index % this.partitions.length]!
  }

  moved(partition: GroupPartition): void {
    this.#events.moved(partition)
  }

  handOver(partition: GroupPartition): void {
    const { heir } = partition
    partition.owner = heir
    partition.heir = undefined
    if (heir !== undefined) this.#events.reassigned(heir)
  }

  /** Everybody gets the same number of partitions, one more or less, and keeps what it has as far as that allows. */
  #rebalance(): void {
    const shares = new Map(this.#members.map(member => [member, 0]))
    const [few, more] = [Math.floor(this.partitions.length / shares.size), this.partitions.length % shares.size]
    let above = 0
    const free: GroupPartition[] = []
    for (const part of this.partitions) {
      const owner = part.heir ?? part.owner
      const share = owner === undefined ? undefined : shares.get(owner)
      const keeps = share !== undefined && (share < few || (share === few && above < more))
      if (!keeps || owner === undefined) free.push(part)
      else {
        if (share === few) above++
        shares.set(owner, share + 1)
      }
    }
    const changed = new Set<GroupReading>()
    for (const part of free) {
      const [member] = [...shares].reduce((least, one) => (one[1] < least[1] ? one : least), [undefined, Infinity] as [
        GroupReading | undefined,
        number
      ])
      if (member === undefined) continue
      shares.set(member, shares.get(member)! + 1)
      if (member === part.owner) part.heir = undefined
      else if (part.owner !== undefined && !part.idle) part.heir = member
      else {
        part.owner = member
        part.heir = undefined
        changed.add(member)
      }
    }
    for (const member of changed) this.#events.reassigned(member)
  }
}
