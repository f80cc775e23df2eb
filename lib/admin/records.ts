import type { ServerResponse } from 'node:http'
import { TributaryError } from '../errors.ts'
import type { ReadOptions, Stream, StreamRecord } from '../stream/contract.ts'
import { topicMatches } from '../topic/filter.ts'
import { Refusal } from './answer.ts'
import { Lines } from './lines.ts'
import { recordJson } from './record-json.ts'
import type { RecordsQuery } from './records-query.ts'

const BREAK_OFF_MS = 500

/**
 * Sends records as NDJSON until the read or the client ends. Reads no faster than the client takes them. A fault after the first
 * byte is sent as a last line `{"error", "message"}` and a connection that does not end properly, so that no client takes what
 * it got for everything.
 */
export async function sendRecords(stream: Stream, query: RecordsQuery, response: ServerResponse): Promise<void> {
  checkRange(stream, query)
  const reading = new AbortController()
  response.once('close', () => reading.abort())
  response.setHeader('content-type', 'application/x-ndjson; charset=utf-8')
  // Somebody who waits for the first record wants to know at once that the wait has begun.
  if (query.follow) response.flushHeaders()
  const lines = new Lines(response)
  try {
    for await (const record of selectRecords(stream, query, reading.signal)) {
      lines.add(JSON.stringify(recordJson(record)))
      if (lines.full) await lines.drained(reading.signal)
    }
    lines.flush()
    response.end()
  } catch (error) {
    if (reading.signal.aborted) return
    if (!response.headersSent) throw error
    lines.flush()
    response.write(`${JSON.stringify(faultJson(error))}\n`)
    breakOff(response)
  } finally {
    lines.stop()
  }
}

/** A client that sees the end of the connection may throw away what it has not read yet, so it gets time to read why. */
function breakOff(response: ServerResponse): void {
  const timer = setTimeout(() => response.destroy(), BREAK_OFF_MS)
  response.once('close', () => clearTimeout(timer))
}

/** Records that match the filter, `limit` of those at most. */
export function selectRecords(
  stream: Pick<Stream, 'read'>,
  query: RecordsQuery,
  signal: AbortSignal
): AsyncIterable<StreamRecord> {
  const { from, follow, filter, limit } = query
  const options: ReadOptions = { from, follow, signal }
  if (filter !== undefined) options.select = ({ topic }) => topicMatches(filter, topic)
  if (limit !== undefined) options.limit = limit
  return stream.read(options)
}

function checkRange(stream: Stream, { from }: RecordsQuery): void {
  if (typeof from === 'string' || !('offset' in from)) return
  const { earliestOffset, nextOffset } = stream.stats()
  if (from.offset >= earliestOffset && from.offset <= nextOffset) return
  const there = earliestOffset === nextOffset ? 'the stream is empty' : `it holds ${earliestOffset} to ${nextOffset - 1}`
  throw new Refusal(416, 'TRB_OFFSET_OUT_OF_RANGE', `stream ${stream.name} has no offset ${from.offset}: ${there}`)
}

export function faultJson(error: unknown): { error: string; message: string } {
  if (error instanceof TributaryError) return { error: error.code, message: error.message }
  return { error: 'internal', message: error instanceof Error ? error.message : String(error) }
}
