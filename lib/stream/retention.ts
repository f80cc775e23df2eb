import type { RetentionPolicy } from './contract.ts'
import type { Segment } from './segment.ts'

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
