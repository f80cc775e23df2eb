import type { Offset } from '../contract.ts'
import type { GroupMember, PartitionPosition } from './contract.ts'
import { Unsettled } from './unsettled.ts'

/** What a partition tells its group. */
export interface PartitionEvents {
  /** Its position is another one. */
  moved(partition: GroupPartition): void
  acknowledged(): void
  /** Its owner has acknowledged everything, and somebody else is to get it. */
  idle(partition: GroupPartition): void
  /** What its owner's reading passed over can be read now. */
  reopened(partition: GroupPartition): void
  /** An acknowledgement by a member that does not have the partition any more. */
  late(member: GroupMember): void
  /** An MQTT member does not want a record. */
  declined(partition: GroupPartition, offset: Offset, error: string): void
}

/** As many strikes as say that a record is not to be handed out again, whatever the limit is. */
export const strikesWithoutAppeal = 0xfffffff

/**
 * A member's right to a partition, until somebody else gets it or the group is reset. It stands for the partition with everything
 * the member was handed, so what it settles later than that counts for nothing.
 */
export class PartitionClaim {
  readonly partition: GroupPartition
  readonly member: GroupMember
  valid = true
  readonly #events: PartitionEvents

  constructor(partition: GroupPartition, member: GroupMember, events: PartitionEvents) {
    this.partition = partition
    this.member = member
    this.#events = events
  }

  /** The delivery of a record is over: acknowledged, or impossible. */
  settle(offset: Offset): void {
    if (this.valid) this.partition.settle(offset)
    else this.#events.late(this.member)
  }

  /** The member got it and does not want it. */
  decline(offset: Offset, error: string): void {
    if (this.valid) this.#events.declined(this.partition, offset, error)
    else this.#events.late(this.member)
  }
}

interface Failures {
  /** Times it was handed out without being acknowledged. */
  attempts: number
  /** Those of them that count against it. */
  strikes: number
  error: string
}

/**
 * One partition of a stream as a group sees it: who reads it, and how far it is acknowledged. What is below `next` and not unsettled
 * is done. While a record is handed out again because it failed, or the partition waits for its heir, it is closed: what its owner's
 * reading comes to is passed over, and read again once it is open.
 */
export class GroupPartition implements PartitionPosition {
  readonly index: number
  claim: PartitionClaim | undefined
  /** Gets the partition once its owner has acknowledged what it was handed: so order holds, and nothing comes twice. */
  heir: GroupMember | undefined
  /** The next offset that was not handed out yet. */
  next: Offset
  /** Epoch milliseconds at which what failed is due again; 0 = nothing waits. */
  dueAtMs = 0
  readonly #events: PartitionEvents
  readonly #unsettled = new Unsettled()
  readonly #failures = new Map<Offset, Failures>()
  /** What failed and is handed out again before anything behind it. */
  readonly #retried = new Set<Offset>()
  /** The lowest offset that was passed over; -1 when none was. */
  #held: Offset = -1

  constructor(index: number, next: Offset, attempts: number, events: PartitionEvents) {
    this.index = index
    this.next = next
    this.#events = events
    if (attempts > 0)
      this.#failures.set(next, { attempts, strikes: attempts, error: 'it was handed out before the broker started' })
  }

  get owner(): GroupMember | undefined {
    return this.claim?.member
  }

  /** Everything below is acknowledged, or was not to be delivered. */
  get position(): Offset {
    const { first } = this.#unsettled
    return first < 0 ? this.next : first
  }

  get attempts(): number {
    return this.#failures.size === 0 ? 0 : (this.#failures.get(this.position)?.strikes ?? 0)
  }

  get inFlight(): number {
    return this.#unsettled.outstanding
  }

