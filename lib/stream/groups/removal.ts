import type { Offset } from '../contract.ts'
import type { Logger } from '../surroundings.ts'
import type { ConsumerGroup } from './group.ts'

/** Says so before retention deletes what a group has not read. */
export function watchRemoval(group: ConsumerGroup, logger: Logger | undefined): void {
  group.unwatch = group.stream.beforeRemoval?.(earliest => {
    const records = unread(group, earliest)
    if (records === 0) return
    group.lost += records
    const behind = group.partitions.filter(({ next }) => next < earliest).map(({ index }) => index)
    const details = { ...group.name, records, partitions: behind, earliestOffset: earliest }
    logger?.warn(details, 'retention removes records that a consumer group has not read')
  })
}

/**
 * Records about to go that were not handed out, estimated: offsets are shared by all partitions, so each is taken to have its part of
 * them. Exact while the partitions are equally far, as they are in a group without members.
 */
function unread({ partitions, stream }: ConsumerGroup, earliest: Offset): number {
  const { earliestOffset } = stream.stats()
  let offsets = 0
  for (const { next } of partitions) offsets += Math.max(0, earliest - Math.max(next, earliestOffset))
  return Math.round(offsets / partitions.length)
}
