import type { Bodies, Body, Ref } from './bodies.ts'
import type { DbBatch } from './database.ts'
import { INFLIGHT, QUEUE, QUEUE_KEY_BYTES, writeEntryKey } from './keys.ts'
import { writeMessage } from './message-codec.ts'
import { INLINE_BODY, NO_BODY, SHARED_BODY, writeInflight, writeQueueHead } from './queue-codec.ts'
import type { RecordWriter } from './record-bytes.ts'
import type { SessionState } from './session-state.ts'

/** Longer payloads get a body record, so that reading the queues at open stays cheap. */
export const INLINE_PAYLOAD_BYTES_MAX = 1024

/**
 * One queue entry that is not at rest: it waits to be written, is being written, or is inflight. It knows what it should be
 * (`live`, `packetId`, `released`), what may be on disk, and what has to be written to make the two agree.
 */
export class Entry {
  readonly session: SessionState
  readonly seq: number
  qos: 1 | 2
  retain: boolean
  subscriptionIds: readonly number[]
  packetId: number
  released = false
  live = true
  /** Until its record is written. */
  ref: Ref | undefined
  /** The shared body it counts for. */
  body: Body | undefined = undefined
  inline = false
  queueOnDisk: boolean
  inflightOnDisk = false
  /** What the next batch has to write. */
  putQueue = false
  putInflight = false
  /** What the batch being written holds, to write it again if that fails. */
  wroteQueue = false
  wroteInflight = false
  /** Position in the list of entries the next batch writes; -1 = not in it. */
  dirtyAt = -1

  constructor(
    session: SessionState,
    seq: number,
    qos: 1 | 2,
    retain: boolean,
    subscriptionIds: readonly number[],
    packetId: number,
    ref: Ref | undefined,
    queueOnDisk: boolean
  ) {
    this.session = session
    this.seq = seq
    this.qos = qos
    this.retain = retain
    this.subscriptionIds = subscriptionIds
    this.packetId = packetId
    this.ref = ref
    this.queueOnDisk = queueOnDisk
  }

  /** Lets go of the message: the entry was removed or released. */
  dropBody(bodies: Bodies): void {
    if (this.body !== undefined) {
      bodies.release(this.body)
      this.body = undefined
    } else if (this.ref !== undefined && !this.inline) {
      this.ref.waiting--
    }
    this.ref = undefined
    this.inline = false
  }
}

/** Writes what makes the disk agree with an entry. */
export class EntryWriter {
  readonly #bodies: Bodies
  readonly #out: RecordWriter
  readonly #key = Buffer.allocUnsafe(QUEUE_KEY_BYTES)

  constructor(bodies: Bodies, out: RecordWriter) {
    this.#bodies = bodies
    this.#out = out
  }

  write(entry: Entry, batch: DbBatch): void {
    entry.session.onDisk = true
    if (!entry.live) {
      if (entry.queueOnDisk) batch.del(this.#keyOf(entry, QUEUE))
      if (entry.inflightOnDisk) batch.del(this.#keyOf(entry, INFLIGHT))
    } else if (entry.putQueue) {
      this.#writeQueue(entry, batch)
    } else if (entry.putInflight) {
      writeInflight(this.#out.start(), entry.packetId)
      batch.put(this.#keyOf(entry, INFLIGHT), this.#out.view())
      entry.inflightOnDisk = true
      entry.wroteInflight = true
    }
    entry.putQueue = false
    entry.putInflight = false
  }

  #writeQueue(entry: Entry, batch: DbBatch): void {
    const out = this.#out.start()
    const { ref } = entry
    if (ref !== undefined && entry.body === undefined && !entry.inline) this.#placeBody(entry, ref)
    const body = entry.released ? NO_BODY : entry.inline ? INLINE_BODY : SHARED_BODY
    const { qos, retain, packetId, released, subscriptionIds } = entry
    writeQueueHead(out, qos, retain, packetId, released, subscriptionIds, body, entry.body?.id ?? 0)
    if (body === INLINE_BODY && ref !== undefined) writeMessage(out, ref.message)
    batch.put(this.#keyOf(entry, QUEUE), out.view())
    // The queue record carries the packet id now; the inflight record stays known until the entry goes, should this batch fail.
    if (entry.inflightOnDisk) batch.del(this.#keyOf(entry, INFLIGHT))
    entry.queueOnDisk = true
    entry.wroteQueue = true
  }

  /** Decides once where the message of an entry goes: into its own record, or into one shared with other queues. */
  #placeBody(entry: Entry, ref: Ref): void {
    const alone = ref.waiting === 1 && ref.body === undefined && !ref.inlined
    ref.waiting--
    if (alone && ref.message.payload.length <= INLINE_PAYLOAD_BYTES_MAX) {
      ref.inlined = true
      entry.inline = true
    } else {
      entry.body = this.#bodies.share(ref)
    }
  }

  #keyOf(entry: Entry, kind: typeof INFLIGHT | typeof QUEUE): Buffer {
    return writeEntryKey(this.#key, kind, entry.session.key, entry.seq)
  }
}
