import type { Offset, StreamStats } from './contract.ts'
import type { FileSystem } from './file-system.ts'
import type { Gap, Segment } from './segment.ts'

/** A log as a reader sees it: of a broker that writes it, or of a folder opened read-only. */
export interface LogView {
  readonly name: string
  readonly fileSystem: FileSystem
  /** By base offset. Each ends where its last durable batch ends. */
  readonly segments: readonly Segment[]
  readonly earliestOffset: Offset
  /** Offset after the last durable record. */
  readonly durableOffset: Offset
  /** Offset the next append gets; larger than durableOffset while appends wait for a sync. */
  readonly nextOffset: Offset
  /** No record will be added any more. */
  readonly closed: boolean
  /** Resolves when records may have become durable, when the log is closed or when the signal is aborted. */
  changed(signal: AbortSignal): Promise<void>
  /** A reader found no file: is the segment still part of the log, or has retention or compaction removed it? */
  stillHas(segment: Segment): Promise<boolean>
  /** A reader has come to a damaged stretch. */
  noteDamage(segment: Segment, gap: Gap): Promise<void>
}

/** Index of the last segment that begins at or before the offset; -1 if there is none. */
export function segmentAt(segments: readonly Segment[], offset: Offset): number {
  let low = 0
  let high = segments.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (segments[middle]!.baseOffset <= offset) low = middle + 1
    else high = middle
  }
  return low - 1
}

export function logStats(view: LogView): StreamStats {
  const filled = view.segments.filter(segment => segment.hasRecords)
  return {
    name: view.name,
    earliestOffset: view.earliestOffset,
    nextOffset: view.nextOffset,
    durableOffset: view.durableOffset,
    bytes: view.segments.reduce((sum, segment) => sum + segment.endPosition, 0),
    segments: view.segments.length,
    earliestTimestampMs: filled[0]?.firstTimestampMs,
    latestTimestampMs: filled.at(-1)?.maxTimestampMs
  }
}
