import { z } from 'zod'
import type { Stream } from '../stream/contract.ts'
import { jsonAnswer, notFound } from './answer.ts'
import type { AdminApp } from './app.ts'
import type { AdminSources } from './contract.ts'
import { streamJson } from './stream-json.ts'

/** Path of everything about one stream. */
export const streamParams = z.strictObject({
  name: z.string().meta({ description: 'Name of the stream.', examples: ['telemetry'] })
})

const streamSchema = z
  .object({
    name: z.string().meta({ examples: ['telemetry'] }),
    filter: z
      .string()
      .optional()
      .meta({ description: 'Topic Filter of the messages it keeps.', examples: ['devices/#'] }),
    key: z
      .string()
      .optional()
      .meta({ description: 'What decides the partition of a record.', examples: ['clientId'] }),
    partitions: z.number().optional(),
    ack: z
      .string()
      .optional()
      .meta({ description: "What a publisher's acknowledgement waits for.", examples: ['synced'] }),
    retention: z
      .object({ ageMs: z.number(), bytes: z.number() })
      .optional()
      .meta({ description: 'Milliseconds and bytes; 0 = no limit.' }),
    cleanup: z
      .string()
      .optional()
      .meta({ description: 'What removes records: `delete` = retention, `compact`, or both.', examples: ['delete'] }),
    records: z.number(),
    bytes: z.number().meta({ description: 'On disk.' }),
    segments: z.number(),
    earliestOffset: z.number(),
    nextOffset: z.number().meta({ description: 'Offset the next record gets.' }),
    oldest: z.string().nullable().meta({ description: 'Time of the first record, ISO 8601; null when there is none.' }),
    newest: z.string().nullable().meta({ description: 'Time of the last record, ISO 8601; null when there is none.' })
  })
  .meta({ id: 'Stream', description: 'A stream: how it was declared and what it holds.' })

export function streamRoutes(app: AdminApp, sources: AdminSources): void {
  app.route({
    method: 'GET',
    url: '/streams',
    schema: {
      operationId: 'listStreams',
      tags: ['streams'],
      summary: 'declared streams: size, offsets, oldest and newest record',
      response: { 200: jsonAnswer('All streams.', z.object({ streams: z.array(streamSchema) })) }
    },
    handler: async () => ({
      streams: sources.streams.all().map(stream => streamJson(stream, sources.declaration(stream.name)))
    })
  })

  app.route({
    method: 'GET',
    url: '/streams/:name',
    schema: {
      operationId: 'describeStream',
      tags: ['streams'],
      summary: 'one stream',
      params: streamParams,
      response: { 200: jsonAnswer('The stream.', streamSchema) }
    },
    handler: async ({ params }) => streamJson(findStream(sources, params.name), sources.declaration(params.name))
  })
}

/** @throws Refusal 404 */
export function findStream(sources: Pick<AdminSources, 'streams'>, name: string): Stream {
  const stream = sources.streams.get(name)
  if (stream === undefined) throw notFound(`no stream "${name}" is declared; GET /streams lists them`)
  return stream
}
