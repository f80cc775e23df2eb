import type { LoadedSession } from '../../persistence/contract.ts'
import type { CommitMember } from '../commit/group-commit.ts'
import type { Message } from '../mqtt/message.ts'
import type { Qos } from '../mqtt/packet.ts'
import type { Stream } from '../stream/contract.ts'

/** Why a delivery that was owed ended undelivered; closed, the names are stable. */
export const deadLetterReasons = [
  'queue-full',
  'message-expired',
  'session-expired',
  'session-discarded',
  'packet-too-large',
  'forward-denied',
  'validation-failed',
  'sink-rejected',
  'delivery-attempts-exhausted',
  'no-subscriber'
] as const

export type DeadLetterReason = (typeof deadLetterReasons)[number]

/** One delivery that ended undelivered, with the packet whole. */
export interface DeadLetter {
  reason: DeadLetterReason
  message: Message
  /** Client Identifier of who should have had it; undefined when it was not meant for one client. */
  clientId?: string | undefined
  /** QoS of the delivery; left out: the message's own. */
  qos?: Qos | undefined
  /** Topic Filter of the subscription it was for. */
  filter?: string | undefined
  /** The stream, consumer group and offset it was read from. */
  stream?: string | undefined
  group?: string | undefined
  offset?: number | undefined
  /** Deliveries that were tried. */
  attempts: number
  /** What went wrong, for people. */
  error: string
  /** The queue entry in the session store that is removed in the same turn; undefined when there is none. */
  origin?: LetterOrigin | undefined
}

export interface LetterOrigin {
  /** The store's key of the queue. */
  key: number
  seq: number
}

/** What else becomes a dead letter, besides QoS 1 and 2 deliveries that were owed. */
export interface DeadLetterPolicy {
  /** Deliveries at QoS 0, too. */
  readonly includeQos0: boolean
  /** QoS 1 and 2 messages that no subscription and no stream took. */
  readonly noSubscriber: boolean
  /** What waited in memory for a session that ended with its connection. */
  readonly cleanSessions: boolean
}

/** Where dead letters go. */
export interface DeadLetters {
  /**
   * Takes a copy; never waits. The letter belongs to the open commit epoch, like everything else that is written in this turn: what
   * removes the message from where it was must be written in the same turn.
   */
  add(letter: DeadLetter): void
  /** Left out: nothing but what was owed. */
  readonly policy?: DeadLetterPolicy | undefined
  /** What is written before the session store. Left out: letters are as durable as `add` makes them. */
  readonly log?: LetterLog | undefined
}

/** The log of dead letters as the commit and the recovery see it. */
export interface LetterLog extends CommitMember {
  readonly stream: Stream
  /** Takes up what the log itself keeps in the session store, see isLetterNotes(). */
  restore(loaded: LoadedSession): void
  /** After restore(): the letters whose queue entry may still be there, because a crash came between the two. */
  unfinished(): AsyncIterable<UnfinishedLetter>
  /** Their queue entries are removed, in the store's open batch or before. */
  finished(): void
}

export interface UnfinishedLetter {
  readonly origin: LetterOrigin
  readonly message: Message
}
