import { TributaryError } from '../../errors.ts'
import { topicMatches } from '../../topic/filter.ts'
import type { Offset, ReadFrom } from '../contract.ts'
import { offsetAt, parseReadFrom, startsAt } from '../read-from.ts'
import type { ConsumerGroup } from './group.ts'

export interface ResetOptions {
  /** `earliest`, `latest`, an offset, or a time; as text like over MQTT. */
  to: ReadFrom | string
  /** Default: all partitions. */
  partition?: number | undefined
  dryRun?: boolean | undefined
}

export interface ResetResult {
  partitions: PartitionReset[]
  /** Members that go on from the new positions. */
  members: string[]
  /** False when too much lies between the positions to be counted: then the numbers are of offsets, those of other partitions too. */
  exact: boolean
  /** What is different from what was asked for. */
  note: string | undefined
}

export interface PartitionReset {
  partition: number
  from: Offset
  to: Offset
  /** Records that the group will not read. */
  skipped: number
  /** Records that it had acknowledged and reads again. */
  again: number
}

/** Offsets between old and new positions that are read to count the records among them: at most about a second. */
const OFFSETS_COUNTED_MAX = 1_000_000

/** What a reset would do. */
export async function planReset(group: ConsumerGroup, { to, partition }: ResetOptions): Promise<ResetResult> {
  const { stream, partitions } = group
  if (partition !== undefined && partitions[partition] === undefined) {
    throw new TypeError(`partition: stream ${stream.name} has the partitions 0 to ${partitions.length - 1}, not ${partition}`)
  }
  const { target, note } = await resolveTarget(group, to)
  const moved = partitions
    .filter(({ index }) => partition === undefined || index === partition)
    .map(({ index, position }) => ({ partition: index, from: position, to: target, skipped: 0, again: 0 }))
  const exact = await count(group, moved)
  return { partitions: moved, members: [...group.members].map(({ id }) => id), exact, note }
}

async function resolveTarget(
  { stream }: ConsumerGroup,
  to: ReadFrom | string
): Promise<{ target: Offset; note: string | undefined }> {
  const start = typeof to === 'string' ? parseReadFrom(to) : to
  if (start === undefined)
    throw new TypeError(`to: expected earliest, latest, an offset, a time or @ and epoch milliseconds, not ${to}`)
  const { earliestOffset } = stream.stats()
  if (typeof start === 'string') return { target: startsAt(start, stream), note: undefined }
  if ('timeMs' in start) {
    const target = await offsetAt(stream, start)
    const time = new Date(start.timeMs).toISOString()
    return {
      target,
      note: target === stream.nextOffset ? `no record is as late as ${time}: this is the end of the stream` : undefined
    }
  }
  const { offset } = start
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > stream.nextOffset) {
    const message = `offset ${offset} does not exist yet; the next one of stream ${stream.name} will be ${stream.nextOffset}`
    throw new TributaryError('TRB_OFFSET_OUT_OF_RANGE', message)
  }
  if (offset >= earliestOffset) return { target: offset, note: undefined }
  return { target: earliestOffset, note: `retention has removed offset ${offset}: ${earliestOffset} is the earliest one` }
}

/** Fills in how many records lie between. */
async function count({ stream, name: { filter } }: ConsumerGroup, moved: PartitionReset[]): Promise<boolean> {
  const { earliestOffset } = stream.stats()
  const low = Math.max(earliestOffset, Math.min(...moved.map(({ from, to }) => Math.min(from, to))))
  const high = Math.max(...moved.map(({ from, to }) => Math.max(from, to)))
  if (high - low > OFFSETS_COUNTED_MAX) {
    for (const part of moved) {
      part.skipped = Math.max(0, part.to - Math.max(part.from, earliestOffset))
      part.again = Math.max(0, part.from - part.to)
    }
    return false
  }
  if (high <= low) return true
  const wanted = new Map(moved.map(part => [part.partition, part]))
  const batches = stream.readBatches({
    from: { offset: low },
    outOfRange: 'earliest',
    onGap: () => {},
    select: ({ topic, partition }) => wanted.has(partition % stream.partitions) && (filter === '#' || topicMatches(filter, topic))
  })
  for await (const { records, nextOffset } of batches) {
    for (const { partition, offset } of records) {
      const part = wanted.get(partition % stream.partitions)
      if (part === undefined) continue
      if (offset >= part.from && offset < part.to) part.skipped++
      if (offset >= part.to && offset < part.from) part.again++
    }
    if (nextOffset >= high) break
  }
  return true
}
