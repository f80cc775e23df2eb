import type { LoadedSession, SessionStore, StoredSubscription } from '../../persistence/contract.ts'

/** What was done with a letter. */
export type LetterAct = 'discarded' | 'redriven-to-client' | 'redriven-to-topic'

export interface LetterMark {
  readonly act: LetterAct
  /** Epoch milliseconds at which the act began. */
  readonly atMs: number
}

/** Letters [first, first + count) that one act has dealt with. */
interface Run extends LetterMark {
  readonly first: number
  count: number
}

/** Runs of neighbouring letters with one mark; above it nothing more is marked, see docs/dead-letters.md. */
const runsMax = 1_000_000

/** Numbers on disk: never change them. */
const acts: readonly LetterAct[] = ['discarded', 'redriven-to-client', 'redriven-to-topic']

/** The session that the notes of this room are stored under. U+0000 is not allowed in a Client Identifier. */
const storedId = '\u0000dead-letter\u0000'
const markPrefix = 'mark/'
const writtenName = 'written'
const unused = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const

/** Is this what the notes of dead letters are stored under? */
export function isLetterNotes({ session }: LoadedSession): boolean {
  return session.clientId === storedId
}

/**
 * What was done with which letter, and how far the log was written when the store was: notes in the session store, so that they are in
 * one batch with the queue entries they belong to. Both are kept as if they were subscriptions of a session that no client can name,
 * see persistence/FORMAT.md.
 */
export class LetterMarks {
  readonly #store: SessionStore
  #key = 0
  /** By `first`; they do not overlap. */
  #runs: Run[] = []
  #marked = 0
  #written: number | undefined

  constructor(store: SessionStore) {
    this.#store = store
  }

  /** Every letter below has had its queue entry removed; undefined when nothing was ever noted. */
  get written(): number | undefined {
    return this.#written
  }

  /** Letters with a mark. */
  get marked(): number {
    return this.#marked
  }

  get full(): boolean {
    return this.#runs.length >= runsMax
  }

  restore({ key, subscriptions }: LoadedSession): void {
    this.#key = key
    for (const { filter, qos, subscriptionId: count, position = 0 } of subscriptions) {
      if (filter === writtenName) this.#written = position
      else this.#runs.push({ first: Number(filter.slice(markPrefix.length)), count, act: acts[qos]!, atMs: position })
    }
    this.#runs.sort((a, b) => a.first - b.first)
    for (const { count } of this.#runs) this.#marked += count
  }

  of(id: number): LetterMark | undefined {
    const run = this.#runs[this.#at(id)]
    return run !== undefined && id < run.first + run.count ? run : undefined
  }

  /** Letters in [from, to) with a mark. */
  countIn(from: number, to: number): number {
    let count = 0
    for (const run of this.#runs) count += Math.max(0, Math.min(run.first + run.count, to) - Math.max(run.first, from))
    return count
  }

  /** In the store's open batch, like what was done. A letter is marked once. */
  set(id: number, act: LetterAct, atMs: number): void {
    const before = this.#at(id)
    let run = this.#runs[before]
    if (run !== undefined && run.first + run.count === id && run.act === act && run.atMs === atMs) run.count++
    else {
      run = { first: id, count: 1, act, atMs }
      this.#runs.splice(before + 1, 0, run)
    }
    this.#marked++
    this.#put(markPrefix + run.first, acts.indexOf(act), run.count, atMs)
  }

  /** The log was appended to up to `offset`, and what was removed for that is in the store's open batch. */
  wrote(offset: number): void {
    this.#written = offset
    this.#put(writtenName, 0, 0, offset)
  }

  /** Forgets letters below: retention has removed them. Returns how many of those had a mark. */
  forgetBelow(earliest: number): number {
    let forgotten = 0
    while (this.#runs.length > 0 && this.#runs[0]!.first < earliest) {
      const run = this.#runs[0]!
      const gone = Math.min(run.count, earliest - run.first)
      forgotten += gone
      this.#runs.shift()
      this.#store.deleteSubscription(this.#key, markPrefix + run.first)
      if (gone === run.count) continue
      const rest = { ...run, first: earliest, count: run.count - gone }
      this.#runs.unshift(rest)
      this.#put(markPrefix + rest.first, acts.indexOf(rest.act), rest.count, rest.atMs)
    }
    this.#marked -= forgotten
    return forgotten
  }

  /** The log is not the one these notes are about. */
  reset(offset: number): void {
    this.forgetBelow(Number.MAX_SAFE_INTEGER)
    this.wrote(offset)
  }

  /** Index of the last run that begins at or before `id`; -1 = none. */
  #at(id: number): number {
    let low = 0
    let high = this.#runs.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#runs[middle]!.first <= id) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  #put(filter: string, qos: number, subscriptionId: number, position: number): void {
    if (this.#key === 0) {
      this.#key = this.#store.sessionKey(storedId)
      const never = 0xffffffff
      const session = { clientId: storedId, version: 5, expirySeconds: never, createdAtMs: 0, disconnectedAtMs: 0 } as const
      this.#store.putSession(this.#key, { ...session, username: undefined })
    }
    this.#store.putSubscription(this.#key, { ...unused, filter, qos: qos as StoredSubscription['qos'], subscriptionId, position })
  }
}
