import type { File, FileSystem } from './file-system.ts'
import { type Gap, quarantinePath, type Segment } from './segment.ts'
import type { Logger } from './surroundings.ts'

/**
 * What is done about damaged bytes in the middle of a segment: they are copied to a `.quarantine` file for people to look at and
 * reported once, and the segment stays as it is. Nothing is rewritten, so an error in judging damage cannot destroy more of it.
 */
export async function quarantineGap(
  fileSystem: FileSystem,
  logger: Logger,
  stream: string,
  segment: Segment,
  gap: Gap
): Promise<void> {
  const quarantine = quarantinePath(segment.path, gap.fromOffset)
  const details = { code: 'TRB_STREAM_CORRUPT', stream, file: segment.path, ...gap }
  const message = 'records of a stream are damaged on disk and cannot be read'
  try {
    const source = await fileSystem.open(segment.path, 'read')
    try {
      await copyRange(fileSystem, source, gap.position, gap.bytes, quarantine)
    } finally {
      await source.close()
    }
    logger.error({ ...details, quarantine }, message)
  } catch (cause) {
    // A disk that cannot take the copy must not hide the damage; the segment still has the bytes.
    logger.error({ ...details, err: cause }, `${message}; they could not be copied to ${quarantine}`)
  }
}

const COPY_BYTES = 1024 * 1024

async function copyRange(fileSystem: FileSystem, source: File, position: number, bytes: number, path: string): Promise<void> {
  const target = await fileSystem.open(path, 'write')
  try {
    await target.truncate(0)
    const block = Buffer.allocUnsafeSlow(Math.min(COPY_BYTES, bytes))
    for (let done = 0; done < bytes; ) {
      const count = await source.read(block, 0, Math.min(block.length, bytes - done), position + done)
      if (count === 0) break
      await target.write([block.subarray(0, count)], done)
      done += count
    }
    await target.sync()
  } finally {
    await target.close()
  }
}
