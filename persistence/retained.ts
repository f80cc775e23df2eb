import type { Message } from '../lib/mqtt/message.ts'
import { type Database, type Db, type DbBatch, type DbSnapshot, readFailure } from './database.ts'
import { keyText, RETAINED, textKey } from './keys.ts'
import { readMessage, writeMessage } from './message-codec.ts'
import { PendingRecords } from './pending-records.ts'
import type { Quarantine } from './quarantine.ts'
import { RecordReader, type RecordWriter } from './record-bytes.ts'
import { type KeyRange, planRetained, type RetainedPlan } from './retained-filter.ts'

/** Topics remembered as present, so that a topic published again and again is not looked up each time. */
const KNOWN_TOPICS_MAX = 65_536
const KEYS_PER_READ = 1000
const VALUES_PER_READ = 256
export const READ_BYTES_MAX = 1 << 20

/** Retained messages: one record per topic. */
export class Retained {
  readonly #database: Database
  readonly #quarantine: Quarantine
  readonly #out: RecordWriter
  readonly #pending = new PendingRecords<Message>()
  readonly #known = new Set<string>()
  count: number

  constructor(database: Database, quarantine: Quarantine, out: RecordWriter, count: number) {
    this.#database = database
    this.#quarantine = quarantine
    this.#out = out
    this.count = count
  }

  get dirty(): boolean {
    return this.#pending.dirty
  }

  put(message: Message): void {
    const { topic } = message
    if (!this.#present(topic)) this.count++
    if (this.#known.size >= KNOWN_TOPICS_MAX) this.#known.clear()
    this.#known.add(topic)
    this.#pending.put(topic, message)
  }

  delete(topic: string): void {
    if (!this.#present(topic)) return
    this.count--
    this.#known.delete(topic)
    this.#pending.delete(topic, () => this.#onDisk(topic))
  }

  byTopic(topic: string): Message | undefined {
    const pending = this.#pending.lookup(topic)
    if (pending !== undefined) return pending ?? undefined
    const key = textKey(RETAINED, topic)
    const value = this.#database.getSync(key)
    return value === undefined ? undefined : this.#decode(key, value)
  }

  /** In no particular order. Sees what was written before the first message is asked for. */
  async *byFilter(filter: string): AsyncGenerator<Message> {
    if (!this.#database.readable) await this.#database.reopened()
    const plan = planRetained(filter)
    if (plan.exact !== undefined) {
      const message = this.byTopic(plan.exact)
      if (message !== undefined) yield message
    }
    if (plan.ranges.length === 0) return
    const { db } = this.#database
    // Taken together with the snapshot, so that a batch written meanwhile is seen once and only once. The exact topic is done.
    const pending = this.#pending.snapshot(topic => topic !== plan.exact && plan.matches(textKey(RETAINED, topic)))
    const snapshot = db.snapshot()
    try {
      for (const range of plan.ranges) yield* this.#fromDisk(db, snapshot, range, plan, pending)
    } catch (cause) {
      throw readFailure(cause)
    } finally {
      await snapshot.close()
    }
    for (const message of pending.values()) if (message !== null) yield message
  }

  write(batch: DbBatch): void {
    for (const [topic, message] of this.#pending.begin()) {
      const key = textKey(RETAINED, topic)
      if (message === undefined) {
        batch.del(key)
      } else {
        writeMessage(this.#out.start(), message, true)
        batch.put(key, this.#out.view())
      }
    }
  }

  done(): void {
    this.#pending.done()
  }

  failed(): void {
    this.#pending.failed()
  }

  #fromDisk(db: Db, snapshot: DbSnapshot, range: KeyRange, plan: RetainedPlan, pending: Map<string, Message | null>) {
    return plan.all ? this.#everything(db, snapshot, range, pending) : this.#matching(db, snapshot, range, plan, pending)
  }

  async *#everything(db: Db, snapshot: DbSnapshot, range: KeyRange, pending: Map<string, Message | null>) {
    const rows = db.iterator({ ...range, snapshot, fillCache: false, highWaterMarkBytes: READ_BYTES_MAX })
    try {
      for (;;) {
        const found = await rows.nextv(KEYS_PER_READ)
        if (found.length === 0) return
        for (const [key, value] of found) {
          const message = pending.size > 0 && pending.has(keyText(key)) ? undefined : this.#decode(key, value)
          if (message !== undefined) yield message
        }
      }
    } finally {
      await rows.close()
    }
  }

  /** Keys first: what does not match is neither fetched nor decoded. */
  async *#matching(db: Db, snapshot: DbSnapshot, range: KeyRange, plan: RetainedPlan, pending: Map<string, Message | null>) {
    const keys = db.keys({ ...range, snapshot, fillCache: false, highWaterMarkBytes: READ_BYTES_MAX })
    try {
      for (;;) {
        const found = await keys.nextv(KEYS_PER_READ)
        if (found.length === 0) return
        const wanted = found.filter(key => plan.matches(key) && !(pending.size > 0 && pending.has(keyText(key))))
        for (let at = 0; at < wanted.length; at += VALUES_PER_READ) {
          const page = wanted.slice(at, at + VALUES_PER_READ)
          const values = await db.getMany(page, { snapshot })
          for (const [i, key] of page.entries()) {
            const value = values[i]
            const message = value === undefined ? undefined : this.#decode(key, value)
            if (message !== undefined) yield message
          }
        }
      }
    } finally {
      await keys.close()
    }
  }

  #decode(key: Buffer, value: Buffer): Message | undefined {
    const topic = keyText(key)
    const message = this.#quarantine.decode(key, value, () => readMessage(new RecordReader(value), topic))
    if (message === undefined && this.#pending.lookup(topic) === undefined) this.delete(topic)
    return message
  }

  #present(topic: string): boolean {
    const pending = this.#pending.lookup(topic)
    if (pending !== undefined) return pending !== null
    return this.#known.has(topic) || this.#onDisk(topic)
  }

  #onDisk(topic: string): boolean {
    // While the database is being reopened nobody can tell. "Yes" costs at worst a needless delete and a count that is off by one.
    return !this.#database.readable || this.#database.getSync(textKey(RETAINED, topic)) !== undefined
  }
}
