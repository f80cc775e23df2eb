import type { LoadedSession, SessionStore } from '../../../persistence/contract.ts'
import type { LetterLog, UnfinishedLetter } from '../../dead-letter/contract.ts'
import type { Message } from '../../mqtt/message.ts'

/** Dead letters that a crash may have kept from leaving the queue they were in, by the store's key of the queue. */
export type UnfinishedLetters = ReadonlyMap<number, readonly UnfinishedLetter[]>

export async function unfinishedLetters(log: LetterLog): Promise<UnfinishedLetters> {
  const byKey = new Map<number, UnfinishedLetter[]>()
  for await (const letter of log.unfinished()) {
    const known = byKey.get(letter.origin.key)
    if (known === undefined) byKey.set(letter.origin.key, [letter])
    else known.push(letter)
  }
  return byKey
}

/**
 * A letter is on disk before its message is removed from the queue. What a crash left in both is removed from the queue here, so that the
 * message is found in one place. Numbers are given again after a restart, so the entry has to hold the very message.
 */
export async function finishRemovals(store: SessionStore, loaded: LoadedSession, letters: UnfinishedLetters): Promise<number> {
  let removed = 0
  for (const { origin, message } of letters.get(loaded.key) ?? []) {
    const { seq } = origin
    const [entry] = await store.readQueue(loaded.key, seq, 1)
    if (entry?.seq !== seq || entry.state === 'released' || !same(entry.message, message)) continue
    store.dequeue(loaded.key, seq)
    loaded.queued--
    loaded.inflight = loaded.inflight.filter(other => other.seq !== seq)
    removed++
  }
  return removed
}

function same(a: Message, b: Message): boolean {
  return (
    a.publishedAtMs === b.publishedAtMs && a.publisherId === b.publisherId && a.topic === b.topic && a.payload.equals(b.payload)
  )
}
