import { topicMatches } from '../../topic/filter.ts'
import type { Offset, RecordSource, Stream, StreamRecord } from '../contract.ts'
import type { GroupMember } from './contract.ts'
import type { ConsumerGroup } from './group.ts'
import type { PartitionClaim } from './partition.ts'

/**
 * What a member's reading of the stream asks its group: where to begin, which records are its own, and what has become of them. The
 * reading begins anew, at `begin()`, whenever the member is told that it was reassigned; until then the old one may go on.
 */
export class GroupReader {
  readonly group: ConsumerGroup
  readonly #member: GroupMember

  constructor(group: ConsumerGroup, member: GroupMember) {
    this.group = group
    this.#member = member
  }

  get stream(): Stream {
    return this.group.stream
  }

  /** Handed to this member and not acknowledged. */
  get inFlight(): number {
    let count = 0
    for (const part of this.group.partitions) if (part.owner === this.#member) count += part.inFlight
    return count
  }

  /** A reading begins: the offset it begins with; undefined when the member has no partition. */
  begin(): Offset | undefined {
    let lowest: Offset | undefined
    const nowMs = this.group.now()
    for (const part of this.group.partitions) {
      if (part.owner !== this.#member) continue
      const offset = part.resume(nowMs)
      if (lowest === undefined || offset < lowest) lowest = offset
    }
    return lowest
  }

  /** For ReadOptions.select: does the member look at records of this source at all? */
  selects(source: RecordSource): boolean {
    const { filter } = this.group.name
    return this.owns(source.partition) && (filter === '#' || topicMatches(filter, source.topic))
  }

  owns(partition: number): boolean {
    return this.group.partition(partition).owner === this.#member
  }

  /** Is it this member's turn to get the record? What has had all its attempts becomes a dead letter here. */
  takes(record: StreamRecord): boolean {
    const part = this.group.partition(record.partition)
    const { offset } = record
    if (part.owner !== this.#member || !part.offers(offset)) return false
    const strikes = part.strikesOf(offset)
    if (strikes === 0 || !this.group.givesUp(strikes)) return true
    this.group.exhaust(part, record)
    return false
  }

  /** It goes out. What is returned settles it. */
  handOut(record: StreamRecord, awaited: boolean): PartitionClaim {
    const { group } = this
    const part = group.partition(record.partition)
    if (record.offset < part.next) group.redelivered++
    part.handOut(record.offset, awaited, group.now())
    return part.claim!
  }

  /** Which attempt handing it out is, from 1 on. To be asked before it is handed out. */
  attempt({ partition, offset }: StreamRecord): number {
    return this.group.partition(partition).attemptsOf(offset) + 1
  }

  /** Everything below was looked at. Only the reading that runs may say so. */
  passed(next: Offset): void {
    for (const part of this.group.partitions) if (part.owner === this.#member) part.passed(next)
  }
}
