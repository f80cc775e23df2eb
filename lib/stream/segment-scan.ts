import { BatchWalker, endOfData, type FoundBatch, findBatch } from './batch-walker.ts'
import type { File } from './file-system.ts'
import type { Gap, Segment } from './segment.ts'

/**
 * Reads a segment from `segment.endPosition` to the end of the file, verifying every checksum, and moves the segment's end.
 * Returns the gaps it came across and, for the last segment, how many bytes after the end are neither batches nor padding.
 *
 * What fails its checksum is one of two things. A torn write: nothing behind it was ever acknowledged, and nothing in it. Or
 * damage to records that were durable once. A later batch tells them apart: its header says which records were durable when it
 * was written. If the bad place is among those, it is damage; if no later batch says so, the last write was torn.
 */
export async function scanSegment(
  file: File,
  segment: Segment,
  fileBytes: number,
  isLast: boolean
): Promise<{ gaps: Gap[]; tornBytes: number }> {
  const gaps: Gap[] = []
  const walker = new BatchWalker(file, segment.seed, segment.endPosition, segment.nextOffset, fileBytes)
  for (;;) {
    const step = walker.step()
    if (step === 'load') {
      await walker.load()
    } else if (step === 'end') {
      return { gaps, tornBytes: 0 }
    } else if (step === 'batch' && walker.header!.baseOffset === segment.nextOffset) {
      segment.accept(walker.position, walker.header!)
      walker.advance()
    } else {
      const dataEnd = await endOfData(file, walker.position, fileBytes)
      const damagedBytes = dataEnd - walker.position
      if (damagedBytes === 0) return { gaps, tornBytes: 0 }
      const next = await batchAfterDamage(file, segment, walker.position, dataEnd, isLast)
      if (next === undefined) return { gaps, tornBytes: damagedBytes }
      const gap = {
        position: walker.position,
        bytes: next.position - walker.position,
        fromOffset: segment.nextOffset,
        toOffset: next.header.baseOffset
      }
      if (segment.addGap(gap)) gaps.push(gap)
      segment.accept(next.position, next.header)
      walker.position = next.end
    }
  }
}

/** The batch to go on with, or undefined when everything from `position` on is one torn write. */
async function batchAfterDamage(
  file: File,
  segment: Segment,
  position: number,
  limit: number,
  isLast: boolean
): Promise<FoundBatch | undefined> {
  const lost = segment.nextOffset
  const first = await findBatch(file, segment.seed, position, limit, lost)
  // Behind a segment there is only another one after everything in it had become durable.
  if (!isLast) return first
  let found = first
  while (found !== undefined) {
    if (found.header.baseOffset - found.header.unsyncedBefore > lost) return first
    found = await findBatch(file, segment.seed, found.end, limit, found.header.baseOffset)
  }
  return undefined
}
