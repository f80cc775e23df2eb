import type { Bodies } from './bodies.ts'
import type { LoadedSession, SessionKey, StoredWill } from './contract.ts'
import type { Db } from './database.ts'
import {
  BODY,
  INFLIGHT,
  keyBodyId,
  keyFilter,
  keyKind,
  keyPacketId,
  keySeq,
  keySession,
  keyText,
  PURGE,
  QUEUE,
  QUEUE_KEY_BYTES,
  RECEIVED,
  RETAINED,
  SESSION,
  SESSION_RECORD,
  SUBSCRIPTION,
  spaceRange,
  WILL
} from './keys.ts'
import type { Quarantine } from './quarantine.ts'
import { INLINE_BODY, readInflight, readQueueHead } from './queue-codec.ts'
import { Entry } from './queue-entry.ts'
import { corrupt } from './record-bytes.ts'
import { READ_BYTES_MAX } from './retained.ts'
import { readReceived, readSession, readSubscription, readWill } from './session-codec.ts'
import { SessionState } from './session-state.ts'

const RECORDS_PER_READ = 2000

/** A seq a session without entries starts from. */
const FIRST_SEQ = 1

/** What one pass over the database finds. */
export interface OpenScan {
  sessions: Found[]
  /** Sessions that were deleted before all their records were. */
  purging: Set<SessionKey>
  /** The highest session key of any record. */
  lastSessionKey: SessionKey
  /** Keys of bodies no queue refers to. */
  strayBodies: Buffer[]
  retained: number
  wills: StoredWill[]
}

export interface Found {
  state: SessionState
  loaded: LoadedSession
}

/** Reads everything but the payloads of shared bodies and retained messages, in key order, and counts who refers to which body. */
export async function scanAtOpen(db: Db, bodies: Bodies, quarantine: Quarantine): Promise<OpenScan> {
  const purging = new Set<SessionKey>()
  for await (const keys of pages(db, PURGE)) for (const [key] of keys) purging.add(keySession(key))
  const sessions = new SessionScan(bodies, quarantine, purging)
  for await (const rows of pages(db, SESSION)) for (const [key, value] of rows) sessions.add(key, value)
  const found = sessions.end()
  const wills: StoredWill[] = []
  for await (const rows of pages(db, WILL)) {
    for (const [key, value] of rows) {
      const will = quarantine.decode(key, value, () => readWill(value, keyText(key)))
      if (will !== undefined) wills.push(will)
    }
  }
  let retained = 0
  for await (const keys of keyPages(db, RETAINED)) retained += keys.length
  return {
    sessions: found,
    purging,
    lastSessionKey: Math.max(sessions.lastKey, ...purging, 0),
    strayBodies: await findStrayBodies(db, bodies, quarantine),
    retained,
    wills
  }
}

async function findStrayBodies(db: Db, bodies: Bodies, quarantine: Quarantine): Promise<Buffer[]> {
  const stray: Buffer[] = []
  const missing = new Set(bodies.ids())
  for await (const keys of keyPages(db, BODY)) {
    for (const key of keys) {
      const id = keyBodyId(key)
      bodies.skipId(id)
      if (!missing.delete(id)) stray.push(key)
    }
  }
  // The entries that need them are reported one by one when their queue is read.
  if (missing.size > 0) quarantine.report(Buffer.from([BODY]), `${missing.size} message bodies that queues refer to are missing`)
  return stray
}

/** Pages of a key space; the next page is read while the caller works on this one. */
async function* pages(db: Db, space: number): AsyncGenerator<[Buffer, Buffer][]> {
  const iterator = db.iterator({ ...spaceRange(space), fillCache: false, highWaterMarkBytes: READ_BYTES_MAX })
  yield* readAhead(iterator)
}

async function* keyPages(db: Db, space: number): AsyncGenerator<Buffer[]> {
  yield* readAhead(db.keys({ ...spaceRange(space), fillCache: false, highWaterMarkBytes: READ_BYTES_MAX }))
}

async function* readAhead<T>(iterator: { nextv(size: number): Promise<T[]>; close(): Promise<void> }): AsyncGenerator<T[]> {
  try {
    let next = iterator.nextv(RECORDS_PER_READ)
    for (;;) {
      const page = await next
      if (page.length === 0) return
      next = iterator.nextv(RECORDS_PER_READ)
      // A failure is met at the await above; this keeps it from counting as unhandled until then.
      next.catch(() => undefined)
      yield page
    }
  } finally {
    await iterator.close()
  }
}

