import { TributaryError } from '../errors.ts'
import type { Qos } from '../mqtt/packet.ts'
import { BATCH_HEADER_BYTES } from './batch.ts'
import type {
  AckMode,
  CompactionStats,
  Offset,
  ReadBatch,
  ReadOptions,
  RecordSource,
  Stream,
  StreamGap,
  StreamRecord,
  StreamStats
} from './contract.ts'
import { quarantineGap } from './damage.ts'
import { StreamWriteError } from './errors.ts'
import type { FileSystem } from './file-system.ts'
import { writeIndex } from './index-file.ts'
import { keyPartition } from './key-partition.ts'
import { LogCompaction } from './log-compaction.ts'
import { LogRetention, type Retained } from './log-retention.ts'
import { type LogView, logStats } from './log-view.ts'
import { LogWriter } from './log-writer.ts'
import { readBatches, readRecords } from './read.ts'
import { PreparedSource, RecordWriter, recordBytesMax } from './record.ts'
import { knownGaps, recover } from './recovery.ts'
import type { Gap, Segment } from './segment.ts'
import type { StreamLogOptions, StreamLogSettings } from './stream-log-options.ts'
import { Turns } from './turns.ts'

/** The retained log in a folder of segment files; the format is told in FORMAT.md. One process at a time may open it. */
export class StreamLog implements Stream, LogView {
  readonly name: string
  readonly fileSystem: FileSystem
  readonly #options: StreamLogOptions
  readonly #writer: LogWriter
  readonly #segments: Segment[]
  readonly #retention: LogRetention
  readonly #compaction: LogCompaction
  readonly #waiting = new Set<() => void>()

  /** The batch being filled, and full ones that go out with it. */
  #batch: RecordWriter | undefined
  #fullBatches: RecordWriter[] = []
  #fullBytes = 0
  /** Cut off by seal(): what the next sync writes, and no more. */
  #sealedBatches: RecordWriter[] | undefined
  #sealedBytes = 0
  #nextOffset: Offset
  /** The Buffer that appends took their payload from last, and a view of it. */
  #viewed: Buffer | undefined
  #view: DataView = new DataView(new ArrayBuffer(0))

  #generation = 0
  #lastFailure: StreamWriteError | undefined
  #state: 'open' | 'failed' | 'closed' = 'open'
  /** Of syncs, rolls and close. */
  readonly #turns = new Turns()

  /** Recovers what is in the folder. Rejects only when the file system does: damage is reported and lived with. */
  static async open(given: StreamLogOptions): Promise<StreamLog> {
    // A copy: reconfigure() changes it, for writer and retention too.
    const options = { ...given }
    const { fileSystem, folder, logger, name } = options
    await fileSystem.mkdir(folder)
    const { segments, nextOffset } = await recover({ fileSystem, folder, stream: name, logger, repair: true })
    const last = segments.at(-1)
    // What compaction has written is complete.
    const resumable = last?.nextOffset === nextOffset && last.generation === 0 ? last : undefined
    const onRoll = (active: Segment): void => {
      segments.push(active)
    }
    const writer = await LogWriter.open(
      { ...options, stream: name, onRoll, segmentBytesMax: () => options.segmentBytesMax },
      resumable,
      nextOffset
    )
    if (resumable === undefined) segments.push(writer.active)
    const log = new StreamLog(options, writer, segments)
    await log.#compaction.restore()
    return log
  }

  private constructor(options: StreamLogOptions, writer: LogWriter, segments: Segment[]) {
    this.name = options.name
    this.fileSystem = options.fileSystem
    this.#options = options
    this.#writer = writer
    this.#segments = segments
    this.#nextOffset = writer.active.nextOffset
    const listTurns = new Turns()
    this.#compaction = new LogCompaction(options, segments, writer, listTurns, (segment, gap) => this.noteDamage(segment, gap))
    const before = () => this.#compaction.removeObsolete()
    this.#retention = new LogRetention(options, segments, writer, listTurns, before)
  }

  get segments(): readonly Segment[] {
    return this.#segments
  }

  get partitions(): number {
    return this.#options.partitions
  }

  get ack(): AckMode {
    return this.#options.ack
  }

  get earliestOffset(): Offset {
    return this.#segments[0]!.baseOffset
  }

  get durableOffset(): Offset {
    return this.#writer.active.nextOffset
  }

  get nextOffset(): Offset {
    return this.#nextOffset
  }

  get dirty(): boolean {
    return this.#batch !== undefined || this.#fullBatches.length > 0 || this.#sealedBytes > 0
  }

