import type { ReadBatch, StreamGap, StreamRecord } from '../../lib/stream/contract.ts'
import type { LogModel } from './log-model.ts'

export interface TrackerOptions {
  /** Where the read begins; for a time, the earliest place it may. */
  start: number
  fromTimeMs: number | undefined
  who: number | undefined
  /** Damage that came after the read had begun may be behind it. */
  lenient: boolean
}

/**
 * Watches one read: between where it began and where it is, every offset was delivered, or not asked for, or told to be lost, or told
 * to be removed. Nothing is passed over in silence, nothing comes twice, and everything is what was appended.
 */
export class Tracker {
  readonly delivered: number[] = []
  readonly #model: LogModel
  readonly #options: TrackerOptions
  /** Everything before is accounted for. */
  position: number
  searching: boolean

  constructor(model: LogModel, options: TrackerOptions) {
    this.#model = model
    this.#options = options
    this.position = options.start
    this.searching = options.fromTimeMs !== undefined
  }

  readonly onGap = ({ fromOffset, toOffset }: StreamGap): void => {
    const what = `gap ${fromOffset}-${toOffset - 1}`
    if (this.searching) assert(fromOffset >= this.#options.start, `${what} lies before the beginning ${this.#options.start}`)
    else this.#passOver(fromOffset)
    assert(toOffset > fromOffset, `${what} is empty`)
    for (let offset = fromOffset; offset < toOffset; offset++)
      assert(this.#model.lost.has(offset), `${what}: ${offset} is not lost`)
    this.position = toOffset
  }

  readonly onRemoved = ({ fromOffset, toOffset }: StreamGap): void => {
    const what = `removal of ${fromOffset}-${toOffset - 1}`
    if (!this.searching) this.#passOver(fromOffset)
    assert(fromOffset < this.#model.log!.earliestOffset, `${what}: the earliest offset is ${this.#model.log!.earliestOffset}`)
    assert(toOffset >= this.#model.log!.earliestOffset && toOffset <= this.#model.durable, `${what} ends at a wrong place`)
    this.position = toOffset
  }

  take({ records, nextOffset }: ReadBatch): void {
    if (this.searching) this.#found(records[0]?.offset ?? nextOffset, nextOffset)
    for (const record of records) {
      this.#passOver(record.offset)
      this.#check(record)
      this.position = record.offset + 1
      this.delivered.push(record.offset)
    }
    this.#passOver(nextOffset)
    this.position = nextOffset
  }

  /** The first offset, from the position on, that a read from the time begins with. */
  get firstInTime(): number | undefined {
    const { records, lost, durable } = this.#model
    for (let offset = this.position; offset < durable; offset++) {
      if (!lost.has(offset) && !this.#model.compactedAway(offset) && records[offset]!.timestampMs >= this.#options.fromTimeMs!)
        return offset
    }
    return undefined
  }

  /** The search has ended: at the first record in time, if that was asked for, or somewhere before it. */
  #found(delivered: number, nextOffset: number): void {
    const first = this.#hindsight ? delivered : this.firstInTime
    this.searching = false
    const isEarly = first === undefined || first > delivered
    const what = `a read from a time began at ${delivered}, and should at ${first}; it looked up to ${nextOffset}`
    // What compaction may remove may still be there.
    assert(!isEarly || this.#mayHaveBegun(delivered), what)
    this.position = isEarly ? delivered : first
  }

  /** From the position up to here nothing was delivered or told. */
  #passOver(offset: number): void {
    for (let passed = this.position; passed < offset; passed++) {
      if (this.#model.compactedAway(passed)) continue
      assert(this.#hindsight || !this.#model.lost.has(passed), `${passed} is lost, and nobody was told`)
      assert(!this.#wants(passed), `${passed} was passed over in silence on the way to ${offset}`)
    }
    assert(offset >= this.position, `${offset} comes after ${this.position - 1}`)
  }

  /** Is there a record in time up to here that compaction could have removed, and did not? */
  #mayHaveBegun(end: number): boolean {
    for (let offset = this.position; offset <= end && offset < this.#model.durable; offset++) {
      const inTime = this.#model.records[offset]!.timestampMs >= this.#options.fromTimeMs!
      if (inTime && this.#model.compactedAway(offset)) return true
    }
    return false
  }

  /** Something was damaged, and it may have been after the read had come by. */
  get #hindsight(): boolean {
    return this.#options.lenient && this.#model.lost.size > 0
  }

  #check(record: StreamRecord): void {
    const { offset } = record
    const expected = this.#model.records[offset]
    assert(expected !== undefined && offset < this.#model.durable, `${offset} is not durable, and was delivered`)
    assert(this.#options.lenient || !this.#model.lost.has(offset), `${offset} is lost, and was delivered`)
    assert(this.#wants(offset), `${offset} was not asked for`)
    this.#model.checkRecord(record)
  }

  #wants(offset: number): boolean {
    return this.#options.who === undefined || this.#model.records[offset]?.who === this.#options.who
  }
}

export function assert(holds: boolean, message: string): void {
  if (!holds) throw new Error(message)
}

export function equal<T>(got: T, expected: T, what: string): void {
  assert(got === expected, `${what}: expected ${String(expected)}, got ${String(got)}`)
}