/** Puts the records of each session together. They come in the order session, subscriptions, received, inflight, queue. */
class SessionScan {
  readonly #bodies: Bodies
  readonly #quarantine: Quarantine
  readonly #purging: ReadonlySet<SessionKey>
  readonly #found: Found[] = []
  #current: Found | undefined
  readonly #sent = new Map<number, number>()
  #orphans = 0
  lastKey = 0

  constructor(bodies: Bodies, quarantine: Quarantine, purging: ReadonlySet<SessionKey>) {
    this.#bodies = bodies
    this.#quarantine = quarantine
    this.#purging = purging
  }

  add(key: Buffer, value: Buffer): void {
    if (key.length < 6) {
      this.#quarantine.add(key, value, 'the key is too short')
      return
    }
    const session = keySession(key)
    if (session !== this.lastKey) {
      this.#finish()
      this.lastKey = session
    }
    this.#quarantine.decode(key, value, () => this.#read(session, key, value))
  }

  end(): Found[] {
    this.#finish()
    return this.#found
  }

  #read(session: SessionKey, key: Buffer, value: Buffer): true {
    const kind = keyKind(key)
    if (kind === QUEUE) {
      checkLength(key, QUEUE_KEY_BYTES)
      this.#readQueue(key, value)
    } else if (this.#purging.has(session)) {
      return true
    } else if (kind === SESSION_RECORD) {
      this.#start(session, key, value)
    } else if (this.#current === undefined) {
      this.#orphans++
    } else if (kind === SUBSCRIPTION) {
      this.#current.loaded.subscriptions.push(readSubscription(value, keyFilter(key)))
    } else if (kind === RECEIVED) {
      checkLength(key, 8)
      this.#readReceived(this.#current, key, value)
    } else if (kind === INFLIGHT) {
      checkLength(key, QUEUE_KEY_BYTES)
      this.#sent.set(keySeq(key), readInflight(value))
    } else {
      throw corrupt(`record kind ${kind} is not known`)
    }
    return true
  }

  #start(session: SessionKey, key: Buffer, value: Buffer): void {
    checkLength(key, 6)
    const stored = readSession(value)
    this.#current = {
      state: new SessionState(session, stored.clientId, true),
      loaded: {
        key: session,
        session: stored,
        subscriptions: [],
        inflight: [],
        firstSeq: FIRST_SEQ,
        nextSeq: FIRST_SEQ,
        queued: 0,
        received: []
      }
    }
    this.#found.push(this.#current)
  }

  #readReceived({ state, loaded }: Found, key: Buffer, value: Buffer): void {
    const packetId = keyPacketId(key)
    loaded.received.push(readReceived(value, packetId))
    state.received ??= new Map()
    state.received.set(packetId, 0)
  }

  #readQueue(key: Buffer, value: Buffer): void {
    const head = readQueueHead(value)
    if (head.bodyId > 0) this.#bodies.count(head.bodyId)
    if (this.#current === undefined) {
      this.#orphans++
      return
    }
    const { state, loaded } = this.#current
    const seq = keySeq(key)
    if (loaded.queued++ === 0) loaded.firstSeq = seq
    loaded.nextSeq = seq + 1
    // A note beside the record is newer than the record: writing the record again removes the note.
    const packetId = this.#sent.get(seq) ?? head.packetId
    if (packetId === 0) return
    loaded.inflight.push({ seq, packetId, qos: head.qos, state: head.state === 'released' ? 'released' : 'sent' })
    const entry = new Entry(state, seq, head.qos, head.retain, head.subscriptionIds, packetId, undefined, true)
    entry.released = head.state === 'released'
    entry.inline = head.body === INLINE_BODY
    entry.body = this.#bodies.get(head.bodyId)
    entry.inflightOnDisk = this.#sent.has(seq)
    state.entries.set(seq, entry)
  }

  #finish(): void {
    if (this.#orphans > 0 && !this.#purging.has(this.lastKey)) {
      const key = Buffer.alloc(5, SESSION)
      key.writeUInt32BE(this.lastKey, 1)
      this.#quarantine.report(
        key,
        `${this.#orphans} records belong to a session whose own record is missing; they are kept, unused`
      )
    }
    this.#current = undefined
    this.#orphans = 0
    this.#sent.clear()
  }
}

function checkLength(key: Buffer, bytes: number): void {
  if (key.length !== bytes) throw corrupt(`the key has ${key.length} bytes, not ${bytes}`)
}
