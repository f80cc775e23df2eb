import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { TributaryError } from '../errors.ts'
import type { Offset, ReadBatch, ReadOptions, StreamGap, StreamRecord, StreamStats } from './contract.ts'
import { isStreamName } from './declaration.ts'
import { type FileSystem, NodeFileSystem, systemCode } from './file-system.ts'
import { type LogView, logStats } from './log-view.ts'
import { readBatches, readRecords } from './read.ts'
import { knownGaps, recover } from './recovery.ts'
import { type Gap, parseSegmentName, type Segment } from './segment.ts'
import { type Logger, silentLogger } from './surroundings.ts'

/** How long a read that follows waits before it looks at the files again. Milliseconds. */
const FOLLOW_INTERVAL_MS = 200

export interface ReadOnlyOptions {
  fileSystem?: FileSystem
  /** Told of damage. */
  logger?: Logger
}

/** Names of the streams in a data folder's streams folder, sorted. */
export async function listStreamFolders(folder: string, fileSystem: FileSystem = new NodeFileSystem()): Promise<string[]> {
  const names: string[] = []
  for (const name of await fileSystem.readdir(folder)) {
    if (!isStreamName(name)) continue
    try {
      const files = await fileSystem.readdir(join(folder, name))
      if (files.some(file => parseSegmentName(file) !== undefined)) names.push(name)
    } catch (error) {
      // A file beside the folders.
      if (systemCode(error) !== 'ENOTDIR') throw error
    }
  }
  return names.sort()
}

/**
 * Opens a stream's files for reading beside, or without, a broker: nothing is created, repaired or cut. TRB_STREAM_UNKNOWN when
 * there is no such stream.
 *
 * What it reads has been written whole, but if a broker is running, the last few records may not be synced yet; a failed sync
 * would take them back. Only the broker itself knows; ask it (HTTP, `read()`) where that matters.
 */
export async function openStreamReader(folder: string, name: string, options: ReadOnlyOptions = {}): Promise<ReadOnlyLog> {
  const { fileSystem = new NodeFileSystem(), logger = silentLogger } = options
  const log = new ReadOnlyLog(join(folder, name), name, fileSystem, logger)
  try {
    if (!isStreamName(name)) throw new TributaryError('TRB_STREAM_UNKNOWN', `${JSON.stringify(name)} is not a stream name`)
    await log.refresh()
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
    throw new TributaryError('TRB_STREAM_UNKNOWN', `there is no stream ${name} in ${folder}`, { cause: error })
  }
  return log
}

/** A stream's files as they were at the last `refresh()`. Holds no file open between reads. */
export class ReadOnlyLog implements LogView {
  readonly name: string
  readonly fileSystem: FileSystem
  readonly #folder: string
  readonly #logger: Logger
  #segments: Segment[] = []
  #nextOffset: Offset = 0
  #closed = false
  #refreshing: Promise<void> | undefined

  constructor(folder: string, name: string, fileSystem: FileSystem, logger: Logger) {
    this.#folder = folder
    this.name = name
    this.fileSystem = fileSystem
    this.#logger = logger
  }

  get segments(): readonly Segment[] {
    return this.#segments
  }

  get earliestOffset(): Offset {
    return this.#segments[0]?.baseOffset ?? this.#nextOffset
  }

  get durableOffset(): Offset {
    return this.#nextOffset
  }

  get nextOffset(): Offset {
    return this.#nextOffset
  }

  get gaps(): StreamGap[] {
    return knownGaps(this.#segments, this.#nextOffset)
  }

  get closed(): boolean {
    return this.#closed
  }

  read(options: ReadOptions): AsyncIterable<StreamRecord> {
    return readRecords(this, options)
  }

  readBatches(options: ReadOptions): AsyncIterable<ReadBatch> {
    return readBatches(this, options)
  }

  stats(): StreamStats {
    return logStats(this)
  }

  /** Ends reads that follow. */
  close(): void {
    this.#closed = true
  }

  /** Looks at the files again. Segments known already are only scanned from where they ended. */
  refresh(): Promise<void> {
    // Two scans of one segment would each add its new batches.
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refresh(): Promise<void> {
    const { fileSystem, name } = this
    const known = new Map(this.#segments.map(segment => [segment.baseOffset, segment]))
    const job = { fileSystem, folder: this.#folder, stream: name, logger: this.#logger, repair: false, known }
    const { segments, nextOffset } = await recover(job)
    this.#segments = segments
    this.#nextOffset = nextOffset
  }

  async changed(signal: AbortSignal): Promise<void> {
    try {
      await wait(FOLLOW_INTERVAL_MS, undefined, { signal })
    } catch (error) {
      // The reader asks the signal itself, and knows what to do.
      if (signal.aborted) return
      throw error
    }
    await this.refresh()
  }

  async stillHas(segment: Segment): Promise<boolean> {
    // A broker that writes the log may have removed it since the last look.
    await this.refresh()
    return this.#segments.includes(segment)
  }

  noteDamage(segment: Segment, gap: Gap): Promise<void> {
    if (segment.addGap(gap)) {
      const details = { code: 'TRB_STREAM_CORRUPT', stream: this.name, file: segment.path, ...gap }
      this.#logger.error(details, 'records of a stream are damaged on disk and cannot be read')
    }
    return Promise.resolve()
  }
}
