import type { Message } from '../lib/mqtt/message.ts'
import type { Bodies } from './bodies.ts'
import type { QueueEntry, QueueState } from './contract.ts'
import { type Database, type Db, type DbSnapshot, readFailure } from './database.ts'
import { bodyKey, entryKey, keySeq, QUEUE, queueRange } from './keys.ts'
import { readMessage, releasedMessage } from './message-codec.ts'
import type { Quarantine } from './quarantine.ts'
import { INLINE_BODY, type QueueHead, readQueueHead, SHARED_BODY } from './queue-codec.ts'
import type { Entry } from './queue-entry.ts'
import type { Queues } from './queues.ts'
import { RecordReader } from './record-bytes.ts'
import { READ_BYTES_MAX } from './retained.ts'
import type { SessionState } from './session-state.ts'

const ENTRIES_PER_READ = 500

/** What memory knew of an entry when the read began. */
interface Remembered {
  seq: number
  live: boolean
  state: QueueState
  packetId: number
  message: Message | undefined
  entry: Pick<Entry, 'qos' | 'retain' | 'subscriptionIds'>
}

/** An entry on its way out; `message` is filled in when its shared body has been fetched. */
interface Draft extends Omit<QueueEntry, 'message'> {
  message: Message | undefined
  bodyId: number
}

/** Reads queues: the records on disk as of one moment, corrected by what memory knew at that same moment. */
export class QueueReader {
  readonly #database: Database
  readonly #bodies: Bodies
  readonly #queues: Queues
  readonly #quarantine: Quarantine

  constructor(database: Database, bodies: Bodies, queues: Queues, quarantine: Quarantine) {
    this.#database = database
    this.#bodies = bodies
    this.#queues = queues
    this.#quarantine = quarantine
  }

  async read(session: SessionState, fromSeq: number, limit: number): Promise<QueueEntry[]> {
    if (!this.#database.readable) await this.#database.reopened()
    const remembered = remember(session, fromSeq)
    if (!session.onDisk) return complete(remembered.filter(({ live }) => live).map(draftOf)).slice(0, limit)
    const { db } = this.#database
    try {
      // The snapshot is taken in the same turn as the look at memory, so that together they are one moment.
      const snapshot = db.snapshot()
      try {
        const drafts = await this.#merge(db, snapshot, session, fromSeq, limit, remembered)
        await this.#fetchBodies(db, snapshot, session, drafts)
        const entries = complete(drafts)
        // Some were unreadable and have left the queue. A short answer would look like its end, so read on past them.
        return entries.length < drafts.length ? await this.read(session, fromSeq, limit) : entries
      } finally {
        await snapshot.close()
      }
    } catch (cause) {
      throw readFailure(cause)
    }
  }

  async #merge(db: Db, snapshot: DbSnapshot, session: SessionState, fromSeq: number, limit: number, memory: Remembered[]) {
    const drafts: Draft[] = []
    let next = 0
    /** Takes over what memory has before `seq`. */
    const catchUp = (seq: number) => {
      for (let item = memory[next]; item !== undefined && item.seq < seq; item = memory[++next]) {
        if (item.live) drafts.push(draftOf(item))
      }
    }
    // What is read here is about to be marked sent and dequeued, which looks the same records up again.
    const rows = db.iterator({
      ...queueRange(session.key, fromSeq),
      snapshot,
      fillCache: true,
      highWaterMarkBytes: READ_BYTES_MAX
    })
    try {
      while (drafts.length < limit) {
        const page = await rows.nextv(Math.min(limit, ENTRIES_PER_READ))
        if (page.length === 0) {
          catchUp(Number.POSITIVE_INFINITY)
          break
        }
        for (const [key, value] of page) {
          const seq = keySeq(key)
          catchUp(seq)
          const item = memory[next]?.seq === seq ? memory[next++] : undefined
          const draft = item === undefined ? this.#decode(session, key, value) : this.#correct(session, key, value, item)
          if (draft !== undefined) drafts.push(draft)
        }
      }
    } finally {
      await rows.close()
    }
    return drafts.slice(0, limit)
  }

