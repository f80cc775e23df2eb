import type { Bodies, Ref } from './bodies.ts'
import type { Database, DbBatch } from './database.ts'
import { entryKey, QUEUE, SEQ_MAX } from './keys.ts'
import type { Quarantine } from './quarantine.ts'
import { INLINE_BODY, readQueueHead } from './queue-codec.ts'
import { Entry, EntryWriter } from './queue-entry.ts'
import type { RecordWriter } from './record-bytes.ts'
import type { SessionState } from './session-state.ts'

/** The queue entries of all sessions that wait to be written, and those being written. */
export class Queues {
  readonly #database: Database
  readonly #bodies: Bodies
  readonly #quarantine: Quarantine
  readonly #writer: EntryWriter
  #dirty: Entry[] = []
  #writing: Entry[] = []

  constructor(database: Database, bodies: Bodies, quarantine: Quarantine, out: RecordWriter) {
    this.#database = database
    this.#bodies = bodies
    this.#quarantine = quarantine
    this.#writer = new EntryWriter(bodies, out)
  }

  get dirty(): boolean {
    return this.#dirty.length > 0
  }

  enqueue(
    session: SessionState,
    seq: number,
    ref: Ref,
    qos: 1 | 2,
    retain: boolean,
    subscriptionIds: readonly number[],
    packetId: number
  ): void {
    if (!(seq >= 0 && seq <= SEQ_MAX)) throw new RangeError(`seq ${seq} is not in 0..${SEQ_MAX}`)
    const old = session.entries.get(seq)
    if (old?.live) throw new RangeError(`seq ${seq} is already in the queue of ${session.clientId}`)
    const entry = new Entry(session, seq, qos, retain, subscriptionIds, packetId, ref, false)
    if (old !== undefined) this.#replace(old, entry)
    ref.waiting++
    entry.putQueue = true
    session.entries.set(seq, entry)
    this.#markDirty(entry)
  }

  markSent(session: SessionState, seq: number, packetId: number): void {
    const entry = this.#find(session, seq)
    if (entry === undefined) return
    entry.packetId = packetId
    if (entry.putQueue) return
    // Without an inline body the queue record is small enough to write again; beside an inline one a note is written.
    if (entry.body !== undefined || entry.released) entry.putQueue = true
    else entry.putInflight = true
    this.#markDirty(entry)
  }

  markReleased(session: SessionState, seq: number): void {
    const entry = this.#find(session, seq)
    if (entry === undefined || entry.released) return
    entry.dropBody(this.#bodies)
    entry.released = true
    entry.putQueue = true
    this.#markDirty(entry)
  }

  dequeue(session: SessionState, seq: number): void {
    const entry = this.#find(session, seq)
    if (entry !== undefined) this.#remove(entry)
  }

  /** Removes all entries that are in memory. What is left on disk is at rest and the purge's to count. */
  removeInMemory(session: SessionState): void {
    for (const entry of session.entries.values()) if (entry.live) this.#remove(entry)
  }

  /** Takes an entry out of the queue whose record was found to be unreadable; its bytes are in quarantine by then. */
  discard(session: SessionState, seq: number, bodyId: number): void {
    const old = session.entries.get(seq)
    if (old !== undefined) {
      if (old.live) this.#remove(old)
      return
    }
    const entry = new Entry(session, seq, 1, false, [], 0, undefined, true)
    entry.body = this.#bodies.get(bodyId)
    session.entries.set(seq, entry)
    this.#remove(entry)
  }

  write(batch: DbBatch): void {
    this.#writing = this.#dirty
    this.#dirty = []
    for (const entry of this.#writing) entry.dirtyAt = -1
    for (const entry of this.#writing) this.#writer.write(entry, batch)
  }

  done(): void {
    for (const entry of this.#writing) {
      entry.wroteQueue = false
      entry.wroteInflight = false
      entry.ref = undefined
      if (entry.dirtyAt >= 0) continue
      // At rest again: the disk knows all about it. Inflight entries stay, because their acknowledgement is what comes next.
      const { entries } = entry.session
      if ((!entry.live || entry.packetId === 0) && entries.get(entry.seq) === entry) entries.delete(entry.seq)
    }
    this.#writing = []
  }

  failed(): void {
    for (const entry of this.#writing) {
      if (entry.wroteQueue && entry.live) entry.putQueue = true
      if (entry.wroteInflight && entry.live) entry.putInflight = true
      entry.wroteQueue = false
      entry.wroteInflight = false
      // An entry of the same number may have taken its place, and then carries what this one knew of the disk.
      if (entry.session.entries.get(entry.seq) === entry) this.#markDirty(entry)
    }
    this.#writing = []
  }

  #remove(entry: Entry): void {
    entry.dropBody(this.#bodies)
    entry.live = false
    entry.putQueue = false
    entry.putInflight = false
    if (entry.queueOnDisk || entry.inflightOnDisk) {
      this.#markDirty(entry)
    } else {
      this.#unmarkDirty(entry)
      entry.session.entries.delete(entry.seq)
    }
  }

  /** An entry takes the number of one whose removal is not on disk yet. */
  #replace(old: Entry, entry: Entry): void {
    entry.queueOnDisk = old.queueOnDisk
    entry.inflightOnDisk = old.inflightOnDisk
    this.#unmarkDirty(old)
  }

  #find(session: SessionState, seq: number): Entry | undefined {
    const entry = session.entries.get(seq)
    if (entry !== undefined) return entry.live ? entry : undefined
    return this.#wake(session, seq)
  }

  /** Brings an entry that rests on disk back into memory: one get. */
  #wake(session: SessionState, seq: number): Entry | undefined {
    if (!session.onDisk) return undefined
    if (!this.#database.readable) return this.#wakeBlindly(session, seq)
    const key = entryKey(QUEUE, session.key, seq)
    const value = this.#database.getSync(key)
    if (value === undefined) return undefined
    const head = this.#quarantine.decode(key, value, () => readQueueHead(value))
    if (head === undefined) return undefined
    const { qos, retain, subscriptionIds, packetId } = head
    const entry = new Entry(session, seq, qos, retain, subscriptionIds, packetId, undefined, true)
    entry.inline = head.body === INLINE_BODY
    entry.body = this.#bodies.get(head.bodyId)
    session.entries.set(seq, entry)
    return entry
  }

  /**
   * While the database is being reopened nobody can tell what the entry holds. Treating it as inline is safe: at worst a shared
   * body outlives its last entry until the next open counts again.
   */
  #wakeBlindly(session: SessionState, seq: number): Entry {
    const entry = new Entry(session, seq, 2, false, [], 0, undefined, true)
    entry.inline = true
    session.entries.set(seq, entry)
    return entry
  }

  #markDirty(entry: Entry): void {
    if (entry.dirtyAt >= 0) return
    entry.dirtyAt = this.#dirty.length
    this.#dirty.push(entry)
  }

  #unmarkDirty(entry: Entry): void {
    const at = entry.dirtyAt
    if (at < 0) return
    entry.dirtyAt = -1
    const last = this.#dirty.pop()
    if (last === undefined || last === entry) return
    this.#dirty[at] = last
    last.dirtyAt = at
  }
}
