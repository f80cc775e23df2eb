import { setImmediate as turnEnd } from 'node:timers/promises'
import type { CompactedSegmentWriter } from './compacted-segment-writer.ts'
import { CompactionPass, type PassResult } from './compaction-pass.ts'
import { type CompactionState, nothingCompacted, readCompactionState, writeCompactionState } from './compaction-state.ts'
import type { CompactionStats, Offset } from './contract.ts'
import { systemCode } from './file-system.ts'
import type { LogWriter } from './log-writer.ts'
import { Pace } from './pace.ts'
import { type Gap, indexPath, type Segment } from './segment.ts'
import type { StreamLogOptions } from './stream-log-options.ts'
import type { Turns } from './turns.ts'

/** Compacts one log in the background, one run at a time; `Turns` keeps it and retention from changing the list of segments at once. */
export class LogCompaction {
  /** The log's own, which change with its settings. */
  readonly #options: StreamLogOptions
  readonly #segments: Segment[]
  readonly #writer: LogWriter
  readonly #turns: Turns
  readonly #noteDamage: (segment: Segment, gap: Gap) => Promise<void>
  readonly #stop = new AbortController()
  readonly #reported = new Set<Segment>()
  /** Files that are not part of the log any more and could not be removed yet. Before they are gone nothing else may go. */
  #obsolete: string[] = []
  #state: CompactionState = nothingCompacted
  #running: Promise<CompactionStats> | undefined
  readonly #totals = { runs: 0, failures: 0, removedRecords: 0, reclaimedBytes: 0 }

  constructor(
    options: StreamLogOptions,
    segments: Segment[],
    writer: LogWriter,
    turns: Turns,
    noteDamage: (segment: Segment, gap: Gap) => Promise<void>
  ) {
    this.#options = options
    this.#segments = segments
    this.#writer = writer
    this.#turns = turns
    this.#noteDamage = noteDamage
  }

  /** Takes up what an earlier process left. */
  async restore(): Promise<void> {
    if (this.wanted) this.#state = await readCompactionState(this.#options.fileSystem, this.#options.folder)
  }

  get wanted(): boolean {
    return this.#options.cleanup !== 'delete'
  }

  get stats(): CompactionStats {
    const damaged = this.#segments.filter(segment => this.#reported.has(segment)).length
    const { lastRunMs } = this.#state
    return {
      ...this.#totals,
      running: this.#running !== undefined,
      dirtyRatio: this.#dirtyRatio(),
      lastRunMs: lastRunMs === 0 ? undefined : lastRunMs,
      damagedSegments: damaged
    }
  }

  /** Is there enough to do for a run? */
  get isDue(): boolean {
    const nowMs = this.#options.clock.now()
    const { minDirtyRatio, maxLagMs, tombstoneAgeMs } = this.#options.compaction
    const { earliestSettledMs } = this.#state
    if (earliestSettledMs !== undefined && earliestSettledMs + tombstoneAgeMs <= nowMs) return true
    const dirty = this.#dirty()
    if (dirty.length === 0) return false
    return this.#dirtyRatio() >= minDirtyRatio || dirty.some(segment => segment.firstTimestampMs <= nowMs - maxLagMs)
  }

  /** The active segment is not compacted, so it must not stay active for ever. */
  get isDueForRoll(): boolean {
    const { active } = this.#writer
    return !active.isEmpty && active.firstTimestampMs <= this.#options.clock.now() - this.#options.compaction.maxLagMs
  }

  /** Compacts what is closed. While a run is on, its end is waited for instead. Rejects when the disk does; nothing is lost then. */
  run(): Promise<CompactionStats> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Breaks off the run in progress; later ones do nothing. */
  async close(): Promise<void> {
    this.#stop.abort()
    try {
      await this.#running
    } catch {
      // Whoever started the run has the rejection.
    }
  }

