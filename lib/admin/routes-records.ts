import { z } from 'zod'
import { errorAnswer, Refusal } from './answer.ts'
import type { AdminApp } from './app.ts'
import type { AdminSources } from './contract.ts'
import type { AdminLimits } from './limits.ts'
import { pollRecords } from './poll-records.ts'
import { streamRecords } from './read-records.ts'
import { offsetHeaders } from './record-range.ts'
import { recordsHeaders, recordsQuery, recordsRequest } from './records-query.ts'
import { findStream, streamParams } from './routes-streams.ts'

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

const gapSchema = z
  .object({
    gap: z.object({
      fromOffset: z.number().meta({ description: 'First offset that is missing.' }),
      toOffset: z.number().meta({ description: 'Where the answer goes on.' }),
      reason: z.enum(['removed', 'not-written']).meta({ description: 'By retention, or the offset does not exist yet.' })
    })
  })
  .meta({ id: 'Gap', description: 'Offsets that a reader is told it does not get.' })

const description = [
  'Reads from any point, as fast as the client takes it. Records come as lines of JSON (NDJSON) or as server-sent events whose id is',
  'the offset. With `follow` the answer goes on with what is published; with `waitMs` it is a long poll, and the header `next-offset`',
  'says where the next one begins. The headers `earliest-offset` and `latest-offset` say what the stream held when the answer began:',
  'its first offset, and the one that comes next.',
  '',
  'Nothing is left out in silence. Records that retention has removed end the answer with 416, or with a last line and event',
  '`{"error", "message"}` and a connection that breaks off; with `out-of-range=earliest` or `latest` a line `{"gap": {...}}`, or an event',
  '`gap`, says which offsets are missing, and the answer goes on. An event `end` closes an answer that does not follow; an event',
  '`fault` one that failed.'
].join('\n')

export function recordRoutes(app: AdminApp, sources: AdminSources, limits: AdminLimits): void {
  const url = '/streams/:name/records'
  let readers = 0
  // Answered by itself, because the one that Fastify makes of the GET route would read the records.
  app.route({
    method: 'HEAD',
    url,
    schema: { hide: true, params: streamParams, querystring: recordsQuery },
    handler: async ({ params }, reply) => reply.headers(offsetHeaders(findStream(sources, params.name))).send()
  })

  app.route({
    method: 'GET',
    url,
    exposeHeadRoute: false,
    schema: {
      operationId: 'readRecords',
      tags: ['streams'],
      summary:
        'records as NDJSON or server-sent events: ?from=earliest|latest|OFFSET|TIME&limit=N&follow=true&filter=TOPIC_FILTER',
      description,
      params: streamParams,
      querystring: recordsQuery,
      headers: recordsHeaders,
      response: {
        200: {
          description: 'Records, in the order of their offsets.',
          content: {
            'application/x-ndjson': { schema: z.union([recordSchema, gapSchema]) },
            'text/event-stream': { schema: z.string() }
          }
        },
        416: errorAnswer('The stream does not hold the offset to begin at; the message says what it holds.'),
        503: errorAnswer('Too many reads are under way.')
      }
    },
    handler: async ({ params, query, headers }, reply) => {
      const stream = findStream(sources, params.name)
      const request = recordsRequest(query, headers, sources.declaration(params.name))
      if (readers >= limits.readersMax) throw tooManyReaders(limits.readersMax)
      readers++
      try {
        await (request.waitMs === undefined ? streamRecords : pollRecords)(stream, request, reply, limits)
      } finally {
        readers--
      }
      return reply
    }
  })
}

function tooManyReaders(max: number): Refusal {
  const message = `${max} reads of records are under way, which is the limit (admin.maxReaders): try again later`
  return new Refusal(503, 'too-many-readers', message, { 'retry-after': '1' })
}
