import type { FastifyReply } from 'fastify'
import type { ReadBatch, Stream, StreamGap } from '../stream/contract.ts'
import type { AdminLimits } from './limits.ts'
import { startAnswer } from './read-records.ts'
import { RecordEncoder } from './record-encoder.ts'
import { type GapJson, ndjsonFrames } from './record-frames.ts'
import { beginning, readRange } from './record-range.ts'
import type { RecordsRequest } from './records-query.ts'

/**
 * Answers a long poll: what is there, or, when nothing is, the first records that come within `waitMs`. The answer is whole before it
 * leaves, so that its headers can say where to go on.
 */
export async function pollRecords(
  stream: Stream,
  request: RecordsRequest,
  reply: FastifyReply,
  limits: AdminLimits
): Promise<void> {
  const { from, gap } = beginning(stream, request)
  const left = new AbortController()
  reply.raw.once('close', () => left.abort())
  const poll = new Poll(limits.pollBytesMax)
  if (gap !== undefined) poll.addGap(gap)
  const onRemoved = (removed: StreamGap) => poll.addGap({ gap: { ...removed, reason: 'removed' } })
  const { durableOffset } = stream.stats()
  let at = from === 'latest' ? { offset: durableOffset } : from
  for await (const batch of readRange(stream, { ...request, from: at }, left.signal, onRemoved)) {
    if (!poll.add(batch)) break
  }
  if (poll.nextOffset !== undefined) at = { offset: poll.nextOffset }
  const waitMs = request.waitMs ?? 0
  if (!poll.found && waitMs > 0) {
    const late = AbortSignal.timeout(waitMs)
    const signal = AbortSignal.any([late, left.signal])
    try {
      for await (const batch of readRange(stream, { ...request, from: at, follow: true }, signal, onRemoved)) {
        poll.add(batch)
        if (poll.found) break
      }
    } catch (error) {
      if (!late.aborted || left.signal.aborted) throw error
    }
  }
  if (left.signal.aborted) return
  reply.header('next-offset', poll.nextOffset ?? (typeof at === 'object' && 'offset' in at ? at.offset : durableOffset))
  startAnswer(stream, reply, ndjsonFrames.contentType)
  reply.raw.end(Buffer.concat(poll.chunks))
}

/** What a long poll has collected. */
class Poll {
  readonly chunks: Buffer[] = []
  /** Whether there is something to answer. */
  found = false
  /** Behind the last record; undefined until something was looked at. */
  nextOffset: number | undefined
  readonly #encoder = new RecordEncoder('ndjson')
  #bytesLeft: number

  constructor(bytesMax: number) {
    this.#bytesLeft = bytesMax
  }

  addGap(gap: GapJson): void {
    this.chunks.push(Buffer.from(ndjsonFrames.gap(gap)))
    this.nextOffset = gap.gap.toOffset
    this.found = true
  }

  /** False when no more fits. */
  add({ records, nextOffset }: ReadBatch): boolean {
    const encoder = this.#encoder
    for (const record of records) {
      if (!encoder.add(record)) {
        this.#take()
        encoder.add(record)
      }
      if (encoder.large !== undefined) this.#take()
      this.found = true
      if (this.#bytesLeft - encoder.at > 0) continue
      this.nextOffset = record.offset + 1
      this.#take()
      return false
    }
    this.#take()
    this.nextOffset = nextOffset
    return true
  }

  #take(): void {
    const { bytes, at, large } = this.#encoder
    const chunk = large ?? Buffer.from(bytes.subarray(0, at))
    this.chunks.push(chunk)
    this.#bytesLeft -= chunk.length
    this.#encoder.at = 0
    this.#encoder.large = undefined
  }
}
