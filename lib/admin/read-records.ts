import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { Stream, StreamGap } from '../stream/contract.ts'
import { faultJson } from './answer.ts'
import type { AdminLimits } from './limits.ts'
import { type GapJson, ndjsonFrames, sseFrames } from './record-frames.ts'
import { beginning, offsetHeaders, readRange } from './record-range.ts'
import { RecordSender } from './record-sender.ts'
import type { RecordsRequest } from './records-query.ts'

/** A client that sees the end of the connection may throw away what it has not read yet, so it gets time to read why. */
const BREAK_OFF_MS = 3_000

/**
 * Sends records until the read or the client ends. Reads no faster than the client takes them. A fault before the first byte is
 * thrown; one after it is sent as a last line or event `{"error", "message"}` and a connection that does not end properly, so that
 * no client takes what it got for everything.
 */
export async function streamRecords(
  stream: Stream,
  request: RecordsRequest,
  reply: FastifyReply,
  limits: AdminLimits
): Promise<void> {
  const { from, gap } = beginning(stream, request)
  const { follow, framing } = request
  const response = reply.raw
  const reading = new AbortController()
  response.once('close', () => reading.abort()).on('error', () => {})
  const sender = new RecordSender(response, framing, limits.stalledMs)
  const frames = framing === 'sse' ? sseFrames : ndjsonFrames
  const gaps: GapJson[] = gap === undefined ? [] : [gap]
  const tellGaps = async () => {
    for (let next = gaps.shift(); next !== undefined; next = gaps.shift()) await sender.sendText(frames.gap(next))
  }
  let told = Promise.resolve()
  const onRemoved = (removed: StreamGap) => {
    gaps.push({ gap: { ...removed, reason: 'removed' } })
    // The next record may be long in coming.
    if (follow) told = told.then(tellGaps).catch(() => {})
  }
  let keepAlive: NodeJS.Timeout | undefined
  const begin = async () => {
    startAnswer(stream, reply, frames.contentType)
    const first = frames.beginning(limits)
    if (first !== '') await sender.sendText(first)
    if (framing === 'sse') keepAlive = keepAliveTimer(response, sender, limits.keepAliveMs)
  }
  try {
    // Somebody who waits for the first record wants to know at once that the wait has begun.
    if (follow) {
      await begin()
      await tellGaps()
    }
    for await (const { records, nextOffset } of readRange(stream, { ...request, from }, reading.signal, onRemoved)) {
      if (!response.headersSent) await begin()
      await told
      await tellGaps()
      await sender.send(records)
      // What was looked at and not wanted moves the place to resume from, too.
      if (follow && records.length === 0 && framing === 'sse' && nextOffset > 0)
        await sender.sendText(`id: ${nextOffset - 1}\n\n`)
      else if (follow || sender.isDue) await sender.flush()
    }
    if (!response.headersSent) await begin()
    await told
    await tellGaps()
    await sender.sendText(frames.end)
    response.end()
  } catch (error) {
    if (reading.signal.aborted) return
    if (!response.headersSent) throw error
    await sender.sendText(frames.fault(faultJson(error))).catch(() => {})
    const timer = setTimeout(() => response.destroy(), BREAK_OFF_MS)
    response.once('close', () => clearTimeout(timer))
  } finally {
    clearInterval(keepAlive)
  }
}

/** Sends the head of an answer with records; from here on it is not Fastify's. */
export function startAnswer(stream: Stream, reply: FastifyReply, contentType: string): void {
  reply.headers({ ...offsetHeaders(stream), 'content-type': contentType })
  reply.hijack()
  reply.raw.writeHead(200, reply.getHeaders() as OutgoingHttpHeaders)
  reply.raw.flushHeaders()
}

/** Writes past the sender's buffer: what is in there is whole records, and may be under way. */
function keepAliveTimer(response: ServerResponse, sender: RecordSender, intervalMs: number): NodeJS.Timeout {
  let before = sender.writes
  return setInterval(() => {
    if (sender.writes === before && !response.writableNeedDrain && !response.destroyed) response.write(': keep-alive\n\n')
    before = sender.writes
  }, intervalMs)
}
