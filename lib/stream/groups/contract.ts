import type { Offset, StreamRecord } from '../contract.ts'

/**
 * Consumer groups of streams, free of any protocol: a group's members share the partitions of a stream, and the group remembers how
 * far each partition is acknowledged. Members over MQTT, HTTP and in this process stand side by side.
 */

/** What makes a group: the same name on another stream, or with another topic filter, is another group. */
export interface GroupName {
  readonly stream: string
  readonly group: string
  /** Which of the stream's topics are wanted. */
  readonly filter: string
}

export type MemberKind = 'mqtt' | 'http' | 'node'

/** Somebody who reads partitions of a group. Each is a member of one group. */
export interface GroupMember {
  /** For operators: a Client Identifier, or what an HTTP or Node member calls itself. */
  readonly id: string
  readonly kind: MemberKind
  /** Milliseconds after which what it was handed and did not acknowledge is handed out again, if not as the group's settings say. */
  readonly ackTimeoutMs?: number
  /** It has other partitions than before, or is to read them from elsewhere: its reading starts anew. */
  reassigned(): void
  /** The group is removed or closed: there is nothing to read any more. */
  ended(): void
}

/** What an operator says of a stream's groups. */
export interface GroupSettings {
  /** Attempts after which a record that nobody acknowledges becomes a dead letter; 0 = no limit. */
  readonly maxDeliveryAttempts: number
  /** Milliseconds a member may take to acknowledge a record; 0 = as long as it likes. */
  readonly ackTimeoutMs: number
  /** Milliseconds a record waits that was refused and is to be handed out again. */
  readonly retryDelayMs: number
  /** What becomes of a record that an MQTT member refuses with a reason code of 0x80 or above [MQTT-4.8.2-6]. */
  readonly refused: 'dead-letter' | 'retry'
}

/**
 * No limit of attempts: what a group cannot process is lag, which everybody can see, and never loss, unless an operator says after
 * how many attempts a record may leave the order of its partition.
 */
export const defaultGroupSettings: GroupSettings = {
  maxDeliveryAttempts: 0,
  ackTimeoutMs: 0,
  retryDelayMs: 1000,
  refused: 'dead-letter'
}

/** What is stored of one partition. */
export interface PartitionPosition {
  readonly index: number
  /** Everything below is acknowledged, or was not to be delivered. */
  readonly position: Offset
  /** Attempts that the record at the position has had without being acknowledged. */
  readonly attempts: number
}

export interface StoredGroup {
  readonly name: GroupName
  readonly partitions: readonly PartitionPosition[]
}

/** Where groups keep how far they are. */
export interface GroupPositions {
  /** The groups that were there at start; once. */
  stored(): readonly StoredGroup[]
  /** Takes up a `stored` group, or stores a new one, with exactly these partitions. */
  open(name: GroupName, partitions: readonly PartitionPosition[], stored: StoredGroup | undefined): GroupRecord
  /** Resolves when everything that was changed before the call is on disk. Rejects TRB_STORE_WRITE_FAILED when it is not. */
  synced(): Promise<void>
}

/** One group's place in the store. */
export interface GroupRecord {
  /** What is stored of the partition is not right any more. It is read, and written, once with the next commit. */
  changed(partition: PartitionPosition): void
  /** There is no such partition any more. */
  dropped(partition: PartitionPosition): void
  remove(): void
}

/** A record that is given up: the group moves on, and it becomes a dead letter in the same turn. */
export interface ExhaustedRecord {
  readonly name: GroupName
  readonly record: StreamRecord
  readonly attempts: number
  /** What the last attempt ended with, for people. */
  readonly error: string
}

/** One group as operators see it. */
export interface GroupDescription extends GroupName {
  members: { id: string; kind: MemberKind; state: 'active' | 'stalled'; partitions: number; inFlight: number }[]
  /** Offset the stream's next record gets. */
  end: Offset
  /** Offsets from the group's lowest position to the end: at most that many records, fewer where compaction left holes. */
  lag: number
  /** Age of the oldest record that is not acknowledged; 0 when there is none, undefined while it is not known. */
  lagSeconds: number | undefined
  partitions: PartitionDescription[]
  /** Since the broker started. */
  committed: number
  redelivered: number
  deadLetters: number
  lost: number
}

export interface PartitionDescription {
  partition: number
  position: Offset
  /** Offsets from the position to the stream's end, those of other partitions included. */
  lag: number
  /** As of the group, for what was found near its lowest position. */
  lagSeconds: number | undefined
  /** Handed out and not acknowledged. */
  inFlight: number
  member: string | undefined
}
