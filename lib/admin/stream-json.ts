import type { StreamStats } from '../stream/contract.ts'
import type { StreamSettings } from './contract.ts'

/** A stream as the admin endpoints and `tributary stream ls --json` show it. */
export interface StreamJson {
  name: string
  filter: string | undefined
  key: string | undefined
  partitions: number | undefined
  ack: string | undefined
  /** Milliseconds and bytes; 0 = no limit. */
  retention: { ageMs: number; bytes: number } | undefined
  cleanup: string | undefined
  records: number
  bytes: number
  segments: number
  earliestOffset: number
  /** Offset the next record gets. */
  nextOffset: number
  /** ISO 8601; null when empty. */
  oldest: string | null
  newest: string | null
}

export function streamJson(stream: { stats(): StreamStats }, settings: StreamSettings | undefined): StreamJson {
  const stats = stream.stats()
  return {
    name: stats.name,
    filter: settings?.filter,
    key: settings?.key,
    partitions: settings?.partitions,
    ack: settings?.ack,
    retention: settings?.retention,
    cleanup: settings?.cleanup,
    records: stats.nextOffset - stats.earliestOffset,
    bytes: stats.bytes,
    segments: stats.segments,
    earliestOffset: stats.earliestOffset,
    nextOffset: stats.nextOffset,
    oldest: isoTime(stats.earliestTimestampMs),
    newest: isoTime(stats.latestTimestampMs)
  }
}

function isoTime(timeMs: number | undefined): string | null {
  return timeMs === undefined ? null : new Date(timeMs).toISOString()
}
