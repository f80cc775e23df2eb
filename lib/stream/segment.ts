import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { BatchHeader } from './batch.ts'
import { BATCH_HEADER_BYTES } from './batch.ts'
import { readUint64, writeUint64 } from './bytes.ts'
import type { Offset, StreamGap } from './contract.ts'
import { SparseIndex } from './sparse-index.ts'

/**
 *     segment = label label batch* padding
 *     label   =
 *       0  u32  magic "TRBS"
 *       4  u8   version (1)
 *       5  u24  reserved (0)
 *       8  u64  baseOffset, also the file's name
 *      16  u64  createdAtMs
 *      24  u32  seed: random, the start of every batch header's CRC
 *      28  u32  CRC-32 of label bytes 0..27
 *     padding = 0x00*
 *
 * The label is there twice, so that one flipped bit cannot make the whole segment unreadable.
 */
const LABEL_BYTES = 32
export const SEGMENT_HEADER_BYTES = 2 * LABEL_BYTES
const SEGMENT_MAGIC = Buffer.from('TRBS').readUInt32LE(0)
const SEGMENT_VERSION = 1

/** A damaged stretch of a segment file. */
export interface Gap extends StreamGap {
  position: number
  bytes: number
}

/**
 * What is known of one segment file: how far it is durable and where to look for what. Shared by the writer, which moves its end,
 * and by readers, which go no further than that end.
 */
export class Segment {
  readonly baseOffset: Offset
  readonly seed: number
  readonly path: string
  /** End of the last durable batch. */
  endPosition = SEGMENT_HEADER_BYTES
  /** Offset after the last durable record. */
  nextOffset: Offset
  /** Of the first record; 0 when empty. */
  firstTimestampMs = 0
  /** The largest; 0 when empty. */
  maxTimestampMs = 0
  /** Damaged stretches found so far, by position. */
  readonly gaps: Gap[] = []
  /** undefined when it is to be read from the index file. */
  index: SparseIndex | undefined = new SparseIndex()

  constructor(folder: string, baseOffset: Offset, seed: number) {
    this.baseOffset = baseOffset
    this.seed = seed
    this.path = segmentPath(folder, baseOffset)
    this.nextOffset = baseOffset
  }

  get isEmpty(): boolean {
    return this.nextOffset === this.baseOffset
  }

  /** Takes note of a durable batch at `position`. */
  accept(position: number, header: BatchHeader): void {
    this.index?.note(header.baseOffset, position, this.maxTimestampMs)
    if (this.isEmpty) this.firstTimestampMs = header.firstTimestampMs
    if (header.maxTimestampMs > this.maxTimestampMs) this.maxTimestampMs = header.maxTimestampMs
    this.endPosition = position + BATCH_HEADER_BYTES + header.bodyBytes
    this.nextOffset = header.nextOffset
  }

  /** False when the gap was known already. */
  addGap(gap: Gap): boolean {
    if (this.gaps.some(known => known.position === gap.position && known.fromOffset === gap.fromOffset)) return false
    this.gaps.push(gap)
    this.gaps.sort((a, b) => a.position - b.position)
    return true
  }
}

export function encodeSegmentHeader(baseOffset: Offset, createdAtMs: number, seed: number): Buffer {
  const out = Buffer.alloc(SEGMENT_HEADER_BYTES)
  out.writeUInt32LE(SEGMENT_MAGIC, 0)
  out[4] = SEGMENT_VERSION
  writeUint64(out, 8, baseOffset)
  writeUint64(out, 16, createdAtMs)
  out.writeUInt32LE(seed, 24)
  out.writeUInt32LE(crc32(out.subarray(0, 28)), 28)
  out.copy(out, LABEL_BYTES, 0, LABEL_BYTES)
  return out
}

export type SegmentHeader =
  | { type: 'valid'; seed: number; damagedCopy: boolean }
  /** Nothing was ever written here: a crash came between creating the file and writing its label. */
  | { type: 'blank' }
  | { type: 'damaged' }

/** `bytes` is what the file has of its first SEGMENT_HEADER_BYTES. */
export function readSegmentHeader(bytes: Buffer, baseOffset: Offset): SegmentHeader {
  const seeds = [0, LABEL_BYTES].map(at => readLabel(bytes, at, baseOffset))
  const seed = seeds[0] ?? seeds[1]
  if (seed !== undefined) return { type: 'valid', seed, damagedCopy: seeds.includes(undefined) }
  return bytes.every(byte => byte === 0) || bytes.length < SEGMENT_HEADER_BYTES ? { type: 'blank' } : { type: 'damaged' }
}

function readLabel(bytes: Buffer, at: number, baseOffset: Offset): number | undefined {
  if (bytes.length < at + LABEL_BYTES) return undefined
  const valid =
    bytes.readUInt32LE(at) === SEGMENT_MAGIC &&
    bytes[at + 4] === SEGMENT_VERSION &&
    readUint64(bytes, at + 8) === baseOffset &&
    bytes.readUInt32LE(at + 28) === crc32(bytes.subarray(at, at + 28))
  return valid ? bytes.readUInt32LE(at + 24) : undefined
}

/** Sixteen digits, because that is what Number.MAX_SAFE_INTEGER has; so names sort as offsets do. */
export function segmentPath(folder: string, baseOffset: Offset): string {
  return join(folder, `${String(baseOffset).padStart(16, '0')}.segment`)
}

/** Base offset of a segment's file name; undefined for other files. */
export function parseSegmentName(name: string): Offset | undefined {
  const match = /^(\d{16})\.segment$/.exec(name)
  const offset = match === null ? Number.NaN : Number(match[1])
  return Number.isSafeInteger(offset) ? offset : undefined
}

export function indexPath(segmentFile: string): string {
  return segmentFile.replace(/\.segment$/, '.index')
}

export function quarantinePath(segmentFile: string, fromOffset: Offset): string {
  return segmentFile.replace(/\.segment$/, `-${fromOffset}.quarantine`)
}
