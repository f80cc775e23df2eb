import type { Message } from '../mqtt/message.ts'

/** Why a delivery that was owed under QoS 1 or 2 ended undelivered; closed, the names are stable. */
export type DeadLetterReason =
  | 'queue-full'
  | 'message-expired'
  | 'session-expired'
  | 'session-discarded'
  | 'packet-too-large'
  | 'forward-denied'
  | 'validation-failed'
  | 'sink-rejected'
  | 'delivery-attempts-exhausted'
  | 'no-subscriber'

/** One delivery that ended undelivered, with the packet whole. */
export interface DeadLetter {
  reason: DeadLetterReason
  message: Message
  /** Client Identifier of who should have had it; undefined when it was not meant for one client. */
  clientId?: string | undefined
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
}

/** Where dead letters go. */
export interface DeadLetters {
  /**
   * Takes a copy; never waits. The letter belongs to the open commit epoch, like everything else that is written in this turn: what
   * removes the message from where it was must be written in the same turn.
   */
  add(letter: DeadLetter): void
}
