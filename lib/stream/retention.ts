import type { Cleanup, Offset, RetentionPolicy } from './contract.ts'
import { Segment } from './segment.ts'

/** What retention counts by: nothing where compaction alone removes records. */
export function retentionOf({ cleanup, retention }: { cleanup: Cleanup; retention: RetentionPolicy }): RetentionPolicy {
  return cleanup === 'compact' ? { ageMs: 0, bytes: 0 } : retention
}

/**
 * How many of the oldest segments retention removes; the last one, which is written to, is never among them. Age counts from a
 * segment's largest timestamp, so no record goes before its time.
 */
export function expiredSegments(segments: readonly Segment[], policy: RetentionPolicy, nowMs: number): number {
  let bytes = 0
  for (const segment of segments) bytes += segment.endPosition
  let count = 0
  for (const segment of segments.slice(0, -1)) {
    const tooOld = policy.ageMs > 0 && segment.maxTimestampMs < nowMs - policy.ageMs
    const tooMany = policy.bytes > 0 && bytes > policy.bytes
    if (!tooOld && !tooMany) break
    bytes -= segment.endPosition
    count++
  }
  return count
}

/**
 * Whether the active segment is to be rolled so that age can remove it. Waiting until its last record is over age would let a
 * slow stream keep its first ones for as long as the segment takes to fill; a tenth of the age bounds what they overstay.
 */
export function isDueForRoll(active: Segment, policy: RetentionPolicy, nowMs: number): boolean {
  return !active.isEmpty && policy.ageMs > 0 && active.firstTimestampMs < nowMs - policy.ageMs / 10
}

/** What a log would lose: its first segments, whole. */
export interface Removal {
  segments: number
  bytes: number
  fromOffset: Offset
  toOffset: Offset
  /** At most this many where compaction has been: how many it left is not known without reading. */
  records: number
  compacted: boolean
  /** Epoch ms of the first record and of the latest; undefined when there is no record among them. */
  firstTimestampMs: number | undefined
  lastTimestampMs: number | undefined
}

/** What a run of retention under this policy would remove now: the same segments, found without touching them. */
export function foreseeRetention(segments: readonly Segment[], policy: RetentionPolicy, nowMs: number): Removal {
  const active = segments.at(-1)
  const rolls = active !== undefined && isDueForRoll(active, policy, nowMs)
  // A roll leaves an empty segment behind the others, which then may all go.
  const after = rolls ? [...segments, new Segment('', active.nextOffset, 0)] : segments
  return removalOf(segments.slice(0, expiredSegments(after, policy, nowMs)))
}

/** What goes with these segments, which are the first ones of a log. */
export function removalOf(segments: readonly Segment[]): Removal {
  const filled = segments.filter(segment => segment.hasRecords)
  const fromOffset = segments[0]?.baseOffset ?? 0
  const toOffset = segments.at(-1)?.nextOffset ?? fromOffset
  const lost = segments.flatMap(({ gaps }) => gaps).reduce((sum, gap) => sum + gap.toOffset - gap.fromOffset, 0)
  return {
    segments: segments.length,
    bytes: segments.reduce((sum, { endPosition }) => sum + endPosition, 0),
    fromOffset,
    toOffset,
    compacted: segments.some(({ generation }) => generation > 0),
    records: filled.reduce((sum, { baseOffset, nextOffset }) => sum + nextOffset - baseOffset, 0) - lost,
    firstTimestampMs: filled[0]?.firstTimestampMs,
    lastTimestampMs: filled.length === 0 ? undefined : Math.max(...filled.map(({ maxTimestampMs }) => maxTimestampMs))
  }
}
