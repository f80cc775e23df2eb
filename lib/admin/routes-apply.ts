import { z } from 'zod'
import type { AppliedStreams } from '../apply/applied-streams.ts'
import { streamsSchema } from '../config/schema-stream.ts'
import { TributaryError } from '../errors.ts'
import { badRequest, errorAnswer, jsonAnswer, notFound, Refusal } from './answer.ts'
import type { AdminApp } from './app.ts'
import { flag, wholeNumber } from './check-input.ts'
import type { AdminSources } from './contract.ts'
import { streamParams } from './routes-streams.ts'

/** Streams as code; what the admin server asks of it. */
export type AppliedSource = Pick<AppliedStreams, 'apply' | 'planChange'>

const time = z.string().nullable()

const deletionSchema = z
  .object({
    segments: z.number(),
    bytes: z.number(),
    fromOffset: z.number(),
    toOffset: z.number().meta({ description: 'The first offset that stays.' }),
    records: z.number(),
    compacted: z.boolean().meta({ description: 'Whether records is an upper bound, because compaction has removed some.' }),
    oldest: time.meta({ description: 'Time of the first record that goes, ISO 8601.' }),
    newest: time.meta({ description: 'Time of the latest record that goes, ISO 8601.' }),
    readers: z
      .array(
        z.object({
          kind: z.enum(['group', 'client']),
          name: z.string().meta({ description: 'Of the group, or the Client Identifier.', examples: ['billing'] }),
          filter: z.string(),
          unread: z.number()
        })
      )
      .meta({ description: 'Who has not read all of it.' })
  })
  .meta({ id: 'StreamDeletion', description: 'Records that go with a change: whole segments, oldest first.' })

const changeSchema = z
  .object({
    stream: z.string().meta({ examples: ['orders'] }),
    action: z.enum(['create', 'change', 'remove', 'keep', 'refuse']).meta({
      description: '`keep`: it was applied and is not wanted any more, but prune was not said. `refuse`: it cannot be done.'
    }),
    settings: z.array(z.object({ key: z.string().meta({ examples: ['retention.age'] }), from: z.string(), to: z.string() })),
    deletes: deletionSchema.optional(),
    notes: z.array(z.string()).meta({ description: 'What else follows from it, for people.' })
  })
  .meta({ id: 'StreamChange', description: 'What becomes of one stream.' })

const planSchema = z
  .object({
    changes: z.array(changeSchema),
    unchanged: z.array(z.string()).meta({ description: 'Streams that are as wanted already.' }),
    applied: z.boolean(),
    revision: z.number().meta({ description: 'How often something was applied.' })
  })
  .meta({ id: 'StreamPlan', description: 'What applying a set of streams does.' })

export function applyRoutes(app: AdminApp, { applied }: Pick<AdminSources, 'applied'>): void {
  app.route({
    method: 'PUT',
    url: '/streams',
    schema: {
      operationId: 'applyStreams',
      tags: ['streams'],
      summary: 'apply a set of streams: ?dryRun=true only says what would happen, ?prune=true removes those that are not in it',
      querystring: z.strictObject({
        dryRun: flag().default(false).meta({ description: 'Only say what would happen.' }),
        prune: flag().default(false).meta({ description: 'Remove streams that were applied and are not in the body.' }),
        revision: wholeNumber(0)
          .optional()
          .meta({ description: 'Of the plan that was looked at: refused when something was applied since.' })
      }),
      body: z.strictObject({ streams: streamsSchema }),
      response: { 200: jsonAnswer('The plan.', planSchema), 409: errorAnswer('Something in it cannot be done; nothing was.') }
    },
    handler: ({ body, query }) => refusing(() => applied.apply(body.streams, query))
  })

  app.route({
    method: 'POST',
    url: '/streams/:name/plan',
    config: { access: 'read' },
    schema: {
      operationId: 'planStream',
      tags: ['streams'],
      summary: 'what would become of a stream with other settings; nothing is changed',
      params: streamParams,
      body: z.record(z.string(), z.unknown()).meta({
        description: 'Settings as in the configuration file; the others stay.',
        examples: [{ retention: { age: '1d' } }]
      }),
      response: { 200: jsonAnswer('The change; null when it has these settings.', z.object({ change: changeSchema.nullable() })) }
    },
    handler: ({ body, params }) => refusing(async () => ({ change: (await applied.planChange(params.name, body)) ?? null }))
  })
}

/** What the caller can mend is told as such. */
async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof TributaryError)) throw error
    if (error.code === 'TRB_APPLY_REFUSED') throw new Refusal(409, error.code, error.message)
    if (error.code === 'TRB_STREAM_UNKNOWN') throw notFound(`${error.message}; GET /streams lists them`)
    if (error.code === 'TRB_CONFIG_INVALID') throw badRequest(error.message)
    throw error
  }
}
