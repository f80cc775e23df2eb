import type { Bodies } from './bodies.ts'
import type { SessionKey } from './contract.ts'
import type { Database } from './database.ts'
import { keyKind, purgeKey, QUEUE, sessionRange } from './keys.ts'
import { readQueueHead } from './queue-codec.ts'
import { READ_BYTES_MAX } from './retained.ts'

const RECORDS_PER_BATCH = 1000

/**
 * Removes the records of deleted sessions behind the back of everybody else, so that deleting a session with a million entries is
 * one small record in the caller's batch. Its batches are not synced: the purge record is deleted after all the others, so after a
 * crash the purge goes on where the disk says.
 */
export class Purge {
  readonly #database: Database
  readonly #bodies: Bodies
  /** Deleted sessions whose purge record is on disk. */
  readonly #ready = new Set<SessionKey>()
  /** Deleted sessions whose purge record waits for its batch. */
  #waiting = new Set<SessionKey>()
  #writing = new Set<SessionKey>()
  #running: Promise<void> | undefined
  #stopped = false

  constructor(database: Database, bodies: Bodies, ready: Iterable<SessionKey>) {
    this.#database = database
    this.#bodies = bodies
    for (const session of ready) this.#ready.add(session)
  }

  /** Until a session is purged its key must not be given to another. */
  has(session: SessionKey): boolean {
    return this.#ready.has(session) || this.#waiting.has(session) || this.#writing.has(session)
  }

  add(session: SessionKey): void {
    this.#waiting.add(session)
  }

  begin(): void {
    this.#writing = this.#waiting
    this.#waiting = new Set()
  }

  done(): void {
    for (const session of this.#writing) this.#ready.add(session)
    this.#writing.clear()
    this.start()
  }

  failed(): void {
    for (const session of this.#writing) this.#waiting.add(session)
    this.#writing.clear()
  }

  start(): void {
    if (this.#running !== undefined || this.#ready.size === 0 || this.#stopped) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
    })
  }

  /** Resolves when nothing is left to purge, or the purge has failed and waits for the next commit. */
  async idle(): Promise<void> {
    await this.#running
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    try {
      for (const session of this.#ready) {
        while (!this.#stopped && (await this.#purgeSome(session))) {}
        if (this.#stopped) return
        this.#ready.delete(session)
      }
    } catch {
      // The database failed: the commit that finds out tells its caller, and the one after that starts the purge again.
    }
  }

  /** True when there may be more. */
  async #purgeSome(session: SessionKey): Promise<boolean> {
    const { db } = this.#database
    const iterator = db.iterator({ ...sessionRange(session), fillCache: false, highWaterMarkBytes: READ_BYTES_MAX })
    const rows = await iterator.nextv(RECORDS_PER_BATCH).finally(() => iterator.close())
    // Fewer than asked for may only mean that they were long.
    const more = rows.length > 0
    await this.#database.write(batch => {
      for (const [key] of rows) batch.del(key)
      if (!more) batch.del(purgeKey(session))
    }, false)
    for (const [key, value] of rows) this.#releaseBody(key, value)
    return more
  }

  #releaseBody(key: Buffer, value: Buffer): void {
    if (keyKind(key) !== QUEUE) return
    const body = this.#bodies.get(bodyIdOf(value))
    if (body !== undefined) this.#bodies.release(body)
  }
}

/** 0 for an inline body, and for an entry that does not decode: it is being deleted either way. */
function bodyIdOf(value: Buffer): number {
  try {
    return readQueueHead(value).bodyId
  } catch {
    return 0
  }
}
