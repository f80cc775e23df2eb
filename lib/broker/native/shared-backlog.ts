import type { LoadedSession, QueueEntry, SessionStore } from '../../../persistence/contract.ts'
import type { GroupCommit } from '../../commit/group-commit.ts'
import type { Counters } from '../../metrics/counters.ts'
import type { Message } from '../../mqtt/message.ts'
import { neverExpires } from '../../session/session.ts'
import type { Stretch } from './burials.ts'
import type { Publication } from './publication.ts'

/** A message of the backlog that no member has at the moment. */
export interface SharedEntry {
  readonly seq: number
  readonly message: Message
  readonly qos: 1 | 2
  /** RETAIN as it was published. */
  readonly retain: boolean
}

/** Entries read from disk at a time. */
const readEntriesMax = 64
const noIds: readonly number[] = []

export interface SharedBacklogParts {
  readonly store: SessionStore
  readonly commit: GroupCommit
  readonly counters: Counters
}

/**
 * The QoS 1 and 2 messages of one shared subscription that are not settled: waiting for a member, or with one and not acknowledged.
 *
 * In memory while every member's session ends with its connection; in the session store, under a session of its own that no client
 * can name, as soon as one member has a session that is stored. Numbers (`seq`) grow by one per message.
 */
export class SharedBacklog {
  readonly #parts: SharedBacklogParts
  readonly #storedId: string
  /** The store's key. */
  #key = 0
  stored = false
  #nextSeq = 1
  /** Messages from here on were never with a member. */
  #freshSeq = 1
  #size = 0
  #burials = 0
  readonly #assigned = new Set<number>()
  readonly #returned = new Set<number>()
  #memory: Map<number, SharedEntry> | undefined
  /** Messages that a member may have got before the broker was started. */
  readonly #tried = new Set<number>()

  constructor(parts: SharedBacklogParts, storedId: string) {
    this.#parts = parts
    this.#storedId = storedId
  }

  /** Messages not settled. */
  get size(): number {
    return this.#size
  }

  get waiting(): number {
    return this.#size - this.#assigned.size
  }

