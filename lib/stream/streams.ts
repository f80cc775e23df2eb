import { join } from 'node:path'
import { TributaryError } from '../errors.ts'
import { topicMatches } from '../topic/filter.ts'
import { ChunkPool } from './chunk-pool.ts'
import type { AckMode, RetentionPolicy } from './contract.ts'
import { type FileSystem, NodeFileSystem } from './file-system.ts'
import type { KeyField } from './key-partition.ts'
import { StreamLog } from './stream-log.ts'
import { type Clock, type Logger, silentLogger, systemClock } from './surroundings.ts'

/** A stream as an operator declares it. */
export interface StreamDeclaration {
  /** Also the name of its folder: letters, digits, _, - and inner dots; the broker's own begin with $. */
  name: string
  /** Topic Filter of the messages that enter the stream. */
  filter: string
  key: KeyField
  partitions: number
  retention: RetentionPolicy
  ack: AckMode
  /** Default 64 MiB, but at most an eighth of `retention.bytes`, so that retention has something to cut. */
  segmentBytesMax?: number
}

export interface StreamsOptions {
  /** Holds one folder per stream. */
  folder: string
  declarations: readonly StreamDeclaration[]
  fileSystem?: FileSystem
  clock?: Clock
  logger?: Logger
  /** Told after each sync of a stream, with the seconds it took. */
  onSync?: (stream: string, seconds: number) => void
  /** How often retention is applied; 0 = only when retain() is called. Default one minute. */
  retentionIntervalMs?: number
}

/** A declared stream and what the router wants to know of it. */
export interface DeclaredStream {
  readonly stream: StreamLog
  readonly filter: string
  readonly ack: AckMode
}

const SEGMENT_BYTES_MAX = 64 * 1024 * 1024
const SEGMENT_BYTES_MIN = 64 * 1024
const RETENTION_INTERVAL_MS = 60_000

/** The declared streams of one data folder. The folder belongs to one process; see persistence/ for the lock. */
export class Streams {
  readonly #declared: readonly DeclaredStream[]
  readonly #byName: ReadonlyMap<string, StreamLog>
  readonly #logger: Logger
  readonly #timer: NodeJS.Timeout | undefined
  #retaining: Promise<void> = Promise.resolve()

  /** Opens every declared stream, recovering those that were not closed. Streams on disk that are not declared are left alone. */
  static async open(options: StreamsOptions): Promise<Streams> {
    const { folder, declarations, fileSystem = new NodeFileSystem(), clock = systemClock, logger = silentLogger } = options
    demandValid(declarations)
    await fileSystem.mkdir(folder)
    const pool = new ChunkPool()
    const declared: DeclaredStream[] = []
    try {
      for (const declaration of declarations) {
        const { name, filter, key, partitions, retention, ack } = declaration
        const stream = await StreamLog.open({
          ...{ name, key, partitions, retention, ack, fileSystem, clock, logger, pool },
          folder: join(folder, name),
          segmentBytesMax: segmentBytesMax(declaration),
          onSync: options.onSync ?? (() => undefined)
        })
        declared.push({ stream, filter, ack })
      }
      // The streams' own folders are new entries in this one.
      await fileSystem.syncFolder(folder)
    } catch (error) {
      for (const { stream } of declared) await stream.close()
      throw error
    }
    return new Streams(declared, logger, options.retentionIntervalMs ?? RETENTION_INTERVAL_MS)
  }

  private constructor(declared: readonly DeclaredStream[], logger: Logger, retentionIntervalMs: number) {
    this.#declared = declared
    this.#byName = new Map(declared.map(({ stream }) => [stream.name, stream]))
    this.#logger = logger
    if (retentionIntervalMs > 0) {
      this.#timer = setInterval(() => {
        this.#retaining = this.#retaining.then(() => this.retain())
      }, retentionIntervalMs)
      // Retention alone is no reason for a process to stay.
      this.#timer.unref()
    }
  }

  get(name: string): StreamLog | undefined {
    return this.#byName.get(name)
  }

  all(): readonly StreamLog[] {
    return this.#declared.map(({ stream }) => stream)
  }

  /** Every stream with its filter and ack mode, in the order of declaration. */
  declared(): readonly DeclaredStream[] {
    return this.#declared
  }

  /** The streams a message on the topic enters. */
  matching(topic: string): readonly StreamLog[] {
    return this.#declared.filter(({ filter }) => topicMatches(filter, topic)).map(({ stream }) => stream)
  }

  /** Applies every stream's retention policy now. Never rejects: what could not be removed is tried again next time. */
  async retain(): Promise<void> {
    for (const { stream } of this.#declared) {
      try {
        await stream.retain()
      } catch (error) {
        this.#logger.error({ stream: stream.name, err: error }, 'retention could not remove what is over age or size')
      }
    }
  }

  /** Syncs and closes every stream. Rejects with the first stream's error, after all were closed. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#retaining
    const results = await Promise.allSettled(this.#declared.map(({ stream }) => stream.close()))
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }
}

/** A name that could leave the folder must not get here, whoever the caller is. */
const STREAM_NAME = /^\$?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_-])?$/

export function isStreamName(name: string): boolean {
  return STREAM_NAME.test(name)
}

function demandValid(declarations: readonly StreamDeclaration[]): void {
  const seen = new Set<string>()
  for (const { name, partitions } of declarations) {
    if (!isStreamName(name)) throw new TributaryError('TRB_CONFIG_INVALID', `${JSON.stringify(name)} is not a stream name`)
    if (!Number.isSafeInteger(partitions) || partitions < 1) {
      throw new TributaryError('TRB_CONFIG_INVALID', `stream ${name}: expected at least one partition, got ${partitions}`)
    }
    if (seen.has(name.toLowerCase())) throw new TributaryError('TRB_CONFIG_INVALID', `stream ${name} is declared twice`)
    seen.add(name.toLowerCase())
  }
}

function segmentBytesMax({ segmentBytesMax: asked = SEGMENT_BYTES_MAX, retention }: StreamDeclaration): number {
  if (retention.bytes === 0) return asked
  return Math.min(asked, Math.max(SEGMENT_BYTES_MIN, Math.floor(retention.bytes / 8)))
}
