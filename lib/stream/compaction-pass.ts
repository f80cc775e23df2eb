import { BatchWalker, findBatch } from './batch-walker.ts'
import { CompactedSegmentWriter } from './compacted-segment-writer.ts'
import { SourceReader } from './compaction-source.ts'
import type { Offset } from './contract.ts'
import type { FileSystem } from './file-system.ts'
import { loadIndex } from './index-file.ts'
import type { KeyField } from './key-partition.ts'
import { KeyTable } from './key-table.ts'
import type { Pace } from './pace.ts'
import { RecordCursor } from './record-cursor.ts'
import { type Gap, SEGMENT_HEADER_BYTES, type Segment } from './segment.ts'

export interface CompactionJob {
  fileSystem: FileSystem
  folder: string
  key: KeyField
  /** By base offset, without the active one. */
  segments: readonly Segment[]
  /** Offsets below were compacted before: among them a key is there once, but for what a damaged segment kept. */
  cleanedTo: Offset
  tombstoneAgeMs: number
  memoryBytes: number
  segmentBytesMax: number
  nowMs: number
  pace: Pace
  /** Damage was found in the segment; it is left as it is. */
  onDamage(segment: Segment, gap: Gap | undefined): Promise<void>
  /** Puts the writer's segment in the place of those it was made of. False when they are no longer part of the log. */
  swap(writer: CompactedSegmentWriter, replaced: readonly Segment[]): Promise<boolean>
  /** The writer came to nothing. */
  discard(writer: CompactedSegmentWriter): Promise<void>
}

export interface PassResult {
  /** What cleanedTo is now. */
  cleanedTo: Offset
  /** The end was not reached: the keys did not fit into memory, or the log changed. */
  unfinished: boolean
  removedRecords: number
  reclaimedBytes: number
  rewrittenSegments: number
  /** When the first tombstone that is still there was settled; undefined = there is none. */
  earliestSettledMs: number | undefined
}

/** A segment, and what is to become of it. */
interface Plan {
  segment: Segment
  changed: boolean
  keptBytes: number
  removed: number
  /** A damaged segment before this one may hold what a tombstone is there to hide. */
  blocked: boolean
}

const DROP = -1

/**
 * One pass of compaction: notes the last offset of each key from `cleanedTo` on, then writes anew those segments of the whole log that
 * hold something older, oldest first, and small ones that lie side by side as one. Oldest first, so that a tombstone goes no sooner
 * than what it hides, wherever a crash comes between.
 */
export class CompactionPass {
  readonly #job: CompactionJob
  readonly #sources: SourceReader
  readonly #table: KeyTable
  readonly #damaged: Set<Segment>
  /** The table knows the keys of the offsets below. */
  #mappedTo: Offset
  readonly #result: PassResult

  constructor(job: CompactionJob) {
    this.#job = job
    this.#sources = new SourceReader(job.key)
    this.#table = new KeyTable(job.memoryBytes)
    this.#damaged = new Set(job.segments.filter(segment => segment.gaps.length > 0))
    this.#mappedTo = job.cleanedTo
    const counts = { removedRecords: 0, reclaimedBytes: 0, rewrittenSegments: 0 }
    this.#result = { cleanedTo: job.cleanedTo, unfinished: false, ...counts, earliestSettledMs: undefined }
  }

  async run(): Promise<PassResult> {
    for (const segment of this.#damaged) await this.#job.onDamage(segment, undefined)
    await this.#mapKeys()
    for (const group of this.#groups(await this.#plan())) {
      if (!(await this.#rewrite(group))) {
        this.#result.unfinished = true
        return this.#result
      }
    }
    this.#result.cleanedTo = this.#mappedTo
    return this.#result
  }

  /** Goes through what is new until its end, or until the table is full. */
  async #mapKeys(): Promise<void> {
    for (const segment of this.#job.segments) {
      if (segment.nextOffset <= this.#mappedTo) continue
      const whole = await this.#walk(segment, this.#mappedTo, cursor => {
        while (cursor.next()) {
          if (cursor.offset < this.#job.cleanedTo) continue
          if (!this.#table.set(cursor.source, cursor.offset)) {
            this.#mappedTo = cursor.offset
            this.#result.unfinished = true
            return false
          }
        }
        return true
      })
      if (this.#result.unfinished) return
      // What could be read of a damaged segment stays, and so may stand for what is older.
      if (!whole) this.#damaged.add(segment)
      this.#mappedTo = segment.nextOffset
    }
  }

  async #plan(): Promise<Plan[]> {
    const plans: Plan[] = []
    for (const segment of this.#job.segments) {
      if (segment.baseOffset >= this.#mappedTo) break
      const blocked = this.#isBehindDamage(segment)
      const plan = { segment, changed: false, keptBytes: 0, removed: 0, blocked }
      if (this.#damaged.has(segment)) continue
      let earliestSettledMs = Number.POSITIVE_INFINITY
      const whole = await this.#walk(segment, segment.baseOffset, cursor => {
        while (cursor.next()) {
          const settledAtMs = this.#verdict(cursor, plan.blocked)
          if (settledAtMs !== cursor.settledAtMs) plan.changed = true
          if (settledAtMs === DROP) {
            plan.removed++
            continue
          }
          plan.keptBytes += cursor.payloadEnd - cursor.propertiesStart + RECORD_BYTES
          if (settledAtMs > 0 && !plan.blocked && settledAtMs < earliestSettledMs) earliestSettledMs = settledAtMs
        }
        return true
      })
      if (!whole) {
        this.#damaged.add(segment)
        continue
      }
      this.#result.earliestSettledMs = least(this.#result.earliestSettledMs, earliestSettledMs)
      plans.push(plan)
    }
    return plans
  }

  /** Segments that are to become one. Alone and as it should be, a segment stays as it is. */
  #groups(plans: readonly Plan[]): Plan[][] {
    const { segmentBytesMax } = this.#job
    const groups: Plan[][] = []
    let bytes = 0
    for (const plan of plans) {
      const last = groups.at(-1)?.at(-1)
      // A large one that has nothing to lose is not written again for the sake of small neighbours.
      const stays = !plan.changed && plan.segment.endPosition > segmentBytesMax / 2
      const joins =
        !stays &&
        last !== undefined &&
        (last.changed || last.segment.endPosition <= segmentBytesMax / 2) &&
        last.segment.nextOffset === plan.segment.baseOffset &&
        bytes + plan.keptBytes <= segmentBytesMax
      if (joins) groups.at(-1)!.push(plan)
      else groups.push([plan])
      bytes = (joins ? bytes : 0) + plan.keptBytes
    }
    return groups.filter(group => group.length > 1 || group[0]!.changed)
  }

