import { z } from 'zod'
import type { DeduplicateConfig, StreamSchemaConfig } from './config.ts'
import { choice, duration, filePath, size, whole } from './schema-fields.ts'
import { formatDuration, formatSize } from './units.ts'

/** What a stream may ask of messages before it takes them: `streams.NAME.schema` and `streams.NAME.deduplicate`. */

const HOUR_MS = 3_600_000
const MIB = 1024 * 1024
const exactlyOne = 'expected either `subject` or `file`'
const subjectError = 'expected the name of a schema: letters, digits, _, - and inner dots, at most 64'
const versionError = 'expected `latest` or the number of a version'

export const streamSchemaSchema = z
  .strictObject({
    subject: z
      .string()
      .regex(/^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_-])?$/, { error: subjectError })
      .optional()
      .meta({
        description: 'Name of a JSON Schema in the registry of the data folder, see `tributary schema`. Either this or `file`.',
        examples: ['reading']
      }),
    version: z
      .union([z.literal('latest'), z.int().min(1)], { error: versionError })
      .prefault('latest')
      .meta({ description: 'Version of `subject`; with `latest` a new one counts from the next message on.' }),
    file: filePath
      .optional()
      .meta({ description: 'A file with the JSON Schema, read at start.', examples: ['reading.schema.json'] }),
    onInvalid: choice('reject', 'dead-letter', 'tag').prefault('reject').meta({
      description:
        'A payload that is not valid: `reject` = the message is refused (MQTT 5: 0x99; before: the connection ends), `dead-letter` = acknowledged and kept as a dead letter, `tag` = in the stream with the User Property `schema-error`.'
    }),
    maxPayload: size(1, 256 * MIB)
      .prefault('256KiB')
      .meta({ description: 'Larger payloads are not looked at and count as not valid.' }),
    maxDepth: whole(1, 1000)
      .prefault(64)
      .meta({ description: 'Payloads that nest arrays and objects deeper count as not valid.' })
  })
  .superRefine(({ subject, file }, context) => {
    if ((subject === undefined) === (file === undefined)) context.addIssue({ code: 'custom', message: exactlyOne })
  })
  .transform(({ maxPayload, ...rest }): StreamSchemaConfig => ({ ...rest, maxPayloadBytes: maxPayload }))
  .optional()
  .meta({
    description: 'JSON Schema that payloads have to be valid under; see docs/schemas.md.',
    examples: [{ subject: 'reading' }]
  })

export const deduplicateSchema = z
  .strictObject({
    window: duration(24 * HOUR_MS)
      .prefault('5m')
      .meta({ description: 'How long a message is remembered.' }),
    maxEntries: whole(1, 10_000_000)
      .prefault(100_000)
      .meta({ description: 'How many messages are remembered, of each kind; the oldest are forgotten first.' }),
    by: z
      .array(choice('message-id', 'packet-id'))
      .min(1, { error: 'expected at least one of message-id and packet-id' })
      .prefault(['message-id', 'packet-id'])
      .meta({
        description:
          'What a repetition is known by: the User Property `message-id`, or the Packet Identifier of a QoS 1 packet with DUP in a session that is kept.'
      })
  })
  .transform(({ window, ...rest }): DeduplicateConfig => ({ windowMs: window, ...rest }))
  .optional()
  .meta({ description: 'Messages that are sent again enter the stream once; see docs/streams.md.', examples: [{ window: '5m' }] })

/** Back in the words of the file. */
export function intakeWords(schema: StreamSchemaConfig | undefined, deduplicate: DeduplicateConfig | undefined): object {
  return {
    ...(schema && { schema: { ...omit(schema, 'maxPayloadBytes'), maxPayload: formatSize(schema.maxPayloadBytes) } }),
    ...(deduplicate && {
      deduplicate: { ...omit(deduplicate, 'windowMs'), window: deduplicate.windowMs && formatDuration(deduplicate.windowMs) }
    })
  }
}

function omit<Value extends object>(value: Value, key: keyof Value): object {
  const { [key]: _, ...rest } = value
  return rest
}
