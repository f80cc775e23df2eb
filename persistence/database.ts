import { Level } from 'level'
import { TributaryError } from '../lib/errors.ts'

export type Db = Level<Buffer, Buffer>
export type DbBatch = ReturnType<Db['batch']>
export type OpenDb = (folder: string) => Promise<Db>
export type DbSnapshot = ReturnType<Db['snapshot']>

/** Above LevelDB's 4 MiB default: fewer, larger level-0 tables under a steady flow, and still under a second to replay. */
const WRITE_BUFFER_BYTES = 16 << 20

export async function openDb(folder: string): Promise<Db> {
  const db: Db = new Level(folder, { keyEncoding: 'buffer', valueEncoding: 'buffer', writeBufferSize: WRITE_BUFFER_BYTES })
  await db.open()
  return db
}

/**
 * The Level database and its health. After a failed write LevelDB cannot be trusted in place: a failed sync makes it refuse all
 * further writes, and a torn append would misalign what follows it in the log. So the next write closes and reopens the database
 * first; its recovery cuts the log back to whole records.
 */
export class Database {
  readonly #folder: string
  readonly #openDb: OpenDb
  #db: Db
  #state: 'healthy' | 'suspect' | 'reopening' | 'closed' = 'healthy'
  #reopening: Promise<void> = Promise.resolve()

  private constructor(folder: string, open: OpenDb, db: Db) {
    this.#folder = folder
    this.#openDb = open
    this.#db = db
  }

  static async open(folder: string, open: OpenDb = openDb): Promise<Database> {
    try {
      return new Database(folder, open, await open(folder))
    } catch (cause) {
      throw openFailure(folder, cause)
    }
  }

  get db(): Db {
    return this.#db
  }

  /** False from a failed write, or the close, on: then heal() has to come before the next write. */
  get healthy(): boolean {
    return this.#state === 'healthy'
  }

  /** False while the database is being reopened, when reads cannot be answered. */
  get readable(): boolean {
    return this.#state === 'healthy' || this.#state === 'suspect'
  }

  getSync(key: Buffer): Buffer | undefined {
    try {
      return this.#db.getSync(key)
    } catch (cause) {
      throw readFailure(cause)
    }
  }

  /** Makes the database writable again if the last write failed. Until then reads go on, while it lasts they wait. */
  async heal(): Promise<void> {
    if (this.#state === 'closed') throw new TributaryError('TRB_CLOSED', 'the session store is closed')
    if (this.#state === 'healthy') return
    this.#state = 'reopening'
    this.#reopening = this.#reopen()
    await this.#reopening
  }

  /** Resolves when reads can be answered; rejects when the reopening fails. */
  async reopened(): Promise<void> {
    await this.#reopening
  }

  /**
   * One chained batch. `fill` runs before this returns, so what it captures is what was there at the call; `before` is called right
   * after, and what it returns is waited for before the batch is written.
   */
  write(fill: (batch: DbBatch) => void, sync: boolean, before?: () => Promise<void> | undefined): Promise<void> {
    try {
      const batch = this.#db.batch()
      fill(batch)
      const waiting = before?.()
      if (waiting !== undefined) return this.#writeAfter(waiting, batch, sync)
      return batch.write({ sync }).catch(cause => this.#failed(cause))
    } catch (cause) {
      return Promise.reject(this.#failure(cause))
    }
  }

  async #writeAfter(waiting: Promise<void>, batch: DbBatch, sync: boolean): Promise<void> {
    try {
      await waiting
    } catch (error) {
      // The database is as it was.
      await batch.close()
      throw error
    }
    await batch.write({ sync }).catch(cause => this.#failed(cause))
  }

  async #reopen(): Promise<void> {
    try {
      await this.#db.close()
      this.#db = await this.#openDb(this.#folder)
      this.#state = 'healthy'
    } catch (cause) {
      throw writeFailure(cause)
    }
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    await this.#db.close()
  }

  #failed(cause: unknown): never {
    throw this.#failure(cause)
  }

  #failure(cause: unknown): TributaryError {
    if (this.#state === 'healthy') this.#state = 'suspect'
    return writeFailure(cause)
  }
}

/** What a read that threw means to the caller. */
export function readFailure(cause: unknown): TributaryError {
  if (cause instanceof TributaryError) return cause
  const code = codeOf(cause)
  if (code === 'LEVEL_CORRUPTION') {
    return new TributaryError('TRB_STORE_CORRUPT', `the session store could not be read: ${textOf(cause)}`, { cause })
  }
  if (code === 'LEVEL_DATABASE_NOT_OPEN' || code === 'LEVEL_ITERATOR_NOT_OPEN' || code === 'LEVEL_SNAPSHOT_NOT_OPEN') {
    return new TributaryError('TRB_CLOSED', 'the session store is closed, or being reopened after a failed write', { cause })
  }
  return new TributaryError('TRB_STORE_CORRUPT', `the session store could not be read: ${textOf(cause)}`, { cause })
}

function writeFailure(cause: unknown): TributaryError {
  if (cause instanceof TributaryError) return cause
  return new TributaryError('TRB_STORE_WRITE_FAILED', `the session store could not be written: ${textOf(cause)}`, { cause })
}

function openFailure(folder: string, cause: unknown): TributaryError {
  const inner = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause
  const code = codeOf(inner)
  if (code === 'LEVEL_LOCKED') {
    const why = `${folder} is in use by another process: stop it, or give this one a data folder of its own`
    return new TributaryError('TRB_DATA_LOCKED', why, { cause })
  }
  if (code === 'LEVEL_CORRUPTION') {
    const why = `${folder} does not open as a LevelDB database (${textOf(inner)}): restore a copy, or run ClassicLevel.repair() on one`
    return new TributaryError('TRB_STORE_CORRUPT', why, { cause })
  }
  return new TributaryError('TRB_STORE_WRITE_FAILED', `${folder} could not be opened: ${textOf(inner)}`, { cause })
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
