import { copyInto, variableByteLength, writeVariableByte } from '../../mqtt/encode-publish.ts'
import type { StreamGap, StreamRecord } from '../../stream/contract.ts'
import type { Connection } from '../connection.ts'
import type { RoutedSubscription } from './broker-session.ts'
import { subscriptionIdProperty, type ToldProperties, topicBytes } from './stream-record.ts'

const noBytes: Buffer = Buffer.alloc(0)

/**
 * Writes the records of one reading as PUBLISH packets straight into its connection's outbound chunk: no object, no string, no
 * Buffer is made per record. Knows what records may do that a plain reading does not meet often, and leaves those to the caller.
 */
export class RecordEncoder {
  readonly #connection: Connection
  readonly #isV5: boolean
  readonly #qos: 0 | 1
  readonly #firstByte: number
  readonly #retainAsPublished: boolean
  readonly #subscriptionId: Buffer
  readonly #told: ToldProperties

  constructor(connection: Connection, { qos, retainAsPublished, subscriptionId }: RoutedSubscription, told: ToldProperties) {
    this.#connection = connection
    this.#isV5 = connection.version === 5
    this.#qos = qos === 0 ? 0 : 1
    this.#firstByte = 0x30 | (this.#qos << 1)
    this.#retainAsPublished = retainAsPublished
    this.#subscriptionId = this.#isV5 ? subscriptionIdProperty(subscriptionId) : noBytes
    this.#told = told
  }

  /**
   * Writes one record and returns its bytes. 0, and nothing is written, when it needs more than this: its expiry told, an alias set
   * for its topic, or a client that takes packets as large.
   */
  write(record: StreamRecord, packetId: number, gap: StreamGap | undefined, nowMs: number): number {
    const { payload, properties } = record
    const { outbound, outboundAliases } = this.#connection
    let topic = topicBytes(record.topic)
    let alias = noBytes
    let told = 0
    let propertiesLength = 0
    if (this.#isV5) {
      if (record.expiresAtMs > nowMs) return 0
      if (outboundAliases !== undefined) {
        const known = outboundAliases.find(record.topic)
        if (known !== undefined) {
          topic = noBytes
          alias = known.property
        } else if (outboundAliases.next(topic.length) !== undefined) return 0
      }
      told = this.#told.prepare(record, gap)
      propertiesLength = alias.length + this.#subscriptionId.length + properties.length + told
    }
    let body = 2 + topic.length + (this.#qos << 1) + payload.length
    if (this.#isV5) body += variableByteLength(propertiesLength) + propertiesLength
    const length = 1 + variableByteLength(body) + body
    if (length > this.#connection.maximumPacketSize) return 0
    const out = outbound.roomAfterFlush(length)
    let at = outbound.position
    out[at++] = record.retain && this.#retainAsPublished ? this.#firstByte | 1 : this.#firstByte
    at = writeVariableByte(out, at, body)
    out[at++] = topic.length >> 8
    out[at++] = topic.length
    at = copyInto(out, at, topic)
    if (this.#qos !== 0) {
      out[at++] = packetId >> 8
      out[at++] = packetId
    }
    if (this.#isV5) {
      at = writeVariableByte(out, at, propertiesLength)
      at = copyInto(out, at, alias)
      at = copyInto(out, at, this.#subscriptionId)
      at = copyInto(out, at, properties)
      at = this.#told.write(out, at)
    }
    outbound.filled(copyInto(out, at, payload))
    return length
  }
}
