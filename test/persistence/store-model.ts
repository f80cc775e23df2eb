import type { Message } from '../../lib/mqtt/message.ts'
import type { LoadedSession, QueueEntry, SessionStore, StoredWill } from '../../persistence/contract.ts'
import { all } from './store-fixtures.ts'

export type ModelEntry = Omit<QueueEntry, 'seq'>

export interface ModelSession {
  expirySeconds: number
  filters: Set<string>
  queue: Map<number, ModelEntry>
  received: Set<number>
}

/** What a session store should hold, in plain maps. */
export interface Model {
  sessions: Map<string, ModelSession>
  retained: Map<string, Message>
  wills: Map<string, StoredWill>
}

export function emptyModel(): Model {
  return { sessions: new Map(), retained: new Map(), wills: new Map() }
}

export function copyModel(model: Model): Model {
  const sessions = new Map<string, ModelSession>()
  for (const [id, { expirySeconds, filters, queue, received }] of model.sessions) {
    const entries = new Map([...queue].map(([seq, entry]) => [seq, { ...entry }]))
    sessions.set(id, { expirySeconds, filters: new Set(filters), queue: entries, received: new Set(received) })
  }
  return { sessions, retained: new Map(model.retained), wills: new Map(model.wills) }
}

/** Everything a running store can be asked, in a comparable form. */
export async function readStore(store: SessionStore, model: Model): Promise<unknown> {
  const queues: unknown[] = []
  for (const id of [...model.sessions.keys()].sort()) {
    queues.push([id, (await store.readQueue(store.sessionKey(id), 0, 1000)).map(showEntry)])
  }
  const retained = [...(await all(store.retainedByFilter('#'))), ...(await all(store.retainedByFilter('$x/#')))]
    .map(showMessage)
    .sort()
  const single = [...model.retained.keys()].sort().map(topic => showMessage(store.retainedByTopic(topic)))
  return { queues, retained, single, count: store.retainedCount }
}

export function readModel(model: Model): unknown {
  const queues = [...model.sessions].sort(byId).map(([id, { queue }]) => [id, entriesOf(queue).map(showEntry)])
  const single = [...model.retained].sort(byId).map(([, message]) => showMessage(message))
  return { queues, retained: [...single].sort(), single, count: model.retained.size }
}

/** What a store hands out after an open, in a comparable form. */
export async function loadStore(store: SessionStore): Promise<unknown> {
  const sessions = (await all(store.loadSessions())).map(showLoaded).sort(byId)
  const wills = (await all(store.loadWills())).map(will => [will.clientId, will.delaySeconds]).sort()
  return { sessions, wills }
}

export function loadModel(model: Model): unknown {
  const sessions = [...model.sessions].map(([id, session]) => {
    const queue = entriesOf(session.queue)
    const inflight = queue.filter(({ state }) => state !== 'queued').map(({ seq, packetId, state }) => [seq, packetId, state])
    return [
      id,
      session.expirySeconds,
      [...session.filters].sort(),
      [...session.received].sort(),
      inflight,
      queue.length,
      queue[0]?.seq
    ]
  })
  const wills = [...model.wills].map(([id, { delaySeconds }]) => [id, delaySeconds]).sort()
  return { sessions: sessions.sort(byId), wills }
}

function showLoaded({ session, subscriptions, received, inflight, queued, firstSeq }: LoadedSession) {
  return [
    session.clientId,
    session.expirySeconds,
    subscriptions.map(({ filter }) => filter).sort(),
    received.map(({ packetId }) => packetId).sort(),
    inflight.map(({ seq, packetId, state }) => [seq, packetId, state]),
    queued,
    queued > 0 ? firstSeq : undefined
  ]
}

function entriesOf(queue: Map<number, ModelEntry>): QueueEntry[] {
  return [...queue].map(([seq, entry]) => ({ seq, ...entry })).sort((a, b) => a.seq - b.seq)
}

function showEntry({ seq, qos, retain, subscriptionIds, state, packetId, message }: QueueEntry): string {
  const body = state === 'released' ? '' : showMessage(message)
  return `${seq} qos${qos} ${retain} [${state === 'released' ? '' : subscriptionIds}] ${state} ${packetId} ${body}`
}

function showMessage(message: Message | undefined): string {
  return message === undefined ? 'nothing' : `${message.topic} ${message.payload.length} ${message.payload.subarray(0, 20)}`
}

function byId(a: unknown[], b: unknown[]): number {
  return String(a[0]) < String(b[0]) ? -1 : 1
}
