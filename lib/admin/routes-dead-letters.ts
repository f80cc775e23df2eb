import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { deadLetterReasons } from '../dead-letter/contract.ts'
import type { ActReport, DeadLetterDesk } from '../dead-letter/dead-letter-desk.ts'
import { type LetterSelection, letterStates, selectsAll } from '../dead-letter/selection.ts'
import { parseReadFrom } from '../stream/read-from.ts'
import { badRequest, errorAnswer, jsonAnswer, notFound, Refusal } from './answer.ts'
import type { AdminApp } from './app.ts'
import { examples, wholeNumber } from './check-input.ts'
import type { AdminSources } from './contract.ts'
import { letterJson, letterSchema, letterSummaryJson, letterSummarySchema } from './letter-json.ts'
import { topicFilter } from './records-query.ts'

/** Letters that one request may list; each is kept in memory until it is answered. */
const listedMax = 10_000
const listedDefault = 100
const idsMax = 10_000

const timeExpected = 'expected a time such as 2026-05-01T12:00:00Z, or @ and milliseconds since 1970'

const time = z.string().transform((text, context) => {
  const from = parseReadFrom(text)
  if (typeof from === 'object' && 'timeMs' in from) return from.timeMs
  context.issues.push({ code: 'custom', message: timeExpected, input: text })
  return z.NEVER
})

const selectors = {
  reason: z.enum(deadLetterReasons).optional().meta({ description: 'Why they became dead letters.' }),
  client: z
    .string()
    .optional()
    .meta({ description: 'Client Identifier of who should have had them.', examples: ['pump-7'] }),
  filter: topicFilter.optional().meta({ description: 'Topic Filter that their topics match.', examples: ['devices/7/#'] }),
  from: time
    .optional()
    .meta({ description: 'Became dead letters at this time or later.', ...examples('2026-05-01T12:00:00Z', '@1795428000000') }),
  to: time.optional().meta({ description: 'Became dead letters before this time.', ...examples('2026-05-02T00:00:00Z') }),
  state: z.enum(letterStates).optional().meta({ description: '`open`: nobody has re-driven or discarded them.' })
}

const listQuery = z.strictObject({
  ...selectors,
  limit: wholeNumber(1, listedMax)
    .optional()
    .meta({ description: `How many to list: the last ones; default ${listedDefault}.`, ...examples(500) })
})

const selectBody = z
  .strictObject({
    ids: z
      .array(z.int().min(0))
      .min(1)
      .max(idsMax)
      .optional()
      .meta({ description: 'These letters.', examples: [[17, 18]] }),
    ...selectors
  })
  .meta({ description: 'Which letters: those that fit everything that is given.' })

const actFields = {
  select: selectBody.prefault({}),
  all: z.boolean().optional().meta({ description: 'Has to be true when nothing is selected by.' }),
  dryRun: z.boolean().optional().meta({ description: 'Only say what would be done.' }),
  limit: z.int().min(1).optional().meta({ description: 'Letters at most; default 100000.' }),
  by: z
    .string()
    .max(200)
    .optional()
    .meta({ description: 'Who asks, for the log; the name of the token goes before it.', examples: ['alice'] })
}

const redriveBody = z.strictObject({
  ...actFields,
  to: z.enum(['client', 'topic']).meta({
    description:
      '`client`: into the queue of the session it was for. `topic`: published anew, for everybody who subscribes to its topic now.'
  }),
  rate: z.int().min(1).max(1_000_000).optional().meta({ description: 'Letters per second; default deadLetter.redrivePerSecond.' })
})

const discardBody = z.strictObject(actFields)

const reportSchema = z
  .object({
    act: z.enum(['redrive', 'discard']),
    dryRun: z.boolean(),
    matched: z.number().meta({ description: 'Letters that fit the selection.' }),
    done: z.number().meta({ description: 'Letters it was done with; with dryRun: would be.' }),
    already: z.number().meta({ description: 'Letters that were re-driven or discarded before.' }),
    failed: z.number().meta({ description: 'Letters it could not be done with; they stay open.' }),
    notes: z
      .array(z.object({ id: z.number(), why: z.string() }))
      .meta({ description: 'The first of the letters that it was not done with, and why.' })
  })
  .meta({ id: 'DeadLetterReport', description: 'What an act did.' })

export type ReportJson = z.output<typeof reportSchema>

