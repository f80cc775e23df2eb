import type { LoadedSession, SessionKey, SessionStore, StoredSubscription } from '../../../persistence/contract.ts'
import type { GroupCommit } from '../../commit/group-commit.ts'
import { TributaryError } from '../../errors.ts'
import { neverExpires } from '../../session/session.ts'
import type { GroupName, GroupPositions, GroupRecord, PartitionPosition, StoredGroup } from '../../stream/groups/contract.ts'

/** What a group is called in the session store. U+0000 is not allowed in a Client Identifier. */
const storedIdPrefix = '\u0000group\u0000'

/**
 * Positions of consumer groups in the session store: a session for each group, under a name that no client can have, and a
 * subscription for each partition. Positions move with every acknowledgement; they are written once per commit.
 */
export class SessionGroupPositions implements GroupPositions {
  readonly #store: SessionStore
  readonly #commit: GroupCommit
  readonly #now: () => number
  #loaded: LoadedSession[] = []
  /** What is not in the store yet, and where it belongs. */
  readonly #changed = new Map<PartitionPosition, SessionKey>()
  #stopped = false

  constructor(store: SessionStore, commit: GroupCommit, now: () => number) {
    this.#store = store
    this.#commit = commit
    this.#now = now
  }

  /** Takes up a group found in the store; false when the session is something else. */
  restore(loaded: LoadedSession): boolean {
    if (!loaded.session.clientId.startsWith(storedIdPrefix)) return false
    this.#loaded.push(loaded)
    return true
  }

  stored(): readonly StoredGroup[] {
    const groups = this.#loaded.map(({ session, subscriptions }) => {
      const [stream = '', group = '', filter = '#'] = session.clientId.slice(storedIdPrefix.length).split('\u0000')
      const partitions = subscriptions
        .filter(({ position }) => position !== undefined)
        .map(({ filter, position, subscriptionId }) => ({ index: Number(filter), position: position!, attempts: subscriptionId }))
      return { name: { stream, group, filter }, partitions }
    })
    this.#loaded = []
    return groups
  }

  open({ stream, group, filter }: GroupName, partitions: readonly PartitionPosition[], stored?: StoredGroup): GroupRecord {
    const clientId = `${storedIdPrefix}${stream}\u0000${group}\u0000${filter}`
    const key = this.#store.sessionKey(clientId)
    if (stored === undefined) {
      const session = { clientId, version: 5, expirySeconds: neverExpires, createdAtMs: this.#now() } as const
      this.#store.putSession(key, { ...session, disconnectedAtMs: 0, username: undefined })
    }
    const before = new Map(stored?.partitions.map(part => [part.index, part]))
    for (const part of partitions) {
      const known = before.get(part.index)
      before.delete(part.index)
      if (known?.position !== part.position || known.attempts !== part.attempts) this.#note(part, key)
    }
    // The stream had more partitions once.
    for (const index of before.keys()) this.#store.deleteSubscription(key, String(index))
    if (this.#store.dirty) this.#commit.schedule()
    return {
      changed: partition => this.#note(partition, key),
      dropped: partition => {
        this.#changed.delete(partition)
        this.#store.deleteSubscription(key, String(partition.index))
      },
      remove: () => {
        for (const [partition, of] of this.#changed) if (of === key) this.#changed.delete(partition)
        this.#store.deleteSession(key, clientId)
        this.#commit.schedule()
      }
    }
  }

  async synced(): Promise<void> {
    if (this.#stopped) {
      if (this.#changed.size === 0) return
      throw new TributaryError('TRB_CLOSED', 'the broker is closed: what was committed last is not on disk')
    }
    const failure = await this.#commit.flush()
    if (failure !== undefined) throw failure.error
  }

  /** Is there something that write() would write? */
  get waiting(): boolean {
    return this.#changed.size > 0
  }

  /** Puts what has changed into the store's active batch; called when that is about to be committed. */
  write(): void {
    if (this.#changed.size === 0) return
    for (const [partition, key] of this.#changed) this.#store.putSubscription(key, positionRecord(partition))
    this.#changed.clear()
  }

  /** Nothing is committed any more. */
  stop(): void {
    this.#stopped = true
  }

  #note(partition: PartitionPosition, key: SessionKey): void {
    this.#changed.set(partition, key)
    this.#commit.schedule()
  }
}

/** A position in the form of a subscription, which is what the store knows how to keep; attempts where that has its identifier. */
function positionRecord({ index, position, attempts }: PartitionPosition): StoredSubscription {
  return {
    filter: String(index),
    qos: 0,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    subscriptionId: attempts,
    position
  }
}
