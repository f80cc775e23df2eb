import type { SessionStore } from '../../persistence/contract.ts'
import { type Db, openDb } from '../../persistence/database.ts'

/** A disk that forgets, from a moment on, whatever it is told to write: what a process that was killed leaves behind. */
export class CrashableDisk {
  /** Writes that begin now do not happen, and nobody is told. */
  dead = false

  readonly open = async (folder: string): Promise<Db> => {
    const db = await openDb(folder)
    const original = db.batch.bind(db) as () => ReturnType<Db['batch']>
    return Object.assign(db, { batch: () => this.#watched(original()) })
  }

  /** The store's commits take this many turns longer to be told about. */
  slow(store: SessionStore, turns: number): SessionStore {
    return new Proxy(store, {
      get(inner, key) {
        const value = Reflect.get(inner, key, inner) as unknown
        if (typeof value !== 'function') return value
        if (key !== 'commit') return value.bind(inner)
        return async (before?: () => Promise<void> | undefined) => {
          await inner.commit(before)
          for (let i = 0; i < turns; i++) await new Promise(resolve => setImmediate(resolve))
        }
      }
    })
  }

  #watched(batch: ReturnType<Db['batch']>): ReturnType<Db['batch']> {
    const write = batch.write.bind(batch)
    return Object.assign(batch, {
      write: async (options?: object) => {
        if (this.dead) await batch.close()
        else await write(options ?? {})
      }
    })
  }
}