  /** Removes files of segments that were replaced. Rejects while one cannot be removed. */
  async removeObsolete(): Promise<void> {
    const { fileSystem, folder } = this.#options
    if (this.#obsolete.length === 0) return
    // Oldest first, and none before the one in front of it: recovery relies on that.
    while (this.#obsolete.length > 0) {
      try {
        await fileSystem.unlink(this.#obsolete[0]!)
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw error
      }
      this.#obsolete.shift()
    }
    await fileSystem.syncFolder(folder)
  }

  async #run(): Promise<CompactionStats> {
    const { signal } = this.#stop
    const { logger, name, clock } = this.#options
    try {
      for (;;) {
        // So that runs of the same turn do not overlap with what called for them.
        await turnEnd(undefined, { signal })
        const { key } = this.#options
        const result = await this.#pass()
        this.#totals.removedRecords += result.removedRecords
        this.#totals.reclaimedBytes += result.reclaimedBytes
        if (result.rewrittenSegments > 0) logger.info({ stream: name, ...result }, 'compaction removed records')
        const cleanedTo = this.#cleanedTo
        await this.#keep({ ...result, key, lastRunMs: clock.now() })
        if (!result.unfinished || result.cleanedTo <= cleanedTo) break
      }
      this.#totals.runs++
    } catch (error) {
      if (!signal.aborted) {
        this.#totals.failures++
        throw error
      }
    }
    return this.stats
  }

  async #pass(): Promise<PassResult> {
    const { folder, fileSystem, key, clock, segmentBytesMax } = this.#options
    const { tombstoneAgeMs, memoryBytes, bytesPerSecond } = this.#options.compaction
    await this.#turns.take(() => this.removeObsolete())
    // A segment that was full a moment ago may still be getting its index.
    await this.#writer.settle()
    const segments = this.#segments.filter(segment => segment !== this.#writer.active)
    return await new CompactionPass({
      ...{ folder, fileSystem, key, segments, segmentBytesMax, tombstoneAgeMs, memoryBytes },
      cleanedTo: this.#cleanedTo,
      nowMs: clock.now(),
      pace: new Pace(bytesPerSecond, this.#stop.signal),
      onDamage: (segment, gap) => this.#skip(segment, gap),
      swap: (writer, replaced) => this.#turns.take(() => this.#swap(writer, replaced)),
      discard: writer => this.#turns.take(() => this.#discard(writer))
    }).run()
  }

  /** Damage is never compacted away: the segment stays as it is, and that is reported once. */
  async #skip(segment: Segment, gap: Gap | undefined): Promise<void> {
    if (gap !== undefined) await this.#noteDamage(segment, gap)
    if (this.#reported.has(segment)) return
    this.#reported.add(segment)
    const details = { code: 'TRB_STREAM_CORRUPT', stream: this.#options.name, file: segment.path }
    this.#options.logger.error(details, 'a damaged segment is not compacted; records in it stay, and so do tombstones behind it')
  }

  async #swap(writer: CompactedSegmentWriter, replaced: readonly Segment[]): Promise<boolean> {
    const at = this.#segments.indexOf(replaced[0]!)
    if (at < 0 || replaced.some((segment, i) => this.#segments[at + i] !== segment)) return false
    await writer.publish()
    // From here on nobody opens the old files; whoever has one open reads it to its end.
    this.#segments.splice(at, replaced.length, writer.segment)
    for (const { path } of replaced) this.#obsolete.push(path, indexPath(path))
    await this.#removeObsoleteLater()
    return true
  }

  async #discard(writer: CompactedSegmentWriter): Promise<void> {
    await writer.close()
    this.#obsolete.push(...writer.paths)
    await this.#removeObsoleteLater()
  }

  async #removeObsoleteLater(): Promise<void> {
    try {
      await this.removeObsolete()
    } catch (error) {
      const details = { stream: this.#options.name, file: this.#obsolete[0], err: error }
      this.#options.logger.warn(details, 'a file that compaction replaced could not be removed; it is tried again')
    }
  }

  async #keep({ cleanedTo, key, lastRunMs, earliestSettledMs }: CompactionState): Promise<void> {
    const { fileSystem, folder } = this.#options
    this.#state = { cleanedTo, key, lastRunMs, earliestSettledMs }
    await writeCompactionState(fileSystem, folder, this.#state)
  }

  /** What was compacted by another key has to be looked at again. */
  get #cleanedTo(): Offset {
    return this.#state.key === this.#options.key ? this.#state.cleanedTo : 0
  }

  #dirty(): Segment[] {
    const cleanedTo = this.#cleanedTo
    return this.#segments.filter(segment => segment !== this.#writer.active && segment.nextOffset > cleanedTo)
  }

  /** Which part of what could be compacted, in bytes, came since the last run. */
  #dirtyRatio(): number {
    const sum = (segments: readonly Segment[]): number => segments.reduce((bytes, { endPosition }) => bytes + endPosition, 0)
    const all = sum(this.#segments) - this.#writer.active.endPosition
    return all <= 0 ? 0 : sum(this.#dirty()) / all
  }
}
