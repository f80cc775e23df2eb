import { TributaryError } from '../errors.ts'
import { BatchWalker, findBatch } from './batch-walker.ts'
import type { Offset, ReadBatch, ReadOptions, StreamRecord } from './contract.ts'
import { StreamCorruptError } from './errors.ts'
import { type File, systemCode } from './file-system.ts'
import { loadIndex } from './index-file.ts'
import { type LogView, segmentAt } from './log-view.ts'
import { RecordDecoder } from './record-decoder.ts'
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
  readonly #decoder: RecordDecoder
  /** Offset of the next record to look at; undefined until the first block is asked for. */
  #offset: Offset | undefined
  #place: Place | undefined

  constructor(view: LogView, options: ReadOptions) {
    this.#view = view
    this.#options = options
    this.#endOffset = view.durableOffset
    this.#decoder = new RecordDecoder(options.limit ?? Number.POSITIVE_INFINITY, options.select)
    // Only a read that ends somewhere leaves out what came later.
    if (!options.follow) this.#decoder.endOffset = this.#endOffset
    if (options.from === 'latest') this.#offset = view.durableOffset
  }

  /** The next stretch; undefined at the end. */
  async next(): Promise<ReadBatch | undefined> {
    const { signal, follow } = this.#options
    const decoder = this.#decoder
    while (decoder.remaining > 0 && !this.#stop.signal.aborted) {
      signal?.throwIfAborted()
      this.#offset ??= await this.#start()
      if (this.#offset < this.#view.earliestOffset) await this.#leaveRemoved()
      const end = follow ? this.#view.durableOffset : this.#endOffset
      if (this.#offset >= end) {
        if (!follow || this.#view.closed) break
        await this.#view.changed(signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal)
        continue
      }
      const before = this.#offset
      const records = await this.#readBlock()
      const searching = decoder.fromTimeMs > Number.NEGATIVE_INFINITY
      if (records.length > 0 || (this.#offset > before && !searching)) return { records, nextOffset: this.#offset }
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
    this.#decoder.fromTimeMs = timeMs
    const segment = this.#view.segments.find(candidate => candidate.hasRecords && candidate.maxTimestampMs >= timeMs)
    if (segment === undefined) return this.#endOffset
    const index = segment.index ?? (await loadIndex(this.#view.fileSystem, segment))
    return index.floorTime(timeMs)?.offset ?? segment.baseOffset
  }

  /** Retention has been faster than this read. */
  async #leaveRemoved(): Promise<void> {
    const { earliestOffset, durableOffset, name } = this.#view
    const { outOfRange = 'fail', onRemoved } = this.#options
    const fromOffset = this.#offset!
    if (outOfRange === 'fail') {
      const message = `stream ${name}: offset ${fromOffset} has been removed by retention; the earliest one is ${earliestOffset}`
      throw new TributaryError('TRB_OFFSET_OUT_OF_RANGE', message)
    }
    await this.#leave()
    this.#offset = outOfRange === 'earliest' ? earliestOffset : durableOffset
    onRemoved?.({ fromOffset, toOffset: this.#offset })
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
        if (this.#decoder.remaining === 0) return records
        continue
      }
      // What was decoded so far goes out before anything is waited for or fails.
      if (records.length > 0) return records
      if (step === 'load') await walker.load()
      // What a sync has added while the disk was waited for is no gap: it comes with the next block.
      else if (step === 'end') return walker.limit < segment.endPosition ? records : this.#endOfSegment(segment)
      else await this.#passDamage(place)
    }
  }

  /** False when the batch does not hold what its header says, or records before it are missing and others wait to go out. */
  #decode(walker: BatchWalker, into: StreamRecord[]): boolean {
    const header = walker.header!
    const { nextOffset } = header
    if (nextOffset <= this.#offset!) return true
    if (header.baseOffset > this.#offset!) {
      if (into.length > 0) return false
      this.#passGap(header.baseOffset)
    }
    if (header.maxTimestampMs < this.#decoder.fromTimeMs) {
      this.#offset = nextOffset
      return true
    }
    try {
      this.#offset = this.#decoder.decode(walker.block, walker.bodyStart, header, this.#offset!, into)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      return false
    }
    return true
  }

  /** Goes to the next batch that checks; the offsets between are found missing when it is decoded. */
  async #passDamage({ segment, file, walker }: Place): Promise<void> {
    const { position, nextOffset } = walker
    // Taken before anything is waited for: what a sync adds meanwhile was not looked at.
    const { endPosition, nextOffset: endOffset } = segment
    const next = await findBatch(file, segment.seed, position + 1, endPosition, nextOffset)
    walker.position = next?.position ?? endPosition
    const toOffset = next?.header.baseOffset ?? endOffset
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
      if (this.#view.closed) throw new TributaryError('TRB_CLOSED', `stream ${this.#view.name} was removed while it was read`)
      // Removed by retention or compaction, which the next turn of the loop sees; or by somebody else, which is a gap.
      if (await this.#view.stillHas(segment)) this.#passGap(segment.nextOffset)
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
}
