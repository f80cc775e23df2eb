import type { Offset, StreamGap } from './contract.ts'
import { quarantineGap } from './damage.ts'
import { type File, type FileSystem, systemCode } from './file-system.ts'
import { loadIndex, type Restored, restoreFromIndex, writeIndex } from './index-file.ts'
import { quarantinePath, readSegmentHeader, SEGMENT_HEADER_BYTES, Segment, type SegmentName, segmentPath } from './segment.ts'
import { scanSegment } from './segment-scan.ts'
import { currentSegments } from './superseded.ts'
import type { Logger } from './surroundings.ts'

export interface Recovered {
  /** By base offset; the last one may be appended to if it ends at nextOffset. */
  segments: Segment[]
  /** Never below what a previous run had made durable, as far as any file still tells. */
  nextOffset: Offset
}

export interface RecoveryJob {
  fileSystem: FileSystem
  folder: string
  stream: string
  logger: Logger
  /** False leaves every file as it is. */
  repair: boolean
  /** Segments found by an earlier look at the folder; they are brought up to date rather than read again. */
  known?: ReadonlyMap<Offset, Segment>
}

/**
 * Finds out what a stream's folder holds. After a clean stop it reads the label and the index of each segment and no records;
 * after a crash it also reads the last segment from where its index ends. Whatever is wrong is reported through the logger with
 * code TRB_STREAM_CORRUPT, and none of it keeps the stream from opening.
 */
export async function recover(job: RecoveryJob): Promise<Recovered> {
  for (let attempt = 1; ; attempt++) {
    const { vanished, ...recovered } = await look(job)
    // Retention and compaction of a broker that writes the log remove files between our looking at the folder and opening them.
    if (vanished && attempt < LOOKS_MAX) continue
    for (const gap of missingSegments(recovered.segments, recovered.nextOffset)) {
      const details = { code: 'TRB_STREAM_CORRUPT', stream: job.stream, folder: job.folder, ...gap }
      job.logger.error(details, 'records of a stream are missing: their segment file is gone or cut short')
    }
    return recovered
  }
}

/** A broker would have to remove a file each time; then the last look has to do. */
const LOOKS_MAX = 10

async function look(job: RecoveryJob): Promise<Recovered & { vanished: boolean }> {
  const names = await currentSegments(job, await job.fileSystem.readdir(job.folder))
  const segments: Segment[] = []
  let nextOffset = 0
  let vanished = false
  for (const [i, name] of names.entries()) {
    const found = await recoverSegment(job, name, names[i + 1]?.baseOffset)
    if (found === undefined) {
      vanished = true
      continue
    }
    if (found.segment !== undefined) segments.push(found.segment)
    nextOffset = Math.max(nextOffset, name.baseOffset, found.nextOffset)
  }
  return { segments, nextOffset, vanished }
}

/** Every lost stretch that is known, in offset order: those inside segments and those between them. */
export function knownGaps(segments: readonly Segment[], nextOffset: Offset): StreamGap[] {
  const inside = segments.flatMap(segment => segment.gaps)
  return [...inside, ...missingSegments(segments, nextOffset)]
    .map(({ fromOffset, toOffset }) => ({ fromOffset, toOffset }))
    .sort((a, b) => a.fromOffset - b.fromOffset)
}

/** Offsets that no segment has, between the first segment and the end. */
function missingSegments(segments: readonly Segment[], nextOffset: Offset): StreamGap[] {
  const gaps: StreamGap[] = []
  for (const [i, segment] of segments.entries()) {
    const following = segments[i + 1]?.baseOffset ?? nextOffset
    if (segment.nextOffset < following) gaps.push({ fromOffset: segment.nextOffset, toOffset: following })
  }
  return gaps
}

