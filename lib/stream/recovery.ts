import type { Offset, StreamGap } from './contract.ts'
import { quarantineGap } from './damage.ts'
import { type File, type FileSystem, systemCode } from './file-system.ts'
import { loadIndex, restoreFromIndex } from './index-file.ts'
import { parseSegmentName, quarantinePath, readSegmentHeader, SEGMENT_HEADER_BYTES, Segment, segmentPath } from './segment.ts'
import { scanSegment } from './segment-scan.ts'
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
}

/**
 * Finds out what a stream's folder holds. After a clean stop it reads the label and the index of each segment and no records;
 * after a crash it also reads the last segment from where its index ends. Whatever is wrong is reported through the logger with
 * code TRB_STREAM_CORRUPT, and none of it keeps the stream from opening.
 */
export async function recover(job: RecoveryJob): Promise<Recovered> {
  const names = await job.fileSystem.readdir(job.folder)
  const bases = names
    .map(parseSegmentName)
    .filter(base => base !== undefined)
    .sort((a, b) => a - b)
  const segments: Segment[] = []
  let nextOffset = 0
  for (const [i, base] of bases.entries()) {
    const found = await recoverSegment(job, base, bases[i + 1])
    if (found.segment !== undefined) segments.push(found.segment)
    nextOffset = Math.max(nextOffset, base, found.nextOffset)
  }
  for (const gap of missingSegments(segments, nextOffset)) {
    const details = { code: 'TRB_STREAM_CORRUPT', stream: job.stream, folder: job.folder, ...gap }
    job.logger.error(details, 'records of a stream are missing: their segment file is gone or cut short')
  }
  return { segments, nextOffset }
}

/** Offsets that no segment has, between the first segment and the end. */
export function missingSegments(segments: readonly Segment[], nextOffset: Offset): StreamGap[] {
  const gaps: StreamGap[] = []
  for (const [i, segment] of segments.entries()) {
    const following = segments[i + 1]?.baseOffset ?? nextOffset
    if (segment.nextOffset < following) gaps.push({ fromOffset: segment.nextOffset, toOffset: following })
  }
  return gaps
}

async function recoverSegment(
  job: RecoveryJob,
  base: Offset,
  following: Offset | undefined
): Promise<{ segment?: Segment; nextOffset: Offset }> {
  const path = segmentPath(job.folder, base)
  const file = await openSegment(job, path)
  if (file === undefined) return { nextOffset: base }
  try {
    const label = Buffer.alloc(SEGMENT_HEADER_BYTES)
    const header = readSegmentHeader(label.subarray(0, await file.read(label, 0, label.length, 0)), base)
    const fileBytes = await file.size()
    if (header.type === 'valid') {
      if (header.damagedCopy) report(job, { file: path }, 'one of the two labels of a segment is damaged; the other one is used')
      const segment = new Segment(job.folder, base, header.seed)
      const nextOffset = await fillIn(job, file, segment, fileBytes, following)
      return { segment, nextOffset }
    }
    // A crash right after creating the segment leaves a file without label. It never held a record, and must not stay beside
    // the segment before it, which may take records again.
    if (header.type === 'blank' && following === undefined) {
      if (job.repair) await job.fileSystem.unlink(path)
      return { nextOffset: base }
    }
  } finally {
    await file.close()
  }
  const quarantine = quarantinePath(path, base)
  report(job, { file: path, quarantine, fromOffset: base }, 'a segment has no valid label; the whole file is quarantined')
  if (job.repair) await job.fileSystem.rename(path, quarantine)
  return { nextOffset: following ?? (await quarantinedEnd(job, base)) }
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

/** Brings the segment's end and index up to date. Returns the offset the stream had reached with it. */
async function fillIn(
  job: RecoveryJob,
  file: File,
  segment: Segment,
  fileBytes: number,
  following: Offset | undefined
): Promise<Offset> {
  const indexed = await restoreFromIndex(job.fileSystem, segment, fileBytes)
  const complete = following === undefined ? fileBytes === segment.endPosition : segment.nextOffset === following
  if (indexed.type === 'restored' && complete) return segment.nextOffset
  // The index may be one written before the last appends: what lies behind its end is still to be read.
  if (indexed.type === 'restored') segment.index = await loadIndex(job.fileSystem, segment)
  const fromPosition = segment.endPosition
  const { gaps, tornBytes } = await scanSegment(file, segment, fileBytes, following === undefined)
  const scanned = { file: segment.path, scannedBytes: fileBytes - fromPosition, nextOffset: segment.nextOffset }
  job.logger.info({ stream: job.stream, ...scanned }, 'a segment was not closed cleanly and has been scanned')
  for (const gap of gaps) await damaged(job, segment, gap)
  if (tornBytes > 0 && following === undefined) {
    const torn = {
      stream: job.stream,
      file: segment.path,
      position: segment.endPosition,
      tornBytes,
      nextOffset: segment.nextOffset
    }
    job.logger.warn(torn, 'the last write to a segment was torn; its bytes are cut off')
  } else if (tornBytes > 0) {
    const gap = { position: segment.endPosition, bytes: tornBytes, fromOffset: segment.nextOffset, toOffset: following! }
    await damaged(job, segment, gap)
  }
  return Math.max(segment.nextOffset, indexed.nextOffset)
}

function damaged(job: RecoveryJob, segment: Segment, gap: Parameters<typeof quarantineGap>[4]): Promise<void> {
  if (job.repair) return quarantineGap(job.fileSystem, job.logger, job.stream, segment, gap)
  report(job, { file: segment.path, ...gap }, 'records of a stream are damaged on disk and cannot be read')
  return Promise.resolve()
}

function report(job: RecoveryJob, details: object, message: string): void {
  job.logger.error({ code: 'TRB_STREAM_CORRUPT', stream: job.stream, ...details }, message)
}

/**
 * Where to go on behind a last segment whose label is unreadable. The number of its records is not known without the seed, but
 * it cannot be more than there is room for: a batch header plus four bytes each. Skipping some offsets is harmless, giving one
 * twice is not.
 */
async function quarantinedEnd(job: RecoveryJob, base: Offset): Promise<Offset> {
  const name = job.repair ? quarantinePath(segmentPath(job.folder, base), base) : segmentPath(job.folder, base)
  const file = await job.fileSystem.open(name, 'read')
  try {
    return base + Math.ceil((await file.size()) / RECORD_BYTES_MIN)
  } finally {
    await file.close()
  }
}

/** flags, timestamp, source, payload length. */
const RECORD_BYTES_MIN = 4
