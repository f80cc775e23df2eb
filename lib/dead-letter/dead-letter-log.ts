import type { LoadedSession, SessionStore } from '../../persistence/contract.ts'
import { TributaryError } from '../errors.ts'
import { type Counters, countUp } from '../metrics/counters.ts'
import type { Stream, StreamRecord } from '../stream/contract.ts'
import type { DeadLetter, DeadLetterPolicy, DeadLetters, LetterLog, UnfinishedLetter } from './contract.ts'
import { LetterMarks } from './letter-marks.ts'
import { letterProperties, readLetter } from './letter-record.ts'

/** Name of the stream of dead letters. */
export const deadLetterStream = '$dead-letter'

/** Letters after which the log is noted as written: bounds what a recovery reads. */
const notedEvery = 100

export interface DeadLetterLogOptions {
  stream: Stream
  store: SessionStore
  counters: Counters
  /** Epoch milliseconds. */
  now: () => number
  policy?: Partial<DeadLetterPolicy> | undefined
}

/** What the log holds; `open` letters are those nobody has dealt with. */
export interface DeadLetterStats {
  letters: number
  open: number
  bytes: number
  /** Letters that retention removed before anybody dealt with them, since the start. */
  dropped: number
}

/**
 * Dead letters in a stream of their own, written before what removes the messages from the session store (lib/commit/).
 *
 * Letters that are not on disk yet are kept in memory, because a failed sync throws them out of the stream: they are appended again, and
 * the store's batch waits with them. `written` in the store tells a recovery from which letter on a removal may be missing.
 */
export class DeadLetterLog implements DeadLetters, LetterLog {
  readonly name = deadLetterStream
  readonly stream: Stream
  readonly marks: LetterMarks
  readonly policy: DeadLetterPolicy
  readonly #options: DeadLetterLogOptions
  /** Not on disk, in the order of the stream. */
  #pending: PendingLetter[] = []
  #unnoted = 0
  #earliest: number
  #dropped = 0

  constructor(options: DeadLetterLogOptions) {
    this.#options = options
    this.stream = options.stream
    this.marks = new LetterMarks(options.store)
    this.policy = { includeQos0: false, noSubscriber: false, cleanSessions: false, ...options.policy }
    this.#earliest = this.stream.stats().earliestOffset
  }

  get log(): this {
    return this
  }

  get dirty(): boolean {
    return this.#pending.length > 0 || this.stream.dirty
  }

  add(letter: DeadLetter): void {
    countUp(this.#options.counters.deadLetters, letter.reason)
    const pending = { letter, diedAtMs: this.#options.now() }
    this.#pending.push(pending)
    const offset = this.#append(pending)
    // Behind the truth is safe: a recovery looks whether the message is still in its queue.
    if (++this.#unnoted < notedEvery) return
    this.#unnoted = 0
    this.marks.wrote(offset + 1)
  }

  async sync(): Promise<void> {
    const count = this.#pending.length
    this.stream.seal()
    try {
      await this.stream.sync()
    } catch (error) {
      // The stream has discarded them, in this turn; they get the same offsets again. One that is closed takes nothing any more, and
      // what says that they are removed from their queues is not written either.
      if (!(error instanceof TributaryError && error.code === 'TRB_CLOSED'))
        for (const pending of this.#pending) this.#append(pending)
      throw error
    }
    this.#pending.splice(0, count)
  }

  restore(loaded: LoadedSession): void {
    this.marks.restore(loaded)
  }

  async *unfinished(): AsyncGenerator<UnfinishedLetter> {
    const { nextOffset } = this.stream
    this.marks.forgetBelow(this.#earliest)
    const from = this.marks.written ?? 0
    // The stream was thrown away and begins anew, so the notes are about letters that are gone.
    if (from > nextOffset) return this.marks.reset(nextOffset)
    for await (const record of this.#records(from)) {
      const { origin, message } = readLetter(record)
      if (origin !== undefined) yield { origin, message }
    }
  }

  finished(): void {
    const { nextOffset } = this.stream
    if (this.marks.written !== nextOffset && nextOffset > 0) this.marks.wrote(nextOffset)
  }

  stats(): DeadLetterStats {
    const { earliestOffset, nextOffset, bytes } = this.stream.stats()
    this.#followRetention(earliestOffset)
    const letters = nextOffset - earliestOffset
    return { letters, open: letters - this.marks.marked, bytes, dropped: this.#dropped }
  }

  #records(offset: number): AsyncIterable<StreamRecord> {
    return this.stream.read({ from: { offset }, outOfRange: 'earliest', onGap: () => {} })
  }

  #followRetention(earliest: number): void {
    if (earliest <= this.#earliest) return
    this.#dropped += earliest - this.#earliest - this.marks.forgetBelow(earliest)
    this.#earliest = earliest
  }

  #append({ letter, diedAtMs }: PendingLetter): number {
    const { topic, publisherId, qos, retain, expiresAtMs, payload } = letter.message
    const source = this.stream.source(topic, publisherId)
    return this.stream.append(source, qos, retain, diedAtMs, expiresAtMs, letterProperties(letter), payload, 0, payload.length)
  }
}

interface PendingLetter {
  readonly letter: DeadLetter
  readonly diedAtMs: number
}
