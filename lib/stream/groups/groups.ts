import { randomUUID } from 'node:crypto'
import { TributaryError } from '../../errors.ts'
import { topicFilterError } from '../../topic/filter.ts'
import type { ReadFrom, Stream, StreamGap } from '../contract.ts'
import { offsetAt, parseReadFrom, startsAt } from '../read-from.ts'
import type { Logger } from '../surroundings.ts'
import { GroupConsumer } from './consumer.ts'
import type { GroupDescription, GroupName, StoredGroup } from './contract.ts'
import { describeGroup, GroupAges } from './describe.ts'
import { ConsumerGroup, type GroupSurroundings } from './group.ts'
import { GroupLeases } from './leases.ts'
import { PullMember } from './pull-member.ts'
import { watchRemoval } from './removal.ts'
import { planReset, type ResetOptions, type ResetResult } from './reset.ts'

export interface ConsumerGroupsOptions extends GroupSurroundings {
  stream(name: string): Stream | undefined
  /** Groups there may be, those without members too. */
  readonly groupsMax: number
  readonly logger: Logger | undefined
}

/** How a consumer joins a group. */
export interface JoinOptions {
  stream: string
  group: string
  /** Topic filter; default all of the stream's topics. With another filter it is another group. */
  filter?: string | undefined
  /** Where the group begins when it is made by this call: as over MQTT `earliest`, `latest` (default), an offset or a time. */
  from?: ReadFrom | string | undefined
  /** What operators see; default made up. */
  memberId?: string | undefined
  /** Records that may be yielded and not committed; default 1000. */
  maxInFlight?: number | undefined
  /** Told of offsets that were lost before the group had read them. */
  onGap?: ((gap: StreamGap) => void) | undefined
}

/** Names one group for operators; without `filter` it is the one on all topics, or the only one of that name. */
export interface GroupReference {
  stream: string
  group: string
  filter?: string | undefined
}

const MAX_IN_FLIGHT = 1000
const NAME_BYTES_MAX = 512

/** The consumer groups of a broker's streams; whatever protocol a member speaks, it joins here. */
export class ConsumerGroups {
  readonly #options: ConsumerGroupsOptions
  readonly #groups = new Map<string, ConsumerGroup>()
  /** Found at start, until the stream is there and somebody asks for the group. */
  readonly #stored = new Map<string, StoredGroup>()
  readonly #ages = new GroupAges()
  /** Members over HTTP. */
  readonly leases: GroupLeases
  #closed = false

  constructor(options: ConsumerGroupsOptions) {
    this.#options = options
    this.leases = new GroupLeases(this, options)
  }

  /** Takes up what is in the store; before the first member comes. */
  restore(): void {
    for (const stored of this.#options.positions.stored()) {
      this.#stored.set(keyOf(stored.name), stored)
      const stream = this.#options.stream(stored.name.stream)
      if (stream === undefined || stored.partitions.every(({ position }) => position <= stream.nextOffset)) continue
      // The stream was taken away, or put back from a copy. Now is when its end tells what the group has read.
      const what = 'a consumer group was further than its stream goes, and reads on from the end of the stream'
      this.#options.logger?.warn({ ...stored.name, nextOffset: stream.nextOffset }, what)
      this.open(stored.name, stream, 'earliest')
    }
  }

