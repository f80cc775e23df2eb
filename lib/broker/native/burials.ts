import type { LoadedSession, StoredSession } from '../../../persistence/contract.ts'
import type { DeadLetterReason } from '../../dead-letter/contract.ts'
import type { NativeContext } from './context.ts'
import type { LostFrom } from './lost-deliveries.ts'

/** Entries read from disk and turned into dead letters with one commit, at first and at most: bounds the memory that a long queue takes. */
const entriesPerCommitMin = 16
const entriesPerCommitMax = 256
/** Payload bytes from which on fewer entries are read the next time. */
const bytesPerCommit = 1024 * 1024

/** Begins what an ended session is called in the store until its queue is empty. U+0000 is not allowed in a Client Identifier. */
const storedIdPrefix = '\u0000ended\u0000'

/** A queue on disk, or a stretch of one, whose messages nobody can get any more. */
interface Burial extends LostFrom {
  readonly reason: DeadLetterReason
  readonly error: string
  /** Entries [from, end) are meant. */
  readonly from: number
  readonly end: number
  /** Among them, those that are still on their way. */
  readonly skip: ReadonlySet<number>
  /** How many there are, as far as is known. */
  readonly queued: number
  /** Called when they are gone. */
  readonly ended: () => void
}

export const withoutMembers = 'the shared subscription has no members any more'

const nothing: ReadonlySet<number> = new Set()

/**
 * Turns what waits in queues that have ended into dead letters: one queue after the other, some entries at a time, each removed from its
 * queue in the commit that its letter is in. Meanwhile an ended session has another name in the store, so that its client can have a new
 * one at once; a restart goes on where this stopped.
 */
export class Burials {
  readonly #context: NativeContext
  readonly #waiting: Burial[] = []
  #state: 'restoring' | 'idle' | 'running' = 'restoring'

  constructor(context: NativeContext) {
    this.#context = context
  }

  /** The session ends with a queue on disk; `filters` are what it was subscribed to. */
  session(key: number, stored: StoredSession, reason: DeadLetterReason, queue: Queue, filters: readonly string[]): void {
    const { clientId } = stored
    const storedId = `${storedIdPrefix}${reason}\u0000${key}\u0000${clientId}`
    this.#context.store.renameSession(key, { ...stored, clientId: storedId })
    this.#session(key, storedId, clientId, reason, queue, filters)
  }

  /** Takes up a session that had ended before the broker stopped; false when it is none. */
  restore({ key, session, firstSeq, nextSeq, queued, subscriptions }: LoadedSession): boolean {
    const storedId = session.clientId
    if (!storedId.startsWith(storedIdPrefix)) return false
    const [reason, , ...clientId] = storedId.slice(storedIdPrefix.length).split('\u0000')
    this.#context.counters.queued += queued
    const filters = subscriptions.map(({ filter }) => filter)
    this.#session(key, storedId, clientId.join(), reason as DeadLetterReason, { from: firstSeq, end: nextSeq, queued }, filters)
    return true
  }

  /** A stretch of a shared subscription's backlog; what is in it is not counted as queued any more. */
  backlog(key: number, filter: string, reason: DeadLetterReason, stretch: Stretch, ended: () => void): void {
    this.#begin({ ...stretch, key, filters: [filter], reason, error: withoutMembers, ended })
  }

  #session(
    key: number,
    storedId: string,
    clientId: string,
    reason: DeadLetterReason,
    queue: Queue,
    filters: readonly string[]
  ): void {
    const error =
      reason === 'session-discarded' ? 'the client began a new session' : 'the session expired before the client came back'
    const ended = () => this.#context.store.deleteSession(key, storedId)
    this.#begin({ ...queue, key, clientId, filters, reason, error, skip: nothing, ended })
  }

  /** The sessions are restored: what was left by the last run goes on. */
  start(): void {
    this.#state = 'idle'
    if (this.#waiting.length > 0) void this.#run()
  }

  #begin(burial: Burial): void {
    this.#waiting.push(burial)
    this.#context.commit.schedule()
    if (this.#state === 'idle') void this.#run()
  }

  async #run(): Promise<void> {
    this.#state = 'running'
    for (let burial = this.#waiting.shift(); burial !== undefined; burial = this.#waiting.shift()) {
      try {
        await this.#bury(burial)
      } catch (err) {
        const { key, clientId } = burial
        const message = 'the queue of an ended session cannot be read; it is tried again at the next start'
        if (!this.#context.stopped) this.#context.broker.logger?.error({ err, clientId, key }, message)
      }
      if (this.#context.stopped) break
    }
    this.#state = 'idle'
  }

  async #bury(burial: Burial): Promise<void> {
    const { store, commit, counters, lost } = this.#context
    const { key, reason, error, end, skip } = burial
    let left = burial.queued
    let limit = entriesPerCommitMin
    for (let next = burial.from; next < end; ) {
      const entries = await store.readQueue(key, next, limit)
      let bytes = 0
      if (this.#context.stopped) return
      for (const entry of entries) {
        if (entry.seq >= end) break
        if (skip.has(entry.seq)) continue
        bytes += entry.message.payload.length
        // What is released has arrived: only the end of the handshake is missing.
        if (entry.state !== 'released') lost.entry(reason, burial, entry, entry.state === 'sent' ? 1 : 0, error)
        store.dequeue(key, entry.seq)
        counters.queued--
        left--
      }
      next = entries.length < limit ? end : entries.at(-1)!.seq + 1
      limit = bytes > bytesPerCommit ? Math.max(1, limit >> 1) : Math.min(entriesPerCommitMax, limit * 2)
      // What could not be written waits in memory for the next attempt: no more is added to it.
      while ((await commit.flush()) !== undefined) if (this.#context.stopped) return
    }
    counters.queued -= left
    burial.ended()
    commit.schedule()
  }
}

interface Queue {
  readonly from: number
  readonly end: number
  readonly queued: number
}

export interface Stretch extends Queue {
  readonly skip: ReadonlySet<number>
}
