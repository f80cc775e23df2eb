import type { Message } from '../../mqtt/message.ts'
import type { StreamGap, StreamRecord } from '../../stream/contract.ts'
import type { Broker } from '../broker.ts'
import type { Connection } from '../connection.ts'
import { forwarded } from '../message-hooks.ts'
import type { RoutedSubscription } from './broker-session.ts'
import type { OutgoingPublish } from './publish-writer.ts'

const noIds: readonly number[] = []
const noBytes = Buffer.alloc(0)

/**
 * The PUBLISH of a record at QoS 0. MQTT 5 clients are told `stream`, `offset`, `partition` and `timestamp` as User Properties behind the
 * publisher's own, and `gap` (first and last offset) when the records before it are lost.
 */
export function recordPacket(
  record: StreamRecord,
  { session, retainAsPublished, subscriptionId }: RoutedSubscription,
  stream: string,
  gap: StreamGap | undefined,
  nowMs: number
): OutgoingPublish {
  const { topic, payload, expiresAtMs, retain } = record
  return {
    topicName: topic,
    topic: topicBytes(topic),
    qos: 0,
    retain: retain && retainAsPublished,
    dup: false,
    packetId: 0,
    // History does not expire; what still can is told so.
    remainingSeconds: expiresAtMs > nowMs ? Math.ceil((expiresAtMs - nowMs) / 1000) : -1,
    subscriptionIds: subscriptionId > 0 ? [subscriptionId] : noIds,
    properties: session.version === 5 ? toldProperties(record, stream, gap) : noBytes,
    bytes: payload,
    payloadStart: 0,
    payloadEnd: payload.length
  }
}

function toldProperties(record: StreamRecord, stream: string, gap: StreamGap | undefined): Buffer {
  const { offset, partition, timestampMs, properties } = record
  let told =
    userProperty('stream', stream) +
    userProperty('offset', String(offset)) +
    userProperty('partition', String(partition)) +
    timestampProperty(timestampMs)
  if (gap !== undefined) told += userProperty('gap', `${gap.fromOffset}-${gap.toOffset - 1}`)
  const bytes = Buffer.from(told, 'latin1')
  return properties.length === 0 ? bytes : Buffer.concat([properties, bytes])
}

let lastTimestampMs = -1
let lastTimestamp = ''

/** Records of one batch mostly have the same time, and to write it out costs more than the rest. */
function timestampProperty(timestampMs: number): string {
  if (timestampMs !== lastTimestampMs) {
    lastTimestampMs = timestampMs
    lastTimestamp = userProperty('timestamp', new Date(timestampMs).toISOString())
  }
  return lastTimestamp
}

const topicsRemembered = new Map<string, Buffer>()
const topicsRememberedMax = 1000

/** Records repeat a few topics. */
function topicBytes(topic: string): Buffer {
  let bytes = topicsRemembered.get(topic)
  if (bytes === undefined) {
    bytes = Buffer.from(topic)
    if (topicsRemembered.size >= topicsRememberedMax) topicsRemembered.clear()
    topicsRemembered.set(topic, bytes)
  }
  return bytes
}

/** One User Property as bytes in a string: 0x26 and two strings with their lengths. Both are ASCII and shorter than 256. */
function userProperty(name: string, value: string): string {
  return `&\0${String.fromCharCode(name.length)}${name}\0${String.fromCharCode(value.length)}${value}`
}

/** From the second attempt on, members of a consumer group are told which one it is: such a record may have been worked on before. */
export function withAttempt(properties: Buffer, attempt: number): Buffer {
  return Buffer.concat([properties, Buffer.from(userProperty('attempt', String(attempt)), 'latin1')])
}

/** The record as the forward hook shows it to this client; undefined = not at all. */
export function recordShownTo(broker: Broker, connection: Connection, record: StreamRecord): StreamRecord | undefined {
  if (!broker.hasForwardHook) return record
  const shown = forwarded(broker, connection, recordMessage(record))
  return shown && { ...record, topic: shown.topic, payload: shown.payload, properties: shown.properties }
}

/** The message that a record was. */
export function recordMessage(record: StreamRecord): Message {
  const { topic, payload, qos, retain, properties, expiresAtMs, timestampMs, clientId } = record
  return { topic, payload, qos, retain, properties, expiresAtMs, publishedAtMs: timestampMs, publisherId: clientId }
}
