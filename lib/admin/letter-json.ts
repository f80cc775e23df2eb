import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { deadLetterReasons } from '../dead-letter/contract.ts'
import type { MarkedLetter } from '../dead-letter/dead-letter-desk.ts'
import { letterStates, stateOf } from '../dead-letter/selection.ts'
import { decodeMessageProperties } from '../mqtt/properties.ts'
import { propertiesJson } from './record-json.ts'

const isoTime = z.string().meta({ description: 'ISO 8601, UTC, milliseconds.', examples: ['2026-05-01T12:00:00.000Z'] })

/** A dead letter in a list: without payload and properties. */
export const letterSummarySchema = z
  .object({
    id: z.number().meta({ description: 'Never given twice.' }),
    time: isoTime.meta({ description: 'When it became a dead letter.' }),
    reason: z.enum(deadLetterReasons),
    state: z.enum(letterStates),
    handledAt: isoTime.optional().meta({ description: 'When it was re-driven or discarded; absent while it is open.' }),
    handledBy: z.string().optional().meta({ description: '`discarded`, `redriven-to-client` or `redriven-to-topic`.' }),
    clientId: z.string().optional().meta({ description: 'Who should have had it; absent when it was not for one client.' }),
    filter: z.string().optional().meta({ description: 'Topic Filter of the subscription it was for.' }),
    stream: z.string().optional().meta({ description: 'Stream it was read from.' }),
    group: z.string().optional().meta({ description: 'Consumer group it was for.' }),
    offset: z.number().optional().meta({ description: 'Its offset in that stream.' }),
    topic: z.string(),
    qos: z.number().meta({ description: 'Of the delivery.' }),
    bytes: z.number().meta({ description: 'Of the payload.' }),
    attempts: z.number().meta({ description: 'Deliveries that were tried.' }),
    error: z.string().meta({ description: 'What went wrong, for people.' })
  })
  .meta({ id: 'DeadLetterSummary', description: 'A message that was owed and could not be delivered, without its payload.' })

export type LetterSummaryJson = z.output<typeof letterSummarySchema>

/** A dead letter whole. */
export const letterSchema = letterSummarySchema
  .extend({
    publisher: z.string().meta({ description: 'Client Identifier of who published it; empty: the broker.' }),
    publishedAt: isoTime,
    publishedQos: z.number(),
    retain: z.boolean(),
    expiresAt: isoTime.optional().meta({ description: 'Absent when the message does not expire.' }),
    properties: z.looseObject({}).optional().meta({ description: "The publisher's MQTT 5 properties, binary ones in base64." }),
    payload: z.string().meta({ description: 'Text, or base64 when `encoding` says so.' }),
    encoding: z.literal('base64').optional().meta({ description: 'Absent when the payload is UTF-8.' })
  })
  .meta({ id: 'DeadLetter', description: 'A message that was owed and could not be delivered.' })

export type LetterJson = z.output<typeof letterSchema>

export function letterSummaryJson(letter: MarkedLetter): LetterSummaryJson {
  const { id, reason, mark, clientId, filter, stream, group, offset, qos, attempts, error, message } = letter
  return {
    id,
    time: isoOf(letter.diedAtMs),
    reason,
    state: stateOf(mark),
    ...(mark === undefined ? {} : { handledAt: isoOf(mark.atMs), handledBy: mark.act }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(filter === undefined ? {} : { filter }),
    ...(stream === undefined ? {} : { stream }),
    ...(group === undefined ? {} : { group }),
    ...(offset === undefined ? {} : { offset }),
    topic: message.topic,
    qos,
    bytes: message.payload.length,
    attempts,
    error
  }
}

export function letterJson(letter: MarkedLetter): LetterJson {
  const { payload, properties, expiresAtMs, publishedAtMs, publisherId, qos, retain } = letter.message
  const isText = isUtf8(payload)
  return {
    ...letterSummaryJson(letter),
    publisher: publisherId,
    publishedAt: isoOf(publishedAtMs),
    publishedQos: qos,
    retain,
    ...(expiresAtMs === 0 ? {} : { expiresAt: isoOf(expiresAtMs) }),
    ...(properties.length === 0 ? {} : { properties: { ...propertiesJson(decodeMessageProperties(properties)) } }),
    payload: payload.toString(isText ? 'utf8' : 'base64'),
    ...(isText ? {} : { encoding: 'base64' as const })
  }
}

function isoOf(timeMs: number): string {
  return new Date(timeMs).toISOString()
}
