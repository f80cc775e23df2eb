import { z } from 'zod'
import { duration, size, whole } from './schema-fields.ts'

const YEAR_MS = 365 * 86_400_000
const MIB = 1024 * 1024
const TIB = 1024 ** 4

/** What may stand under `deadLetter`. */
export const deadLetterSchema = z.union([
  z.literal(false),
  z.strictObject({
    includeQos0: z.boolean().prefault(false).meta({
      description: 'Whether deliveries at QoS 0 that are dropped become dead letters, too. They are counted in any case.'
    }),
    noSubscriber: z.boolean().prefault(false).meta({
      description:
        'Whether a QoS 1 or 2 message that no subscription, stream or listener took, and that is not retained, becomes a dead letter.'
    }),
    cleanSessions: z.boolean().prefault(false).meta({
      description:
        'Whether what waits for a client whose session ends with its connection becomes dead letters. Any client can then fill the store: by subscribing, not acknowledging and going away.'
    }),
    retention: z
      .strictObject({
        age: duration(100 * YEAR_MS)
          .prefault('30d')
          .meta({ description: 'Dead letters older than this may be removed; 0 = keep for ever.' }),
        bytes: size(MIB, 1024 * TIB)
          .prefault('1GiB')
          .meta({
            description: 'Above this size the oldest dead letters are removed, and counted if nobody has dealt with them.'
          })
      })
      .transform(({ age, bytes }) => ({ ageMs: age, bytes }))
      .prefault({})
      .meta({ description: 'What may be removed from the store of dead letters, and when.' }),
    redrivePerSecond: whole(1, 1_000_000).prefault(1_000).meta({
      description: 'How many dead letters a re-drive sends in a second, unless it is asked for less or more.'
    })
  })
])
