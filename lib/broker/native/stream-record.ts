import { copyInto, deliveryProperties } from '../../mqtt/encode-publish.ts'
import type { Message } from '../../mqtt/message.ts'
import type { StreamGap, StreamRecord } from '../../stream/contract.ts'
import type { Broker } from '../broker.ts'
import type { Connection } from '../connection.ts'
import { forwarded } from '../message-hooks.ts'
import type { RoutedSubscription } from './broker-session.ts'
import type { OutgoingPublish } from './publish-writer.ts'

const noIds: readonly number[] = []
const noBytes = Buffer.alloc(0)

/** The PUBLISH of a record at QoS 0, for what RecordEncoder does not do. MQTT 5 clients are told what ToldProperties says. */
export function recordPacket(
  record: StreamRecord,
  { session, retainAsPublished, subscriptionId }: RoutedSubscription,
  told: ToldProperties,
  gap: StreamGap | undefined,
  nowMs: number
): OutgoingPublish {
  const { topic, payload, expiresAtMs, retain, properties } = record
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
    properties: session.version === 5 ? Buffer.concat([properties, told.of(record, gap)]) : noBytes,
    bytes: payload,
    payloadStart: 0,
    payloadEnd: payload.length
  }
}

export function subscriptionIdProperty(subscriptionId: number): Buffer {
  return subscriptionId > 0 ? deliveryProperties(-1, [subscriptionId], 0) : noBytes
}

/**
 * The User Properties that MQTT 5 clients find behind the publisher's own: `stream`, `offset`, `partition` and `timestamp`, and `gap`
 * (first and last offset) when the records before are lost. What changes with every record is written in place: digits of a number.
 */
export class ToldProperties {
  /** `stream`, and `offset` up to its value's length. */
  readonly #head: Buffer
  readonly #digits = Buffer.alloc(16)
  #digitsFrom = 16
  /** By number. */
  readonly #partitions: Buffer[] = []
  #partition: Buffer = noBytes
  #timestampMs = -1
  #timestamp: Buffer = noBytes
  #gap: Buffer = noBytes

  constructor(stream: string) {
    this.#head = Buffer.concat([userProperty('stream', stream), userProperty('offset', '').subarray(0, -1)])
  }

  /** How many bytes write() is going to write. */
  prepare({ offset, partition, timestampMs }: StreamRecord, gap: StreamGap | undefined): number {
    this.#writeDigits(offset)
    this.#partition = this.#partitions[partition] ?? this.#newPartition(partition)
    if (timestampMs !== this.#timestampMs) this.#writeTimestamp(timestampMs)
    this.#gap = gap === undefined ? noBytes : userProperty('gap', `${gap.fromOffset}-${gap.toOffset - 1}`)
    const digits = 16 - this.#digitsFrom
    return this.#head.length + 1 + digits + this.#partition.length + this.#timestamp.length + this.#gap.length
  }

  write(out: Buffer, start: number): number {
    const digits = this.#digits
    let at = copyInto(out, start, this.#head)
    out[at++] = 16 - this.#digitsFrom
    for (let i = this.#digitsFrom; i < 16; i++) out[at++] = digits[i]!
    at = copyInto(out, at, this.#partition)
    at = copyInto(out, at, this.#timestamp)
    return copyInto(out, at, this.#gap)
  }

  of(record: StreamRecord, gap: StreamGap | undefined): Buffer {
    const out = Buffer.allocUnsafe(this.prepare(record, gap))
    this.write(out, 0)
    return out
  }

  /** An offset is below 2^53, so it has 16 digits at most. */
  #writeDigits(offset: number): void {
    const digits = this.#digits
    let at = 16
    let rest = offset
    // Beyond 32 bits a division costs more; few streams get there.
    while (rest > 0x7fffffff) {
      const tenth = Math.floor(rest / 10)
      digits[--at] = 48 + (rest - tenth * 10)
      rest = tenth
    }
    do {
      const tenth = (rest / 10) | 0
      digits[--at] = 48 + (rest - tenth * 10)
      rest = tenth
    } while (rest > 0)
    this.#digitsFrom = at
  }

  #newPartition(partition: number): Buffer {
    const property = userProperty('partition', String(partition))
    this.#partitions[partition] = property
    return property
  }

  /** Records of one batch mostly have the same time, and to write it out costs more than the rest. */
  #writeTimestamp(timestampMs: number): void {
    this.#timestampMs = timestampMs
    this.#timestamp = userProperty('timestamp', new Date(timestampMs).toISOString())
  }
}

const topicsRemembered = new Map<string, Buffer>()
const topicsRememberedMax = 1000

/** Records repeat a few topics. */
export function topicBytes(topic: string): Buffer {
  let bytes = topicsRemembered.get(topic)
  if (bytes === undefined) {
    bytes = Buffer.from(topic)
    if (topicsRemembered.size >= topicsRememberedMax) topicsRemembered.clear()
    topicsRemembered.set(topic, bytes)
  }
  return bytes
}

/** One User Property: 0x26 and two strings with their lengths. Both are ASCII and shorter than 256. */
function userProperty(name: string, value: string): Buffer {
  const text = `&\0${String.fromCharCode(name.length)}${name}\0${String.fromCharCode(value.length)}${value}`
  return Buffer.from(text, 'latin1')
}

/** From the second attempt on, members of a consumer group are told which one it is: such a record may have been worked on before. */
export function withAttempt(properties: Buffer, attempt: number): Buffer {
  return Buffer.concat([properties, userProperty('attempt', String(attempt))])
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
