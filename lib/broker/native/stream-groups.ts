import type { LoadedSession, StoredSubscription } from '../../../persistence/contract.ts'
import { neverExpires } from '../../session/session.ts'
import type { Offset, ReadFrom, Stream } from '../../stream/contract.ts'
import type { RoutedSubscription } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import { type GroupPartition, GroupReading, StreamGroup } from './stream-group.ts'
import { startsAt } from './stream-reading.ts'

/** What a group is called in the session store. U+0000 is not allowed in a Client Identifier. */
const storedIdPrefix = '\u0000group\u0000'

/** How far a group is, for operators. */
export interface GroupDescription {
  stream: string
  group: string
  filter: string
  members: string[]
  /** Records of the stream from the group's lowest position on. */
  lag: number
  partitions: { partition: number; position: Offset; member: string | undefined }[]
}

/**
 * Consumer groups of streams. Their positions are in the session store, one record per partition, under a session that no client can
 * name; they stay when the last member has left.
 */
export class StreamGroups {
  readonly #context: NativeContext
  readonly #groups = new Map<string, StreamGroup>()
  /** Found at start, by stored id, until somebody asks for the group. */
  readonly #loaded = new Map<string, LoadedSession>()
  readonly #reassigned: (reading: GroupReading) => void

  constructor(context: NativeContext, reassigned: (reading: GroupReading) => void) {
    this.#context = context
    this.#reassigned = reassigned
  }

  /** Takes up a group found in the store; false when the session is something else. */
  restore(loaded: LoadedSession): boolean {
    if (!loaded.session.clientId.startsWith(storedIdPrefix)) return false
    this.#loaded.set(loaded.session.clientId, loaded)
    return true
  }

  /** Would this member make a group more than limits.maxStreamGroups allows? */
  wouldExceed(name: string, stream: string, filter: string): boolean {
    const id = idOf(name, stream, filter)
    if (this.#groups.has(id) || this.#loaded.has(id)) return false
    return this.#groups.size + this.#loaded.size >= this.#context.limits.maxStreamGroups
  }

  /** The reading of a new member; the group is made when it is the first one ever, to begin at `from`. */
  reading(subscription: RoutedSubscription, name: string, stream: Stream, filter: string, from: ReadFrom): GroupReading {
    const id = idOf(name, stream.name, filter)
    return new GroupReading(subscription, this.#groups.get(id) ?? this.#open(id, name, stream, filter, from))
  }

  /** The member is connected and takes its share. */
  join(reading: GroupReading): void {
    const { group, subscription } = reading
    const { session, filter } = subscription
    if (group.seeking === undefined) return group.join(reading)
    void group.seeking.then(() => {
      if (session.online && session.readings?.get(filter) === reading) group.join(reading)
    })
  }

  /** The stream is gone; its groups' members have left. */
  removeStream(name: string): void {
    const { store, commit } = this.#context
    for (const id of [...this.#groups.keys(), ...this.#loaded.keys()]) {
      if (!id.startsWith(`${storedIdPrefix}${name}\u0000`)) continue
      store.deleteSession(store.sessionKey(id), id)
      this.#groups.delete(id)
      this.#loaded.delete(id)
      commit.schedule()
    }
  }

  /** The stream may have another number of partitions now. Those who are loaded later see it then. */
  repartition(stream: Stream): void {
    for (const [id, group] of this.#groups) {
      if (group.stream.name !== stream.name || group.partitions.length === stream.partitions) continue
      const { store } = this.#context
      const key = store.sessionKey(id)
      for (const { index } of group.partitions.slice(stream.partitions)) store.deleteSubscription(key, String(index))
      group.repartition(stream.partitions)
    }
  }

  /** Groups by stream, those without members too. */
  describe(): GroupDescription[] {
    for (const [id] of [...this.#loaded]) {
      const [streamName = '', name = '', filter = '#'] = id.slice(storedIdPrefix.length).split('\u0000')
      const stream = this.#context.streams.get(streamName)
      if (stream !== undefined) this.#open(id, name, stream, filter, 'earliest')
    }
    return [...this.#groups.values()].map(describe)
  }

  #open(id: string, name: string, stream: Stream, filter: string, from: ReadFrom): StreamGroup {
    const { store, commit } = this.#context
    const loaded = this.#loaded.get(id)
    this.#loaded.delete(id)
    const key = loaded?.key ?? store.sessionKey(id)
    const positions = new Map(loaded?.subscriptions.map(({ filter: partition, position = 0 }) => [Number(partition), position]))
    // With another number of partitions a record's partition says nothing of how far the group was with it: some come again.
    const repartitioned = positions.size > 0 && positions.size !== stream.partitions
    const start = repartitioned ? Math.min(...positions.values()) : startsAt(from, stream)
    if (repartitioned) positions.clear()
    const group = new StreamGroup(name, stream, filter, partition => positions.get(partition) ?? start, {
      moved: partition => {
        store.putSubscription(key, positionRecord(partition))
        commit.schedule()
      },
      reassigned: this.#reassigned
    })
    this.#groups.set(id, group)
    if (repartitioned && loaded !== undefined) {
      for (const { filter: partition } of loaded.subscriptions) store.deleteSubscription(key, partition)
      for (const partition of group.partitions) store.putSubscription(key, positionRecord(partition))
    }
    if (loaded !== undefined) return group
    store.putSession(key, {
      clientId: id,
      version: 5,
      expirySeconds: neverExpires,
      createdAtMs: this.#context.now(),
      disconnectedAtMs: 0,
      username: undefined
    })
    for (const partition of group.partitions) store.putSubscription(key, positionRecord(partition))
    commit.schedule()
    if (typeof from === 'object' && 'timeMs' in from) group.seeking = this.#seek(group, from)
    return group
  }

  async #seek(group: StreamGroup, from: ReadFrom): Promise<void> {
    let first = group.stream.nextOffset
    try {
      for await (const { offset } of group.stream.read({ from, limit: 1, onGap: () => {} })) first = offset
      for (const partition of group.partitions) partition.moveTo(first)
    } catch (err) {
      this.#context.broker.logger?.error(
        { err, group: group.name },
        'a stream cannot be read; its group begins at the earliest record'
      )
    }
    group.seeking = undefined
  }
}

function idOf(name: string, stream: string, filter: string): string {
  return `${storedIdPrefix}${stream}\u0000${name}\u0000${filter}`
}

/** A position in the form of a subscription, which is what the store knows how to keep. */
function positionRecord({ index, position }: GroupPartition): StoredSubscription {
  return {
    filter: String(index),
    qos: 0,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    subscriptionId: 0,
    position
  }
}

function describe({ name, stream, filter, partitions, members }: StreamGroup): GroupDescription {
  const end = stream.nextOffset
  return {
    stream: stream.name,
    group: name,
    filter,
    members: members.map(({ subscription }) => subscription.session.clientId),
    lag: end - Math.min(...partitions.map(({ position }) => position)),
    partitions: partitions.map(({ index, position, owner }) => ({
      partition: index,
      position,
      member: owner?.subscription.session.clientId
    }))
  }
}
