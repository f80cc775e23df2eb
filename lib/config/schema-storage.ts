import { z } from 'zod'
import { choice, milliseconds, size } from './schema-fields.ts'

const TIB = 1024 ** 4

/** What may stand under `storage`. */
export const storageSchema = z.strictObject({
  quota: size(0, 1024 * TIB)
    .prefault(0)
    .meta({
      description: 'Bytes of all streams together; 0 = no quota. What happens above it says whenFull.',
      examples: ['100GiB']
    }),
  minFreeBytes: size(0, 1024 * TIB)
    .prefault('256MiB')
    .meta({
      description:
        'Bytes that are to stay free on the disk of the data folder. Below it the broker is read-only: publishes that need the disk are refused (MQTT 5: reason 0x97; older clients are disconnected), or dropped at QoS 0, until a tenth more is free. 0 = the disk may fill up.'
    }),
  whenFull: choice('read-only', 'delete-oldest').prefault('read-only').meta({
    description:
      'What gives way to the quota: `read-only` = new messages, as with minFreeBytes, until the streams are a tenth below it; `delete-oldest` = the oldest records of all streams, whatever their retention says.'
  }),
  checkIntervalMs: milliseconds(10, 3_600_000).prefault(1_000).meta({
    description: 'How often the disk is looked at. In between it is looked at when what was written since could have filled it.'
  })
})
