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
 *       4  u8   version (1; 2 when compaction has written it)
 *       5  u24  reserved (0)
 *       8  u64  baseOffset, also the file's name
 *      16  u64  createdAtMs; in version 2 endOffset: the segment stands for all offsets before it
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
const COMPACTED_SEGMENT_VERSION = 2

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
  /** 0 as written by appends; compaction counts up from there. */
  readonly generation: number
  /** What a compacted segment covers, also where it has no records; undefined for others. */
  readonly endOffset: Offset | undefined
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

  constructor(folder: string, baseOffset: Offset, seed: number, generation = 0, endOffset?: Offset) {
    this.baseOffset = baseOffset
    this.seed = seed
    this.generation = generation
    this.endOffset = endOffset
    this.path = segmentPath(folder, baseOffset, generation)
    this.nextOffset = baseOffset
  }

  get isEmpty(): boolean {
    return this.nextOffset === this.baseOffset
  }

  /** Compaction may leave offsets without records. */
  get hasRecords(): boolean {
    return !this.isEmpty && (this.generation === 0 || this.maxTimestampMs > 0)
  }

  /** Takes note of a durable batch at `position`. */
  accept(position: number, header: BatchHeader): void {
    this.index?.note(header.baseOffset, position, this.maxTimestampMs)
    if (!this.hasRecords) this.firstTimestampMs = header.firstTimestampMs
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
  return encodeHeader(SEGMENT_VERSION, baseOffset, createdAtMs, seed)
}

export function encodeCompactedHeader(baseOffset: Offset, endOffset: Offset, seed: number): Buffer {
  return encodeHeader(COMPACTED_SEGMENT_VERSION, baseOffset, endOffset, seed)
}

function encodeHeader(version: number, baseOffset: Offset, createdAtMsOrEndOffset: number, seed: number): Buffer {
  const out = Buffer.alloc(SEGMENT_HEADER_BYTES)
  out.writeUInt32LE(SEGMENT_MAGIC, 0)
  out[4] = version
  writeUint64(out, 8, baseOffset)
  writeUint64(out, 16, createdAtMsOrEndOffset)
  out.writeUInt32LE(seed, 24)
  out.writeUInt32LE(crc32(out.subarray(0, 28)), 28)
  out.copy(out, LABEL_BYTES, 0, LABEL_BYTES)
  return out
}

export type SegmentHeader =
  | { type: 'valid'; seed: number; endOffset: Offset | undefined; damagedCopy: boolean }
  /** Nothing was ever written here: a crash came between creating the file and writing its label. */
  | { type: 'blank' }
  | { type: 'damaged' }

/** `bytes` is what the file has of its first SEGMENT_HEADER_BYTES. */
export function readSegmentHeader(bytes: Buffer, { baseOffset, generation }: SegmentName): SegmentHeader {
  // The labels are the first thing that is written: a file without room for both never held a record.
  if (bytes.length < SEGMENT_HEADER_BYTES) return { type: 'blank' }
  const version = generation === 0 ? SEGMENT_VERSION : COMPACTED_SEGMENT_VERSION
  const valid = [0, LABEL_BYTES].filter(at => labelChecks(bytes, at, version, baseOffset))
  const [at] = valid
  if (at !== undefined) {
    const endOffset = generation === 0 ? undefined : readUint64(bytes, at + 16)
    return { type: 'valid', seed: bytes.readUInt32LE(at + 24), endOffset, damagedCopy: valid.length < 2 }
  }
  return bytes.every(byte => byte === 0) ? { type: 'blank' } : { type: 'damaged' }
}

function labelChecks(bytes: Buffer, at: number, version: number, baseOffset: Offset): boolean {
  return (
    bytes.readUInt32LE(at) === SEGMENT_MAGIC &&
    bytes[at + 4] === version &&
    readUint64(bytes, at + 8) === baseOffset &&
    bytes.readUInt32LE(at + 28) === crc32(bytes.subarray(at, at + 28))
  )
}

/** What a segment file's name says. */
export interface SegmentName {
  baseOffset: Offset
  generation: number
}

/**
 * Sixteen digits, because that is what Number.MAX_SAFE_INTEGER has; so names sort as offsets do. What compaction writes gets a name
 * of its own, because a file that is being read must not be exchanged for another one under the same name.
 */
export function segmentPath(folder: string, baseOffset: Offset, generation = 0): string {
  const suffix = generation === 0 ? '' : `.${generation}`
  return join(folder, `${String(baseOffset).padStart(16, '0')}${suffix}.segment`)
}

/** undefined for other files. */
export function parseSegmentName(name: string): SegmentName | undefined {
  const match = /^(\d{16})(?:\.([1-9]\d{0,8}))?\.segment$/.exec(name)
  if (match === null) return undefined
  const baseOffset = Number(match[1])
  return Number.isSafeInteger(baseOffset) ? { baseOffset, generation: Number(match[2] ?? 0) } : undefined
}

export function indexPath(segmentFile: string): string {
  return segmentFile.replace(/\.segment$/, '.index')
}

export function quarantinePath(segmentFile: string, fromOffset: Offset): string {
  return segmentFile.replace(/\.segment$/, `-${fromOffset}.quarantine`)
}