/** undefined when the file has vanished. */
async function recoverSegment(
  job: RecoveryJob,
  name: SegmentName,
  following: Offset | undefined
): Promise<{ segment?: Segment; nextOffset: Offset } | undefined> {
  const { baseOffset, generation } = name
  const path = segmentPath(job.folder, baseOffset, generation)
  const file = await openSegment(job, path)
  if (file === undefined) return undefined
  try {
    const label = Buffer.alloc(SEGMENT_HEADER_BYTES)
    const header = readSegmentHeader(label.subarray(0, await file.read(label, 0, label.length, 0)), name)
    const fileBytes = await file.size()
    if (header.type === 'valid') {
      if (header.damagedCopy) report(job, { file: path }, 'one of the two labels of a segment is damaged; the other one is used')
      const known = job.known?.get(baseOffset)
      const segment =
        known?.seed === header.seed ? known : new Segment(job.folder, baseOffset, header.seed, generation, header.endOffset)
      const reached =
        segment === known ? { type: 'restored' as const } : await restoreFromIndex(job.fileSystem, segment, fileBytes)
      // A compacted segment was whole when it got its name: nothing in it is a torn write.
      const nextOffset = await bringUpToDate(job, file, segment, fileBytes, segment.endOffset ?? following, reached)
      return { segment, nextOffset: Math.max(nextOffset, segment.endOffset ?? 0) }
    }
    // A crash right after creating the segment leaves a file without label. It never held a record, and must not stay beside
    // the segment before it, which may take records again.
    if (header.type === 'blank' && following === undefined && generation === 0) {
      if (job.repair) await job.fileSystem.unlink(path)
      return { nextOffset: baseOffset }
    }
  } finally {
    await file.close()
  }
  const quarantine = quarantinePath(path, baseOffset)
  report(job, { file: path, quarantine, fromOffset: baseOffset }, 'a segment has no valid label; the whole file is quarantined')
  if (job.repair) await job.fileSystem.rename(path, quarantine)
  return { nextOffset: following ?? (await quarantinedEnd(job, job.repair ? quarantine : path, baseOffset)) }
}

/** undefined when a running broker's retention has just removed the file, which only a reader beside it can meet. */
async function openSegment(job: RecoveryJob, path: string): Promise<File | undefined> {
  try {
    return await job.fileSystem.open(path, 'read')
  } catch (error) {
    if (!job.repair && systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Scans what the index does not cover. Returns the offset the stream had reached with this segment. */
async function bringUpToDate(
  job: RecoveryJob,
  file: File,
  segment: Segment,
  fileBytes: number,
  following: Offset | undefined,
  indexed: Restored
): Promise<Offset> {
  const isLast = following === undefined
  const complete = isLast ? fileBytes === segment.endPosition : segment.nextOffset === following
  if (indexed.type === 'restored' && complete) return segment.nextOffset
  // The index may be one written before the last appends: what lies behind its end is still to be read.
  segment.index ??= await loadIndex(job.fileSystem, segment)
  const fromPosition = segment.endPosition
  const { gaps, tornBytes } = await scanSegment(file, segment, fileBytes, isLast)
  for (const gap of gaps) await damaged(job, segment, gap)
  if (tornBytes > 0 && !isLast) {
    const gap = { position: segment.endPosition, bytes: tornBytes, fromOffset: segment.nextOffset, toOffset: following }
    await damaged(job, segment, gap)
  }
  if (job.repair && !isLast) await keepIndex(job, segment)
  if (job.repair) {
    const { path, endPosition, nextOffset } = segment
    const scanned = { stream: job.stream, file: path, scannedBytes: fileBytes - fromPosition, endPosition, nextOffset }
    if (isLast && tornBytes > 0)
      job.logger.warn({ ...scanned, tornBytes }, 'the last write to a segment was torn; its bytes are cut off')
    else job.logger.info(scanned, 'a segment had not been closed cleanly and was scanned')
  }
  return Math.max(segment.nextOffset, indexed.type === 'unusable' ? indexed.nextOffset : 0)
}

/** Spares the next start the scan. */
async function keepIndex(job: RecoveryJob, segment: Segment): Promise<void> {
  try {
    await writeIndex(job.fileSystem, segment)
    segment.index = undefined
  } catch (error) {
    job.logger.warn({ stream: job.stream, file: segment.path, err: error }, 'the index of a segment could not be written')
  }
}

function damaged(job: RecoveryJob, segment: Segment, gap: Parameters<typeof quarantineGap>[4]): Promise<void> {
  if (job.repair) return quarantineGap(job.fileSystem, job.logger, job.stream, segment, gap)
  report(job, { file: segment.path, ...gap }, 'records of a stream are damaged on disk and cannot be read')
  return Promise.resolve()
}

export function report(job: RecoveryJob, details: object, message: string): void {
  job.logger.error({ code: 'TRB_STREAM_CORRUPT', stream: job.stream, ...details }, message)
}

/**
 * Where to go on behind a last segment whose label is unreadable. The number of its records is not known without the seed, but
 * it cannot be more than there is room for: a batch header plus four bytes each. Skipping some offsets is harmless, giving one
 * twice is not.
 */
async function quarantinedEnd(job: RecoveryJob, path: string, base: Offset): Promise<Offset> {
  const file = await job.fileSystem.open(path, 'read')
  try {
    return base + Math.ceil((await file.size()) / RECORD_BYTES_MIN)
  } finally {
    await file.close()
  }
}

/** flags, timestamp, source, payload length. */
const RECORD_BYTES_MIN = 4
