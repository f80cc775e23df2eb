import type { SessionStore } from './contract.ts'

/** Makes one commit serve all who wait for one: calls made while a commit runs share the next. */
export class JoinedCommit {
  readonly #store: Pick<SessionStore, 'dirty' | 'commit'>
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(store: Pick<SessionStore, 'dirty' | 'commit'>) {
    this.#store = store
  }

  /** Resolves when every write made before the call is on disk; rejects TRB_STORE_WRITE_FAILED, and then a later call tries again. */
  durable(): Promise<void> {
    this.#next ??= this.#running.then(this.#start, this.#start)
    return this.#next
  }

  readonly #start = (): Promise<void> => {
    this.#running = this.#next ?? Promise.resolve()
    this.#next = undefined
    return this.#store.dirty ? this.#store.commit() : Promise.resolve()
  }
}