  /** Is it this record's turn to be handed to the owner? One that has to wait is remembered: see `reopened`. */
  offers(offset: Offset): boolean {
    if (offset < this.next && !this.#unsettled.is(offset, 'due')) return false
    if (this.heir === undefined && (this.#retried.size === 0 || this.#mayPassRetried(offset))) return true
    if (this.#held < 0 || offset < this.#held) this.#held = offset
    return false
  }

  /** The record goes out. Unless it is `awaited`, that is all that is asked of it. */
  handOut(offset: Offset, awaited: boolean, nowMs: number): void {
    if (offset < this.next) {
      if (awaited) this.#unsettled.again(offset, nowMs)
      else this.settle(offset)
      return
    }
    this.next = offset + 1
    if (awaited) this.#unsettled.push(offset, nowMs)
    else if (this.#unsettled.first < 0) this.#events.moved(this)
  }

  /** The reading has looked at everything below `end`; what it did not take of this partition is not to be delivered. */
  passed(end: Offset): void {
    const limit = this.#held >= 0 && this.#held < end ? this.#held : end
    const before = this.position
    // What was to come again and did not: nobody may see it any more, or it is not in the stream any more.
    if (this.#unsettled.first >= 0) for (const offset of this.#unsettled.list('due', limit)) this.#over(offset)
    // Closed, it may have been passed over before anything was held.
    if (limit > this.next && this.heir === undefined && this.#retried.size === 0) this.next = limit
    if (this.position !== before) this.#events.moved(this)
  }

  settle(offset: Offset): void {
    const before = this.position
    if (!this.#unsettled.settle(offset)) return
    this.#events.acknowledged()
    if (this.#failures.size > 0) this.#forget(offset)
    if (this.position !== before) this.#events.moved(this)
    if (this.heir !== undefined && this.#unsettled.outstanding === 0) this.#events.idle(this)
  }

  /** Settles what was handed out up to and including the offset. */
  settleThrough(offset: Offset): void {
    for (const one of this.#unsettled.list('outstanding', offset + 1)) this.settle(one)
  }

  /** The record will not be handed out any more. */
  giveUp(offset: Offset): void {
    const before = this.position
    if (offset >= this.next) this.next = offset + 1
    this.#over(offset)
    if (this.position !== before) this.#events.moved(this)
  }

  /** An attempt failed: the record is handed out again at that time, and what is behind it waits. */
  fail(offset: Offset, strikes: number, dueAtMs: number, error: string): void {
    if (!this.#unsettled.fail(offset)) return
    this.#failed(offset, strikes, error)
    this.#retried.add(offset)
    this.dueAtMs = this.dueAtMs === 0 ? dueAtMs : Math.min(this.dueAtMs, dueAtMs)
    if (offset === this.position) this.#events.moved(this)
    if (this.heir !== undefined && this.#unsettled.outstanding === 0) this.#events.idle(this)
  }

  /** Was anything handed out at that time or before that is not acknowledged? */
  overdue(handedOutByMs: number): boolean {
    return this.#unsettled.handedOutBy(handedOutByMs)
  }

  isOutstanding(offset: Offset): boolean {
    return this.#unsettled.is(offset, 'outstanding')
  }

  /** How often the record was handed out before. */
  attemptsOf(offset: Offset): number {
    return this.#failures.size === 0 ? 0 : (this.#failures.get(offset)?.attempts ?? 0)
  }

  strikesOf(offset: Offset): number {
    return this.#failures.size === 0 ? 0 : (this.#failures.get(offset)?.strikes ?? 0)
  }

  errorOf(offset: Offset): string {
    return this.#failures.get(offset)?.error ?? ''
  }

  /** A reading begins: what failed long enough ago is due, and this is where to read on. */
  resume(nowMs: number): Offset {
    this.#held = -1
    if (this.dueAtMs !== 0 && this.dueAtMs <= nowMs) {
      this.dueAtMs = 0
      this.#unsettled.makeDue('failed')
    }
    const due = this.#unsettled.firstDue
    return due < 0 ? this.next : due
  }

  /** The owner is gone, or does not answer: what it did not acknowledge is handed out again, in order, to whoever has it next. */
  takeBack(error: string): void {
    // The first one may be why the owner is gone. Those behind it had not had their turn, so it does not count against them.
    const first = this.position
    for (const offset of this.#unsettled.list('outstanding')) this.#failed(offset, offset === first ? 1 : 0, error)
    this.#unsettled.makeDue('outstanding')
    this.#unsettled.makeDue('failed')
    this.dueAtMs = 0
    if (this.attempts > 0) this.#events.moved(this)
  }

  give(member: GroupMember | undefined): void {
    if (this.claim !== undefined) this.claim.valid = false
    this.claim = member && new PartitionClaim(this, member, this.#events)
    this.heir = undefined
  }

  /** Nobody inherits it: the owner keeps it. */
  keep(): void {
    if (this.heir === undefined) return
    this.heir = undefined
    if (this.#held >= 0) this.#events.reopened(this)
  }

  /** Reads on from another offset. What is on its way counts for nothing any more. */
  moveTo(offset: Offset): void {
    this.#unsettled.clear()
    this.#failures.clear()
    this.#retried.clear()
    this.next = offset
    this.dueAtMs = 0
    this.give(this.heir ?? this.owner)
    this.#events.moved(this)
  }

  #mayPassRetried(offset: Offset): boolean {
    if (offset >= this.next) return false
    for (const retried of this.#retried) if (retried < offset) return false
    return true
  }

  #failed(offset: Offset, strikes: number, error: string): void {
    const known = this.#failures.get(offset)
    if (known === undefined) this.#failures.set(offset, { attempts: 1, strikes, error })
    else {
      known.attempts++
      known.strikes = Math.min(known.strikes + strikes, strikesWithoutAppeal)
      known.error = error
    }
  }

  #over(offset: Offset): void {
    this.#unsettled.settle(offset)
    this.#forget(offset)
  }

  #forget(offset: Offset): void {
    this.#failures.delete(offset)
    if (!this.#retried.delete(offset) || this.#retried.size > 0) return
    if (this.heir === undefined && this.#held >= 0) this.#events.reopened(this)
  }
}
