import { z } from 'zod'
import { milliseconds, seconds, size, whole } from './schema-fields.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
/** Largest MQTT packet: 1 byte of header, 4 of Remaining Length, 268,435,455 that it can count. */
const LARGEST_PACKET_BYTES = 268_435_460

/** One named limit per thing a client can make the broker hold, each with what happens when it is reached. */
export const limitsSchema = z.strictObject({
  maxPacketBytes: size(128, LARGEST_PACKET_BYTES)
    .prefault('1MiB')
    .meta({ description: 'Largest packet taken from a client. A larger one ends the connection (MQTT 5: reason 0x95).' }),
  maxQueuedMessagesPerSession: whole(1, 100_000_000).prefault(10_000).meta({
    description:
      'Messages waiting for one session, or for the members of one shared subscription. Further ones are dropped and counted under `queue-full`.'
  }),
  receiveMaximum: whole(1, 65_535).prefault(100).meta({
    description:
      'QoS 1 and 2 publishes an MQTT 5 client may have unacknowledged towards the broker. More ends the connection (0x93).'
  }),
  maxInflight: whole(1, 65_535).prefault(1024).meta({
    description:
      'Unacknowledged QoS 1 and 2 deliveries to one client: the window of 3.1.1 clients, the upper bound of what MQTT 5 clients ask for. Further messages wait in the queue.'
  }),
  maxConnections: whole(1, 10_000_000)
    .prefault(50_000)
    .meta({ description: 'Open client connections over all listeners. Further ones are closed on arrival.' }),
  maxSubscriptionsPerSession: whole(1, 1_000_000)
    .prefault(1_000)
    .meta({ description: 'Subscriptions of one session. Further ones are refused (MQTT 5: reason 0x97).' }),
  maxTopicLevels: whole(1, 65_535)
    .prefault(100)
    .meta({ description: 'Levels of a topic name or topic filter. Deeper ones are refused as invalid.' }),
  topicAliasMaximum: whole(0, 65_535).prefault(16).meta({
    description: 'Topic aliases an MQTT 5 client may set on one connection; 0 = none. A higher alias ends the connection (0x94).'
  }),
  outboundTopicAliasMaximum: whole(0, 65_535).prefault(16).meta({
    description:
      'Topic aliases the broker sets on the connection of an MQTT 5 client that allows them; 0 = none. The first topics sent to the client get them and keep them, further topics are sent in full. Retained messages get none.'
  }),
  maximumQos: whole(0, 2)
    .transform(qos => qos as 0 | 1 | 2)
    .prefault(2)
    .meta({
      description:
        'Highest QoS of publishes and wills. MQTT 5 clients are told; a publish above it ends the connection (0x9B), a will above it is refused. Subscriptions are granted no more than this.'
    }),
  keepAliveSecondsMax: seconds(1, 65_535).prefault(65_535).meta({
    description:
      'Longest keep alive. MQTT 5 clients that ask for more, or for none, are told this one, older clients are cut off; 65535 leaves every client its own choice.'
  }),
  sessionExpirySecondsMax: seconds(0, 4_294_967_295).prefault('30d').meta({
    description:
      'How long the session of a client that is away is kept at most, whatever it asked for; sessions of 3.1.1 clients (which cannot ask) are kept this long. 4294967295 = for ever.'
  }),
  connectTimeoutMs: milliseconds(100, 600_000).prefault(10_000).meta({
    description:
      'Time from the opening of a connection to a complete CONNECT, and to the end of an exchange of enhanced authentication. Later, it is closed.'
  }),
  maxOutboundBufferBytes: size(16 * 1024, GIB)
    .prefault('1MiB')
    .meta({
      description:
        'Bytes waiting in one connection for a slow client. Above it, QoS 0 messages to it are dropped and counted, QoS 1 and 2 wait in the queue, and nothing more is read from it.'
    }),
  maxUncommittedBytes: size(64 * 1024, 16 * GIB)
    .prefault('16MiB')
    .meta({
      description:
        'Bytes taken from clients and not yet on disk. Above it, the broker stops reading until the disk has caught up.'
    }),
  maxStreamGroups: whole(0, 1_000_000).prefault(1_000).meta({
    description:
      'Consumer groups over all streams, those without members too. A subscription that would make another one is refused (MQTT 5: reason 0x97).'
  }),
  streamReadRecordsPerTurn: whole(1, 1_000_000).prefault(2_000).meta({
    description:
      'Records of streams sent over MQTT in one turn of the event loop, over all readers; one of more than 512 bytes counts as several. The rest waits for the next turn, so that publishers are served in between; while publishers are busy, readers get fewer.'
  }),
  maxRetainedMessages: whole(0, 1_000_000_000).prefault(1_000_000).meta({
    description:
      'Retained messages. Above it, a publish that would retain on a new topic is delivered but not retained, and counted as a drop.'
  })
})
