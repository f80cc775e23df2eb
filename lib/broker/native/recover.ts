import type { LoadedSession, StreamRedo } from '../../../persistence/contract.ts'
import { isLetterNotes } from '../../dead-letter/letter-marks.ts'
import type { Message } from '../../mqtt/message.ts'
import { Payload } from '../../schema/payload.ts'
import type { Stream } from '../../stream/contract.ts'
import type { NativeContext } from './context.ts'
import { finishRemovals, unfinishedLetters } from './finish-removals.ts'
import { restoreIntake } from './restore-intake.ts'
import type { Sessions } from './sessions.ts'
import { type StreamIntake, taggedInvalid } from './stream-intake.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { Wills } from './wills.ts'

/**
 * Start: sessions and wills come back from the store, and QoS 2 messages that were on disk in the store but not yet in their
 * stream are appended. The store is synced before the streams whenever an epoch holds such messages (commit/), so a crash leaves
 * at most this one gap, and closing it here makes the message appear exactly once.
 */
export async function recover(
  context: NativeContext,
  sessions: Sessions,
  wills: Wills,
  subscriptions: Subscriptions
): Promise<void> {
  const missing: Missing[] = []
  const all: LoadedSession[] = []
  const clients: LoadedSession[] = []
  const log = context.broker.opts.deadLetters?.log
  for await (const loaded of context.store.loadSessions()) {
    if (isLetterNotes(loaded)) log?.restore(loaded)
    else all.push(loaded)
  }
  const letters = log && (await unfinishedLetters(log))
  let finished = 0
  for (const loaded of all) {
    if (letters !== undefined) finished += await finishRemovals(context.store, loaded, letters)
    if (!context.burials.restore(loaded) && !subscriptions.restoreBacklog(loaded)) clients.push(loaded)
  }
  // What sessions are members of comes first, whatever the order in the store: a member must find its group as it was.
  subscriptions.backlogsRestored()
  for (const loaded of clients) {
    sessions.restore(loaded)
    await collectMissing(context, loaded, missing)
  }
  subscriptions.restored()
  for await (const will of context.store.loadWills()) wills.restore(will)
  await appendMissing(context, missing)
  log?.finished()
  context.burials.start()
  if (finished > 0)
    context.broker.logger?.info({ messages: finished }, 'removed dead letters that a crash had left in their queues')
  await restoreIntakes(context)
  if (context.store.dirty) context.commit.schedule()
}

/** After the log is complete: what is remembered of it is read from it. */
async function restoreIntakes(context: NativeContext): Promise<void> {
  const { intakes, streams } = context.streams
  const restore = async (stream: Stream, intake: StreamIntake): Promise<void> => {
    try {
      await restoreIntake(context, stream, intake)
    } catch (err) {
      // What is not remembered may come twice; nothing is lost.
      context.broker.logger?.error({ err, stream: stream.name }, 'what a stream has could not be read; repetitions may enter it')
    }
  }
  for (const { stream } of streams) {
    const intake = intakes.of(stream)
    if (intake !== undefined) await restore(stream, intake)
  }
  intakes.onNew = (stream, intake) => void restore(stream, intake)
}

interface Missing {
  loaded: LoadedSession
  packetId: number
  message: Message
  redo: readonly StreamRedo[]
  lost: readonly StreamRedo[]
}

async function collectMissing(context: NativeContext, loaded: LoadedSession, missing: Missing[]): Promise<void> {
  for (const { packetId, redo, message } of loaded.received) {
    if (message === undefined) continue
    const lost: StreamRedo[] = []
    for (const one of redo) {
      const stream = context.streams.get(one.stream)
      if (stream !== undefined && !(await holds(stream, one.offset, message))) lost.push(one)
    }
    if (lost.length > 0) missing.push({ loaded, packetId, message, redo, lost })
  }
}

/** Is the record at `offset` this message? After a failed write the offset may belong to another one. */
async function holds(stream: Stream, offset: number, message: Message): Promise<boolean> {
  const { earliestOffset, nextOffset } = stream.stats()
  if (offset >= nextOffset) return false
  // Retention has removed it since, so it was there.
  if (offset < earliestOffset) return true
  for await (const record of stream.read({ from: { offset }, limit: 1 })) {
    // Compaction has removed it since, so it was there.
    if (record.offset > offset) return true
    return (
      record.clientId === message.publisherId &&
      record.topic === message.topic &&
      record.timestampMs === message.publishedAtMs &&
      record.payload.equals(message.payload)
    )
  }
  return false
}

async function appendMissing(context: NativeContext, missing: Missing[]): Promise<void> {
  if (missing.length === 0) return
  missing.sort((a, b) => a.lost[0]!.offset - b.lost[0]!.offset)
  for (const { loaded, packetId, message, redo, lost } of missing) {
    const renewed = redo.map(one =>
      lost.includes(one) ? { stream: one.stream, offset: append(context, one.stream, message) } : one
    )
    context.store.putReceived(loaded.key, packetId, renewed, message)
  }
  // The new offsets are in the store before the records are in the stream: a crash during recovery finds the same gap again.
  context.commit.storeFirst()
  const failure = await context.commit.flush()
  if (failure) throw failure.error
  context.broker.logger?.info({ messages: missing.length }, 'appended QoS 2 messages that a crash had kept from their stream')
}

function append(context: NativeContext, streamName: string, message: Message): number {
  const target = context.streams.resolve(message.topic, message.publisherId).find(({ stream }) => stream.name === streamName)
  const stream = context.streams.get(streamName)!
  const source = target?.source ?? stream.source(message.topic, message.publisherId)
  const { qos, retain, publishedAtMs, expiresAtMs, payload } = message
  const problem =
    target?.intake?.schema?.onInvalid === 'tag' ? target.intake.problem(new Payload(payload, 0, payload.length)) : undefined
  const properties = problem === undefined ? message.properties : taggedInvalid(message.properties, problem)
  return stream.append(source, qos, retain, publishedAtMs, expiresAtMs, properties, payload, 0, payload.length)
}
