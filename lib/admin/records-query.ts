import { z } from 'zod'
import type { ReadFrom, RecordSource } from '../stream/contract.ts'
import { parseReadFrom } from '../stream/read-from.ts'
import { topicFilterError, topicMatches } from '../topic/filter.ts'
import { badRequest } from './answer.ts'
import { examples, flag, wholeNumber } from './check-input.ts'
import type { StreamSettings } from './contract.ts'
import { adminLimits } from './limits.ts'

const { pollRecordsDefault, pollRecordsMax, waitMsMax } = adminLimits

const beginning = z
  .string()
  .transform((text, context) => {
    const from = parseReadFrom(text)
    if (from !== undefined) return from
    const message = 'expected earliest, latest, an offset (a whole number) or a time such as 2024-05-01T12:00:00Z'
    context.issues.push({ code: 'custom', message, input: text })
    return z.NEVER
  })
  .meta({
    description: 'Where to begin: `earliest`, `latest`, an offset, an ISO 8601 time, or `@` and milliseconds since 1970.',
    ...examples('earliest', '1200', '2026-05-01T12:00:00Z', '@1795428000000')
  })

const ending = z
  .string()
  .transform((text, context) => {
    const to = parseReadFrom(text)
    if (typeof to === 'object') return to
    context.issues.push({ code: 'custom', message: 'expected an offset or a time such as 2024-05-01T12:00:00Z', input: text })
    return z.NEVER
  })
  .meta({
    description: 'Where to end: before this offset, or before the first record of this time or later.',
    ...examples('1300')
  })

export const topicFilter = z
  .string()
  .superRefine((text, context) => {
    const problem = topicFilterError(text)
    if (problem === undefined) return
    const message = `expected an MQTT topic filter such as devices/+/telemetry: ${problem}`
    context.issues.push({ code: 'custom', message, input: text })
  })
  .meta({ description: 'Topic Filter: only records on topics that match.', examples: ['devices/7/#'] })

/** How a read of records is asked for. */
export const recordsQuery = z.strictObject({
  from: beginning.prefault('earliest'),
  to: ending.optional(),
  limit: wholeNumber(1)
    .optional()
    .meta({
      description: `Records to send at most. Without it all there are; with \`waitMs\` ${pollRecordsDefault}, and ${pollRecordsMax} at most.`,
      ...examples(100)
    }),
  follow: flag().optional().meta({
    description: 'Whether to wait for new records at the end instead of ending. The default is true for events, else false.'
  }),
  filter: topicFilter.optional(),
  partition: wholeNumber(0)
    .optional()
    .meta({ description: 'Only records of this partition.', ...examples(0) }),
  key: z
    .string()
    .optional()
    .meta({
      description: "Only records with this key: the publisher's Client Identifier or the topic, as the stream is declared.",
      examples: ['pump-7']
    }),
  waitMs: wholeNumber(0, waitMsMax)
    .optional()
    .meta({
      description:
        'Long poll: answer what is there, or wait so long for the first record. The header `next-offset` says where to go on.',
      ...examples(30_000)
    }),
  'out-of-range': z.enum(['fail', 'earliest', 'latest'], { error: 'expected fail, earliest or latest' }).prefault('fail').meta({
    description:
      'When retention has removed the next record, or the offset to begin at does not exist yet: fail with 416, or say so in a gap and go on there.'
  }),
  format: z
    .enum(['ndjson', 'sse'], { error: 'expected ndjson or sse' })
    .optional()
    .meta({ description: 'Lines of JSON or server-sent events; by default what the header `accept` asks for.' })
})

export const recordsHeaders = z.looseObject({
  'last-event-id': z.string().optional().meta({
    description: 'Offset of the last record that was received; takes the place of `from`. Browsers send it by themselves.'
  })
})

/** A read of records, checked and complete. */
export interface RecordsRequest {
  from: ReadFrom
  /** Undefined: as far as there is. */
  to: z.output<typeof ending> | undefined
  limit: number | undefined
  follow: boolean
  framing: 'ndjson' | 'sse'
  /** Undefined: no long poll. */
  waitMs: number | undefined
  outOfRange: 'fail' | 'earliest' | 'latest'
  /** Undefined: all records. */
  select: ((source: RecordSource) => boolean) | undefined
}

/** @throws Refusal when parameters contradict each other or the stream. */
export function recordsRequest(
  query: z.output<typeof recordsQuery>,
  headers: { accept?: string | undefined; 'last-event-id'?: string | undefined },
  settings: Pick<StreamSettings, 'key' | 'partitions'> | undefined
): RecordsRequest {
  const { waitMs, limit, partition } = query
  const framing = query.format ?? (waitMs === undefined && headers.accept?.includes('text/event-stream') ? 'sse' : 'ndjson')
  if (waitMs !== undefined) {
    if (query.follow === true) throw badRequest('waitMs: a long poll ends by itself: leave out follow, or waitMs')
    if (framing === 'sse') throw badRequest('waitMs: events are not polled: leave out waitMs, or format=sse')
    if (limit !== undefined && limit > pollRecordsMax) {
      throw badRequest(`limit: expected ${pollRecordsMax} or less with waitMs`)
    }
  }
  if (partition !== undefined && settings !== undefined && partition >= settings.partitions) {
    throw badRequest(`partition: expected 0 to ${settings.partitions - 1}, which is what the stream has`)
  }
  return {
    from: resumeFrom(headers['last-event-id']) ?? query.from,
    to: query.to,
    limit: waitMs === undefined ? limit : (limit ?? pollRecordsDefault),
    follow: query.follow ?? framing === 'sse',
    framing,
    waitMs,
    outOfRange: query['out-of-range'],
    select: selection(query, settings)
  }
}

function resumeFrom(lastEventId: string | undefined): ReadFrom | undefined {
  if (lastEventId === undefined || lastEventId === '') return undefined
  if (!/^\d{1,15}$/.test(lastEventId)) throw badRequest('last-event-id: expected the offset of the last record received')
  return { offset: Number(lastEventId) + 1 }
}

function selection(
  { filter, partition, key }: z.output<typeof recordsQuery>,
  settings: Pick<StreamSettings, 'key'> | undefined
): RecordsRequest['select'] {
  if (filter === undefined && partition === undefined && key === undefined) return undefined
  if (key !== undefined && settings === undefined)
    throw badRequest('key: the stream is not declared any more, so its key is not known')
  const keyOf = settings?.key === 'topic' ? 'topic' : 'clientId'
  return source =>
    (partition === undefined || source.partition === partition) &&
    (key === undefined || source[keyOf] === key) &&
    (filter === undefined || topicMatches(filter, source.topic))
}
