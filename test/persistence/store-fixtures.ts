import type { Message } from '../../lib/mqtt/message.ts'
import type { QueueEntry, SessionStore, StoredSession, StoredSubscription, StoredWill } from '../../persistence/contract.ts'

/** Client ids, topics and filters that have broken other stores. */
export const AWKWARD = [
  '',
  'constructor',
  '__proto__',
  'toString',
  'dev1',
  'dev10',
  'gerät/ß/端末/🛰',
  'a\u0001b',
  'x'.repeat(65_535)
]

export function message(topic: string, more: Partial<Message> = {}): Message {
  return {
    topic,
    payload: Buffer.from('payload'),
    qos: 1,
    retain: false,
    properties: Buffer.alloc(0),
    expiresAtMs: 0,
    publishedAtMs: 1_700_000_000_000,
    publisherId: 'publisher',
    ...more
  }
}

export function session(clientId: string, more: Partial<StoredSession> = {}): StoredSession {
  return {
    clientId,
    version: 5,
    expirySeconds: 3600,
    createdAtMs: 1_700_000_000_001,
    disconnectedAtMs: 0,
    username: undefined,
    ...more
  }
}

export function subscription(filter: string): StoredSubscription {
  return { filter, qos: 2, noLocal: true, retainAsPublished: false, retainHandling: 2, subscriptionId: 268_435_455 }
}

export function will(clientId: string, more: Partial<StoredWill> = {}): StoredWill {
  return { clientId, message: message('wills', { retain: true, qos: 2 }), delaySeconds: 0, dueAtMs: 0, ...more }
}

export function retained(topic: string, payload = 'kept'): Message {
  return message(topic, { retain: true, payload: Buffer.from(payload), publisherId: topic })
}

export function putSession(store: SessionStore, clientId: string): number {
  const key = store.sessionKey(clientId)
  store.putSession(key, session(clientId))
  return key
}

/** `count` entries from `seq` on whose payload is their seq. */
export function fill(store: SessionStore, key: number, seq: number, count: number, qos: 1 | 2 = 1): void {
  for (let i = seq; i < seq + count; i++) {
    store.enqueue(key, i, store.message(message('t', { payload: Buffer.from(String(i)) })), qos, false, [], 0)
  }
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

export function payloads(entries: readonly QueueEntry[]): string[] {
  return entries.map(({ message }) => message.payload.toString())
}

export function topics(messages: readonly Message[]): string[] {
  return messages.map(({ topic }) => topic).sort()
}
