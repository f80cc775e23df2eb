import type { ReadBatch, ReadFrom, ReadOptions, Stream, StreamGap } from '../stream/contract.ts'
import { Refusal } from './answer.ts'
import type { GapJson } from './record-frames.ts'
import type { RecordsRequest } from './records-query.ts'

/** Where a stream begins and ends at this moment, for who reads it. */
export function offsetHeaders(stream: Stream): Record<'earliest-offset' | 'latest-offset', string> {
  const { earliestOffset, durableOffset } = stream.stats()
  return { 'earliest-offset': String(earliestOffset), 'latest-offset': String(durableOffset) }
}

/** Where to begin, by the policy for offsets that are not there. Throws Refusal 416. */
export function beginning(stream: Stream, { from, outOfRange }: RecordsRequest): { from: ReadFrom; gap?: GapJson } {
  if (typeof from === 'string' || !('offset' in from)) return { from }
  const { earliestOffset, nextOffset, durableOffset } = stream.stats()
  if (from.offset >= earliestOffset && from.offset <= nextOffset) return { from }
  if (outOfRange === 'fail') {
    const there = earliestOffset === nextOffset ? 'the stream is empty' : `it holds ${earliestOffset} to ${nextOffset - 1}`
    const message = `stream ${stream.name} has no offset ${from.offset}: ${there}`
    throw new Refusal(416, 'TRB_OFFSET_OUT_OF_RANGE', message, offsetHeaders(stream))
  }
  const toOffset = outOfRange === 'earliest' ? earliestOffset : durableOffset
  const reason = from.offset < earliestOffset ? 'removed' : 'not-written'
  return { from: { offset: toOffset }, gap: { gap: { fromOffset: from.offset, toOffset, reason } } }
}

/** The stretches of a stream that a request asks for, from `from` up to its end. */
export async function* readRange(
  stream: Pick<Stream, 'readBatches'>,
  request: Pick<RecordsRequest, 'from' | 'to' | 'limit' | 'follow' | 'outOfRange' | 'select'>,
  signal: AbortSignal,
  onRemoved: (removed: StreamGap) => void
): AsyncGenerator<ReadBatch, void, undefined> {
  const { from, follow, limit, outOfRange, select, to } = request
  const options: ReadOptions = { from, follow, signal, outOfRange, onRemoved }
  if (limit !== undefined) options.limit = limit
  if (select !== undefined) options.select = select
  const endOffset = to !== undefined && 'offset' in to ? to.offset : Number.POSITIVE_INFINITY
  const endMs = to !== undefined && 'timeMs' in to ? to.timeMs : Number.POSITIVE_INFINITY
  if (typeof from === 'object' && 'offset' in from && from.offset >= endOffset) return
  for await (const batch of stream.readBatches(options)) {
    if (to === undefined) {
      yield batch
      continue
    }
    const { records, nextOffset } = batch
    const past = records.findIndex(({ offset, timestampMs }) => offset >= endOffset || timestampMs >= endMs)
    if (past < 0) yield batch
    else yield { records: records.slice(0, past), nextOffset: records[past]!.offset }
    if (past >= 0 || nextOffset >= endOffset) return
  }
}
