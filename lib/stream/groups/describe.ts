import { topicMatches } from '../../topic/filter.ts'
import type { Offset } from '../contract.ts'
import type { GroupDescription } from './contract.ts'
import type { ConsumerGroup } from './group.ts'

/** Offsets looked at for the oldest record of each partition that is not acknowledged. What lies behind is not known to be old. */
const OFFSETS_LOOKED_AT_MAX = 100_000

interface Oldest {
  /** The positions it was measured at. */
  readonly key: string
  /** Epoch milliseconds by partition; undefined where nothing waits, or nothing was found. */
  readonly timestampsMs: readonly (number | undefined)[]
}

/** How old what groups have not acknowledged is. Found by reading, and kept as long as the group does not move. */
export class GroupAges {
  readonly #measured = new WeakMap<ConsumerGroup, Oldest>()

  async measure(groups: readonly ConsumerGroup[]): Promise<void> {
    for (const group of groups) {
      const key = keyOf(group)
      const known = this.#measured.get(group)
      // What is found stays right; what was not found may have arrived since.
      if (known?.key === key && known.timestampsMs.some(time => time !== undefined)) continue
      this.#measured.set(group, { key, timestampsMs: await oldestUnread(group) })
    }
  }

  /** Seconds by partition; undefined where nothing waits or it is not known. */
  ages(group: ConsumerGroup): readonly (number | undefined)[] | undefined {
    const found = this.#measured.get(group)
    return found?.key !== keyOf(group)
      ? undefined
      : found.timestampsMs.map(time => (time === undefined ? undefined : Math.max(0, (group.now() - time) / 1000)))
  }
}

export function describeGroup(group: ConsumerGroup, ages: GroupAges): GroupDescription {
  const { stream, partitions, committed, redelivered, deadLetters, lost } = group
  const end = stream.nextOffset
  const { earliestOffset } = stream.stats()
  const lagFrom = (position: Offset) => Math.max(0, end - Math.max(position, earliestOffset))
  const lag = lagFrom(Math.min(...partitions.map(({ position }) => position)))
  const measured = ages.ages(group)
  const known = measured?.filter(age => age !== undefined) ?? []
  return {
    ...group.name,
    members: [...group.members].map(member => {
      const owned = group.owned(member)
      const inFlight = owned.reduce((sum, part) => sum + part.inFlight, 0)
      const state = group.isStalled(member) ? 'stalled' : 'active'
      return { id: member.id, kind: member.kind, state, partitions: owned.length, inFlight }
    }),
    end,
    lag,
    lagSeconds: lag === 0 ? 0 : known.length > 0 ? Math.max(...known) : measured === undefined ? undefined : 0,
    partitions: partitions.map(({ index, position, inFlight, owner }) => ({
      partition: index,
      position,
      lag: lagFrom(position),
      lagSeconds: lagFrom(position) === 0 ? 0 : measured === undefined ? undefined : (measured[index] ?? 0),
      inFlight,
      member: owner?.id
    })),
    ...{ committed, redelivered, deadLetters, lost }
  }
}

function keyOf({ partitions }: ConsumerGroup): string {
  return partitions.map(({ position }) => position).join()
}

async function oldestUnread(group: ConsumerGroup): Promise<(number | undefined)[]> {
  const { stream, partitions, name } = group
  const found = new Array<number | undefined>(partitions.length).fill(undefined)
  const positions = partitions.map(({ position }) => position)
  const from = Math.max(Math.min(...positions), stream.stats().earliestOffset)
  if (from >= stream.nextOffset) return found
  let missing = positions.length
  const batches = stream.readBatches({
    from: { offset: from },
    outOfRange: 'earliest',
    onGap: () => {},
    select: ({ topic, partition }) =>
      found[partition % found.length] === undefined && (name.filter === '#' || topicMatches(name.filter, topic))
  })
  for await (const { records, nextOffset } of batches) {
    for (const { partition, offset, timestampMs } of records) {
      const index = partition % found.length
      if (found[index] !== undefined || offset < positions[index]!) continue
      found[index] = timestampMs
      missing--
    }
    if (missing === 0 || nextOffset - from > OFFSETS_LOOKED_AT_MAX) break
  }
  return found
}
