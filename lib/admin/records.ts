import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { ReadOptions, Stream, StreamRecord } from '../stream/contract.ts'
import { topicMatches } from '../topic/filter.ts'
import { faultJson, Refusal } from './answer.ts'
import { Lines } from './lines.ts'
import { recordJson } from './record-json.ts'
import type { RecordsQuery } from './routes-records.ts'

const BREAK_OFF_MS = 3_000

/**
 * Sends records as NDJSON until the read or the client ends. Reads no faster than the client takes them. A fault before the first
 * byte is thrown; one after it is sent as a last line `{"error", "message"}` and a connection that does not end properly, so that
 * no client takes what it got for everything.
 */
export async function sendRecords(stream: Stream, query: RecordsQuery, reply: FastifyReply): Promise<void> {
  checkRange(stream, query)
  const response = reply.raw
  const reading = new AbortController()
  response.once('close', () => reading.abort())
  const begin = () => {
    reply.hijack()
    reply.header('content-type', 'application/x-ndjson; charset=utf-8')
    response.writeHead(200, reply.getHeaders() as OutgoingHttpHeaders)
  }
  // Somebody who waits for the first record wants to know at once that the wait has begun.
  if (query.follow) {
    begin()
    response.flushHeaders()
  }
  const lines = new Lines(response)
  try {
    for await (const record of selectRecords(stream, query, reading.signal)) {
      if (!response.headersSent) begin()
      lines.add(JSON.stringify(recordJson(record)))
      if (lines.full) await lines.drained(reading.signal)
    }
    if (!response.headersSent) begin()
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
  const options: ReadOptions = { from, follow: follow === true, signal }
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
