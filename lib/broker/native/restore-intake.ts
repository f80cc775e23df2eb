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
  const strides: StreamRecord[][] = []
  let found = 0
  for (let end = nextOffset; end > earliestOffset && found < deduplicate.maxEntries; ) {
    const start = Math.max(earliestOffset, end - STRIDE)
    const { records, older } = await readStride(stream, start, end, sinceMs)
    strides.push(records)
    found += records.length
    if (older) break
    end = start
  }
  for (const records of strides.reverse()) for (const record of records) restoreRecord(context, intake, record, nowMs)
}

/** What is to be remembered of [start, end), and whether the stretch reaches back beyond the window. */
async function readStride(
  stream: Stream,
  start: number,
  end: number,
  sinceMs: number
): Promise<{ records: StreamRecord[]; older: boolean }> {
  const records: StreamRecord[] = []
  let older = false
  const options = { from: { offset: start }, limit: end - start, outOfRange: 'earliest', onGap: () => undefined } as const
  for await (const batch of stream.readBatches(options)) {
    for (const record of batch.records) {
      if (record.offset >= end) return { records, older }
      if (record.timestampMs < sinceMs) older = true
      else if (record.packetId !== undefined || messageKey(record.clientId, record.properties) !== undefined) {
        // The record shares memory with a whole block; nothing of it but this is kept.
        records.push({ ...record, payload: Buffer.from(record.payload), properties: Buffer.from(record.properties) })
      }
    }
  }
  return { records, older }
}

function restoreRecord(context: NativeContext, intake: StreamIntake, record: StreamRecord, nowMs: number): void {
  const { clientId, offset, packetId, payload, timestampMs, topic, retain } = record
  const properties = record.properties.subarray(0, publishedPropertiesEnd(record.properties))
  const key = intake.ids === undefined ? undefined : messageKey(clientId, properties)
  if (key !== undefined && !intake.ids?.has(key, nowMs)) intake.ids?.add(key, offset, timestampMs, nowMs)
  if (packetId === undefined || !intake.byPacketId) return
  const session = context.sessions.get(clientId)
  if (session === undefined || !livedThen(session, timestampMs)) return
  const hash = contentHash(topic, retain, [
    { bytes: properties, start: 0, end: properties.length },
    { bytes: payload, start: 0, end: payload.length }
  ])
  session.packetIds ??= new PacketIds()
  const use = session.packetIds.restore(packetId, hash, timestampMs, context.limits.receiveMaximum)
  if (!use.isIn(intake)) intake.remember(use, offset)
}

/** A later session of the same client knows nothing of the packets of an earlier one. */
function livedThen(session: BrokerSession, timestampMs: number): boolean {
  return session.stored && session.createdAtMs <= timestampMs
}
