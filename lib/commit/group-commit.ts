/**
 * Group commit: what waits for which sync.
 *
 * Everything appended to streams and the session store in one event-loop turn belongs to the open epoch. When the turn ends the
 * epoch is sealed, every dirty member is synced, and everyone who waited for the epoch is told, in the order of arrival. While one
 * epoch is being synced the next one fills, so the disk is never idle and one sync pays for everybody.
 *
 * Order between the members matters in two cases.
 *
 * 1. A QoS 2 message that goes to a stream is written to two files, and a crash between the two syncs must not lose or double it.
 *    Its packet id, body and stream offset go to the store; the store is synced first, and recovery appends again what the stream
 *    misses (lib/broker/native/recover.ts). `storeFirst()` asks for that order.
 * 2. A message that becomes a dead letter is removed from a queue in the store and appended to the log of dead letters, the member
 *    `ahead`. That log is synced before a batch of the store is written: a crash between leaves the letter and the message, never
 *    neither, and recovery finishes the removal. The batch is taken first and `ahead` is synced then, so that no removal can be in
 *    it whose letter is not in the log. What `ahead` cannot write keeps the batch from being written, too.
 *
 * Both in one epoch: `ahead`, then the store, then the streams. They do not contradict each other, because nothing that is published
 * goes to `ahead`, so it never has to wait for the store. Without `storeFirst()` the streams are synced beside the two.
 */

/** Something that can be made durable. `sync()` is never called twice at a time. */
export interface CommitMember {
  readonly name: string
  readonly dirty: boolean
  /** `before` is for the store alone: called when it has taken what it is going to write, which waits for what that returns. */
  sync(before?: () => Promise<void> | undefined): Promise<void>
  /** Limits the next sync to what was written so far. */
  seal?(): void
  /**
   * An epoch is about to be synced: what was only noted so far is written now, once for the whole epoch. `dirty` must be true while
   * there is such a note.
   */
  prepare?(): void
}

/** Why an epoch is not durable. What a failed store was given stays in its batch; what a failed stream was given is gone. */
export interface CommitFailure {
  readonly error: Error
  readonly failedStreams: ReadonlySet<string>
}

/** Told once per epoch it joined. `failure` is set when something the epoch contained is not on disk. */
export interface CommitWaiter {
  committed(epoch: number, failure: CommitFailure | undefined): void
}

interface SealedEpoch {
  readonly epoch: number
  readonly waiters: readonly CommitWaiter[]
  error: Error | undefined
  readonly failedStreams: Set<string>
}

/** Pause before the next attempt after a failed one: a full disk must not keep a core busy. Milliseconds. */
const retryAfterFailureMs = 200

export interface CommitOptions {
  store: CommitMember | undefined
  /** Synced before anything is written to the store. It keeps what a failed sync took from it, and is dirty again. */
  ahead?: CommitMember | undefined
  streams: readonly CommitMember[]
  /** Seconds one member's sync took. */
  onSync?: (member: CommitMember, seconds: number) => void
  onFailure?: (member: CommitMember, error: Error) => void
}