  /** False when the log has changed underneath, or damage was found. */
  async #rewrite(group: readonly Plan[]): Promise<boolean> {
    const { fileSystem, folder, pace } = this.#job
    const segments = group.map(({ segment }) => segment)
    const generation = Math.max(...segments.map(segment => segment.generation)) + 1
    const endOffset = segments.at(-1)!.nextOffset
    const writer = await CompactedSegmentWriter.create(fileSystem, folder, segments[0]!.baseOffset, endOffset, generation)
    let swapped = false
    try {
      for (const { segment, blocked } of group) {
        const whole = await this.#walk(segment, segment.baseOffset, async cursor => {
          while (cursor.next()) {
            const settledAtMs = this.#verdict(cursor, blocked)
            if (settledAtMs === DROP) continue
            if (!writer.fits(cursor)) {
              const before = writer.segment.endPosition
              await writer.flush(cursor)
              if (pace.spend(writer.segment.endPosition - before)) await pace.rest()
            }
            writer.add(cursor, settledAtMs)
          }
          return true
        })
        if (!whole) return false
      }
      await writer.finish()
      swapped = await this.#job.swap(writer, segments)
    } finally {
      if (!swapped) await this.#job.discard(writer)
    }
    if (!swapped) return false
    this.#result.rewrittenSegments += segments.length
    for (const { removed } of group) this.#result.removedRecords += removed
    for (const { endPosition } of segments) this.#result.reclaimedBytes += endPosition
    this.#result.reclaimedBytes -= writer.segment.endPosition
    return true
  }

  /** What becomes of a record: DROP, or since when it is a tombstone with nothing before it (0 = it is not). */
  #verdict(record: RecordCursor, blocked: boolean): number {
    const { offset, settledAtMs } = record
    const { nowMs, tombstoneAgeMs } = this.#job
    if (offset >= this.#mappedTo) return settledAtMs
    if (this.#table.get(record.source) > offset) return DROP
    if (!record.isTombstone || blocked) return settledAtMs
    if (settledAtMs === 0) return nowMs
    return settledAtMs + tombstoneAgeMs <= nowMs ? DROP : settledAtMs
  }

  #isBehindDamage(segment: Segment): boolean {
    for (const { baseOffset } of this.#damaged) if (baseOffset < segment.baseOffset) return true
    return false
  }

  /**
   * Shows the segment's batches to `visit`, until it returns false. Returns false when the segment is damaged, which is put on record.
   */
  async #walk(
    segment: Segment,
    fromOffset: Offset,
    visit: (cursor: RecordCursor) => boolean | Promise<boolean>
  ): Promise<boolean> {
    const { fileSystem, pace, onDamage } = this.#job
    const entry = (segment.index ?? (await loadIndex(fileSystem, segment))).floorOffset(fromOffset)
    const { position, offset } = entry ?? { position: SEGMENT_HEADER_BYTES, offset: segment.baseOffset }
    const file = await fileSystem.open(segment.path, 'read')
    try {
      const walker = new BatchWalker(file, segment.seed, position, offset, segment.endPosition)
      for (;;) {
        const step = walker.step()
        if (step === 'end' && walker.nextOffset === segment.nextOffset) return true
        if (step === 'load') {
          await walker.load()
        } else if (step === 'batch' && walker.header!.baseOffset === walker.nextOffset) {
          const cursor = new RecordCursor(walker.block, walker.bodyStart, walker.header!, this.#sources)
          const more = visit(cursor)
          if (!(typeof more === 'boolean' ? more : await more)) return true
          walker.advance()
          if (pace.spend(walker.header!.bodyBytes)) await pace.rest()
        } else {
          const { position: damagedAt, nextOffset } = walker
          const next = await findBatch(file, segment.seed, damagedAt + 1, segment.endPosition, nextOffset)
          const bytes = (next?.position ?? segment.endPosition) - damagedAt
          const toOffset = next?.header.baseOffset ?? segment.nextOffset
          await onDamage(segment, { position: damagedAt, bytes, fromOffset: nextOffset, toOffset })
          return false
        }
      }
    } catch (error) {
      // The checksum holds and the content does not: whoever wrote it was wrong.
      if (!(error instanceof RangeError)) throw error
      await onDamage(segment, undefined)
      return false
    } finally {
      await file.close()
    }
  }
}

/** About what a record takes beside its payload and properties. */
const RECORD_BYTES = 8

function least(a: number | undefined, b: number): number | undefined {
  if (a === undefined) return Number.isFinite(b) ? b : undefined
  return Math.min(a, b)
}
