import type { Message } from '../lib/mqtt/message.ts'
import { Bodies, Ref } from './bodies.ts'
import type {
  LoadedSession,
  MessageRef,
  QueueEntry,
  SessionKey,
  SessionStore,
  StoredSession,
  StoredSubscription,
  StoredWill,
  StreamRedo
} from './contract.ts'
import { Database, type DbBatch, type OpenDb } from './database.ts'
import { checkFormat } from './format.ts'
import { purgeKey, receivedKey, SESSION_KEY_MAX, sessionRecordKey, subscriptionKey, textKey, WILL } from './keys.ts'
import { type FolderLock, lockFolder } from './lock.ts'
import { type OpenScan, scanAtOpen } from './open-scan.ts'
import { PendingRecords } from './pending-records.ts'
import { Purge } from './purge.ts'
import { type CorruptRecord, Quarantine, type StoreLogger } from './quarantine.ts'
import { QueueReader } from './queue-reader.ts'
import { Queues } from './queues.ts'
import { RecordWriter } from './record-bytes.ts'
import { Retained } from './retained.ts'
import { writeReceived, writeSession, writeSubscription, writeWill } from './session-codec.ts'
import { SessionState } from './session-state.ts'

const PURGE_RECORD = Buffer.from([1])

export interface LevelStoreOptions {
  /** Created when missing. Holds LevelDB's files and our lock file, nothing else. */
  folder: string
  logger?: StoreLogger
  /** How the database is opened; tests put faults in here. */
  openDb?: OpenDb
}

/**
 * The session store on LevelDB: see SessionStore for what it promises and FORMAT.md for what is on disk.
 *
 * open() rejects TRB_DATA_LOCKED when another process (or this one) has the folder open, TRB_STORE_CORRUPT when LevelDB cannot
 * open it or another version wrote it. Single records that do not decode never fail the open: they are quarantined, logged and
 * listed in `corrupt`.
 */
export class LevelStore implements SessionStore {
  readonly #database: Database
  readonly #lock: FolderLock
  readonly #bodies: Bodies
  readonly #out = new RecordWriter()
  readonly #records: PendingRecords<Buffer>
  readonly #quarantine: Quarantine
  readonly #queues: Queues
  readonly #reader: QueueReader
  readonly #retained: Retained
  readonly #purge: Purge
  readonly #sessions = new Map<SessionKey, SessionState>()
  readonly #keys = new Map<string, SessionKey>()
  #lastKey: SessionKey
  #loadedSessions: LoadedSession[]
  #loadedWills: StoredWill[]
  /** Number of the active batch. */
  #batch = 1
  /** Sessions with records in the active batch. */
  #touched: SessionState[] = []
  #commit: Promise<void> = Promise.resolve()
  #committing = false
  /** What the last commit waited for; the one at the end waits for it, too. */
  #before: (() => Promise<void> | undefined) | undefined
  #closed = false

  private constructor(database: Database, lock: FolderLock, bodies: Bodies, quarantined: Quarantined, scan: OpenScan) {
    this.#database = database
    this.#lock = lock
    this.#bodies = bodies
    this.#records = quarantined.records
    this.#quarantine = quarantined.quarantine
    this.#queues = new Queues(database, bodies, this.#quarantine, this.#out)
    this.#reader = new QueueReader(database, bodies, this.#queues, this.#quarantine)
    this.#retained = new Retained(database, this.#quarantine, this.#out, scan.retained)
    this.#purge = new Purge(database, bodies, scan.purging)
    this.#lastKey = scan.lastSessionKey
    this.#loadedSessions = scan.sessions.map(({ loaded }) => loaded)
    this.#loadedWills = scan.wills
    for (const { state } of scan.sessions) {
      this.#sessions.set(state.key, state)
      this.#keys.set(state.clientId, state.key)
    }
  }

  static async open({ folder, logger, openDb }: LevelStoreOptions): Promise<LevelStore> {
    const lock = await lockFolder(folder)
    let database: Database | undefined
    try {
      database = await Database.open(folder, openDb)
      await checkFormat(folder, database)
      const bodies = new Bodies()
      const records = new PendingRecords<Buffer>()
      const quarantine = new Quarantine(records, logger)
      const scan = await scanAtOpen(database.db, bodies, quarantine)
      const store = new LevelStore(database, lock, bodies, { records, quarantine }, scan)
      await store.#settle(scan.strayBodies)
      return store
    } catch (error) {
      await database?.close()
      await lock.release()
      throw error
    }
  }