  /** Would this group be one more than there may be? */
  wouldExceed(name: GroupName): boolean {
    const key = keyOf(name)
    if (this.#groups.has(key) || this.#stored.has(key)) return false
    return this.#groups.size + this.#stored.size >= this.#options.groupsMax
  }

  /**
   * Joins a group as a consumer in this process; the group is made when it is the first one ever.
   * Rejects TRB_STREAM_UNKNOWN, TRB_GROUP_LIMIT, TRB_OFFSET_OUT_OF_RANGE, TRB_CLOSED, and TypeError for options that mean nothing.
   */
  async join(options: JoinOptions): Promise<GroupConsumer> {
    const { maxInFlight = MAX_IN_FLIGHT, memberId = `node-${randomUUID().slice(0, 8)}`, onGap } = options
    if (!Number.isSafeInteger(maxInFlight) || maxInFlight < 1) throw new TypeError('maxInFlight: expected a whole number above 0')
    const group = await this.demand(options, options.from)
    if (this.#closed || group.removed) throw this.#closedError()
    const member = new PullMember(group, { id: memberId, kind: 'node', maxInFlight })
    return new GroupConsumer(member, () => this.#options.positions.synced(), onGap)
  }

  /** The group a member joins, when it has found its beginning. Rejects as join() does. */
  async demand(
    { stream: streamName, group, filter = '#' }: GroupReference,
    from: ReadFrom | string = 'latest'
  ): Promise<ConsumerGroup> {
    if (this.#closed) throw this.#closedError()
    const stream = this.#stream(streamName)
    const error = groupNameError(group) ?? topicFilterError(filter)
    if (error !== undefined) throw new TypeError(error)
    const name = { stream: streamName, group, filter }
    if (this.wouldExceed(name)) {
      throw new TributaryError(
        'TRB_GROUP_LIMIT',
        `there are ${this.#options.groupsMax} consumer groups (limits.maxStreamGroups) already`
      )
    }
    const found = this.open(name, stream, parseFrom(from, stream))
    await found.seeking
    return found
  }

  /** The group of that name; made, to begin at `from`, when it does not exist. */
  open(name: GroupName, stream: Stream, from: ReadFrom): ConsumerGroup {
    const key = keyOf(name)
    const known = this.#groups.get(key)
    if (known !== undefined) return known
    const stored = this.#stored.get(key)
    this.#stored.delete(key)
    const group = new ConsumerGroup(name, stream, stored, startsAt(from, stream), this.#options)
    this.#groups.set(key, group)
    watchRemoval(group, this.#options.logger)
    if (stored === undefined && typeof from === 'object' && 'timeMs' in from) group.seeking = this.#seek(group, from)
    return group
  }

  /** Groups of streams that are there, those without members too. */
  describe(): GroupDescription[] {
    return this.#all().map(group => describeGroup(group, this.#ages))
  }

  /** The group, with the age of what it has not read. Throws TRB_STREAM_UNKNOWN, TRB_GROUP_UNKNOWN. */
  async describeOne(reference: GroupReference): Promise<GroupDescription> {
    const group = this.#find(reference)
    await this.#ages.measure([group])
    return describeGroup(group, this.#ages)
  }

  /** Finds out how old the oldest record is that each group has not acknowledged: one short read for each that has moved since. */
  async measureAges(): Promise<void> {
    await this.#ages.measure(this.#all())
  }

  /**
   * Lets a group read on from elsewhere; members go on with it, and what they have and did not acknowledge counts for nothing. With
   * `dryRun` it only says what that would mean. Resolves when it is on disk. Rejects TRB_STREAM_UNKNOWN, TRB_GROUP_UNKNOWN,
   * TRB_OFFSET_OUT_OF_RANGE, TypeError.
   */
  async reset(reference: GroupReference, options: ResetOptions): Promise<ResetResult> {
    const group = this.#find(reference)
    await group.seeking
    const result = await planReset(group, options)
    if (options.dryRun === true) return result
    for (const { partition, to } of result.partitions) group.reset(group.partitions[partition]!, to)
    await this.#options.positions.synced()
    return result
  }

  /**
   * Removes a group: the next member that joins makes it anew. Rejects TRB_GROUP_HAS_MEMBERS while it has members, unless forced:
   * then HTTP and Node members are out, and MQTT members get nothing until they subscribe or connect again.
   */
  async remove(reference: GroupReference, { force = false }: { force?: boolean } = {}): Promise<void> {
    const group = this.#find(reference)
    const count = group.members.size
    if (count > 0 && !force) {
      const message = `group ${reference.group} has ${count} ${count === 1 ? 'member' : 'members'}: let them leave, or force it`
      throw new TributaryError('TRB_GROUP_HAS_MEMBERS', message)
    }
    this.#groups.delete(keyOf(group.name))
    group.end(true)
    await this.#options.positions.synced()
  }

  /** The stream may have another number of partitions now. */
  repartition(stream: Stream): void {
    for (const group of this.#groups.values()) if (group.name.stream === stream.name) group.repartition()
  }

  /** The stream is gone, and its groups with it. */
  removeStream(name: string): void {
    for (const [key, group] of this.#groups) {
      if (group.name.stream !== name) continue
      this.#groups.delete(key)
      group.end(true)
    }
    for (const [key, { name: stored, partitions }] of this.#stored) {
      if (stored.stream !== name) continue
      this.#stored.delete(key)
      this.#options.positions.open(stored, partitions, { name: stored, partitions }).remove()
    }
  }

  /** Everything that time decides; called a few times a second. */
  sweep(nowMs: number): void {
    for (const group of this.#groups.values()) if (group.members.size > 0) group.sweep(nowMs)
    this.leases.sweep(nowMs)
  }

  /** The broker is closing: consumers come to their end. Positions are as good as stored once the store has committed. */
  close(): void {
    this.#closed = true
    for (const group of this.#groups.values()) group.end(false)
  }

  #all(): ConsumerGroup[] {
    for (const { name } of [...this.#stored.values()]) {
      const stream = this.#options.stream(name.stream)
      if (stream !== undefined) this.open(name, stream, 'earliest')
    }
    return [...this.#groups.values()]
  }

  #find({ stream, group, filter }: GroupReference): ConsumerGroup {
    this.#stream(stream)
    const named = this.#all().filter(({ name }) => name.stream === stream && name.group === group)
    const found =
      filter === undefined && named.length === 1 ? named[0] : named.find(({ name }) => name.filter === (filter ?? '#'))
    if (found !== undefined) return found
    const others = named.map(({ name }) => name.filter).join(', ')
    const hint = others === '' ? '' : `; there are groups of that name with the filters ${others}`
    throw new TributaryError('TRB_GROUP_UNKNOWN', `stream ${stream} has no consumer group ${JSON.stringify(group)}${hint}`)
  }

  #stream(name: string): Stream {
    const stream = this.#options.stream(name)
    if (stream === undefined) throw new TributaryError('TRB_STREAM_UNKNOWN', `no stream ${JSON.stringify(name)} is declared`)
    return stream
  }

  async #seek(group: ConsumerGroup, from: ReadFrom): Promise<void> {
    try {
      const first = await offsetAt(group.stream, from)
      for (const partition of group.partitions) group.reset(partition, first)
    } catch (err) {
      this.#options.logger?.error({ err, ...group.name }, 'a stream cannot be read; its group begins at the earliest record')
    }
    group.seeking = undefined
  }

  #closedError(): TributaryError {
    return new TributaryError('TRB_CLOSED', 'the broker is closed')
  }
}

function keyOf({ stream, group, filter }: GroupName): string {
  return `${stream}\u0000${group}\u0000${filter}`
}

/** As a ShareName over MQTT, so that members of all kinds can meet [MQTT-4.8.2-2]. */
function groupNameError(group: string): string | undefined {
  if (group.includes('/')) return 'group: expected a name without "/"'
  const error = topicFilterError(`$share/${group}/#`)
  if (error !== undefined) return `group: ${error}`
  return Buffer.byteLength(group) > NAME_BYTES_MAX ? `group: expected at most ${NAME_BYTES_MAX} bytes` : undefined
}

function parseFrom(from: ReadFrom | string, stream: Stream): ReadFrom {
  const start = typeof from === 'string' ? parseReadFrom(from) : from
  if (start === undefined)
    throw new TypeError(`from: expected earliest, latest, an offset, a time or @ and epoch milliseconds, not ${from}`)
  if (typeof start === 'object' && 'offset' in start && start.offset > stream.nextOffset) {
    const message = `offset ${start.offset} does not exist yet; the next one will be ${stream.nextOffset}`
    throw new TributaryError('TRB_OFFSET_OUT_OF_RANGE', message)
  }
  return start
}
