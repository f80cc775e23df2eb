import { TributaryError } from '../../errors.ts'
import type { Offset, ReadFrom, StreamGap, StreamRecord } from '../contract.ts'
import { notOwnedError } from './consumer.ts'
import type { GroupPositions } from './contract.ts'
import type { ConsumerGroup } from './group.ts'
import type { GroupReference } from './groups.ts'
import { PullMember } from './pull-member.ts'

export interface PollRequest extends GroupReference {
  /** What the member calls itself. */
  member: string
  /** Where the group begins when it is made by this poll; default latest. */
  from?: ReadFrom | string | undefined
  max: number
  maxBytes: number
  /** How long to wait for a record when there is none. */
  waitMs: number
  /**
   * The member counts as gone when it is not heard of for this long. What it has not committed after this long is handed out again,
   * if the stream's `groups.ackTimeout` says nothing else.
   */
  sessionTimeoutMs: number
}

export interface PollAnswer {
  records: { record: StreamRecord; attempt: number }[]
  /** Offsets that were lost before the group had read them. */
  gaps: readonly StreamGap[]
  /** Partitions that the member has now. */
  partitions: number[]
}

export interface PositionOf {
  partition: number
  offset: Offset
}

export interface CommitRequest extends GroupReference {
  member: string
  /** Everything handed to the member in the partition, up to and including the offset. */
  offsets?: readonly PositionOf[] | undefined
  /** These records alone. */
  records?: readonly PositionOf[] | undefined
  /** Records that could not be processed, to be handed out again. */
  refused?: readonly (PositionOf & { error?: string | undefined })[] | undefined
}

/** What leases need of the groups they are members of. */
interface Groups {
  demand(reference: GroupReference, from?: ReadFrom | string): Promise<ConsumerGroup>
}

interface Lease {
  readonly member: PullMember
  sessionTimeoutMs: number
  expiresAtMs: number
  polling: boolean
}

/** Members over HTTP there may be in all groups together. */
const LEASES_MAX = 10_000
/** Records one of them may have and not have committed; then it gets none until it commits. */
const IN_FLIGHT_MAX = 10_000

/** Members that have no connection to be gone by: each poll or commit keeps them for another while. */
export class GroupLeases {
  readonly #groups: Groups
  readonly #surroundings: { readonly positions: GroupPositions; now(): number }
  readonly #leases = new Map<string, Lease>()

  constructor(groups: Groups, surroundings: { readonly positions: GroupPositions; now(): number }) {
    this.#groups = groups
    this.#surroundings = surroundings
  }

  /**
   * Records for a member, which joins with its first poll. When the signal is aborted while it waits there are none. Rejects as
   * ConsumerGroups.join(), and TRB_GROUP_BUSY while another poll of this member waits.
   */
  async poll(request: PollRequest, signal: AbortSignal): Promise<PollAnswer> {
    const lease = await this.#lease(request)
    if (lease.polling) {
      throw new TributaryError(
        'TRB_GROUP_BUSY',
        `member ${request.member} polls already: let that poll end, or use another member name`
      )
    }
    lease.polling = true
    lease.sessionTimeoutMs = request.sessionTimeoutMs
    const { member } = lease
    try {
      const { records, gaps } = await member.take(request.max, request.maxBytes, signal, request.waitMs)
      if (member.state === 'ended') this.#drop(request, lease)
      const attempts = records.map(record => ({ record, attempt: member.attempt(record) }))
      return { records: attempts, gaps, partitions: member.partitions.map(({ index }) => index) }
    } finally {
      lease.polling = false
      this.#renew(lease)
    }
  }

  /**
   * Commits, all or nothing, and resolves when it is on disk. Rejects TRB_GROUP_NOT_OWNED when the member does not have one of the
   * partitions (any more), TypeError for an offset that was not handed out.
   */
  async commit(request: CommitRequest): Promise<{ inFlight: number }> {
    const lease = this.#leases.get(keyOf(request))
    const { offsets = [], records = [], refused = [] } = request
    if (lease === undefined) {
      const message = `member ${request.member} is not in group ${request.group} (any more): others get what it did not commit; poll to join again`
      throw new TributaryError('TRB_GROUP_NOT_OWNED', message)
    }
    this.#renew(lease)
    const { member } = lease
    const all = [...offsets, ...records, ...refused]
    const not = member.notOwned(all.map(({ partition }) => partition))
    if (not !== undefined) throw notOwnedError(member, not.partition, not.owner)
    for (const { partition, offset } of all) {
      const { next } = member.group.partition(partition)
      if (offset >= next)
        throw new TypeError(`offset ${offset} of partition ${partition} has not been handed out; ${next} is the next one`)
    }
    for (const { partition, offset } of offsets) member.commitThrough(partition, offset)
    for (const { partition, offset } of records) member.commit(partition, offset)
    for (const { partition, offset, error } of refused) {
      member.refuse(partition, offset, error ?? `refused by ${request.member}`)
    }
    member.lookedAt()
    await this.#surroundings.positions.synced()
    return { inFlight: member.reader.inFlight }
  }

  /** The member leaves at once; false when it is none. */
  leave(reference: GroupReference & { member: string }): boolean {
    const lease = this.#leases.get(keyOf(reference))
    if (lease === undefined) return false
    this.#drop(reference, lease)
    return true
  }

  sweep(nowMs: number): void {
    for (const [key, { member, expiresAtMs, polling, sessionTimeoutMs }] of this.#leases) {
      if (polling || expiresAtMs > nowMs) continue
      this.#leases.delete(key)
      member.leave(`member ${member.id} was not heard of for ${sessionTimeoutMs} ms`)
    }
  }

  async #lease(request: PollRequest): Promise<Lease> {
    const key = keyOf(request)
    const known = this.#leases.get(key)
    if (known?.member.state === 'joined') return known
    const { member: id, sessionTimeoutMs } = request
    const group = await this.#groups.demand(request, request.from)
    // Another poll of the same member may have been faster.
    const found = this.#leases.get(key)
    if (found?.member.state === 'joined') return found
    if (this.#leases.size >= LEASES_MAX) {
      throw new TributaryError('TRB_GROUP_LIMIT', `there are ${LEASES_MAX} members of consumer groups over HTTP already`)
    }
    const options = { id, kind: 'http', maxInFlight: IN_FLIGHT_MAX } as const
    const ackTimeoutMs = group.settings.ackTimeoutMs === 0 ? { ackTimeoutMs: sessionTimeoutMs } : {}
    const lease = {
      member: new PullMember(group, { ...options, ...ackTimeoutMs }),
      sessionTimeoutMs,
      expiresAtMs: 0,
      polling: false
    }
    this.#renew(lease)
    this.#leases.set(key, lease)
    return lease
  }

  #renew(lease: Lease): void {
    lease.expiresAtMs = this.#surroundings.now() + lease.sessionTimeoutMs
  }

  #drop(reference: GroupReference & { member: string }, { member }: Lease): void {
    this.#leases.delete(keyOf(reference))
    member.leave(`member ${member.id} left`)
  }
}

function keyOf({ stream, group, filter = '#', member }: GroupReference & { member: string }): string {
  return `${stream}\u0000${group}\u0000${filter}\u0000${member}`
}
