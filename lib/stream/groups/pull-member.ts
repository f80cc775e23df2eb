import type { Offset, ReadBatch, StreamGap, StreamRecord } from '../contract.ts'
import type { GroupMember, MemberKind } from './contract.ts'
import type { ConsumerGroup } from './group.ts'
import { GroupReader } from './group-reader.ts'
import type { GroupPartition } from './partition.ts'

export interface PullMemberOptions {
  id: string
  kind: MemberKind
  /** Records it may hold without having acknowledged them; then it gets none until it does. */
  maxInFlight: number
  ackTimeoutMs?: number
}

export interface Handful {
  readonly records: readonly StreamRecord[]
  /** Offsets lost on the way to them: removed by retention before the group had read them, or damaged. */
  readonly gaps: readonly StreamGap[]
}

/** How long what is in the stream may take to be read for somebody who does not wait. Milliseconds. */
const READ_MS_MAX = 5000

/** What a member asked for and does not have. */
export type NotOwned = { readonly partition: number; readonly owner: string | undefined }

/**
 * A member that asks for records, over HTTP or in this process. Nothing is read before it asks, and nothing counts as handed out
 * before it is given to it, so that what it does not ask for is free to go to others.
 */
export class PullMember implements GroupMember {
  readonly id: string
  readonly kind: MemberKind
  readonly ackTimeoutMs?: number
  readonly reader: GroupReader
  readonly #maxInFlight: number
  #reading: AsyncIterator<ReadBatch> | undefined
  #loading: Promise<void> | undefined
  #abort = new AbortController()
  #batch: ReadBatch | undefined
  #at = 0
  /** How far the stream was read. */
  #readTo: Offset = 0
  #gaps: StreamGap[] = []
  #failure: Error | undefined
  #state: 'joined' | 'left' | 'ended' = 'joined'
  readonly #waiting = new Set<() => void>()

  constructor(group: ConsumerGroup, { id, kind, maxInFlight, ackTimeoutMs }: PullMemberOptions) {
    this.id = id
    this.kind = kind
    if (ackTimeoutMs !== undefined) this.ackTimeoutMs = ackTimeoutMs
    this.#maxInFlight = maxInFlight
    this.reader = new GroupReader(group, this)
    group.join(this)
  }

  /** `ended`: the group was removed or closed under it. */
  get state(): 'joined' | 'left' | 'ended' {
    return this.#state
  }

  get group(): ConsumerGroup {
    return this.reader.group
  }

