import { z } from 'zod'
import type { Config } from './config.ts'
import type { JsonSchema } from './json-schema.ts'
import { deadLetterSchema } from './schema-dead-letter.ts'
import { featuresSchema, responseTopicPrefix, serverReference } from './schema-features.ts'
import { choice, filePath, folderPath, host, milliseconds, port, topicFilter, whole } from './schema-fields.ts'
import { limitsSchema } from './schema-limits.ts'
import { listenerSchema } from './schema-listeners.ts'
import { storageSchema } from './schema-storage.ts'
import { ackDescription, ackModes, streamsSchema } from './schema-stream.ts'

/** What may stand in the YAML file. Every default and every description lives here and nowhere else. */

const admin = z.union([
  z.literal(false),
  z.strictObject({
    host: host.prefault('127.0.0.1').meta({
      description:
        'Address of the admin listener. Without a token file everybody who reaches it may read, and on loopback write; it speaks no TLS, so put a proxy that does in front of other addresses.'
    }),
    port: port.prefault(9883).meta({ description: 'Port of the admin listener; 0 = any free one.' }),
    tokenFile: filePath.optional().meta({
      description: 'Tokens that let callers in, and what each may do, written by `tributary token`; see docs/http-api.md.',
      examples: ['admin-tokens']
    }),
    maxReaders: whole(1, 100_000)
      .prefault(100)
      .meta({ description: 'Reads of stream records at the same time; one more is refused with 503.' })
  })
])

const access = z.strictObject({
  anonymous: z
    .boolean()
    .prefault(true)
    .meta({ description: 'Whether clients without credentials are let in, on listeners that allow it.' }),
  passwordFile: filePath
    .optional()
    .meta({ description: 'Usernames and password hashes, written by `tributary passwd`.', examples: ['passwords'] }),
  aclFile: filePath.optional().meta({
    description: 'Who may publish and subscribe to what; see docs/access.md. Without one everybody may do everything.',
    examples: ['acl.yaml']
  }),
  hooks: filePath.optional().meta({
    description: "JavaScript module that exports hooks: Aedes', with their names and signatures, and `authenticateEnhanced`.",
    examples: ['./hooks.js']
  }),
  scram: z
    .boolean()
    .optional()
    .meta({
      description:
        'Whether MQTT 5 clients may prove a password of the password file by SCRAM-SHA-256. Not set: users with a verifier (`tributary passwd --scram`) may. `true`: somebody must have one. `false`: nobody may.',
      examples: [true]
    }),
  certificateIdentity: choice('commonName', 'fingerprint').prefault('commonName').meta({
    description: 'What of a verified client certificate becomes the username: its common name or its SHA-256 fingerprint.'
  })
})

const log = z.strictObject({
  level: choice('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent')
    .prefault('info')
    .meta({ description: 'Least severe level that is logged.' }),
  format: choice('auto', 'json', 'pretty')
    .prefault('auto')
    .meta({ description: '`auto` is `pretty` on a terminal and `json` everywhere else.' })
})

export const configSchema = z
  .strictObject({
    data: folderPath
      .prefault('./data')
      .meta({ description: 'Folder of everything the broker keeps. Relative paths start at the folder of this file.' }),
    listeners: z
      .array(listenerSchema)
      .min(1, { error: 'expected at least one listener' })
      .prefault([
        { type: 'tcp', port: 1883 },
        { type: 'ws', port: 8083 }
      ])
      .meta({ description: 'Where clients come in.' }),
    admin: admin
      .prefault({})
      .meta({ description: 'HTTP listener for health, metrics and the commands of the `tributary` bin; `false` = none.' }),
    access: access.prefault({}).meta({ description: 'Who is let in and what they may do.' }),
    streams: streamsSchema
      .prefault({ telemetry: { filter: 'devices/#' } })
      .meta({ description: 'Retained logs by name: which messages they keep and for how long.' }),
    ack: z
      .array(
        z.strictObject({
          filter: topicFilter.meta({ description: 'Topics the mode is for.', examples: ['chat/#'] }),
          mode: choice(...ackModes).meta({ description: ackDescription, examples: ['received'] })
        })
      )
      .prefault([])
      .meta({
        description:
          'Weaker acknowledgements for queued and retained messages outside streams. The first filter that matches the topic counts; without one it is `synced`.'
      }),
    deadLetter: deadLetterSchema.prefault({}).meta({
      description:
        'Where QoS 1 and 2 messages go that were owed to somebody and could not be delivered; `false` = they are counted only.'
    }),
    storage: storageSchema.prefault({}).meta({ description: 'How much of the disk the streams may take, all together.' }),
    limits: limitsSchema.prefault({}).meta({ description: 'What one client, or all together, can make the broker hold.' }),
    features: featuresSchema
      .prefault({})
      .meta({ description: 'Parts of MQTT that can be switched off. MQTT 5 clients are told.' }),
    responseTopicPrefix,
    serverReference,
    log: log.prefault({}).meta({ description: 'What is logged and how. Payloads and credentials never are.' }),
    shutdown: z
      .strictObject({
        drainTimeoutMs: milliseconds(0, 3_600_000)
          .prefault(10_000)
          .meta({ description: 'How long a stop waits for open acknowledgements and deliveries before it closes what is left.' })
      })
      .prefault({})
      .meta({ description: 'How the broker stops.' })
  })
  .meta({ title: 'Tributary configuration', description: 'One YAML file; every key has a default.' }) satisfies z.ZodType<Config>

/** The schema for editors, in the words of the file: durations and sizes as text, defaults as they may be written. */
export function jsonSchema(): JsonSchema {
  return z.toJSONSchema(configSchema, { io: 'input' }) as JsonSchema
}