  /** Records that did not decode since the open; the list stops at 1,000, `corruptCount` does not. */
  get corrupt(): readonly CorruptRecord[] {
    return this.#quarantine.reports
  }

  get corruptCount(): number {
    return this.#quarantine.count
  }

  async *loadSessions(): AsyncGenerator<LoadedSession> {
    const sessions = this.#loadedSessions
    this.#loadedSessions = []
    yield* sessions
  }

  async *loadWills(): AsyncGenerator<StoredWill> {
    const wills = this.#loadedWills
    this.#loadedWills = []
    yield* wills
  }

  sessionKey(clientId: string): SessionKey {
    const known = this.#keys.get(clientId)
    if (known !== undefined) return known
    const key = this.#freeKey()
    this.#keys.set(clientId, key)
    this.#sessions.set(key, new SessionState(key, clientId, false))
    return key
  }

  putSession(key: SessionKey, session: StoredSession): void {
    const state = this.#find(key)
    if (state === undefined) return
    writeSession(this.#out.start(), session)
    this.#putOf(state, sessionRecordKey(key))
  }

  deleteSession(key: SessionKey, clientId: string): void {
    const session = this.#sessions.get(key)
    if (session === undefined || session.clientId !== clientId) return
    this.#queues.removeInMemory(session)
    if (session.pendingBatch === this.#batch) for (const id of session.pendingIds) this.#records.cancel(id)
    this.#sessions.delete(key)
    this.#keys.delete(clientId)
    if (!session.onDisk) return
    this.#records.put(idOf(purgeKey(key)), PURGE_RECORD)
    this.#purge.add(key)
  }

  renameSession(key: SessionKey, session: StoredSession): void {
    const state = this.#sessions.get(key)
    if (state === undefined) return
    this.#keys.delete(state.clientId)
    state.clientId = session.clientId
    this.#keys.set(state.clientId, key)
    this.putSession(key, session)
  }

  putSubscription(key: SessionKey, subscription: StoredSubscription): void {
    const state = this.#find(key)
    if (state === undefined) return
    writeSubscription(this.#out.start(), subscription)
    this.#putOf(state, subscriptionKey(key, subscription.filter))
  }

  deleteSubscription(key: SessionKey, filter: string): void {
    const session = this.#sessions.get(key)
    if (session !== undefined) this.#delete(subscriptionKey(key, filter), session.onDisk)
  }

  message(message: Message): MessageRef {
    return new Ref(message)
  }

  enqueue(
    key: SessionKey,
    seq: number,
    ref: MessageRef,
    qos: 1 | 2,
    retain: boolean,
    subscriptionIds: readonly number[],
    packetId: number
  ): void {
    if (!(ref instanceof Ref)) throw new TypeError('the message reference was not made by message() of this store')
    const state = this.#find(key)
    if (state !== undefined) this.#queues.enqueue(state, seq, ref, qos, retain, subscriptionIds, packetId)
  }

  markSent(key: SessionKey, seq: number, packetId: number): void {
    const session = this.#sessions.get(key)
    if (session !== undefined) this.#queues.markSent(session, seq, packetId)
  }

  markReleased(key: SessionKey, seq: number): void {
    const session = this.#sessions.get(key)
    if (session !== undefined) this.#queues.markReleased(session, seq)
  }

  dequeue(key: SessionKey, seq: number): void {
    const session = this.#sessions.get(key)
    if (session !== undefined) this.#queues.dequeue(session, seq)
  }

  async readQueue(key: SessionKey, fromSeq: number, limit: number): Promise<QueueEntry[]> {
    const session = this.#sessions.get(key)
    return session === undefined ? [] : this.#reader.read(session, fromSeq, limit)
  }

  putReceived(key: SessionKey, packetId: number, redo: readonly StreamRedo[], message: Message | undefined): void {
    const session = this.#find(key)
    if (session === undefined) return
    writeReceived(this.#out.start(), redo, message)
    this.#putOf(session, receivedKey(key, packetId))
    session.received ??= new Map()
    if (!session.received.has(packetId)) session.received.set(packetId, this.#batch)
  }

  deleteReceived(key: SessionKey, packetId: number): void {
    const received = this.#sessions.get(key)?.received
    const since = received?.get(packetId)
    if (received === undefined || since === undefined) return
    received.delete(packetId)
    this.#records.delete(idOf(receivedKey(key, packetId)), () => since !== this.#batch)
  }

  putRetained(message: Message): void {
    if (message.payload.length === 0) this.#retained.delete(message.topic)
    else this.#retained.put(message)
  }

  deleteRetained(topic: string): void {
    this.#retained.delete(topic)
  }

  retainedByTopic(topic: string): Message | undefined {
    return this.#retained.byTopic(topic)
  }

  retainedByFilter(filter: string): AsyncGenerator<Message> {
    return this.#retained.byFilter(filter)
  }

  get retainedCount(): number {
    return this.#retained.count
  }

  putWill(will: StoredWill): void {
    writeWill(this.#out.start(), will)
    this.#records.put(idOf(textKey(WILL, will.clientId)), this.#out.copy())
  }

  deleteWill(clientId: string): void {
    this.#delete(textKey(WILL, clientId), true)
  }

  get dirty(): boolean {
    return this.#records.dirty || this.#queues.dirty || this.#retained.dirty
  }

  commit(before?: () => Promise<void> | undefined): Promise<void> {
    this.#before = before
    const now = () => this.#commitNow(before)
    // Without one under way the batch is taken in this turn; otherwise after that one, and then it holds this turn's writes too.
    this.#commit = this.#committing ? this.#commit.then(now, now) : now()
    return this.#commit
  }

  /** Commits what is pending, then closes. Rejects like commit(), closed all the same. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    try {
      await this.#purge.stop()
      if (this.dirty || this.#committing) await this.commit(this.#before)
    } finally {
      await this.#database.close()
      await this.#lock.release()
    }
  }

  /** Resolves when the records of deleted sessions are gone from the disk as far as commits allow. */
  async purged(): Promise<void> {
    await this.#purge.idle()
  }

  async #commitNow(before: (() => Promise<void> | undefined) | undefined): Promise<void> {
    this.#committing = true
    try {
      if (!this.#database.healthy) await this.#database.heal()
      if (!this.dirty) return await before?.()
      await this.#database.write(batch => this.#fill(batch), true, before).then(this.#done, this.#failed)
    } finally {
      this.#committing = false
    }
  }

  #fill(batch: DbBatch): void {
    this.#batch++
    for (const session of this.#touched) session.onDisk = true
    this.#touched = []
    this.#purge.begin()
    // First, because it also deletes what was quarantined, and the same key may have been put again since.
    for (const [id, value] of this.#records.begin()) {
      const key = Buffer.from(id, 'latin1')
      if (value === undefined) batch.del(key)
      else batch.put(key, value)
    }
    this.#retained.write(batch)
    this.#queues.write(batch)
    // Last, because writing the queues decides which bodies are shared.
    this.#bodies.write(batch, this.#out)
  }

  readonly #done = (): void => {
    this.#records.done()
    this.#retained.done()
    this.#queues.done()
    this.#bodies.done()
    this.#purge.done()
  }

  readonly #failed = (error: unknown): never => {
    this.#records.failed()
    this.#retained.failed()
    this.#queues.failed()
    this.#bodies.failed()
    this.#purge.failed()
    throw error
  }

  /** Finishes what the last run left: quarantines, removes bodies nobody refers to, goes on purging. */
  async #settle(strayBodies: Buffer[]): Promise<void> {
    if (this.dirty) await this.commit()
    if (strayBodies.length > 0) {
      await this.#database.write(batch => {
        for (const key of strayBodies) batch.del(key)
      }, false)
    }
    this.#purge.start()
  }

  /** Undefined for a deleted session: what is written to it goes with it. */
  #find(key: SessionKey): SessionState | undefined {
    const session = this.#sessions.get(key)
    if (session === undefined && !(key > 0 && key <= this.#lastKey)) throw new RangeError(`session key ${key} was never given`)
    return session
  }

  /** Puts the record in #out for a session. */
  #putOf(session: SessionState, key: Buffer): void {
    const id = idOf(key)
    if (session.pendingBatch !== this.#batch) {
      session.pendingBatch = this.#batch
      session.pendingIds = []
      this.#touched.push(session)
    }
    session.pendingIds.push(id)
    this.#records.put(id, this.#out.copy())
  }

  /** `maybeOnDisk` false saves the look. */
  #delete(key: Buffer, maybeOnDisk: boolean): void {
    const database = this.#database
    this.#records.delete(idOf(key), () => maybeOnDisk && (!database.readable || database.getSync(key) !== undefined))
  }

  #freeKey(): SessionKey {
    do {
      this.#lastKey = this.#lastKey >= SESSION_KEY_MAX ? 1 : this.#lastKey + 1
    } while (this.#sessions.has(this.#lastKey) || this.#purge.has(this.#lastKey))
    return this.#lastKey
  }
}

interface Quarantined {
  records: PendingRecords<Buffer>
  quarantine: Quarantine
}

function idOf(key: Buffer): string {
  return key.toString('latin1')
}