  /** Records that are at hand, without waiting; never more than may be in flight. */
  takeNow(max: number, maxBytes = Number.POSITIVE_INFINITY): StreamRecord[] {
    const records: StreamRecord[] = []
    let bytes = 0
    let room = Math.min(max, this.#maxInFlight - this.reader.inFlight)
    while (room > 0 && this.#batch !== undefined) {
      const record = this.#batch.records[this.#at]
      if (record === undefined) {
        this.#finishBatch()
        break
      }
      if (this.reader.takes(record)) {
        bytes += record.payload.length + record.topic.length
        // One record goes out whatever its size.
        if (bytes > maxBytes && records.length > 0) break
        this.reader.handOut(record, true)
        records.push(record)
        room--
      }
      // To take a record may have ended the reading, when it was given up.
      if (this.#batch === undefined) break
      this.#at++
    }
    return records
  }

  /**
   * Waits up to `waitMs` for records, without it for as long as it takes; what is in the stream already is waited for in any case.
   * There are none when the time is over, the signal is aborted or the membership ends. Rejects when the stream cannot be read.
   */
  async take(max: number, maxBytes: number, signal: AbortSignal, waitMs = Number.POSITIVE_INFINITY): Promise<Handful> {
    const end = this.reader.stream.nextOffset
    const untilMs = performance.now() + waitMs
    for (;;) {
      this.group.late(this)
      const records = this.takeNow(max, maxBytes)
      if (this.#failure !== undefined) this.#fail(this.#failure)
      if (records.length > 0 || signal.aborted || this.#state !== 'joined') return { records, gaps: this.#takeGaps() }
      if (this.#batch === undefined) this.#load()
      const leftMs = untilMs - performance.now()
      if (leftMs > 0) await this.#changed(signal, leftMs)
      else if (leftMs > -READ_MS_MAX && this.#loading !== undefined && this.#readTo < end) {
        await this.#changed(signal, READ_MS_MAX + leftMs)
      } else return { records, gaps: this.#takeGaps() }
    }
  }

  /** Which attempt its handing out was, from 1 on. */
  attempt({ partition, offset }: StreamRecord): number {
    return this.group.partition(partition).attemptsOf(offset) + 1
  }

  /** After a commit: partitions without records in between are as far as the reading is, so that lag says what there is to do. */
  lookedAt(): void {
    if (this.#batch === undefined) return
    const record = this.#batch.records[this.#at]
    if (record === undefined) this.#finishBatch()
    else this.reader.passed(record.offset)
  }

  /** Undefined when all of these are this member's; otherwise the first that is not. */
  notOwned(partitions: Iterable<number>): NotOwned | undefined {
    this.group.late(this)
    for (const index of partitions) {
      const { owner } = this.group.partition(index)
      if (owner !== this) return { partition: index, owner: owner?.id }
    }
    return undefined
  }

  commit(partition: number, offset: Offset): void {
    this.group.partition(partition).settle(offset)
    this.#wake()
  }

  /** Everything in the partition up to and including the offset, as far as it was handed to this member. */
  commitThrough(partition: number, offset: Offset): void {
    this.group.partition(partition).settleThrough(offset)
    this.#wake()
  }

  commitAll(): void {
    for (const part of this.group.owned(this)) part.settleThrough(Number.MAX_SAFE_INTEGER - 1)
    this.#wake()
  }

  /** The record could not be processed: it is handed out again, or given up. */
  refuse(partition: number, offset: Offset, error: string): void {
    this.group.refused(this.group.partition(partition), offset, error)
    this.#wake()
  }

  get partitions(): GroupPartition[] {
    return this.group.owned(this)
  }

  leave(error: string): void {
    if (this.#state !== 'joined') return
    this.#state = 'left'
    this.group.leave(this, error)
    this.#stop()
  }

  reassigned(): void {
    this.#stop()
  }

  ended(): void {
    if (this.#state === 'joined') this.#state = 'ended'
    this.#stop()
  }

  #finishBatch(): void {
    const { nextOffset } = this.#batch!
    this.#batch = undefined
    this.reader.passed(nextOffset)
  }

  /** The next one who asks begins a new reading. */
  #fail(failure: Error): never {
    this.#failure = undefined
    this.#stop()
    throw failure
  }

  #takeGaps(): StreamGap[] {
    const gaps = this.#gaps
    if (gaps.length > 0) this.#gaps = []
    return gaps
  }

  /** Gets the next batch, beginning a reading where there is none; whoever waits is told. */
  #load(): void {
    if (this.#loading !== undefined) return
    if (this.#reading === undefined) {
      const offset = this.reader.begin()
      // Whoever gets a partition is told.
      if (offset === undefined) return
      this.#readTo = offset
      const onGap = (gap: StreamGap) => this.#gaps.push(gap)
      const options = { follow: true, signal: this.#abort.signal, outOfRange: 'earliest', onGap, onRemoved: onGap } as const
      const select = this.reader.selects.bind(this.reader)
      this.#reading = this.reader.stream.readBatches({ ...options, select, from: { offset } })[Symbol.asyncIterator]()
    }
    const loading = this.#next(this.#reading, this.#abort.signal)
    this.#loading = loading
  }

  async #next(reading: AsyncIterator<ReadBatch>, signal: AbortSignal): Promise<void> {
    try {
      const { value, done } = await reading.next()
      if (signal.aborted) return
      this.#loading = undefined
      if (done) this.#state = 'ended'
      else {
        this.#batch = value
        this.#at = 0
        this.#readTo = value.nextOffset
      }
    } catch (error) {
      if (signal.aborted) return
      this.#loading = undefined
      this.#failure = error as Error
    }
    this.#wake()
  }

  /** The reading that runs is over; the next one begins when somebody asks for records. */
  #stop(): void {
    this.#abort.abort()
    this.#abort = new AbortController()
    // It may be open at a file. One that waits for records was ended by the signal.
    this.#reading?.return?.().catch(() => {})
    this.#reading = undefined
    this.#loading = undefined
    this.#batch = undefined
    this.#wake()
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake()
  }

  #changed(signal: AbortSignal, ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = ms === Number.POSITIVE_INFINITY ? undefined : setTimeout(() => done(), ms)
      const done = () => {
        clearTimeout(timer)
        this.#waiting.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#waiting.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }
}
