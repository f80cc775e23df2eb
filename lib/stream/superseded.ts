import { join } from 'node:path'
import { systemCode } from './file-system.ts'
import type { RecoveryJob } from './recovery.ts'
import {
  indexPath,
  parseSegmentName,
  quarantinePath,
  readSegmentHeader,
  SEGMENT_HEADER_BYTES,
  Segment,
  type SegmentName,
  segmentPath
} from './segment.ts'
import { scanSegment } from './segment-scan.ts'

/**
 * The segments in force among the names in a stream's folder, by base offset. Compaction gives a segment its name when it is whole
 * and on disk, and then removes those it stands for, oldest first; a crash in between leaves both. The removal is finished here, as
 * is that of files without a name of their own yet.
 */
export async function currentSegments(job: RecoveryJob, names: readonly string[]): Promise<SegmentName[]> {
  const found = names
    .map(parseSegmentName)
    .filter(name => name !== undefined)
    .sort((a, b) => a.baseOffset - b.baseOffset || b.generation - a.generation)
  if (job.repair) await removeUnfinished(job, names)
  const gone = new Set<SegmentName>()
  for (const [i, compacted] of found.entries()) {
    if (compacted.generation === 0 || gone.has(compacted)) continue
    const header = await readHeader(job, compacted)
    if (header === undefined) continue
    const replaced: SegmentName[] = []
    for (const name of found.slice(i + 1)) {
      if (name.baseOffset >= header.endOffset) break
      if (name.generation < compacted.generation) replaced.push(name)
    }
    if (replaced.length === 0) continue
    for (const name of await settle(job, compacted, header, replaced)) gone.add(name)
  }
  if (job.repair && gone.size > 0) await job.fileSystem.syncFolder(job.folder)
  return found.filter(name => !gone.has(name))
}

interface Header {
  seed: number
  endOffset: number
}

/** undefined when no label can be read: recovery will report that, and what the segment stood for is still there or is not. */
async function readHeader(job: RecoveryJob, name: SegmentName): Promise<Header | undefined> {
  try {
    const file = await job.fileSystem.open(pathOf(job, name), 'read')
    try {
      const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES)
      const header = readSegmentHeader(bytes.subarray(0, await file.read(bytes, 0, bytes.length, 0)), name)
      return header.type === 'valid' ? { seed: header.seed, endOffset: header.endOffset! } : undefined
    } finally {
      await file.close()
    }
  } catch (error) {
    if (!job.repair && systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Which of a compacted segment and those it replaces are not in force. */
async function settle(
  job: RecoveryJob,
  compacted: SegmentName,
  header: Header,
  replaced: readonly SegmentName[]
): Promise<readonly SegmentName[]> {
  if (!job.repair) return replaced
  // Reading it once before the originals go costs little, since only a crash leads here.
  if (await isWhole(job, compacted, header)) {
    for (const name of replaced) {
      await remove(job, pathOf(job, name))
      await remove(job, indexPath(pathOf(job, name)))
    }
    return replaced
  }
  // The oldest is removed first: while it is there, all are.
  const doubtful = replaced[0]!.baseOffset === compacted.baseOffset ? [compacted] : replaced
  for (const name of doubtful) {
    const path = pathOf(job, name)
    const quarantine = quarantinePath(path, name.baseOffset)
    const details = { code: 'TRB_STREAM_CORRUPT', stream: job.stream, file: path, quarantine }
    job.logger.error(details, 'a crash interrupted compaction and its result is damaged; this file is not used and quarantined')
    await job.fileSystem.rename(path, quarantine)
  }
  return doubtful
}

async function isWhole(job: RecoveryJob, { baseOffset, generation }: SegmentName, { seed, endOffset }: Header): Promise<boolean> {
  const segment = new Segment(job.folder, baseOffset, seed, generation, endOffset)
  const file = await job.fileSystem.open(segment.path, 'read')
  try {
    const { gaps, tornBytes } = await scanSegment(file, segment, await file.size(), false)
    return gaps.length === 0 && tornBytes === 0 && segment.nextOffset === endOffset
  } finally {
    await file.close()
  }
}

/** Files written aside that a crash kept from getting their name, and indexes of segments that have none. */
async function removeUnfinished(job: RecoveryJob, names: readonly string[]): Promise<void> {
  const there = new Set(names)
  for (const name of names) {
    const unfinished = /^(\d{16}(\.\d+)?\.(segment|index)|compaction\.state)\.new$/.test(name)
    const orphan = /^\d{16}(\.\d+)?\.index$/.test(name) && !there.has(name.replace(/\.index$/, '.segment'))
    if (unfinished || orphan) await remove(job, join(job.folder, name))
  }
}

async function remove(job: RecoveryJob, path: string): Promise<void> {
  try {
    await job.fileSystem.unlink(path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
}

function pathOf(job: RecoveryJob, { baseOffset, generation }: SegmentName): string {
  return segmentPath(job.folder, baseOffset, generation)
}
