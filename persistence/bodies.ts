import type { MessageRef } from './contract.ts'
import type { DbBatch } from './database.ts'
import { BODY_KEY_BYTES, writeBodyKey } from './keys.ts'
import { type StoredMessage, writeMessage } from './message-codec.ts'
import type { RecordWriter } from './record-bytes.ts'

/** A body that several queues share: one record, counted in memory. The counts are rebuilt at open from the queue records. */
export class Body {
  readonly id: number
  /** Queue entries that refer to it. */
  count = 0
  /** Held until the record is on disk. */
  message: StoredMessage | undefined
  /** Once part of a batch it has to be deleted explicitly, whether that batch succeeded or not. */
  onDisk: boolean

  constructor(id: number, onDisk: boolean) {
    this.id = id
    this.onDisk = onDisk
  }
}

/** What message() returns: the message until all its entries are written, then the shared body if there is one. */
export class Ref implements MessageRef {
  readonly message: StoredMessage
  body: Body | undefined
  /** Live entries that were enqueued and not written yet. */
  waiting = 0
  /** Its body is inside the one entry that referred to it when that was written. */
  inlined = false

  constructor(message: StoredMessage) {
    this.message = message
  }
}

export class Bodies {
  readonly #bodies = new Map<number, Body>()
  #nextId = 1
  #puts = new Set<Body>()
  #deletes = new Set<Body>()
  #writing: { puts: Set<Body>; deletes: Set<Body> } | undefined
  readonly #key = Buffer.allocUnsafe(BODY_KEY_BYTES)

  /** Bodies that wait to be deleted. They ride with the next batch and are no reason for one. */
  get unreferenced(): number {
    return this.#deletes.size
  }

  /** Counts one queue record found at open. */
  count(id: number): void {
    let body = this.#bodies.get(id)
    if (body === undefined) {
      body = new Body(id, true)
      this.#bodies.set(id, body)
    }
    body.count++
    this.skipId(id)
  }

  /** Ids found on disk are not given again, so that a stray record can never be taken for another message. */
  skipId(id: number): void {
    if (id >= this.#nextId) this.#nextId = id + 1
  }

  get(id: number): Body | undefined {
    return this.#bodies.get(id)
  }

  ids(): IterableIterator<number> {
    return this.#bodies.keys()
  }

  /** One more entry shares the body of `ref`. */
  share(ref: Ref): Body {
    let body = ref.body
    if (body === undefined) {
      body = new Body(this.#nextId++, false)
      ref.body = body
    }
    if (body.count === 0) {
      body.message = ref.message
      this.#bodies.set(body.id, body)
      this.#deletes.delete(body)
      this.#puts.add(body)
    }
    body.count++
    return body
  }

  /** One entry less. The record goes when nobody is left. */
  release(body: Body): void {
    body.count--
    if (body.count > 0) return
    this.#bodies.delete(body.id)
    this.#puts.delete(body)
    if (body.onDisk) this.#deletes.add(body)
  }

  write(batch: DbBatch, out: RecordWriter): void {
    for (const body of this.#puts) {
      if (body.message === undefined) continue
      writeMessage(out.start(), body.message)
      batch.put(writeBodyKey(this.#key, body.id), out.view())
      body.onDisk = true
    }
    for (const body of this.#deletes) batch.del(writeBodyKey(this.#key, body.id))
    this.#writing = { puts: this.#puts, deletes: this.#deletes }
    this.#puts = new Set()
    this.#deletes = new Set()
  }

  done(): void {
    for (const body of this.#writing?.puts ?? []) if (!this.#puts.has(body)) body.message = undefined
    this.#writing = undefined
  }

  failed(): void {
    for (const body of this.#writing?.puts ?? []) if (body.count > 0) this.#puts.add(body)
    for (const body of this.#writing?.deletes ?? []) if (body.count === 0) this.#deletes.add(body)
    this.#writing = undefined
  }
}
