import { TributaryError } from '../errors.ts'
import { BatchWalker, findBatch } from './batch-walker.ts'
import type { Offset, ReadOptions, StreamRecord } from './contract.ts'
import { StreamCorruptError } from './errors.ts'
import { type File, systemCode } from './file-system.ts'
import { loadIndex } from './index-file.ts'
import { type LogView, segmentAt } from './log-view.ts'
import { decodeRecords } from './record.ts'
import { SEGMENT_HEADER_BYTES, type Segment } from './segment.ts'

/** Where a read is: in which segment's file, behind which batch. */
interface Place {
  segment: Segment
  file: File
  walker: BatchWalker
}

/**
 * One read of a log: a position that moves forward block by block. Without `follow` it ends at what was durable when it was made,
 * so a read of a busy stream is finite.
 */
export class LogReader {
  readonly #view: LogView
  readonly #options: ReadOptions
  readonly #endOffset: Offset
  readonly #stop = new AbortController()
  /** Offset of the next record to yield; undefined until the first block is asked for. */
  #offset: Offset | undefined
  /** Set while a read from a time still looks for its first record. */
  #fromTimeMs: number | undefined
  #remaining: number
  #place: Place | undefined

  constructor(view: LogView, options: ReadOptions) {
    this.#view = view
    this.#options = options
    this.#endOffset = view.durableOffset
    this.#remaining = options.limit ?? Number.POSITIVE_INFINITY
    if (options.from === 'latest') this.#offset = view.durableOffset
  }

  /** The next records, never none; undefined at the end. */
  async next(): Promise<StreamRecord[] | undefined> {
    const { signal, follow } = this.#options
    while (this.#remaining > 0 && !this.#stop.signal.aborted) {
      signal?.throwIfAborted()
      this.#offset ??= await this.#start()
      if (this.#offset < this.#view.earliestOffset) await this.#leaveRemoved()
      const end = follow ? this.#view.durableOffset : this.#endOffset
      if (this.#offset >= end) {
        if (!follow || this.#view.closed) break
        await this.#view.changed(signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal)
        continue
      }
      const records = this.#select(await this.#readBlock())
      if (records.length > 0) return records
    }
    return undefined
  }

  /** Ends the read, also one that waits for new records. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#leave()
  }

  async #start(): Promise<Offset> {
    const { from } = this.#options
    const { earliestOffset, durableOffset, nextOffset, name } = this.#view
    if (from === 'earliest') return earliestOffset
    if (from === 'latest') return durableOffset
    if ('timeMs' in from) return this.#startAtTime(from.timeMs)
    if (!Number.isSafeInteger(from.offset) || from.offset < 0 || from.offset > nextOffset) {
      const message = `stream ${name}: offset ${from.offset} does not exist yet; the next one will be ${nextOffset}`
      throw new TributaryError('TRB_OFFSET_OUT_OF_RANGE', message)
    }
    return from.offset
  }

  async #startAtTime(timeMs: number): Promise<Offset> {
    this.#fromTimeMs = timeMs
    const segment = this.#view.segments.find(candidate => !candidate.isEmpty && candidate.maxTimestampMs >= timeMs)
    if (segment === undefined) return this.#endOffset
    const index = segment.index ?? (await loadIndex(this.#view.fileSystem, segment))
    return index.floorTime(timeMs)?.offset ?? segment.baseOffset
  }

  /** Retention has been faster than this read. */
  async #leaveRemoved(): Promise<void> {
    const { earliestOffset, name } = this.#view
    if (this.#options.outOfRange !== 'earliest') {
      const message = `stream ${name}: offset ${this.#offset} has been removed by retention; the earliest one is ${earliestOffset}`
      throw new TributaryError('TRB_OFFSET_OUT_OF_RANGE', message)
    }
    await this.#leave()
    this.#offset = earliestOffset
  }

  /** What the next block holds, from #offset on. May be nothing: then the position has moved, or the log has. */
  async #readBlock(): Promise<StreamRecord[]> {
    const place = this.#place ?? (await this.#enter())
    if (place === undefined) return []
    const { segment, walker } = place
    walker.limit = segment.endPosition
    const records: StreamRecord[] = []
    for (;;) {
      const step = walker.step()
      if (step === 'batch' && this.#decode(walker, records)) {
        walker.advance()
        if (records.length >= this.#remaining) return records
        continue
      }
      // What was decoded so far goes out before anything is waited for or fails.
      if (records.length > 0) return records
      if (step === 'load') await walker.load()
      else if (step === 'end') return this.#endOfSegment(segment)
      else await this.#passDamage(place)
    }
  }

  /** False when the batch does not hold what its header says, or records before it are missing and others wait to go out. */
  #decode(walker: BatchWalker, into: StreamRecord[]): boolean {
    const header = walker.header!
    const offset = this.#offset!
    const nextOffset = header.baseOffset + header.count
    if (nextOffset <= offset) return true
    if (header.baseOffset > offset) {
      if (into.length > 0) return false
      this.#passGap(header.baseOffset)
    }
    if (this.#fromTimeMs !== undefined && header.maxTimestampMs < this.#fromTimeMs) {
      this.#offset = nextOffset
      return true
    }
    const before = into.length
    try {
      const end = walker.bodyStart + header.bodyBytes
      const { baseOffset, count, firstTimestampMs } = header
      decodeRecords(walker.block, walker.bodyStart, end, count, baseOffset, firstTimestampMs, this.#offset!, into)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      into.length = before
      return false
    }
    this.#offset = nextOffset
    return true
  }

  /** Goes to the next batch that checks; the offsets between are found missing when it is decoded. */
  async #passDamage({ segment, file, walker }: Place): Promise<void> {
    const { position, nextOffset } = walker
    const next = await findBatch(file, segment.seed, position + 1, segment.endPosition, nextOffset)
    walker.position = next?.position ?? segment.endPosition
    const toOffset = next?.header.baseOffset ?? segment.nextOffset
    await this.#view.noteDamage(segment, { position, bytes: walker.position - position, fromOffset: nextOffset, toOffset })
  }

