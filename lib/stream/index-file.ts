import { crc32 } from 'node:zlib'
import { readUint64, writeUint64 } from './bytes.ts'
import type { Offset } from './contract.ts'
import type { FileSystem } from './file-system.ts'
import { systemCode } from './file-system.ts'
import { indexPath, type Segment } from './segment.ts'
import { SparseIndex } from './sparse-index.ts'

/**
 *     index = head entry* gap*
 *     head  =
 *       0  u32  magic "TRBI"
 *       4  u8   version (1)
 *       5  u24  reserved (0)
 *       8  u64  baseOffset
 *      16  u64  endPosition: up to here the segment was durable when the index was written
 *      24  u64  nextOffset
 *      32  u64  firstTimestampMs
 *      40  u64  maxTimestampMs
 *      48  u32  entries
 *      52  u32  gaps
 *      56  u32  CRC-32 of entries and gaps
 *      60  u32  CRC-32 of head bytes 0..59, continued from the segment's seed
 *     entry = u64 offset, u64 position, u64 maxTimestampBeforeMs
 *     gap   = u64 position, u64 bytes, u64 fromOffset, u64 toOffset
 *
 * Written when a segment is rolled and on a clean stop, never needed: what does not check is made again from the segment. The
 * seed binds it to its segment, so that an index left over from another file of that name is not believed.
 */
const HEAD_BYTES = 64
const ENTRY_BYTES = 24
const GAP_BYTES = 32
const MAGIC = Buffer.from('TRBI').readUInt32LE(0)
const VERSION = 1

/** Written aside and renamed, so that a crash leaves the old one or the new one. */
export async function writeIndex(fileSystem: FileSystem, segment: Segment): Promise<void> {
  const path = indexPath(segment.path)
  const aside = `${path}.new`
  const index = segment.index ?? (await loadIndex(fileSystem, segment))
  const file = await fileSystem.open(aside, 'write')
  try {
    await file.truncate(0)
    await file.write([encodeIndex(segment, index)], 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await fileSystem.rename(aside, path)
}

/** `unusable` still says how far the segment had once come, if there is an index at all that is of this segment. */
export type Restored = { type: 'restored' } | { type: 'unusable'; nextOffset: Offset }

/** Fills in end, offsets, timestamps and gaps of the segment from its index file, if that fits. */
export async function restoreFromIndex(fileSystem: FileSystem, segment: Segment, fileBytes: number): Promise<Restored> {
  const bytes = await readWhole(fileSystem, indexPath(segment.path))
  if (bytes === undefined || !checks(bytes, segment)) return { type: 'unusable', nextOffset: segment.baseOffset }
  const endPosition = readUint64(bytes, 16)
  // A segment shorter than it was on a clean stop has lost records, which a scan will tell.
  if (!(endPosition <= fileBytes)) return { type: 'unusable', nextOffset: readUint64(bytes, 24) }
  segment.endPosition = endPosition
  segment.nextOffset = readUint64(bytes, 24)
  segment.firstTimestampMs = readUint64(bytes, 32)
  segment.maxTimestampMs = readUint64(bytes, 40)
  const gapsAt = HEAD_BYTES + bytes.readUInt32LE(48) * ENTRY_BYTES
  for (let at = gapsAt; at < bytes.length; at += GAP_BYTES) {
    segment.addGap({
      position: readUint64(bytes, at),
      bytes: readUint64(bytes, at + 8),
      fromOffset: readUint64(bytes, at + 16),
      toOffset: readUint64(bytes, at + 24)
    })
  }
  // The entries stay on disk until somebody looks something up: thousands of segments would else cost hundreds of megabytes.
  segment.index = undefined
  return { type: 'restored' }
}

/** The entries of an index file. Empty when the file has gone or is damaged: then a lookup scans from the segment's start. */
export async function loadIndex(fileSystem: FileSystem, segment: Segment): Promise<SparseIndex> {
  const index = new SparseIndex()
  const bytes = await readWhole(fileSystem, indexPath(segment.path))
  if (bytes === undefined || !checks(bytes, segment)) return index
  const end = HEAD_BYTES + bytes.readUInt32LE(48) * ENTRY_BYTES
  for (let at = HEAD_BYTES; at < end; at += ENTRY_BYTES) {
    index.push({
      offset: readUint64(bytes, at),
      position: readUint64(bytes, at + 8),
      maxTimestampBeforeMs: readUint64(bytes, at + 16)
    })
  }
  return index
}

function encodeIndex(segment: Segment, index: SparseIndex): Buffer {
  const out = Buffer.alloc(HEAD_BYTES + index.entries.length * ENTRY_BYTES + segment.gaps.length * GAP_BYTES)
  let at = HEAD_BYTES
  const put = (value: number): void => {
    writeUint64(out, at, value)
    at += 8
  }
  for (const entry of index.entries) [entry.offset, entry.position, entry.maxTimestampBeforeMs].forEach(put)
  for (const gap of segment.gaps) [gap.position, gap.bytes, gap.fromOffset, gap.toOffset].forEach(put)
  out.writeUInt32LE(MAGIC, 0)
  out[4] = VERSION
  at = 8
  const { baseOffset, endPosition, nextOffset, firstTimestampMs, maxTimestampMs } = segment
  for (const value of [baseOffset, endPosition, nextOffset, firstTimestampMs, maxTimestampMs]) put(value)
  out.writeUInt32LE(index.entries.length, 48)
  out.writeUInt32LE(segment.gaps.length, 52)
  out.writeUInt32LE(crc32(out.subarray(HEAD_BYTES)), 56)
  out.writeUInt32LE(crc32(out.subarray(0, 60), segment.seed), 60)
  return out
}

function checks(bytes: Buffer, segment: Segment): boolean {
  return (
    bytes.length >= HEAD_BYTES &&
    bytes.readUInt32LE(0) === MAGIC &&
    bytes[4] === VERSION &&
    bytes.readUInt32LE(60) === crc32(bytes.subarray(0, 60), segment.seed) &&
    readUint64(bytes, 8) === segment.baseOffset &&
    bytes.length === HEAD_BYTES + bytes.readUInt32LE(48) * ENTRY_BYTES + bytes.readUInt32LE(52) * GAP_BYTES &&
    bytes.readUInt32LE(56) === crc32(bytes.subarray(HEAD_BYTES))
  )
}

async function readWhole(fileSystem: FileSystem, path: string): Promise<Buffer | undefined> {
  try {
    const file = await fileSystem.open(path, 'read')
    try {
      const bytes = Buffer.alloc(await file.size())
      return bytes.subarray(0, await file.read(bytes, 0, bytes.length, 0))
    } finally {
      await file.close()
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
