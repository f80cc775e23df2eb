import { randomBytes } from 'node:crypto'
import { BATCH_HEADER_BYTES, finishCompactedBatch, readBatchHeader } from './batch.ts'
import { VARINT_BYTES_MAX, writeSignedVarint, writeVarint } from './bytes.ts'
import { CHUNK_BYTES } from './chunk-pool.ts'
import type { CompactionSource } from './compaction-source.ts'
import type { Offset } from './contract.ts'
import type { File, FileSystem } from './file-system.ts'
import { writeIndex } from './index-file.ts'
import { FLAG_EXPIRY, FLAG_PACKET_ID, FLAG_SETTLED } from './record.ts'
import type { RecordCursor } from './record-cursor.ts'
import { encodeCompactedHeader, indexPath, Segment } from './segment.ts'

/** Bytes after which what was written is synced: one large sync at the end would make the writers of the stream wait for it. */
const SYNC_BYTES = 4 * 1024 * 1024
/** What the span of a batch can tell; a larger hole takes more batches. */
const SPAN_MAX = 0xffffffff
/** flags, and a varint each for hole, timestamp, source, expiry, packet id, settled, properties' length and payload's length. */
const RECORD_FIXED_BYTES_MAX = 1 + 8 * VARINT_BYTES_MAX

/** Writes what compaction keeps of some segments into one new file, aside. Nothing sees it before `publish()`. */
export class CompactedSegmentWriter {
  readonly segment: Segment
  readonly #fileSystem: FileSystem
  readonly #folder: string
  readonly #file: File
  readonly #aside: string
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  #at = BATCH_HEADER_BYTES
  readonly #summary = { count: 0, firstTimestampMs: 0, maxTimestampMs: 0 }
  #lastTimestampMs = 0
  #nextOffset: Offset
  #batches = 0
  /** Numbers of the sources of the batch, by their definition: the batches that are read repeat them. */
  readonly #sources = new Map<string, number>()
  #unsyncedBytes = 0
  #closed = false

  /** A file for what is kept of offsets [baseOffset, endOffset). */
  static async create(
    fileSystem: FileSystem,
    folder: string,
    baseOffset: Offset,
    endOffset: Offset,
    generation: number
  ): Promise<CompactedSegmentWriter> {
    const segment = new Segment(folder, baseOffset, randomBytes(4).readUInt32LE(0), generation, endOffset)
    const file = await fileSystem.open(`${segment.path}.new`, 'write')
    const writer = new CompactedSegmentWriter(fileSystem, folder, segment, file)
    try {
      await file.truncate(0)
      await file.write([encodeCompactedHeader(baseOffset, endOffset, segment.seed)], 0)
    } catch (error) {
      await writer.close()
      throw error
    }
    return writer
  }

  private constructor(fileSystem: FileSystem, folder: string, segment: Segment, file: File) {
    this.#fileSystem = fileSystem
    this.#folder = folder
    this.segment = segment
    this.#file = file
    this.#aside = `${segment.path}.new`
    this.#nextOffset = segment.baseOffset
  }

  /** Is there room for the record before `flush()` must be called? */
  fits(record: RecordCursor): boolean {
    const gap = record.offset - this.segment.nextOffset
    return this.#at + recordBytesMax(record) <= this.#chunk.length && gap < SPAN_MAX
  }

