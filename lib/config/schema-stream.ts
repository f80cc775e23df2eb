import { z } from 'zod'
import { choice, duration, size, topicFilter, whole } from './schema-fields.ts'

const YEAR_MS = 365 * 86_400_000
const KIB = 1024
const TIB = KIB ** 4

export const ackModes = ['synced', 'written', 'received'] as const
export const ackDescription =
  'What an acknowledgement waits for: `synced` = on disk (fdatasync has returned), `written` = with the operating system (survives a crash of the broker, not of the machine), `received` = nothing.'

/** What may stand under `streams.NAME`. */
const streamSchema = z.strictObject({
  filter: topicFilter.meta({
    description: 'Messages whose topic matches go into the stream.',
    examples: ['devices/+/telemetry']
  }),
  key: choice('clientId', 'topic')
    .prefault('clientId')
    .meta({ description: 'Records with equal key share a partition, and so keep their order when readers share the stream.' }),
  partitions: whole(1, 1024).prefault(8).meta({ description: 'Into how many parts readers can share the stream.' }),
  retention: z
    .strictObject({
      age: duration(100 * YEAR_MS)
        .prefault('7d')
        .meta({ description: 'Records older than this may be removed; 0 = keep for ever.' }),
      bytes: size(0, 1024 * TIB)
        .prefault('10GiB')
        .meta({ description: 'Above this size the oldest segments are removed; 0 = no limit.' })
    })
    .transform(({ age, bytes }) => ({ ageMs: age, bytes }))
    .prefault({})
    .meta({ description: 'What may be removed from the stream, and when.' }),
  ack: choice(...ackModes)
    .prefault('synced')
    .meta({ description: ackDescription }),
  segmentBytes: size(4 * KIB, 4 * KIB ** 3)
    .prefault('64MiB')
    .meta({ description: 'Size at which a segment file is closed and a new one begun. Retention removes whole segments.' })
})

const streamNameError = 'expected a stream name: letters, digits, _ and -, starting with a letter or digit, at most 64'
const streamName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, { error: streamNameError })

/** What may stand under `streams`, in the configuration and in a file for `tributary apply`. */
export const streamsSchema = z
  .record(
    streamName,
    streamSchema.transform(({ segmentBytes, ...rest }) => ({ ...rest, segmentBytesMax: segmentBytes }))
  )
  .transform(withoutPrototype)

function withoutPrototype<Value>(record: Record<string, Value>): Record<string, Value> {
  return Object.assign(Object.create(null), record)
}
