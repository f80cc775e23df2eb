import { dirname, join } from 'node:path'
import { TributaryError } from '../errors.ts'
import { topicMatches } from '../topic/filter.ts'
import { ChunkPool } from './chunk-pool.ts'
import type { AckMode } from './contract.ts'
import { demandValid, logSettings, type StreamDeclaration } from './declaration.ts'
import { type FileSystem, NodeFileSystem, systemCode } from './file-system.ts'
import { defaultGroupSettings, type GroupSettings } from './groups/contract.ts'
import { StreamLog } from './stream-log.ts'
import { type Clock, type Logger, silentLogger, systemClock } from './surroundings.ts'

export interface StreamsOptions {
  /** Holds one folder per stream. */
  folder: string
  declarations: readonly StreamDeclaration[]
  fileSystem?: FileSystem
  clock?: Clock
  logger?: Logger
  /** Told after each sync of a stream, with the seconds it took and the bytes that were written. */
  onSync?: (stream: string, seconds: number, bytes: number) => void
  /** How often retention is applied; 0 = only when retain() is called. Default one minute. */
  retentionIntervalMs?: number
}

/** A declared stream and what the router wants to know of it. */
export interface DeclaredStream {
  readonly stream: StreamLog
  readonly filter: string
  readonly ack: AckMode
  readonly groups: GroupSettings
}

const RETENTION_INTERVAL_MS = 60_000

/**
 * The declared streams of one data folder, which come, change and go while the broker runs. The folder belongs to one process; see
 * persistence/ for the lock. Who routes messages into them is told by whoever calls add(), change() and remove().
 */
export class Streams {
  readonly #options: Required<Omit<StreamsOptions, 'declarations'>>
  readonly #pool = new ChunkPool()
  readonly #declarations = new Map<string, StreamDeclaration>()
  /** Replaced as a whole, so that whoever walks it may wait in between. */
  #declared: readonly DeclaredStream[] = []
  readonly #timer: NodeJS.Timeout | undefined
  #retaining: Promise<void> = Promise.resolve()
  /** One stream at a time, and apart from retention: a run may take long, and full disks do not wait. */
  #compacting: Promise<void> | undefined

