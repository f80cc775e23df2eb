import type { FileSystem } from './file-system.ts'
import type { StreamLog } from './stream-log.ts'
import type { Clock, Logger } from './surroundings.ts'

export interface StorageLimits {
  /** Bytes of the segments of all streams; 0 = no quota. */
  quota: number
  /** Bytes that are to stay free on the disk; 0 = it may fill up. */
  minFreeBytes: number
  /** What gives way to the quota: new messages, or the oldest records of all streams. */
  whenFull: 'read-only' | 'delete-oldest'
  checkIntervalMs: number
}

export interface StorageState {
  /** Why nothing durable is taken, for people; undefined while it is. */
  readOnly: string | undefined
  /** Free on the disk at the last check; undefined when that could not be found out. */
  freeBytes: number | undefined
  /** Segments of all streams. */
  usedBytes: number
}

export interface StorageGuardOptions {
  limits: StorageLimits
  /** Where the streams are. */
  folder: string
  fileSystem: FileSystem
  /** All streams; `cuttable` are those whose oldest records may go. */
  streams: () => readonly StreamLog[]
  cuttable: (stream: StreamLog) => boolean
  clock: Clock
  logger: Logger
  /** Told at every change, with the reason or undefined when writing goes on. */
  onChange: (readOnly: string | undefined) => void
}

/** Read-only mode ends when there is this much more room than it began with, so that it does not come and go with every message. */
const RESUME_SHARE = 0.1
/** After a write that found the disk full, whatever the disk says about itself: another quota of the system may be what is full. */
const FULL_HOLD_MS = 10_000
/** Segments cut in one check. The next one goes on. */
const CUTS_MAX = 1_000

/**
 * Watches the disk for all streams. Before it is full, or the quota is reached, the broker goes read-only: what needs no disk goes on,
 * and so do reading and deleting. The disk is asked at an interval and, in between, as soon as what was appended since could have
 * filled it; a message costs nothing.
 */
export class StorageGuard {
  readonly #options: StorageGuardOptions
  #timer: NodeJS.Timeout | undefined
  #checking: Promise<void> | undefined
  #closed = false
  #readOnly: string | undefined
  #freeBytes: number | undefined
  /** Bytes that may be appended before the next look is due. */
  #roomBytes = Number.POSITIVE_INFINITY
  #holdUntilMs = 0

  constructor(options: StorageGuardOptions) {
    this.#options = options
  }

  get state(): StorageState {
    return { readOnly: this.#readOnly, freeBytes: this.#freeBytes, usedBytes: this.#usedBytes() }
  }

  /** The first check, then one at each interval. */
  async start(): Promise<void> {
    await this.check()
    this.#timer = setInterval(() => void this.check(), this.#options.limits.checkIntervalMs)
    this.#timer.unref()
  }

  /** So many bytes were written to a stream. */
  appended(bytes: number): void {
    this.#roomBytes -= bytes
    if (this.#roomBytes <= 0 && this.#readOnly === undefined) void this.check()
  }

  /** A write failed. If the disk was full, earlier than the check could see, nothing durable is taken from here on. */
  failed(error: unknown): void {
    if (!isDiskFull(error)) return
    this.#holdUntilMs = this.#options.clock.now() + FULL_HOLD_MS
    this.#become('a write found the disk full')
  }

  /** One at a time; a call during a check waits for that one. Never rejects. */
  check(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined
    })
    return this.#checking
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#checking
  }

