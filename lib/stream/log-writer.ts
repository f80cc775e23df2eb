import type { Offset } from './contract.ts'
import { type FileSystem, systemCode } from './file-system.ts'
import type { RecordWriter } from './record.ts'
import { type Segment, segmentPath } from './segment.ts'
import { SegmentWriter } from './segment-writer.ts'
import type { Clock, Logger } from './surroundings.ts'

export interface LogWriterOptions {
  fileSystem: FileSystem
  folder: string
  stream: string
  /** Asked before each write, since it may change. */
  segmentBytesMax(): number
  clock: Clock
  logger: Logger
  /** Told at once when a new segment has become the active one. */
  onRoll(active: Segment): void
}

/** The end of the log that grows: the active segment, the change to the next one, and repair. Calls must not overlap. */
export class LogWriter {
  readonly #options: LogWriterOptions
  #writer: SegmentWriter
  /** The file of a segment whose creation failed half way. It must be gone before its offsets are written elsewhere. */
  #stray: string | undefined
  /** Segments being closed in the background. */
  readonly #finishing = new Set<Promise<void>>()

  /** `last` is the segment to go on with; without it one is created at `nextOffset`. */
  static async open(options: LogWriterOptions, last: Segment | undefined, nextOffset: Offset): Promise<LogWriter> {
    const { fileSystem, folder, clock, segmentBytesMax } = options
    const writer =
      last === undefined
        ? await SegmentWriter.create(fileSystem, folder, nextOffset, clock.now(), segmentBytesMax())
        : await SegmentWriter.resume(fileSystem, last, segmentBytesMax())
    return new LogWriter(options, writer)
  }

  private constructor(options: LogWriterOptions, writer: SegmentWriter) {
    this.#options = options
    this.#writer = writer
  }

  get active(): Segment {
    return this.#writer.segment
  }

  /** Makes the batches durable with one write, in one segment. */
  async write(batches: readonly RecordWriter[]): Promise<void> {
    let bytes = 0
    for (const batch of batches) bytes += batch.at
    if (this.active.endPosition + bytes > this.#options.segmentBytesMax()) await this.roll()
    await this.#writer.write(batches, this.active.nextOffset)
  }

  /** Makes a new segment the active one; one without records stays. */
  async roll(): Promise<void> {
    if (this.active.isEmpty) return
    const { fileSystem, folder, clock, segmentBytesMax, onRoll } = this.#options
    const baseOffset = this.active.nextOffset
    this.#stray = segmentPath(folder, baseOffset)
    const next = await SegmentWriter.create(fileSystem, folder, baseOffset, clock.now(), segmentBytesMax())
    this.#stray = undefined
    this.#finishInBackground(this.#writer)
    this.#writer = next
    onRoll(next.segment)
  }

  /** After a failed write() or roll(): resolves when the log can be written again. */
  async heal(): Promise<void> {
    if (this.#stray !== undefined) {
      await this.#remove(this.#stray)
      this.#stray = undefined
    }
    await this.#writer.heal()
  }

  /** Waits for segments that are being closed. Never rejects: an index that could not be written costs the next start a scan. */
  async settle(): Promise<void> {
    await Promise.all(this.#finishing)
  }

  /** Like settle() it never rejects: everything that was promised is on disk already. */
  async close(): Promise<void> {
    this.#finishInBackground(this.#writer)
    await this.settle()
  }

  #finishInBackground(writer: SegmentWriter): void {
    const finishing = writer
      .finish()
      .then(() => {
        // The entries are in the index file now.
        writer.segment.index = undefined
      })
      .catch((error: unknown) => {
        const details = { stream: this.#options.stream, file: writer.segment.path, err: error }
        this.#options.logger.warn(details, 'a full segment could not be closed cleanly; the next start scans it')
      })
      .finally(() => this.#finishing.delete(finishing))
    this.#finishing.add(finishing)
  }

  async #remove(path: string): Promise<void> {
    const { fileSystem, folder } = this.#options
    try {
      await fileSystem.unlink(path)
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
    }
    await fileSystem.syncFolder(folder)
  }
}
