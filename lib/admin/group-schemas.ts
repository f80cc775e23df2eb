import { z } from 'zod'
import { examples } from './check-input.ts'
import { topicFilter } from './records-query.ts'
import { recordSchema } from './routes-records.ts'
import { streamParams } from './routes-streams.ts'

/** What goes in and out of the endpoints of consumer groups. */

const MINUTE_MS = 60_000

export const groupParams = streamParams.extend({
  group: z.string().meta({ description: 'Name of the consumer group.', examples: ['workers'] })
})

export const memberParams = groupParams.extend({
  member: z.string().meta({ description: 'What the member calls itself.', examples: ['worker-1'] })
})

const filter = topicFilter.optional().meta({
  description: 'Topic Filter of the group: the same name with another one is another group. Default: all topics.',
  ...examples('devices/7/#')
})

export const groupQuery = z.strictObject({ filter })

function whole(min: number, max: number) {
  const error = `expected a whole number from ${min} to ${max}`
  return z.int({ error }).min(min, { error }).max(max, { error })
}

const member = z
  .string()
  .regex(/^\P{Cc}{1,256}$/u, { error: 'expected a name of 1 to 256 characters, none of them a control character' })
  .meta({ description: 'What the member calls itself; one poll of it at a time.', examples: ['worker-1'] })

export const pollBody = z.strictObject({
  member,
  filter,
  from: z
    .string()
    .optional()
    .meta({
      description: 'Where a group that does not exist yet begins: `earliest`, `latest` (default), an offset or a time.',
      examples: ['earliest']
    }),
  max: whole(1, 10_000).prefault(500).meta({ description: 'Records at most.' }),
  maxBytes: whole(1, 16 * 1024 * 1024)
    .prefault(1024 * 1024)
    .meta({ description: 'Bytes of topics and payloads at most; one record goes out whatever its size.' }),
  waitMs: whole(0, MINUTE_MS).prefault(0).meta({ description: 'How long to wait for a record when there is none.' }),
  sessionTimeoutMs: whole(1000, 24 * 60 * MINUTE_MS)
    .prefault(30_000)
    .meta({
      description:
        'The member counts as gone when it neither polls nor commits for this long. Records it has not committed after this long are handed out again, unless the stream has an `ackTimeout` of its own.'
    })
})

const position = z.strictObject({ partition: whole(0, 1_000_000), offset: whole(0, Number.MAX_SAFE_INTEGER) })

export const commitBody = z.strictObject({
  member,
  filter,
  offsets: z
    .array(position)
    .optional()
    .meta({ description: 'Everything handed to the member in the partition, up to and including the offset.' }),
  records: z.array(position).optional().meta({ description: 'These records alone.' }),
  refused: z
    .array(position.extend({ error: z.string().max(1000).optional() }))
    .optional()
    .meta({ description: 'Records that could not be processed: they are handed out again, or become dead letters.' })
})

export const resetBody = z.strictObject({
  filter,
  to: z.string().meta({
    description: 'Where to read on: `earliest`, `latest`, an offset, an ISO 8601 time, or `@` and milliseconds since 1970.',
    examples: ['earliest']
  }),
  partition: whole(0, 1_000_000).optional().meta({ description: 'Default: all partitions.' }),
  dryRun: z.boolean().optional().meta({ description: 'Whether to say only what it would mean.' })
})

export const removeQuery = z.strictObject({
  filter,
  force: z.enum(['true', 'false'], { error: 'expected true or false' }).optional().meta({
    description: 'Whether to remove a group that has members: they get nothing more.'
  })
})

const gap = z.object({ fromOffset: z.number(), toOffset: z.number() })

export const pollAnswer = z
  .object({
    records: z.array(
      recordSchema.extend({ attempt: z.number().meta({ description: 'Above 1: it was handed out before, and not committed.' }) })
    ),
    gaps: z.array(gap).meta({ description: 'Offsets that were lost before the group had read them; the end is not among them.' }),
    partitions: z.array(z.number()).meta({ description: 'Partitions that the member has now.' })
  })
  .meta({ id: 'GroupRecords', description: 'Records for one member of a consumer group.' })

export const resetAnswer = z
  .object({
    partitions: z.array(
      z.object({
        partition: z.number(),
        from: z.number().meta({ description: 'Position before.' }),
        to: z.number().meta({ description: 'Position after.' }),
        skipped: z.number().meta({ description: 'Records that the group will not read.' }),
        again: z.number().meta({ description: 'Records that it had passed and reads again.' })
      })
    ),
    members: z.array(z.string()).meta({ description: 'Members that go on from the new positions.' }),
    exact: z.boolean().meta({
      description: 'False when too much lies between the positions to be counted: then `skipped` and `again` count offsets.'
    }),
    note: z.string().nullable().meta({ description: 'What is different from what was asked for; null when nothing is.' })
  })
  .meta({ id: 'GroupReset', description: 'What a reset did, or would do.' })

/** One consumer group of a stream, as it is shown. */
export const groupSchema = z
  .object({
    stream: z.string().meta({ examples: ['telemetry'] }),
    group: z.string().meta({ examples: ['workers'] }),
    filter: z.string().meta({ description: 'Topic Filter of what the group reads.', examples: ['#'] }),
    members: z.array(
      z.object({
        id: z.string().meta({ description: 'Client Identifier, or what the member calls itself.', examples: ['worker-1'] }),
        kind: z.enum(['mqtt', 'http', 'node']),
        state: z.enum(['active', 'stalled']).meta({ description: '`stalled`: it let the time to acknowledge run out.' }),
        partitions: z.number().meta({ description: 'How many it has.' }),
        inFlight: z.number().meta({ description: 'Records it has and did not acknowledge.' })
      })
    ),
    end: z.number().meta({ description: "Offset the stream's next record gets." }),
    lag: z.number().meta({ description: 'Offsets of the stream from the lowest position of the group on.' }),
    lagSeconds: z
      .number()
      .optional()
      .meta({ description: 'Age of the oldest record that is not acknowledged; absent while it is not known.' }),
    partitions: z.array(
      z.object({
        partition: z.number(),
        position: z.number().meta({ description: 'Offset of the first record that is not acknowledged.' }),
        lag: z.number().meta({ description: 'Offsets from the position to the end, those of other partitions too.' }),
        lagSeconds: z.number().optional().meta({ description: 'As of the group.' }),
        inFlight: z.number().meta({ description: 'Records that are handed out and not acknowledged.' }),
        member: z.string().optional().meta({ description: 'Who reads the partition; absent when nobody does.' })
      })
    ),
    committed: z.number().meta({ description: 'Records acknowledged since the broker started.' }),
    redelivered: z.number().meta({ description: 'Records handed out once more since the broker started.' }),
    deadLetters: z.number().meta({ description: 'Records given up since the broker started.' }),
    lost: z
      .number()
      .meta({ description: 'Records that retention removed before the group had read them, since the broker started.' })
  })
  .meta({ id: 'Group', description: 'A consumer group of a stream.' })

export type GroupJson = z.output<typeof groupSchema>