  /** A new message. With `packetId` it is with a member at once, which nothing that waits may precede. */
  add(publication: Publication, packetId: number): number {
    const { store, counters } = this.#parts
    const seq = this.#nextSeq++
    const qos = publication.qos === 2 ? 2 : 1
    this.#size++
    counters.queued++
    if (this.stored) {
      publication.ref ??= store.message(publication.message())
      store.enqueue(this.#key, seq, publication.ref, qos, publication.retain, noIds, packetId)
    } else {
      this.#memory ??= new Map()
      this.#memory.set(seq, { seq, message: publication.message(), qos, retain: publication.retain })
    }
    if (packetId > 0) {
      this.#assigned.add(seq)
      this.#freshSeq = this.#nextSeq
    }
    return seq
  }

  /** A waiting message is with a member now. */
  assign(seq: number, packetId: number): void {
    this.#taken(seq)
    this.#assigned.add(seq)
    if (!this.stored) return
    this.#parts.store.markSent(this.#key, seq, packetId)
    this.#parts.commit.schedule()
  }

  /** The member went away without settling it. */
  release(seq: number): void {
    if (this.#assigned.delete(seq)) this.#returned.add(seq)
  }

  /** Done with, whether it waited or was with a member. */
  settle(seq: number): void {
    // Not known any more: the backlog was discarded.
    if (!this.#assigned.delete(seq) && !this.#returned.has(seq) && seq < this.#freshSeq) return
    this.#taken(seq)
    this.#tried.delete(seq)
    this.#size--
    this.#parts.counters.queued--
    if (!this.stored) {
      this.#memory?.delete(seq)
      return
    }
    this.#parts.store.dequeue(this.#key, seq)
    this.#parts.commit.schedule()
  }

  /** Whether a member of an earlier run may have seen it, so that DUP is due. */
  wasTried(seq: number): boolean {
    return this.#tried.has(seq)
  }

  #taken(seq: number): void {
    if (!this.#returned.delete(seq) && seq >= this.#freshSeq) this.#freshSeq = seq + 1
  }

  /** The first messages that wait, those that came back before the rest; empty when none does. */
  read(): SharedEntry[] | Promise<SharedEntry[]> {
    const back = [...this.#returned].sort((a, b) => a - b).slice(0, readEntriesMax)
    if (this.stored) return this.#readStored(back)
    if (back.length > 0) return back.flatMap(seq => this.#memory?.get(seq) ?? [])
    const entries: SharedEntry[] = []
    for (let seq = this.#freshSeq; seq < this.#nextSeq && entries.length < readEntriesMax; seq++) {
      const entry = this.#memory?.get(seq)
      if (entry !== undefined) entries.push(entry)
    }
    return entries
  }

  async #readStored(back: readonly number[]): Promise<SharedEntry[]> {
    const { store } = this.#parts
    if (back.length === 0) {
      const knownEnd = this.#nextSeq
      const from = this.#freshSeq
      const entries = await store.readQueue(this.#key, from, readEntriesMax)
      // What is missing between two entries was unreadable and is in quarantine: it is not waited for.
      if (entries.length < readEntriesMax) this.#forgetMissing(from, knownEnd, entries)
      return entries
    }
    const entries: SharedEntry[] = []
    for (const seq of back) {
      const [entry] = await store.readQueue(this.#key, seq, 1)
      if (entry?.seq === seq) entries.push(entry)
      else if (this.#returned.delete(seq)) this.#lost()
    }
    return entries
  }

  #forgetMissing(from: number, end: number, entries: readonly QueueEntry[]): void {
    if (this.#freshSeq !== from || this.#returned.size > 0) return
    const found = entries.filter(({ seq }) => seq < end).length
    const expected = this.waiting - (this.#nextSeq - end)
    for (let missing = expected - found; missing > 0; missing--) this.#lost()
  }

  #lost(): void {
    this.#size--
    this.#parts.counters.queued--
  }

  /** One message by number, to be sent again; undefined when it is not there any more. */
  async get(seq: number): Promise<SharedEntry | undefined> {
    if (!this.stored) return this.#memory?.get(seq)
    const [entry] = await this.#parts.store.readQueue(this.#key, seq, 1)
    return entry?.seq === seq ? entry : undefined
  }

  /** A member with a stored session joined: what is in memory goes to the store, and everything from now on. */
  persist(nowMs: number): void {
    if (this.stored) return
    const { store, commit } = this.#parts
    this.stored = true
    this.#key = store.sessionKey(this.#storedId)
    store.putSession(this.#key, {
      clientId: this.#storedId,
      version: 5,
      expirySeconds: neverExpires,
      createdAtMs: nowMs,
      disconnectedAtMs: 0,
      username: undefined
    })
    for (const { seq, message, qos, retain } of this.#memory?.values() ?? []) {
      store.enqueue(this.#key, seq, store.message(message), qos, retain, noIds, 0)
    }
    this.#memory = undefined
    commit.schedule()
  }

  /** What the store had at start. */
  restore(loaded: LoadedSession): void {
    this.stored = true
    this.#key = loaded.key
    this.#nextSeq = loaded.nextSeq
    this.#freshSeq = loaded.firstSeq
    this.#size = loaded.queued
    this.#parts.counters.queued += loaded.queued
    for (const { seq } of loaded.inflight) this.#tried.add(seq)
  }

  /** The store's key; 0 while it is in memory. */
  get key(): number {
    return this.stored ? this.#key : 0
  }

  /** Messages that wait and are in memory, in order. */
  *inMemory(): Generator<SharedEntry> {
    for (const [seq, entry] of this.#memory ?? []) if (!this.#assigned.has(seq)) yield entry
  }

  /**
   * Nobody is left who could get what waits, and somebody else removes it from the store and counts it: the stretch it is in. Until
   * buried() is called the backlog is not discarded.
   */
  giveUpWaiting(): Stretch {
    let from = this.#freshSeq
    for (const seq of this.#returned) from = Math.min(from, seq)
    const stretch = { from, end: this.#nextSeq, skip: new Set(this.#assigned), queued: this.waiting }
    this.#size -= stretch.queued
    this.#returned.clear()
    this.#freshSeq = this.#nextSeq
    this.#burials++
    return stretch
  }

  buried(): void {
    this.#burials--
  }

  /** Nothing of it is left, here or in the store. */
  get over(): boolean {
    return this.#size === 0 && this.#burials === 0
  }

  /** Nobody is left who could get what waits. Returns how many messages end here. */
  dropWaiting(): number {
    const { store, commit, counters } = this.#parts
    const dropped = this.waiting
    if (dropped === 0) return 0
    for (let seq = this.#freshSeq; seq < this.#nextSeq; seq++) this.#returned.add(seq)
    for (const seq of this.#returned) {
      // Not every number stands for an entry: those settled before are gone.
      if (this.stored) store.dequeue(this.#key, seq)
      else this.#memory?.delete(seq)
    }
    this.#returned.clear()
    this.#freshSeq = this.#nextSeq
    this.#size -= dropped
    counters.queued -= dropped
    if (this.stored) commit.schedule()
    return dropped
  }

  /** The group is over and its backlog empty: nothing of it stays in the store. */
  discard(): void {
    if (!this.stored) return
    this.stored = false
    this.#parts.store.deleteSession(this.#key, this.#storedId)
    this.#parts.commit.schedule()
  }
}
