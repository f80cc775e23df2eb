import type { SessionKey } from './contract.ts'
import type { Entry } from './queue-entry.ts'

/** What the store keeps in memory about one session: nothing for what rests on disk. */
export class SessionState {
  readonly key: SessionKey
  clientId: string
  /** Entries whose records are not written yet, and all that are inflight; by seq. */
  readonly entries = new Map<number, Entry>()
  /** Packet Identifiers of QoS 2 messages received and not released, with the batch that took them; created when needed. */
  received: Map<number, number> | undefined
  /** True once a batch may have held a record of this session. */
  onDisk: boolean
  /** Ids of pending records of this session in the active batch, for deleteSession. */
  pendingIds: string[] = []
  /** The batch pendingIds belongs to. */
  pendingBatch = 0

  constructor(key: SessionKey, clientId: string, onDisk: boolean) {
    this.key = key
    this.clientId = clientId
    this.onDisk = onDisk
  }
}
