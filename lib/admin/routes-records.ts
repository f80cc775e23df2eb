import { z } from 'zod'
import { parseReadFrom } from '../stream/read-from.ts'
import { topicFilterError } from '../topic/filter.ts'
import { errorAnswer } from './answer.ts'
import type { AdminApp } from './app.ts'
import { examples, flag, wholeNumber } from './check-input.ts'
import type { AdminSources } from './contract.ts'
import { sendRecords } from './records.ts'
import { findStream, streamParams } from './routes-streams.ts'

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

export const topicFilter = z
  .string()
  .superRefine((text, context) => {
    const problem = topicFilterError(text)
    if (problem === undefined) return
    const message = `expected an MQTT topic filter such as devices/+/telemetry: ${problem}`
    context.issues.push({ code: 'custom', message, input: text })
  })
  .meta({ description: 'Topic Filter: only records on topics that match.', examples: ['devices/7/#'] })

const recordsQuery = z.strictObject({
  from: beginning.prefault('earliest'),
  limit: wholeNumber(1)
    .optional()
    .meta({ description: 'Records to send at most; without it all there are.', ...examples(100) }),
  follow: flag().optional().meta({ description: 'Whether to wait for new records at the end instead of ending.' }),
  filter: topicFilter.optional()
})

export type RecordsQuery = z.output<typeof recordsQuery>

export const recordSchema = z
  .object({
    offset: z.number(),
    partition: z.number(),
    timestamp: z.string().meta({ description: 'ISO 8601, UTC, milliseconds.', examples: ['2026-05-01T12:00:00.000Z'] }),
    topic: z.string(),
    clientId: z.string().meta({ description: 'Who published it.' }),
    qos: z.number(),
    retain: z.boolean(),
    expiresAt: z.string().optional().meta({ description: 'ISO 8601; absent when the message does not expire.' }),
    properties: z
      .looseObject({})
      .optional()
      .meta({ description: 'MQTT 5 properties, binary ones in base64; absent when there are none.' }),
    payload: z.string().meta({ description: 'Text, or base64 when `encoding` says so.' }),
    encoding: z.literal('base64').optional().meta({ description: 'Absent when the payload is UTF-8.' })
  })
  .meta({ id: 'Record', description: 'One record of a stream.' })

export function recordRoutes(app: AdminApp, sources: AdminSources): void {
  const url = '/streams/:name/records'
  // Answered by itself, because the one that Fastify makes of the GET route would read the records.
  app.route({
    method: 'HEAD',
    url,
    schema: { hide: true, params: streamParams, querystring: recordsQuery },
    handler: async ({ params }, reply) => {
      findStream(sources, params.name)
      return reply.send()
    }
  })

  app.route({
    method: 'GET',
    url,
    exposeHeadRoute: false,
    schema: {
      operationId: 'readRecords',
      tags: ['streams'],
      summary: 'records as NDJSON: ?from=earliest|latest|OFFSET|TIME&limit=N&follow=true&filter=TOPIC_FILTER',
      params: streamParams,
      querystring: recordsQuery,
      response: {
        200: {
          description:
            'One record a line. A fault on the way is a last line `{"error", "message"}` and a connection that breaks off.',
          content: { 'application/x-ndjson': { schema: recordSchema } }
        },
        416: errorAnswer('The stream does not hold the offset to begin at; the message says what it holds.')
      }
    },
    handler: async ({ params, query }, reply) => {
      await sendRecords(findStream(sources, params.name), query, reply)
      return reply
    }
  })
}
