import type { Message } from '../../mqtt/message.ts'
import type { StreamGap, StreamRecord } from '../../stream/contract.ts'
import type { Broker } from '../broker.ts'
import type { Connection } from '../connection.ts'
import type { RoutedSubscription } from './broker-session.ts'
import type { OutgoingPublish } from './publish-writer.ts'

const noIds: readonly number[] = []

/**
 * The PUBLISH of a record at QoS 0. MQTT 5 clients are told `stream`, `offset`, `partition` and `timestamp` as User Properties behind the
 * publisher's own, and `gap` (first and last offset) when the records before it are lost.
 */
export function recordPacket(
  record: StreamRecord,
  subscription: RoutedSubscription,
  stream: string,
  gap: StreamGap | undefined,
  nowMs: number
): OutgoingPublish {
  const { topic, offset, partition, timestampMs, properties, payload, expiresAtMs, retain } = record
  let added =
    userProperty('stream', stream) +
    userProperty('offset', String(offset)) +
    userProperty('partition', String(partition)) +
    userProperty('timestamp', new Date(timestampMs).toISOString())
  if (gap !== undefined) added += userProperty('gap', `${gap.fromOffset}-${gap.toOffset - 1}`)
  return {
    topicName: topic,
    topic: Buffer.from(topic),
    qos: 0,
    retain: retain && subscription.retainAsPublished,
    dup: false,
    packetId: 0,
    // History does not expire; what still can is told so.
    remainingSeconds: expiresAtMs > nowMs ? Math.ceil((expiresAtMs - nowMs) / 1000) : -1,
    subscriptionIds: subscription.subscriptionId > 0 ? [subscription.subscriptionId] : noIds,
    properties: Buffer.concat([properties, Buffer.from(added, 'latin1')]),
    bytes: payload,
    payloadStart: 0,
    payloadEnd: payload.length
  }
}

/** One User Property as bytes in a string: 0x26 and two strings with their lengths. Both are ASCII and shorter than 256. */
function userProperty(name: string, value: string): string {
  return `&\0${String.fromCharCode(name.length)}${name}\0${String.fromCharCode(value.length)}${value}`
}

/** The record as the forward hook shows it to this client; undefined = not at all. */
export function recordShownTo(broker: Broker, connection: Connection, record: StreamRecord): StreamRecord | undefined {
  if (!broker.hasForwardHook) return record
  const { topic, payload, qos, retain, properties, expiresAtMs, timestampMs, clientId } = record
  const message: Message = {
    topic,
    payload,
    qos,
    retain,
    properties,
    expiresAtMs,
    publishedAtMs: timestampMs,
    publisherId: clientId
  }
  const shown = broker.forwarded(connection, message)
  return shown && { ...record, topic: shown.topic, payload: shown.payload, properties: shown.properties }
}
