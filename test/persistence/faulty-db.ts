import { type Db, openDb } from '../../persistence/database.ts'

/**
 * How the next batch write fails: `before` anything is written, `after` everything was, or `hidden`: it is in the log although
 * nothing shows it before the database is opened again, as after a failed sync.
 */
export type Fault = 'none' | 'before' | 'after' | 'hidden'

type Operation = [key: Buffer, value: Buffer | undefined]

/** Opens real databases whose batch writes can be made to fail. */
export class FaultyDb {
  fault: Fault = 'none'
  /** Opens so far. */
  opens = 0
  /** The database opened last. */
  db: Db | undefined
  /** Operations of the batches written so far. */
  operations = 0
  #hidden: Operation[] = []

  readonly open = async (folder: string): Promise<Db> => {
    const db = await openDb(folder)
    const hidden = db.batch()
    for (const [key, value] of this.#hidden.splice(0)) value === undefined ? hidden.del(key) : hidden.put(key, value)
    await hidden.write()
    this.opens++
    this.db = db
    const original = db.batch.bind(db) as () => ReturnType<Db['batch']>
    return Object.assign(db, { batch: () => this.#watched(original()) })
  }

  /** Keys on disk that begin with this byte (given as a character), as latin1. */
  async keys(space = ''): Promise<string[]> {
    const keys = (await this.db?.keys().all()) ?? []
    return keys.map(key => key.toString('latin1')).filter(key => key.startsWith(space))
  }

  #watched(batch: ReturnType<Db['batch']>): ReturnType<Db['batch']> {
    const [put, del, write] = [batch.put.bind(batch), batch.del.bind(batch), batch.write.bind(batch)]
    const operations: Operation[] = []
    return Object.assign(batch, {
      put: (key: Buffer, value: Buffer) => {
        operations.push([Buffer.from(key), Buffer.from(value)])
        return put(key, value)
      },
      del: (key: Buffer) => {
        operations.push([Buffer.from(key), undefined])
        return del(key)
      },
      write: async (options?: object) => {
        const { fault } = this
        this.fault = 'none'
        this.operations += operations.length
        if (fault === 'hidden') this.#hidden = operations
        if (fault === 'before' || fault === 'hidden') throw new Error('injected: no space left on device')
        await write(options ?? {})
        if (fault === 'after') throw new Error('injected: sync failed')
      }
    })
  }
}
