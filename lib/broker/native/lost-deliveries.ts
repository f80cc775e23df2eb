import type { DeadLetter, DeadLetterPolicy, DeadLetterReason, DeadLetters } from '../../dead-letter/contract.ts'
import type { Message } from '../../mqtt/message.ts'
import type { Qos } from '../../mqtt/packet.ts'
import { parseSharedFilter, topicMatches } from '../../topic/filter.ts'
import type { BrokerSession } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import type { Publication } from './publication.ts'

/** A message that waited for a session; `seq` is its place in the queue on disk, if it was there. */
interface LostEntry {
  readonly message: Message
  readonly qos: Qos
  readonly seq?: number
}

/** Whose queue an entry is in, and how the client or group can be found. */
export interface LostFrom {
  /** The store's key of the queue; 0 = it is not on disk. */
  readonly key: number
  readonly clientId?: string | undefined
  /** Topic Filters, one of which the message was for. */
  readonly filters: Iterable<string>
}

export const expiredError = 'the Message Expiry Interval was over while it waited'
export const deniedError = 'the client may not receive it any more'

const owedOnly: DeadLetterPolicy = { includeQos0: false, noSubscriber: false, cleanSessions: false }

/**
 * Deliveries that end here. Each is counted by its reason; those that were owed become dead letters where there is a store for them. A
 * method that returns true has put one into the open commit epoch: whoever published the message is told when that is on disk.
 */
export class LostDeliveries {
  readonly #context: NativeContext
  readonly #deadLetters: DeadLetters | undefined
  readonly policy: DeadLetterPolicy

  constructor(context: NativeContext, deadLetters: DeadLetters | undefined) {
    this.#context = context
    this.#deadLetters = deadLetters
    this.policy = deadLetters === undefined ? owedOnly : (deadLetters.policy ?? owedOnly)
  }

  /** Are there dead letters at all? */
  get kept(): boolean {
    return this.#deadLetters !== undefined
  }

  /** A publication that a session should have had just now; without a session it was for nobody in particular. */
  live(reason: DeadLetterReason, session: BrokerSession | undefined, publication: Publication, qos: Qos, error: string): boolean {
    this.#context.dropped(reason)
    return this.keepLive(reason, session, publication, qos, error)
  }

  /** As live(), when it has been counted already. */
  keepLive(
    reason: DeadLetterReason,
    session: BrokerSession | undefined,
    publication: Publication,
    qos: Qos,
    error: string
  ): boolean {
    if (!this.#keeps(qos)) return false
    const message = publication.message()
    const filter = session && filterFor(session.subscriptions.keys(), message.topic)
    return this.keep({ reason, message, qos, clientId: session?.clientId, filter, attempts: 0, error })
  }

  /** A message that waited for a session, which the caller removes from where it waited. */
  entry(reason: DeadLetterReason, from: LostFrom, entry: LostEntry, attempts: number, error: string): void {
    this.#context.dropped(reason)
    this.keepEntry(reason, from, entry, attempts, error)
  }

  /** As entry(), when it has been counted already. */
  keepEntry(reason: DeadLetterReason, from: LostFrom, entry: LostEntry, attempts: number, error: string): void {
    const { message, qos, seq } = entry
    if (!this.#keeps(qos)) return
    const { key, clientId } = from
    const origin = key > 0 && seq !== undefined ? { key, seq } : undefined
    this.keep({ reason, message, qos, clientId, filter: filterFor(from.filters, message.topic), attempts, error, origin })
  }

  keep(letter: DeadLetter): boolean {
    if (this.#deadLetters === undefined || this.#context.stopped || !this.#keeps(letter.qos ?? letter.message.qos)) return false
    // It is a letter already, and whoever reads them would get another one each time.
    if (letter.stream !== undefined && letter.stream === this.#deadLetters.log?.name) return false
    this.#deadLetters.add(letter)
    this.#context.commit.schedule()
    return true
  }

  #keeps(qos: Qos): boolean {
    return this.#deadLetters !== undefined && (qos > 0 || this.policy.includeQos0)
  }
}

/** A session as the owner of what waits for it. */
export function lostFrom({ key, clientId, subscriptions }: BrokerSession): LostFrom {
  return { key, clientId, filters: subscriptions.keys() }
}

/** The first of the filters that a message on the topic matches. */
function filterFor(filters: Iterable<string>, topic: string): string | undefined {
  for (const filter of filters) if (topicMatches(parseSharedFilter(filter)?.filter ?? filter, topic)) return filter
  return undefined
}