  /** An entry both on disk and in memory: memory knows its state, the disk may be the only one to know its message. */
  #correct(session: SessionState, key: Buffer, value: Buffer, item: Remembered): Draft | undefined {
    if (!item.live) return undefined
    if (item.message !== undefined) return draftOf(item)
    const draft = this.#decode(session, key, value)
    if (draft === undefined) return undefined
    draft.state = item.state
    draft.packetId = item.packetId
    return draft
  }

  #decode(session: SessionState, key: Buffer, value: Buffer): Draft | undefined {
    const seq = keySeq(key)
    const draft = this.#quarantine.decode(key, value, () => decodeEntry(seq, value))
    if (draft === undefined) this.#queues.discard(session, seq, 0)
    return draft
  }

  async #fetchBodies(db: Db, snapshot: DbSnapshot, session: SessionState, drafts: Draft[]): Promise<void> {
    const ids = [...new Set(drafts.filter(({ message }) => message === undefined).map(({ bodyId }) => bodyId))]
    if (ids.length === 0) return
    const keys = ids.map(bodyKey)
    const values = await db.getMany(keys, { snapshot })
    const messages = new Map<number, Message>()
    for (const [i, id] of ids.entries()) {
      const [key, value] = [keys[i], values[i]]
      if (key === undefined || value === undefined) continue
      const message = this.#quarantine.decode(key, value, () => readMessage(new RecordReader(value)))
      if (message !== undefined) messages.set(id, message)
    }
    for (const draft of drafts) {
      if (draft.message !== undefined) continue
      draft.message = messages.get(draft.bodyId)
      if (draft.message === undefined) this.#loseEntry(session, draft)
    }
  }

  /** An entry without its message cannot be delivered: it leaves the queue, and its record goes where the bytes can be looked at. */
  #loseEntry(session: SessionState, { seq, bodyId }: Draft): void {
    const key = entryKey(QUEUE, session.key, seq)
    const value = this.#database.getSync(key)
    const why = `the message body ${bodyId} it refers to is missing or unreadable`
    if (value === undefined) this.#quarantine.report(key, why)
    else this.#quarantine.add(key, value, why)
    this.#queues.discard(session, seq, this.#bodies.get(bodyId) === undefined ? 0 : bodyId)
  }
}

function remember(session: SessionState, fromSeq: number): Remembered[] {
  const found: Remembered[] = []
  for (const entry of session.entries.values()) {
    if (entry.seq < fromSeq) continue
    const { seq, live, packetId, released, qos, retain, subscriptionIds } = entry
    const message = released ? releasedMessage(qos, retain) : entry.ref?.message
    const state = released ? 'released' : packetId > 0 ? 'sent' : 'queued'
    found.push({ seq, live, state, packetId, message, entry: { qos, retain, subscriptionIds } })
  }
  return found.sort((a, b) => a.seq - b.seq)
}

function draftOf({ seq, state, packetId, message, entry }: Remembered): Draft {
  const { qos, retain, subscriptionIds } = entry
  return { seq, qos, retain, subscriptionIds, state, packetId, message, bodyId: 0 }
}

function decodeEntry(seq: number, value: Buffer): Draft {
  const head = readQueueHead(value)
  const { qos, retain, subscriptionIds, state, packetId, bodyId } = head
  return { seq, qos, retain, subscriptionIds, state, packetId, message: messageOf(head, value), bodyId }
}

/** Undefined when the body is a record of its own. */
function messageOf({ body, bodyStart, qos, retain }: QueueHead, value: Buffer): Message | undefined {
  if (body === SHARED_BODY) return undefined
  return body === INLINE_BODY ? readMessage(new RecordReader(value, bodyStart)) : releasedMessage(qos, retain)
}

function complete(drafts: Draft[]): QueueEntry[] {
  const entries: QueueEntry[] = []
  for (const { seq, qos, retain, subscriptionIds, state, packetId, message } of drafts) {
    if (message !== undefined) entries.push({ seq, qos, retain, subscriptionIds, state, packetId, message })
  }
  return entries
}
