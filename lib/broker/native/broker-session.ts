import type { StoredSubscription } from '../../../persistence/contract.ts'
import type { CompiledPolicy } from '../../access/contract.ts'
import { Session, type SessionSubscription } from '../../session/session.ts'
import type { Connection } from '../connection.ts'
import type { PacketIds } from './packet-ids.ts'
import type { SharedGroup } from './shared-group.ts'
import type { Reading } from './stream-reading.ts'

export interface RoutedSubscription extends SessionSubscription {
  readonly session: BrokerSession
}

/** A session as the native engine holds it: the protocol state plus the connection it is on, if any. */
export class BrokerSession extends Session {
  connection: Connection | undefined
  policy: CompiledPolicy | undefined
  /** A read of the queue on disk is under way. */
  pumping = false
  /** Something asked for a pump while one was under way. */
  pumpAgain = false
  /** Shared subscriptions it is a member of. */
  groups: Set<SharedGroup> | undefined
  /** Subscriptions that read a stream, by Topic Filter. */
  readings: Map<string, Reading> | undefined
  /** Messages of shared subscriptions and streams that went out on an earlier connection wait to be sent again. */
  resends = false
  /** Packet Identifiers of its messages that a stream would know again. */
  packetIds: PacketIds | undefined
  resending = false

  /** Nothing of its own waits to be sent. */
  get caughtUp(): boolean {
    if (this.stored) return !this.pumping && this.sendSeq >= this.nextSeq
    return this.pending === undefined || this.pending.length === 0
  }

  /** Connected, CONNACK sent. */
  get online(): boolean {
    return this.connection?.connected === true
  }
}

/** A subscription without the session it belongs to. */
export function storedSubscription(subscription: RoutedSubscription): StoredSubscription {
  const { session: _, ...stored } = subscription
  return stored
}
