import { crc32 } from 'node:zlib'
import { readUint64, writeUint64 } from './bytes.ts'
import type { RecordWriter } from './record.ts'

/**
 *     batch  = header records
 *     header =
 *       0  u32  magic "TRBB"
 *       4  u8   version (1; 2 in a segment that compaction has written)
 *       5  u8   flags (0)
 *       6  u16  reserved (0)
 *       8  u32  bodyBytes
 *      12  u32  count
 *      16  u64  baseOffset
 *      24  u32  unsyncedBefore: records of the same write that precede this batch; all records before those were durable.
 *               In version 2 span: how many offsets the batch covers, from baseOffset on; those without a record are compacted away
 *      28  u64  firstTimestampMs
 *      36  u64  maxTimestampMs
 *      44  u32  CRC-32 of the body
 *      48  u32  CRC-32 of header bytes 0..47, continued from the segment's seed
 *
 * All integers little-endian. FORMAT.md tells why each field is there.
 */
export const BATCH_HEADER_BYTES = 52
export const BATCH_MAGIC = Buffer.from('TRBB')
const BATCH_VERSION = 1
const COMPACTED_BATCH_VERSION = 2

export interface BatchHeader {
  bodyBytes: number
  count: number
  baseOffset: number
  /** Behind the last offset the batch covers. */
  nextOffset: number
  /** Offsets may be missing: each record says how many before it (see record.ts). */
  compacted: boolean
  unsyncedBefore: number
  firstTimestampMs: number
  maxTimestampMs: number
  bodyCrc: number
}

/** Fills in the header in front of the records. `writer` was started at `start + BATCH_HEADER_BYTES`, `start` being 0. */
export function finishBatch(writer: RecordWriter, baseOffset: number, unsyncedBefore: number, seed: number): Buffer {
  return fillHeader(BATCH_VERSION, writer.chunk.bytes, writer.at, writer, baseOffset, unsyncedBefore, seed)
}

/** The same for a batch that covers [baseOffset, nextOffset) with `summary.count` records; `bytes` has room for the header in front. */
export function finishCompactedBatch(
  bytes: Buffer,
  end: number,
  summary: BatchSummary,
  baseOffset: number,
  nextOffset: number,
  seed: number
): Buffer {
  return fillHeader(COMPACTED_BATCH_VERSION, bytes, end, summary, baseOffset, nextOffset - baseOffset, seed)
}

export interface BatchSummary {
  count: number
  firstTimestampMs: number
  maxTimestampMs: number
}

function fillHeader(
  version: number,
  bytes: Buffer,
  end: number,
  summary: BatchSummary,
  baseOffset: number,
  unsyncedOrSpan: number,
  seed: number
): Buffer {
  const body = bytes.subarray(BATCH_HEADER_BYTES, end)
  bytes.set(BATCH_MAGIC, 0)
  bytes.writeUInt32LE(version, 4)
  bytes.writeUInt32LE(body.length, 8)
  bytes.writeUInt32LE(summary.count, 12)
  writeUint64(bytes, 16, baseOffset)
  bytes.writeUInt32LE(unsyncedOrSpan, 24)
  writeUint64(bytes, 28, summary.firstTimestampMs)
  writeUint64(bytes, 36, summary.maxTimestampMs)
  bytes.writeUInt32LE(crc32(body), 44)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 48), seed), 48)
  return bytes.subarray(0, end)
}

/** The header at `at`, or undefined if there is none that checks. BATCH_HEADER_BYTES must be readable there. */
export function readBatchHeader(bytes: Buffer, at: number, seed: number): BatchHeader | undefined {
  if (bytes.readUInt32LE(at) !== MAGIC_WORD) return undefined
  const compacted = bytes[at + 4] === COMPACTED_BATCH_VERSION
  if (!compacted && bytes[at + 4] !== BATCH_VERSION) return undefined
  if (bytes.readUInt32LE(at + 48) !== crc32(bytes.subarray(at, at + 48), seed)) return undefined
  const count = bytes.readUInt32LE(at + 12)
  const baseOffset = readUint64(bytes, at + 16)
  const unsyncedOrSpan = bytes.readUInt32LE(at + 24)
  return {
    bodyBytes: bytes.readUInt32LE(at + 8),
    count,
    baseOffset,
    nextOffset: baseOffset + (compacted ? unsyncedOrSpan : count),
    compacted,
    // What compaction writes is published when all of it is on disk.
    unsyncedBefore: compacted ? 0 : unsyncedOrSpan,
    firstTimestampMs: readUint64(bytes, at + 28),
    maxTimestampMs: readUint64(bytes, at + 36),
    bodyCrc: bytes.readUInt32LE(at + 44)
  }
}

export function bodyChecks(header: BatchHeader, bytes: Buffer, bodyStart: number): boolean {
  return crc32(bytes.subarray(bodyStart, bodyStart + header.bodyBytes)) === header.bodyCrc
}

const MAGIC_WORD = BATCH_MAGIC.readUInt32LE(0)
