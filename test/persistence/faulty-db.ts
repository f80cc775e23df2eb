import { type Db, openDb } from '../../persistence/database.ts'

/** Opens real databases whose next batch write can be made to fail: before anything is written, or after everything was. */
export class FaultyDb {
  fault: 'none' | 'before' | 'after' = 'none'
  /** Opens so far. */
  opens = 0
  /** The database opened last. */
  db: Db | undefined
  /** Operations of the batches written so far. */
  operations = 0

  readonly open = async (folder: string): Promise<Db> => {
    const db = await openDb(folder)
    this.opens++
    this.db = db
    const original = db.batch.bind(db) as () => ReturnType<Db['batch']>
    const batch = () => {
      const chained = original()
      const write = chained.write.bind(chained)
      chained.write = async (options?: object) => {
        const { fault } = this
        this.operations += chained.length
        this.fault = 'none'
        if (fault === 'before') throw new Error('injected: no space left on device')
        await write(options ?? {})
        if (fault === 'after') throw new Error('injected: sync failed')
      }
      return chained
    }
    return Object.assign(db, { batch })
  }

  /** Keys on disk that begin with this byte (given as a character), as latin1. */
  async keys(space = ''): Promise<string[]> {
    const keys = (await this.db?.keys().all()) ?? []
    return keys.map(key => key.toString('latin1')).filter(key => key.startsWith(space))
  }
}