  /** Opens every declared stream, recovering those that were not closed. Streams on disk that are not declared are left alone. */
  static async open({ declarations, ...options }: StreamsOptions): Promise<Streams> {
    demandValid(declarations)
    const streams = new Streams(options)
    const { fileSystem, folder } = streams.#options
    await fileSystem.mkdir(folder)
    try {
      for (const declaration of declarations) await streams.#open(declaration)
      // The streams' own folders are new entries in this one.
      await fileSystem.syncFolder(folder)
    } catch (error) {
      clearInterval(streams.#timer)
      for (const { stream } of streams.#declared) await stream.close()
      throw error
    }
    return streams
  }

  private constructor(options: Omit<StreamsOptions, 'declarations'>) {
    this.#options = {
      fileSystem: new NodeFileSystem(),
      clock: systemClock,
      logger: silentLogger,
      onSync: () => undefined,
      retentionIntervalMs: RETENTION_INTERVAL_MS,
      ...options
    }
    const { retentionIntervalMs } = this.#options
    if (retentionIntervalMs > 0) {
      this.#timer = setInterval(() => {
        this.#retaining = this.#retaining.then(() => this.retain())
        this.#compacting ??= this.compact().finally(() => {
          this.#compacting = undefined
        })
      }, retentionIntervalMs)
      // Retention alone is no reason for a process to stay.
      this.#timer.unref()
    }
  }

  get(name: string): StreamLog | undefined {
    return this.#declared.find(({ stream }) => stream.name === name)?.stream
  }

  all(): readonly StreamLog[] {
    return this.#declared.map(({ stream }) => stream)
  }

  /** Every stream with its filter and ack mode, in the order of declaration. */
  declared(): readonly DeclaredStream[] {
    return this.#declared
  }

  /** How a stream is declared now. */
  declaration(name: string): StreamDeclaration | undefined {
    return this.#declarations.get(name)
  }

  /** The streams a message on the topic enters. */
  matching(topic: string): readonly StreamLog[] {
    return this.#declared.filter(({ filter }) => topicMatches(filter, topic)).map(({ stream }) => stream)
  }

  /**
   * Opens one more stream; what a folder of its name holds is taken up. Rejects TRB_CONFIG_INVALID, or what the file system says;
   * then nothing has changed but for an empty folder that may be there.
   */
  async add(declaration: StreamDeclaration): Promise<DeclaredStream> {
    demandValid([...this.#declarations.values(), declaration])
    const added = await this.#open(declaration)
    await this.#options.fileSystem.syncFolder(this.#options.folder)
    return added
  }

  /** From now on the stream is as this declaration says; records that are there stay as they are. */
  change(declaration: StreamDeclaration): DeclaredStream {
    const { name, filter, ack, groups = defaultGroupSettings } = declaration
    const stream = this.get(name)
    if (stream === undefined) throw new TributaryError('TRB_STREAM_UNKNOWN', `there is no stream ${name} to change`)
    demandValid([...[...this.#declarations.values()].filter(other => other.name !== name), declaration])
    stream.reconfigure(logSettings(declaration))
    this.#declarations.set(name, declaration)
    const changed = { stream, filter, ack, groups }
    this.#declared = this.#declared.map(one => (one.stream === stream ? changed : one))
    return changed
  }

  /**
   * Closes a stream and leaves its files where they are: it is among the others no longer. Reads that follow it end. Never rejects:
   * what its last sync could not write is lost with the stream, and told.
   */
  async release(name: string): Promise<void> {
    const stream = this.get(name)
    this.#declared = this.#declared.filter(one => one.stream !== stream)
    this.#declarations.delete(name)
    try {
      await stream?.close()
    } catch (err) {
      this.#options.logger.warn({ stream: name, err }, 'the last records of a stream that is given up could not be written')
    }
  }

  /** Applies every stream's retention policy now. Never rejects: what could not be removed is tried again next time. */
  async retain(): Promise<void> {
    for (const { stream } of this.#declared) {
      try {
        await stream.retain()
      } catch (error) {
        const details = { stream: stream.name, err: error }
        this.#options.logger.error(details, 'retention could not remove what is over age or size')
      }
    }
  }

  /** Compacts every stream that has enough to compact. Never rejects: what failed is tried again next time. */
  async compact(): Promise<void> {
    for (const { stream } of this.#declared) {
      try {
        await stream.compact('due')
      } catch (error) {
        const details = { stream: stream.name, err: error }
        this.#options.logger.error(details, 'a stream could not be compacted; it stays as it was')
      }
    }
  }

  /** Syncs and closes every stream. Rejects with the first stream's error, after all were closed. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#retaining
    // Closing a stream breaks off its compaction.
    const results = await Promise.allSettled(this.#declared.map(({ stream }) => stream.close()))
    await this.#compacting
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  async #open(declaration: StreamDeclaration): Promise<DeclaredStream> {
    const { name, filter, ack, groups = defaultGroupSettings } = declaration
    const { folder, fileSystem, clock, logger, onSync } = this.#options
    const stream = await StreamLog.open({
      ...logSettings(declaration),
      ...{ name, fileSystem, clock, logger, pool: this.#pool, onSync },
      folder: join(folder, name)
    })
    const opened = { stream, filter, ack, groups }
    this.#declarations.set(name, declaration)
    this.#declared = [...this.#declared, opened]
    return opened
  }
}

/**
 * Deletes a stream's folder and all files in it, oldest first, so that what is left after a crash is the end of the stream and not
 * pieces of it. Nothing happens when there is no such folder.
 */
export async function removeStreamFolder(fileSystem: FileSystem, folder: string): Promise<void> {
  let names: string[]
  try {
    names = await fileSystem.readdir(folder)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw error
  }
  for (const name of names.sort()) await fileSystem.unlink(join(folder, name))
  await fileSystem.syncFolder(folder)
  await fileSystem.rmdir(folder)
  await fileSystem.syncFolder(dirname(folder))
}
