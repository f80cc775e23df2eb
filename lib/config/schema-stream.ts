import { z } from 'zod'
import { choice, duration, size, topicFilter, whole } from './schema-fields.ts'
import { groupsSchema } from './schema-groups.ts'
import { deduplicateSchema, streamSchemaSchema } from './schema-intake.ts'

const YEAR_MS = 365 * 86_400_000
const KIB = 1024
const TIB = KIB ** 4

export const ackModes = ['synced', 'written', 'received'] as const
export const ackDescription =
  'What an acknowledgement waits for: `synced` = on disk (fdatasync has returned), `written` = with the operating system (survives a crash of the broker, not of the machine), `received` = nothing.'

const ratioError = 'expected a number from 0 to 1'

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
  cleanup: choice('delete', 'compact', 'compact-delete').prefault('delete').meta({
    description:
      'What happens to old records: `delete` = retention removes them, `compact` = all but the last one of each key are removed and retention counts for nothing, `compact-delete` = both.'
  }),
  compaction: z
    .strictObject({
      tombstoneAge: duration(100 * YEAR_MS)
        .prefault('24h')
        .meta({
          description:
            'How long a record without payload, which says that its key has no value any more, stays after everything before it was removed. Readers that take longer from one end of the stream to the other may miss it.'
        }),
      minDirtyRatio: z
        .number({ error: ratioError })
        .min(0, { error: ratioError })
        .max(1, { error: ratioError })
        .prefault(0.5)
        .meta({ description: 'A run begins when at least this part of the bytes came since the last one.' }),
      maxLag: duration(100 * YEAR_MS)
        .prefault('24h')
        .meta({ description: 'A run begins at the latest when the first record that came since the last one is this old.' }),
      memory: size(64 * KIB, 4 * KIB ** 3)
        .prefault('64MiB')
        .meta({
          description:
            'What the keys may take in memory while a run is on: 64MiB are about half a million keys. A run over more of them is made of several passes.'
        }),
      rate: size(64 * KIB, 4 * KIB ** 3)
        .prefault('32MiB')
        .meta({ description: 'How much a run reads and writes per second, so that clients do not notice it.' })
    })
    .transform(({ tombstoneAge, minDirtyRatio, maxLag, memory, rate }) => ({
      ...{ tombstoneAgeMs: tombstoneAge, minDirtyRatio, maxLagMs: maxLag },
      ...{ memoryBytes: memory, bytesPerSecond: rate }
    }))
    .prefault({})
    .meta({ description: 'How a stream is compacted whose cleanup says so.' }),
  ack: choice(...ackModes)
    .prefault('synced')
    .meta({ description: ackDescription }),
  groups: groupsSchema,
  segmentBytes: size(4 * KIB, 4 * KIB ** 3)
    .prefault('64MiB')
    .meta({ description: 'Size at which a segment file is closed and a new one begun. Retention removes whole segments.' }),
  schema: streamSchemaSchema,
  deduplicate: deduplicateSchema
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