  async #enter(): Promise<Place | undefined> {
    const { segments, fileSystem } = this.#view
    const offset = this.#offset!
    const i = segmentAt(segments, offset)
    const segment = segments[i]
    if (segment === undefined || offset >= segment.nextOffset) {
      this.#passGap(segments[i + 1]?.baseOffset ?? this.#view.durableOffset)
      return undefined
    }
    const entry = (segment.index ?? (await loadIndex(fileSystem, segment))).floorOffset(offset)
    const { position, offset: entryOffset } = entry ?? { position: SEGMENT_HEADER_BYTES, offset: segment.baseOffset }
    try {
      const file = await fileSystem.open(segment.path, 'read')
      this.#place = { segment, file, walker: new BatchWalker(file, segment.seed, position, entryOffset, segment.endPosition) }
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
      // Removed by retention, which the next turn of the loop sees; or by somebody else, which is a gap.
      if (this.#view.segments.includes(segment)) this.#passGap(segment.nextOffset)
    }
    return this.#place
  }

  async #endOfSegment(segment: Segment): Promise<StreamRecord[]> {
    if (this.#offset! < segment.nextOffset) this.#passGap(segment.nextOffset)
    if (segment !== this.#view.segments.at(-1)) await this.#leave()
    return []
  }

  /** Records from #offset up to `toOffset` are lost: throws, or tells and goes on. */
  #passGap(toOffset: Offset): void {
    const gap = { fromOffset: this.#offset!, toOffset }
    if (this.#options.onGap === undefined) throw new StreamCorruptError(this.#view.name, gap)
    this.#offset = toOffset
    this.#options.onGap(gap)
  }

  async #leave(): Promise<void> {
    const place = this.#place
    this.#place = undefined
    await place?.file.close()
  }

  /** Leaves out what the read does not want: before its time, behind its end, above its limit. */
  #select(records: StreamRecord[]): StreamRecord[] {
    let wanted = records
    if (this.#fromTimeMs !== undefined) {
      const timeMs = this.#fromTimeMs
      const first = wanted.findIndex(record => record.timestampMs >= timeMs)
      if (first < 0) return []
      this.#fromTimeMs = undefined
      wanted = wanted.slice(first)
    }
    // Only a read that ends somewhere leaves out what came later: the position is behind all that was decoded.
    const last = wanted.at(-1)
    if (!this.#options.follow && last !== undefined && last.offset >= this.#endOffset) {
      wanted = wanted.filter(record => record.offset < this.#endOffset)
    }
    if (wanted.length > this.#remaining) wanted = wanted.slice(0, this.#remaining)
    this.#remaining -= wanted.length
    return wanted
  }
}