export function deadLetterRoutes(app: AdminApp, sources: AdminSources): void {
  app.route({
    method: 'GET',
    url: '/dead-letters',
    schema: {
      operationId: 'listDeadLetters',
      tags: ['dead letters'],
      summary: 'messages that were owed and could not be delivered: ?reason=&client=&filter=&from=&to=&state=&limit=',
      querystring: listQuery,
      response: {
        200: jsonAnswer(
          'The last ones that fit, oldest first.',
          z.object({
            letters: z.array(letterSummarySchema),
            matched: z.number().meta({ description: 'How many fit.' }),
            kept: z.number().meta({ description: 'How many there are.' }),
            open: z.number().meta({ description: 'Of those, how many nobody has dealt with.' })
          })
        ),
        409: errorAnswer('Dead letters are not kept.')
      }
    },
    handler: async ({ query: { limit = listedDefault, ...selection } }, reply) => {
      const desk = deskOf(sources)
      const { letters, matched } = await desk.list(selectionOf(selection), limit, endOf(reply))
      const { letters: kept, open } = desk.stats()
      return { letters: letters.map(letterSummaryJson), matched, kept, open }
    }
  })

  app.route({
    method: 'GET',
    url: '/dead-letters/:id',
    schema: {
      operationId: 'showDeadLetter',
      tags: ['dead letters'],
      summary: 'one dead letter with everything the message had',
      params: z.strictObject({ id: wholeNumber(0).meta({ description: 'Of the letter.', ...examples(17) }) }),
      response: { 200: jsonAnswer('The letter.', letterSchema), 409: errorAnswer('Dead letters are not kept.') }
    },
    handler: async ({ params: { id } }) => {
      const letter = await deskOf(sources).get(id)
      if (letter === undefined)
        throw notFound(`there is no dead letter ${id}, or retention has removed it; GET /dead-letters lists them`)
      return letterJson(letter)
    }
  })

  app.route({
    method: 'POST',
    url: '/dead-letters/redrive',
    schema: {
      operationId: 'redriveDeadLetters',
      tags: ['dead letters'],
      summary: 'send dead letters again, each once',
      body: redriveBody,
      response: { 200: jsonAnswer('What was done.', reportSchema), 409: errorAnswer('Dead letters are not kept.') }
    },
    handler: async (request, reply): Promise<ActReport> => {
      const { select, all, by, ...options } = request.body
      const report = await deskOf(sources).redrive(chosen(select, all), {
        ...options,
        by: actor(request, by),
        signal: endOf(reply)
      })
      return audited(request, select, report)
    }
  })

  app.route({
    method: 'POST',
    url: '/dead-letters/discard',
    schema: {
      operationId: 'discardDeadLetters',
      tags: ['dead letters'],
      summary: 'mark dead letters as dealt with',
      body: discardBody,
      response: { 200: jsonAnswer('What was done.', reportSchema), 409: errorAnswer('Dead letters are not kept.') }
    },
    handler: async (request, reply): Promise<ActReport> => {
      const { select, all, by, ...options } = request.body
      const report = await deskOf(sources).discard(chosen(select, all), {
        ...options,
        by: actor(request, by),
        signal: endOf(reply)
      })
      return audited(request, select, report)
    }
  })
}

function deskOf({ deadLetters }: AdminSources): DeadLetterDesk {
  if (deadLetters !== undefined) return deadLetters
  throw new Refusal(409, 'not-kept', 'this broker keeps no dead letters: its configuration says deadLetter: false')
}

function selectionOf({ from, to, ...rest }: z.output<typeof selectBody>): LetterSelection {
  return { ...rest, fromMs: from, toMs: to }
}

/** Whoever means all of them has to say so. */
function chosen(select: z.output<typeof selectBody>, all: boolean | undefined): LetterSelection {
  const selection = selectionOf(select)
  if (selectsAll(selection) && all !== true) {
    throw badRequest('select: expected ids, reason, client, filter, from or to; or all: true for every dead letter')
  }
  return selection
}

/** The owner of the token, whatever the body says. */
function actor({ operator }: FastifyRequest, claimed: string | undefined): string | undefined {
  return operator === '' ? claimed : operator
}

/** What was done also stands in the audit line that every write leaves. */
function audited(request: FastifyRequest, select: object, report: ActReport): ActReport {
  const { notes: _, ...counts } = report
  request.auditDetail = { select, ...counts }
  return report
}

/** An act ends when who asked for it goes away. */
function endOf(reply: FastifyReply): AbortSignal {
  const end = new AbortController()
  reply.raw.once('close', () => end.abort(new Error('who asked for it has gone')))
  return end.signal
}