export class GroupCommit {
  readonly #store: CommitMember | undefined
  readonly #ahead: CommitMember | undefined
  /** Replaced as a whole: a running commit goes on with those it began with. */
  #streams: readonly CommitMember[]
  readonly #onSync: ((member: CommitMember, seconds: number) => void) | undefined
  readonly #onFailure: ((member: CommitMember, error: Error) => void) | undefined
  #waiters: CommitWaiter[] = []
  #storeFirst = false
  #scheduled = false
  #running = false
  #openEpoch = 1
  #stopped = false
  #retryTimer: NodeJS.Timeout | undefined
  /** What the running commit and stream failures during it decide about, in the order in which it was joined. */
  #sealed: SealedEpoch[] = []
  readonly #run = () => {
    this.#scheduled = false
    void this.#commit()
  }
  /** Asked by the store in the turn in which it takes its batch. */
  readonly #syncAhead = (): Promise<void> | undefined => {
    if (!this.#ahead?.dirty) return undefined
    return this.#sync(this.#ahead).then(error => {
      if (error) throw error
    })
  }

  constructor(options: CommitOptions) {
    this.#store = options.store
    this.#ahead = options.ahead
    this.#streams = options.streams
    this.#onSync = options.onSync
    this.#onFailure = options.onFailure
  }

  /** The epoch that writes made now belong to. */
  get openEpoch(): number {
    return this.#openEpoch
  }

  addStream(stream: CommitMember): void {
    this.#streams = [...this.#streams, stream]
  }

  /** Nothing may be appended to it any more. Resolves when what it held is durable or has failed: it may be closed then. */
  async removeStream(name: string): Promise<void> {
    await this.flush()
    this.#streams = this.#streams.filter(stream => stream.name !== name)
  }

  /** Joins the open epoch and makes sure it is committed. A waiter joins an epoch once. */
  join(waiter: CommitWaiter): void {
    this.#waiters.push(waiter)
    this.schedule()
  }

  /** Commits the open epoch at the end of this turn, or as soon as the running commit is done. */
  schedule(): void {
    if (this.#scheduled || this.#running || this.#stopped) return
    this.#scheduled = true
    setImmediate(this.#run)
  }

  /** The open epoch holds a write that the store must know before a stream does. */
  storeFirst(): void {
    this.#storeFirst = true
  }

  /** Resolves when everything written before the call is durable or has failed. */
  flush(): Promise<CommitFailure | undefined> {
    return new Promise(resolve => this.join({ committed: (_epoch, failure) => resolve(failure) }))
  }

  /** No further attempts; who still waits is not told any more. For the end, when the members are about to be closed. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#retryTimer)
  }

  async #commit(): Promise<void> {
    this.#running = true
    const sealed = this.#sealEpoch(undefined)
    const storeFirst = this.#storeFirst
    this.#storeFirst = false
    let error: Error | undefined
    this.#store?.prepare?.()
    const store = this.#store?.dirty ? this.#store : undefined
    // What arrives from here on belongs to the next epoch, in every file alike: a record must not overtake its packet id, which
    // would be in the store only with the commit after this one.
    const streams = this.#streams
    for (const stream of streams) stream.seal?.()
    if (store && storeFirst) {
      error = await this.#sync(store)
      // Without the store the streams must wait too: they stay dirty and go with the next attempt.
      if (error === undefined) error = await this.#syncAll(streams, undefined)
      else this.#storeFirst = true
    } else {
      error = await this.#syncAll(streams, store)
    }
    sealed.error ??= error
    const decided = this.#sealed
    this.#sealed = []
    for (const { epoch, waiters, error, failedStreams } of decided) {
      const failure = error && { error, failedStreams }
      for (const waiter of waiters) waiter.committed(epoch, failure)
    }
    // Only now: what waiters write or join is scheduled below, once. A second attempt running beside the first would tell its
    // waiters that they are on disk while the first still syncs.
    this.#running = false
    if (this.#stopped || (this.#waiters.length === 0 && !this.#dirty())) return
    if (error) this.#retryLater()
    else this.schedule()
  }

  #retryLater(): void {
    this.#scheduled = true
    this.#retryTimer = setTimeout(this.#run, retryAfterFailureMs)
  }

  #sealEpoch(error: Error | undefined): SealedEpoch {
    const sealed = { epoch: this.#openEpoch++, waiters: this.#waiters, error, failedStreams: new Set<string>() }
    this.#waiters = []
    this.#sealed.push(sealed)
    return sealed
  }

  /**
   * A failed stream takes with it what was appended up to this moment (see Stream.sync), so the epoch that filled meanwhile fails
   * too. What is appended from here on is not lost: it belongs to a new epoch, however long the other members still take.
   */
  #streamFailed(name: string, error: Error): void {
    this.#sealEpoch(error)
    for (const sealed of this.#sealed) {
      sealed.error ??= error
      sealed.failedStreams.add(name)
    }
  }

  #dirty(): boolean {
    if (this.#store?.dirty || this.#ahead?.dirty) return true
    for (const stream of this.#streams) if (stream.dirty) return true
    return false
  }

  /** Syncs the dirty streams, and the store beside them when given. Resolves with the first error. */
  async #syncAll(streams: readonly CommitMember[], store: CommitMember | undefined): Promise<Error | undefined> {
    const pending: Promise<Error | undefined>[] = []
    if (store) pending.push(this.#sync(store))
    else if (this.#ahead?.dirty) pending.push(this.#sync(this.#ahead))
    for (const stream of streams) if (stream.dirty) pending.push(this.#syncStream(stream))
    if (pending.length === 1) return pending[0]
    const results = await Promise.all(pending)
    return results.find(result => result !== undefined)
  }

  async #syncStream(stream: CommitMember): Promise<Error | undefined> {
    const error = await this.#sync(stream)
    if (error) this.#streamFailed(stream.name, error)
    return error
  }

  async #sync(member: CommitMember): Promise<Error | undefined> {
    const started = performance.now()
    try {
      await (member === this.#store ? member.sync(this.#syncAhead) : member.sync())
      this.#onSync?.(member, (performance.now() - started) / 1000)
      return undefined
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error(String(cause))
      this.#onFailure?.(member, error)
      return error
    }
  }
}