  /** Takes over a record; `settledAtMs` is 0 but for a tombstone that compaction has removed everything before. */
  add(record: RecordCursor, settledAtMs: number): void {
    const summary = this.#summary
    const { source, timestampMs, bytes } = record
    if (summary.count === 0) {
      summary.firstTimestampMs = summary.maxTimestampMs = this.#lastTimestampMs = timestampMs
      this.#sources.clear()
      this.#batches++
    }
    const out = this.#chunk
    let at = this.#at
    out[at++] = (record.flags & ~FLAG_SETTLED) | (settledAtMs > 0 ? FLAG_SETTLED : 0)
    at = writeVarint(out, at, record.offset - this.#nextOffset)
    at = writeSignedVarint(out, at, timestampMs - this.#lastTimestampMs)
    if (source.batch !== this.#batches) at = this.#writeSource(source, at)
    else at = writeVarint(out, at, source.number)
    if ((record.flags & FLAG_EXPIRY) !== 0) at = writeSignedVarint(out, at, record.expiresAtMs - timestampMs)
    if ((record.flags & FLAG_PACKET_ID) !== 0) at = writeVarint(out, at, record.packetId)
    if (settledAtMs > 0) at = writeSignedVarint(out, at, settledAtMs - timestampMs)
    const { propertiesStart, propertiesEnd, payloadStart, payloadEnd } = record
    if (propertiesEnd > propertiesStart) {
      at = writeVarint(out, at, propertiesEnd - propertiesStart)
      at += bytes.copy(out, at, propertiesStart, propertiesEnd)
    }
    at = writeVarint(out, at, payloadEnd - payloadStart)
    this.#at = at + bytes.copy(out, at, payloadStart, payloadEnd)
    this.#nextOffset = record.offset + 1
    this.#lastTimestampMs = timestampMs
    if (timestampMs > summary.maxTimestampMs) summary.maxTimestampMs = timestampMs
    summary.count++
  }

  /** The source was read from another batch than the last one that was written here, and may be known all the same. */
  #writeSource(source: CompactionSource, start: number): number {
    const { bytes, start: from, end } = source
    const definition = bytes.toString('latin1', from, end)
    const known = this.#sources.get(definition)
    source.batch = this.#batches
    source.number = known ?? this.#sources.size
    const at = writeVarint(this.#chunk, start, source.number)
    if (known !== undefined) return at
    this.#sources.set(definition, source.number)
    return at + bytes.copy(this.#chunk, at, from, end)
  }

  /** Writes the batch; afterwards there is room for `next`. */
  async flush(next: RecordCursor): Promise<void> {
    if (this.#summary.count > 0) await this.#writeBatch(this.#nextOffset)
    while (next.offset - this.segment.nextOffset >= SPAN_MAX) await this.#writeBatch(this.segment.nextOffset + SPAN_MAX)
    const needed = BATCH_HEADER_BYTES + recordBytesMax(next)
    if (needed > this.#chunk.length) this.#chunk = Buffer.allocUnsafeSlow(needed)
    this.#nextOffset = this.segment.nextOffset
  }

  /** Everything is on disk afterwards, with an index. */
  async finish(): Promise<void> {
    const { segment } = this
    const endOffset = segment.endOffset!
    while (endOffset - segment.nextOffset > SPAN_MAX) await this.#writeBatch(Math.min(endOffset, segment.nextOffset + SPAN_MAX))
    if (segment.nextOffset < endOffset) await this.#writeBatch(endOffset)
    await this.#file.sync()
    await this.close()
    await writeIndex(this.#fileSystem, segment)
    // The entries are in the index file now.
    segment.index = undefined
  }

  /** Gives the file its name: from now on it stands for what it was made of, over a crash too. */
  async publish(): Promise<void> {
    await this.#fileSystem.rename(this.#aside, this.segment.path)
    await this.#fileSystem.syncFolder(this.#folder)
  }

  /** Names that may be there when something failed, to be removed. */
  get paths(): string[] {
    const { path } = this.segment
    return [path, indexPath(path), this.#aside]
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#file.close()
  }

  async #writeBatch(nextOffset: Offset): Promise<void> {
    const { segment } = this
    const summary = this.#summary
    const batch = finishCompactedBatch(this.#chunk, this.#at, summary, segment.nextOffset, nextOffset, segment.seed)
    await this.#file.write([batch], segment.endPosition)
    segment.accept(segment.endPosition, readBatchHeader(batch, 0, segment.seed)!)
    this.#unsyncedBytes += batch.length
    if (this.#unsyncedBytes >= SYNC_BYTES) {
      await this.#file.sync()
      this.#unsyncedBytes = 0
    }
    summary.count = summary.firstTimestampMs = summary.maxTimestampMs = 0
    this.#at = BATCH_HEADER_BYTES
  }
}

function recordBytesMax({ source, propertiesStart, payloadEnd }: RecordCursor): number {
  return RECORD_FIXED_BYTES_MAX + source.end - source.start + payloadEnd - propertiesStart
}
