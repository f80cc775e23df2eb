import type { Offset, RetentionPolicy } from './contract.ts'
import { type FileSystem, systemCode } from './file-system.ts'
import type { LogWriter } from './log-writer.ts'
import { expiredSegments, isDueForRoll } from './retention.ts'
import { indexPath, type Segment } from './segment.ts'
import type { Clock, Logger } from './surroundings.ts'

export interface Retained {
  segments: number
  bytes: number
  earliestOffset: Offset
}

interface Options {
  name: string
  folder: string
  retention: RetentionPolicy
  fileSystem: FileSystem
  clock: Clock
  logger: Logger
}

/** Applies the retention policy to a log's segments, one run at a time. */
export class LogRetention {
  readonly #options: Options
  /** The log's own list; removed segments leave it before their files go, so that no reader enters them any more. */
  readonly #segments: Segment[]
  readonly #writer: LogWriter
  #run: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(options: Options, segments: Segment[], writer: LogWriter) {
    this.#options = options
    this.#segments = segments
    this.#writer = writer
  }

  /** `inTurn` runs the given roll when no sync is running. */
  run(inTurn: (roll: () => Promise<void>) => Promise<void>): Promise<Retained> {
    const result = this.#run.then(() => this.#retain(inTurn))
    this.#run = result.catch(() => {
      // The caller of this run has the rejection; the next run starts afresh.
    })
    return result
  }

  /** Removes the first segment. When there is no other, it is rolled first; `inTurn` as above. */
  removeOldest(inTurn: (roll: () => Promise<void>) => Promise<void>): Promise<Retained> {
    const result = this.#run.then(async () => {
      if (this.#closed) return this.#nothing()
      if (this.#segments.length === 1) await inTurn(() => this.#writer.roll())
      return this.#removeFirst(Math.min(1, this.#segments.length - 1), 'the oldest segment made room on the disk')
    })
    this.#run = result.catch(() => {
      // As above.
    })
    return result
  }

  /** Waits for the run in progress; later ones do nothing. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#run
  }

  async #retain(inTurn: (roll: () => Promise<void>) => Promise<void>): Promise<Retained> {
    const { retention, clock } = this.#options
    if (this.#closed) return this.#nothing()
    if (isDueForRoll(this.#writer.active, retention, clock.now())) await inTurn(() => this.#writer.roll())
    const count = expiredSegments(this.#segments, retention, clock.now())
    return this.#removeFirst(count, 'retention removed segments')
  }

  #nothing(): Retained {
    return { segments: 0, bytes: 0, earliestOffset: this.#segments[0]!.baseOffset }
  }

  async #removeFirst(count: number, what: string): Promise<Retained> {
    const removed = this.#nothing()
    if (count === 0) return removed
    // A segment that was full a moment ago may still be getting its index.
    await this.#writer.settle()
    for (let i = 0; i < count; i++) {
      const segment = this.#segments.shift()!
      try {
        await this.#remove(segment)
      } catch (error) {
        // Going on with the next one would leave a hole behind this one.
        this.#segments.unshift(segment)
        throw error
      }
      removed.segments++
      removed.bytes += segment.endPosition
    }
    await this.#options.fileSystem.syncFolder(this.#options.folder)
    removed.earliestOffset = this.#segments[0]!.baseOffset
    this.#options.logger.info({ stream: this.#options.name, ...removed }, what)
    return removed
  }

  async #remove(segment: Segment): Promise<void> {
    // The index first: if one of the two cannot be removed, the segment is still whole, and readers may go on reading it.
    for (const path of [indexPath(segment.path), segment.path]) {
      try {
        await this.#options.fileSystem.unlink(path)
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw error
      }
    }
  }
}
