import { TributaryError } from '../../errors.ts'
import type { StreamGap, StreamRecord } from '../contract.ts'
import type { PullMember } from './pull-member.ts'

/** Which records an acknowledgement is for: those a consumer yielded, or just their partition and offset. */
export type RecordPosition = Pick<StreamRecord, 'partition' | 'offset'>

export interface BatchOptions {
  /** Records at most; default 500. */
  max?: number
  /** Bytes of topics and payloads at most, one record whatever its size; default 1 MiB. */
  maxBytes?: number
}

const BATCH_RECORDS_MAX = 500
const BATCH_BYTES_MAX = 1024 * 1024

/**
 * A member of a consumer group in this process: `for await` yields the records of its partitions, `commit` acknowledges them durably.
 *
 * What was yielded and not committed when it is closed goes to the members that stay, as it does when another one has to take over.
 * When `maxInFlight` records are not committed, nothing is yielded until some are. The loop ends when the consumer is closed or the
 * broker is; it throws TRB_GROUP_UNKNOWN when the group is removed, TRB_STREAM_CORRUPT when the stream cannot be read.
 */
export class GroupConsumer implements AsyncIterable<StreamRecord> {
  readonly #member: PullMember
  readonly #synced: () => Promise<void>
  readonly #left = new AbortController()
  readonly #onGap: ((gap: StreamGap) => void) | undefined
  /** Records are given out one call after the other. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(member: PullMember, synced: () => Promise<void>, onGap?: (gap: StreamGap) => void) {
    this.#member = member
    this.#synced = synced
    this.#onGap = onGap
  }

  get memberId(): string {
    return this.#member.id
  }

  /** The partitions it has now. They change when members come and go. */
  get partitions(): number[] {
    return this.#member.partitions.map(({ index }) => index)
  }

  /** Yielded and not committed. */
  get inFlight(): number {
    return this.#member.reader.inFlight
  }

  /** Records one by one, per key in the order of the stream. */
  [Symbol.asyncIterator](): AsyncIterator<StreamRecord, undefined> {
    return {
      next: async () => {
        const [record] = await this.#inTurn(() => this.#take(1, BATCH_BYTES_MAX))
        return record === undefined ? { done: true, value: undefined } : { done: false, value: record }
      },
      return: async () => ({ done: true, value: undefined })
    }
  }

  /** Records as many at a time as are at hand. */
  async *batches({
    max = BATCH_RECORDS_MAX,
    maxBytes = BATCH_BYTES_MAX
  }: BatchOptions = {}): AsyncGenerator<readonly StreamRecord[], void, undefined> {
    for (;;) {
      const records = await this.#inTurn(() => this.#take(max, maxBytes))
      if (records.length === 0) return
      yield records
    }
  }

  /** Which attempt the yielding of this record was: 1 for the first. */
  attempt(record: RecordPosition): number {
    return this.#member.attempt(record as StreamRecord)
  }

  /**
   * Acknowledges these records, or everything that was yielded. Resolves when that is on disk. Rejects TRB_GROUP_NOT_OWNED when
   * another member has a record's partition by now, TRB_STORE_WRITE_FAILED when the disk does not take it.
   */
  commit(records?: RecordPosition | Iterable<RecordPosition>): Promise<void> {
    if (records === undefined) this.#member.commitAll()
    else {
      const list = this.#owned(records)
      if (list instanceof TributaryError) return Promise.reject(list)
      for (const { partition, offset } of list) this.#member.commit(partition, offset)
    }
    this.#member.lookedAt()
    return this.#synced()
  }

  /**
   * The record could not be processed. It is yielded again after the stream's `groups.retryDelay`, here or elsewhere, and what is
   * behind it in its partition waits; after `groups.maxDeliveryAttempts` it becomes a dead letter. Rejects TRB_GROUP_NOT_OWNED.
   */
  async nack(record: RecordPosition, error: string | Error = 'refused by the consumer'): Promise<void> {
    const list = this.#owned(record)
    if (list instanceof TributaryError) throw list
    this.#member.refuse(record.partition, record.offset, typeof error === 'string' ? error : error.message)
  }

  /** Leaves the group: its partitions go to the other members at once. Resolves when what was committed is on disk. */
  close(): Promise<void> {
    this.#left.abort()
    this.#member.leave(`member ${this.#member.id} left`)
    return this.#synced()
  }

  /** None only when it is over. */
  async #take(max: number, maxBytes: number): Promise<readonly StreamRecord[]> {
    const atHand = this.#member.takeNow(max, maxBytes)
    if (atHand.length > 0) return atHand
    const { records, gaps } = await this.#member.take(max, maxBytes, this.#left.signal)
    if (this.#onGap !== undefined) for (const gap of gaps) this.#onGap(gap)
    if (records.length > 0 || this.#member.state !== 'ended' || !this.#member.group.forgotten) return records
    throw new TributaryError('TRB_GROUP_UNKNOWN', `group ${this.#member.group.name.group} was removed`)
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => {
      // Whoever called has the rejection; the next in line only waits for the end.
    })
    return result
  }

  #owned(records: RecordPosition | Iterable<RecordPosition>): RecordPosition[] | TributaryError {
    const list = Symbol.iterator in records ? [...records] : [records]
    const not = this.#member.notOwned(list.map(({ partition }) => partition))
    return not === undefined ? list : notOwnedError(this.#member, not.partition, not.owner)
  }
}

export function notOwnedError(member: PullMember, partition: number, owner: string | undefined): TributaryError {
  const who = owner === undefined ? 'nobody has it now' : `member ${owner} has it now`
  return new TributaryError(
    'TRB_GROUP_NOT_OWNED',
    `member ${member.id} does not have partition ${partition} of group ${member.group.name.group}: ${who}, and gets what was not committed`
  )
}
