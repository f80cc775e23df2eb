import type { Stream, StreamRecord } from '../../stream/contract.ts'
import type { BrokerSession } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import { contentHash, PacketIds } from './packet-ids.ts'
import { messageKey, publishedPropertiesEnd, type StreamIntake } from './stream-intake.ts'

/** Records that are read at a time, going backwards: what is remembered is at the end. */
const STRIDE = 50_000

/**
 * Fills what a stream remembers from its own log, which is why the two agree after a crash: a message that is not in the log is not
 * remembered, one that is, is. Reads the records of the window, fewer when enough of them have something to remember.
 */
export async function restoreIntake(context: NativeContext, stream: Stream, intake: StreamIntake): Promise<void> {
  const { deduplicate } = intake.settings
  if (deduplicate === undefined) return
  const nowMs = context.now()
  const sinceMs = nowMs - deduplicate.windowMs
  const { earliestOffset, nextOffset } = stream.stats()
  const strides: Trace[][] = []
  let found = 0
  for (let end = nextOffset; end > earliestOffset && found < deduplicate.maxEntries; ) {
    const start = Math.max(earliestOffset, end - STRIDE)
    const { traces, older } = await readStride(stream, intake, start, end, sinceMs)
    strides.push(traces)
    found += traces.length
    if (older) break
    end = start
  }
  for (const traces of strides.reverse()) for (const trace of traces) restoreTrace(context, intake, trace, nowMs)
}

/** What is remembered of one record. */
interface Trace {
  readonly clientId: string
  readonly offset: number
  readonly atMs: number
  readonly key: string | undefined
  /** 0 = none. */
  readonly packetId: number
  readonly hash: number
}

/** What is to be remembered of [start, end), and whether the stretch reaches back beyond the window. */
async function readStride(
  stream: Stream,
  intake: StreamIntake,
  start: number,
  end: number,
  sinceMs: number
): Promise<{ traces: Trace[]; older: boolean }> {
  const traces: Trace[] = []
  let older = false
  const options = { from: { offset: start }, limit: end - start, outOfRange: 'earliest', onGap: () => undefined } as const
  for await (const batch of stream.readBatches(options)) {
    for (const record of batch.records) {
      if (record.offset >= end) return { traces, older }
      if (record.timestampMs < sinceMs) older = true
      else {
        const trace = traceOf(record, intake)
        if (trace !== undefined) traces.push(trace)
      }
    }
  }
  return { traces, older }
}

function traceOf(record: StreamRecord, intake: StreamIntake): Trace | undefined {
  const { clientId, offset, payload, topic, retain, timestampMs } = record
  const packetId = intake.byPacketId ? (record.packetId ?? 0) : 0
  const key = intake.ids === undefined ? undefined : messageKey(clientId, record.properties)
  if (packetId === 0 && key === undefined) return undefined
  const hash =
    packetId === 0
      ? 0
      : contentHash(topic, retain, [
          { bytes: record.properties, start: 0, end: publishedPropertiesEnd(record.properties) },
          { bytes: payload, start: 0, end: payload.length }
        ])
  return { clientId, offset, atMs: timestampMs, key, packetId, hash }
}

function restoreTrace(context: NativeContext, intake: StreamIntake, trace: Trace, nowMs: number): void {
  const { clientId, offset, atMs, key, packetId, hash } = trace
  if (key !== undefined && !intake.ids?.has(key, nowMs)) intake.ids?.add(key, offset, atMs, nowMs)
  if (packetId === 0) return
  const session = context.sessions.get(clientId)
  if (session === undefined || !livedThen(session, atMs)) return
  session.packetIds ??= new PacketIds()
  const use = session.packetIds.restore(packetId, hash, atMs, context.limits.receiveMaximum)
  if (!use.isIn(intake)) intake.remember(use, offset)
}

/** A later session of the same client knows nothing of the packets of an earlier one. */
function livedThen(session: BrokerSession, timestampMs: number): boolean {
  return session.stored && session.createdAtMs <= timestampMs
}
