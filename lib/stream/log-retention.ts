import type { Cleanup, Offset, RetentionPolicy } from './contract.ts'
import { type FileSystem, systemCode } from './file-system.ts'
import type { LogWriter } from './log-writer.ts'
import { expiredSegments, isDueForRoll, retentionOf } from './retention.ts'
import { indexPath, type Segment } from './segment.ts'
import type { Clock, Logger } from './surroundings.ts'
import type { Turns } from './turns.ts'

export interface Retained {
  segments: number
  bytes: number
  earliestOffset: Offset
}

interface Options {
  name: string
  folder: string
  retention: RetentionPolicy
  cleanup: Cleanup
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
  readonly #turns: Turns
  /** Removes what must not outlast the oldest segment. */
  readonly #before: () => Promise<void>
  /** Told before records go, with the offset that is the earliest one then. */
  readonly listeners = new Set<(earliestOffset: Offset) => void>()
  #run: Promise<unknown> = Promise.resolve()
  #closed = false

  /** Changes the list of segments in its own turns only; `before` runs in those. */
  constructor(options: Options, segments: Segment[], writer: LogWriter, turns: Turns, before: () => Promise<void>) {
    this.#options = options
    this.#segments = segments
    this.#writer = writer
    this.#turns = turns
    this.#before = before
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
      // What compaction keeps is the last that is known of a key, however old it is.
      if (this.#closed || this.#options.cleanup === 'compact') return this.#nothing()
      if (this.#segments.length === 1) await inTurn(() => this.#writer.roll())
      const first = () => Math.min(1, this.#segments.length - 1)
      return this.#turns.take(() => this.#removeFirst(first, 'the oldest segment made room on the disk'))
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
    const { clock } = this.#options
    const retention = retentionOf(this.#options)
    if (this.#closed) return this.#nothing()
    if (isDueForRoll(this.#writer.active, retention, clock.now())) await inTurn(() => this.#writer.roll())
    const expired = () => expiredSegments(this.#segments, retentionOf(this.#options), clock.now())
    return this.#turns.take(() => this.#removeFirst(expired, 'retention removed segments'))
  }

  #nothing(): Retained {
    return { segments: 0, bytes: 0, earliestOffset: this.#segments[0]!.baseOffset }
  }

  async #removeFirst(howMany: () => number, what: string): Promise<Retained> {
    const removed = this.#nothing()
    const count = howMany()
    if (count === 0) return removed
    await this.#before()
    // A segment that was full a moment ago may still be getting its index.
    await this.#writer.settle()
    const { baseOffset } = this.#segments[count]!
    for (const listener of this.listeners) listener(baseOffset)
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