  async #check(): Promise<void> {
    await this.#measure()
    if (this.#options.limits.whenFull === 'delete-oldest') await this.#cut()
    if (this.#closed) return
    const { clock } = this.#options
    if (clock.now() < this.#holdUntilMs) return
    this.#become(this.#problem())
  }

  async #measure(): Promise<void> {
    const { fileSystem, folder, logger } = this.#options
    try {
      this.#freeBytes = await fileSystem.freeBytes(folder)
    } catch (err) {
      // A full disk will say so itself.
      if (this.#freeBytes !== undefined) logger.warn({ folder, err }, 'how much of the disk is free cannot be found out')
      this.#freeBytes = undefined
    }
    const { quota, minFreeBytes } = this.#options.limits
    const untilQuota = quota === 0 ? Number.POSITIVE_INFINITY : quota - this.#usedBytes()
    const untilFull = this.#freeBytes === undefined ? Number.POSITIVE_INFINITY : this.#freeBytes - minFreeBytes
    this.#roomBytes = Math.max(1, Math.min(untilQuota, untilFull))
  }

  /** Why it is to be read-only now; with what it takes to leave that mode when it is in it. */
  #problem(): string | undefined {
    const { quota, minFreeBytes } = this.#options.limits
    const margin = this.#readOnly === undefined ? 0 : RESUME_SHARE
    const free = this.#freeBytes
    if (minFreeBytes > 0 && free !== undefined && free < minFreeBytes + Math.floor(minFreeBytes * margin)) {
      return `only ${megabytes(free)} are free on the disk; storage.minFreeBytes is ${megabytes(minFreeBytes)}`
    }
    const used = this.#usedBytes()
    if (quota > 0 && used > quota * (1 - margin)) {
      return `the streams hold ${megabytes(used)}; storage.quota is ${megabytes(quota)}`
    }
    return undefined
  }

  /**
   * Makes room under the quota: the oldest segment of all streams goes first, by the time of its latest record, until the rest fits.
   * Space that others took from the disk is not made up for: they could take all there is.
   */
  async #cut(): Promise<void> {
    const { limits, streams, cuttable, logger } = this.#options
    const { quota } = limits
    if (quota === 0) return
    const tried = new Set<StreamLog>()
    for (let cuts = 0; cuts < CUTS_MAX && this.#usedBytes() > quota && !this.#closed; cuts++) {
      const candidates = streams().filter(stream => cuttable(stream) && !tried.has(stream))
      const oldest = oldestOf(candidates)
      if (oldest === undefined) return
      try {
        const { segments } = await oldest.removeOldest()
        if (segments === 0) tried.add(oldest)
      } catch (err) {
        tried.add(oldest)
        logger.error({ stream: oldest.name, err }, 'the oldest records of a stream could not be removed to make room')
      }
    }
  }

  #usedBytes(): number {
    let bytes = 0
    for (const stream of this.#options.streams()) for (const { endPosition } of stream.segments) bytes += endPosition
    return bytes
  }

  #become(readOnly: string | undefined): void {
    const before = this.#readOnly
    this.#readOnly = readOnly
    if ((before === undefined) === (readOnly === undefined)) return
    const { logger, onChange } = this.#options
    const { freeBytes, usedBytes } = this.state
    if (readOnly === undefined) logger.info({ freeBytes, usedBytes }, 'there is room on the disk again: writing goes on')
    else logger.error({ reason: readOnly, freeBytes, usedBytes }, 'read-only: nothing that needs the disk is taken any more')
    onChange(readOnly)
  }
}

/** The stream whose first segment ends earliest; empty ones are left out. */
function oldestOf(streams: readonly StreamLog[]): StreamLog | undefined {
  let oldest: StreamLog | undefined
  let oldestMs = Number.POSITIVE_INFINITY
  for (const stream of streams) {
    const first = stream.segments[0]
    if (first === undefined || (first.isEmpty && stream.segments.length === 1)) continue
    if (first.maxTimestampMs >= oldestMs) continue
    oldest = stream
    oldestMs = first.maxTimestampMs
  }
  return oldest
}

/** Also of an error that was caused by one. LevelDB has no code for it. */
function isDiskFull(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = 'code' in cause ? cause.code : undefined
    if (code === 'ENOSPC' || code === 'EDQUOT') return true
    if (/no space left on device|disk quota exceeded/i.test(cause.message)) return true
  }
  return false
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`
}