  get pendingBytes(): number {
    return this.#sealedBytes + this.#fullBytes + (this.#batch?.at ?? 0)
  }

  /**
   * Grows by one each time a failed sync() has discarded records. Whoever remembers it with an append knows for certain whether
   * that record is still there: it is, if the generation is the same after the sync() that followed.
   */
  get generation(): number {
    return this.#generation
  }

  /** Lost stretches known so far, in offset order. */
  get gaps(): StreamGap[] {
    return knownGaps(this.#segments, this.durableOffset)
  }

  get closed(): boolean {
    return this.#state === 'closed'
  }

  source(topic: string, clientId: string): RecordSource {
    return new PreparedSource(topic, clientId, keyPartition(this.#options.key, topic, clientId, this.partitions))
  }

  append(
    source: RecordSource,
    qos: Qos,
    retain: boolean,
    timestampMs: number,
    expiresAtMs: number,
    properties: Buffer,
    bytes: Buffer,
    payloadStart: number,
    payloadEnd: number,
    packetId = 0
  ): Offset {
    if (!(source instanceof PreparedSource)) throw new TypeError('append takes a source made by source()')
    const needed = recordBytesMax(source, properties, payloadEnd - payloadStart)
    let batch = this.#batch
    if (batch === undefined || batch.at + needed > batch.chunk.bytes.length) batch = this.#beginBatch(needed)
    if (bytes !== this.#viewed) {
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      this.#viewed = bytes
    }
    batch.add(source, qos, retain, timestampMs, expiresAtMs, properties, bytes, this.#view, payloadStart, payloadEnd, packetId)
    return this.#nextOffset++
  }

  seal(): void {
    // Also when there is nothing: what is appended to a clean stream before the sync must not go with it either.
    this.#sealedBatches ??= []
    this.#sealedBytes += this.#fullBytes + (this.#batch?.at ?? 0)
    this.#sealedBatches.push(...this.#takeUnsealed())
  }

  sync(): Promise<void> {
    const generation = this.#generation
    return this.#turns.take(() => this.#commit(generation))
  }

  read(options: ReadOptions): AsyncIterable<StreamRecord> {
    return readRecords(this, options)
  }

  readBatches(options: ReadOptions): AsyncIterable<ReadBatch> {
    return readBatches(this, options)
  }

  /** Removes what the retention policy no longer keeps; whole segments, oldest first. */
  retain(): Promise<Retained> {
    return this.#retention.run(roll => this.#turns.take(() => this.#roll(roll)))
  }

  /**
   * Removes replaced records, now or when enough of them came together. Undefined when there was nothing to do. Rejects when the
   * disk fails; what was there is in force then.
   */
  async compact(when: 'now' | 'due' = 'now'): Promise<CompactionStats | undefined> {
    const compaction = this.#compaction
    if (!compaction.wanted) return undefined
    if (compaction.isDueForRoll) await this.#turns.take(() => this.#roll(() => this.#writer.roll()))
    return when === 'now' || compaction.isDue ? compaction.run() : undefined
  }

  /** Removes the oldest segment whatever the policy says; the active one too, which is closed first. Nothing is left to remove: 0. */
  removeOldest(): Promise<Retained> {
    return this.#retention.removeOldest(roll => this.#turns.take(() => this.#roll(roll)))
  }

  /**
   * From now on these settings count. Records that are there keep their partition; a source() made before keeps its own, so whoever
   * holds sources makes them anew. Segments that are open or closed keep their size.
   */
  reconfigure({ key, partitions, retention, cleanup, compaction, ack, segmentBytesMax }: StreamLogSettings): void {
    Object.assign(this.#options, { key, partitions, retention, cleanup, compaction, ack, segmentBytesMax })
  }

  beforeRemoval(listener: (earliestOffset: Offset) => void): () => void {
    const { listeners } = this.#retention
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  stats(): StreamStats {
    const stats = logStats(this)
    if (this.#compaction.wanted) stats.compaction = this.#compaction.stats
    return stats
  }

  /** Syncs what is pending, closes the files and ends reads that follow. Rejects if that last sync fails; it is closed then too. */
  async close(): Promise<void> {
    // Before taking the turn: a run of retention may be waiting for one.
    await this.#compaction.close()
    await this.#retention.close()
    await this.#turns.take(() => this.#close())
  }

  changed(signal: AbortSignal): Promise<void> {
    // Aborted while the reader was looking for its first record: the event has been and does not come again.
    if (signal.aborted) return Promise.resolve()
    return new Promise(resolve => {
      const done = (): void => {
        this.#waiting.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#waiting.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }

  async stillHas(segment: Segment): Promise<boolean> {
    return this.#segments.includes(segment)
  }

  async noteDamage(segment: Segment, gap: Gap): Promise<void> {
    // One that was removed while it was read needs no report: nobody will come to it any more.
    if (!this.#segments.includes(segment) || !segment.addGap(gap)) return
    await quarantineGap(this.fileSystem, this.#options.logger, this.name, segment, gap)
    if (segment === this.#writer.active) return
    try {
      await writeIndex(this.fileSystem, segment)
    } catch (error) {
      this.#options.logger.warn(
        { stream: this.name, file: segment.path, err: error },
        'a damaged stretch could not be put on record'
      )
    }
  }

  async #close(): Promise<void> {
    if (this.#state === 'closed') return
    try {
      this.seal()
      await this.#commit(this.#generation)
    } finally {
      this.#state = 'closed'
      this.#wake()
      await this.#writer.close()
    }
  }

  #beginBatch(needed: number): RecordWriter {
    if (this.#state === 'closed') throw new TributaryError('TRB_CLOSED', `stream ${this.name} is closed`)
    if (this.#batch !== undefined) {
      this.#fullBatches.push(this.#batch)
      this.#fullBytes += this.#batch.at
    }
    this.#batch = new RecordWriter(this.#options.pool.take(BATCH_HEADER_BYTES + needed), BATCH_HEADER_BYTES)
    return this.#batch
  }

  /** What a sync writes: what was sealed, or else everything appended so far. */
  #takeBatches(): RecordWriter[] {
    const sealed = this.#sealedBatches
    if (sealed === undefined) return this.#takeUnsealed()
    this.#sealedBatches = undefined
    this.#sealedBytes = 0
    return sealed
  }

  /** Everything appended since the last seal; the next append begins a new batch. */
  #takeUnsealed(): RecordWriter[] {
    const batches = this.#fullBatches
    if (this.#batch !== undefined) batches.push(this.#batch)
    this.#batch = undefined
    this.#fullBatches = []
    this.#fullBytes = 0
    this.#viewed = undefined
    return batches
  }

  async #commit(generation: number): Promise<void> {
    if (this.#state === 'closed') throw new TributaryError('TRB_CLOSED', `stream ${this.name} is closed`)
    // The sync before this one has discarded what this one was called for.
    if (generation !== this.#generation) throw this.#lastFailure!
    if (this.#state === 'failed') await this.#healOrDiscard()
    const batches = this.#takeBatches()
    if (batches.length === 0) return
    const startedMs = performance.now()
    let bytes = 0
    for (const batch of batches) bytes += batch.at
    try {
      await this.#writer.write(batches)
    } catch (cause) {
      this.#state = 'failed'
      await this.#tryToHeal()
      this.#recycle(batches)
      throw this.#discard(cause)
    }
    this.#recycle(batches)
    this.#options.onSync(this.name, (performance.now() - startedMs) / 1000, bytes)
    this.#wake()
  }

  async #healOrDiscard(): Promise<void> {
    const cause = await this.#tryToHeal()
    if (this.#state === 'failed') throw this.#discard(cause)
  }

  async #tryToHeal(): Promise<unknown> {
    try {
      await this.#writer.heal()
      this.#state = 'open'
      return undefined
    } catch (cause) {
      return cause
    }
  }

  /**
   * Takes back every offset that is not durable. Records appended while the failed write ran go too: keeping them would leave a
   * hole in the offsets, and would put a publisher's later message before the earlier one that it is going to send again. Runs
   * in the turn in which sync() rejects, so that the caller can tell from the rejection alone which appends are lost.
   */
  #discard(cause: unknown): StreamWriteError {
    const from = this.durableOffset
    const end = this.#nextOffset
    this.#recycle(this.#takeBatches())
    this.#recycle(this.#takeUnsealed())
    this.#nextOffset = from
    this.#generation++
    this.#lastFailure = new StreamWriteError(this.name, from, end, this.#state !== 'failed', cause)
    this.#options.logger.error({ stream: this.name, err: this.#lastFailure }, 'a stream could not be written')
    return this.#lastFailure
  }

  #recycle(batches: readonly RecordWriter[]): void {
    for (const batch of batches) this.#options.pool.give(batch.release())
  }

  async #roll(roll: () => Promise<void>): Promise<void> {
    if (this.#state !== 'open') return
    try {
      await roll()
    } catch (error) {
      // The next sync heals before it writes.
      this.#state = 'failed'
      throw error
    }
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done()
  }
}
