import { topicMatches } from '../topic/filter.ts'
import type { DeadLetterReason } from './contract.ts'
import type { LetterMark } from './letter-marks.ts'
import type { KeptLetter } from './letter-record.ts'

/** What a letter's state may be asked for by. */
export const letterStates = ['open', 'redriven', 'discarded'] as const
export type LetterState = (typeof letterStates)[number]

/** Which letters are meant: those that fit everything that is given. */
export interface LetterSelection {
  ids?: readonly number[] | undefined
  reason?: DeadLetterReason | undefined
  /** Client Identifier of who should have had the message. */
  client?: string | undefined
  /** Topic Filter. */
  filter?: string | undefined
  /** Epoch milliseconds: became a dead letter at or after this. */
  fromMs?: number | undefined
  /** Epoch milliseconds: before this. */
  toMs?: number | undefined
  state?: LetterState | undefined
}

export function stateOf(mark: LetterMark | undefined): LetterState {
  if (mark === undefined) return 'open'
  return mark.act === 'discarded' ? 'discarded' : 'redriven'
}

/** `ids` are not looked at: who reads goes to them. */
export function isSelected(selection: LetterSelection, letter: KeptLetter, mark: LetterMark | undefined): boolean {
  const { reason, client, filter, fromMs, toMs, state } = selection
  return (
    (reason === undefined || letter.reason === reason) &&
    (client === undefined || letter.clientId === client) &&
    (fromMs === undefined || letter.diedAtMs >= fromMs) &&
    (toMs === undefined || letter.diedAtMs < toMs) &&
    (filter === undefined || topicMatches(filter, letter.message.topic)) &&
    (state === undefined || stateOf(mark) === state)
  )
}

/** Does it say which letters are meant, or all of them? */
export function selectsAll({ ids, reason, client, filter, fromMs, toMs }: LetterSelection): boolean {
  return [ids, reason, client, filter, fromMs, toMs].every(part => part === undefined)
}
