import { z } from 'zod'
import { choice, duration, whole } from './schema-fields.ts'

const DAY_MS = 86_400_000

/** What may stand under `streams.NAME.groups`. */
export const groupsSchema = z
  .strictObject({
    maxDeliveryAttempts: whole(0, 1_000_000)
      .prefault(0)
      .meta({
        description:
          'Attempts after which a record that no member of a consumer group acknowledges becomes a dead letter, and the group goes on behind it; 0 = no limit, the group waits for it.',
        examples: [5]
      }),
    ackTimeout: duration(30 * DAY_MS)
      .prefault(0)
      .meta({
        description:
          'How long a member of a consumer group may take to acknowledge a record before it is handed out again; 0 = as long as it likes. For members over HTTP it is then the session timeout they ask for.',
        examples: ['30s']
      }),
    retryDelay: duration(DAY_MS).prefault('1s').meta({
      description: 'How long a record waits that a member of a consumer group refused, before it is handed out again.'
    }),
    refused: choice('dead-letter', 'retry').prefault('dead-letter').meta({
      description:
        'What becomes of a record that a member answers with a PUBACK of 0x80 or above: `dead-letter` at once, as the standard asks of shared subscriptions, or `retry`: handed out again like any other failed attempt.'
    })
  })
  .transform(({ maxDeliveryAttempts, ackTimeout, retryDelay, refused }) => ({
    maxDeliveryAttempts,
    ackTimeoutMs: ackTimeout,
    retryDelayMs: retryDelay,
    refused
  }))
  .prefault({})
  .meta({ description: 'How consumer groups of the stream treat records that are not acknowledged.' })
