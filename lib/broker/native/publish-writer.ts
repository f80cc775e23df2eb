import { deliveryProperties, publishLength, writePublish } from '../../mqtt/encode-publish.ts'
import type { Qos } from '../../mqtt/packet.ts'
import type { OutboundAlias, OutboundAliases } from '../../session/outbound-aliases.ts'
import type { Connection } from '../connection.ts'
import type { NativeContext } from './context.ts'

/** One PUBLISH to one connection, whatever it was before: live, queued, or sent again. */
export interface OutgoingPublish {
  topicName: string
  /** The same in UTF-8. */
  topic: Buffer
  qos: Qos
  retain: boolean
  dup: boolean
  packetId: number
  remainingSeconds: number
  subscriptionIds: readonly number[]
  properties: Buffer
  bytes: Buffer
  payloadStart: number
  payloadEnd: number
}

const noBytes = Buffer.alloc(0)

/**
 * PUBLISH packets on their way into a connection's outbound bytes. What is larger than the client takes is counted and forgotten as
 * if it had been sent [MQTT-3.1.2-24], [MQTT-3.1.2-25].
 */
export class PublishWriter {
  readonly #context: NativeContext

  constructor(context: NativeContext) {
    this.#context = context
  }

  /** Encodes into the connection's outbound chunk. False when the packet is too large for the client. */
  send(connection: Connection, packet: OutgoingPublish): boolean {
    const { outboundAliases: aliases } = connection
    if (aliases !== undefined) return this.#sendAliased(connection, aliases, packet)
    const version = connection.version === 5 ? 5 : 4
    return this.#write(connection, packet, version, packet.topic, extraProperties(packet, version))
  }

  /**
   * As send(), but the packet leaves when everything written so far is on disk. It uses aliases that the client knows by then and
   * sets none: packets that are sent directly overtake it.
   */
  sendDeferred(connection: Connection, packet: OutgoingPublish): boolean {
    const alias = connection.outboundAliases?.find(packet.topicName)
    const version = connection.version === 5 ? 5 : 4
    const bytes =
      alias === undefined ? encodePublish(packet, version) : encodeWith(packet, 5, noBytes, aliasedProperties(packet, alias))
    if (bytes.length > connection.maximumPacketSize) return this.tooLarge(connection, packet.topicName, bytes.length)
    this.#context.counters.publishSent[packet.qos]++
    this.#context.deferred(connection).publish(bytes)
    return true
  }

  /** A delivery that ends here because the client cannot take it. False, for the caller to return. */
  tooLarge(connection: Connection, topic: string, bytes: number): false {
    this.#context.dropped('packet-too-large')
    const { id: clientId, maximumPacketSize } = connection
    connection.broker.logger?.debug({ clientId, topic, bytes, maximumPacketSize }, 'a message is too large for this client')
    return false
  }

  #sendAliased(connection: Connection, aliases: OutboundAliases, packet: OutgoingPublish): boolean {
    const known = aliases.find(packet.topicName)
    if (known !== undefined) return this.#write(connection, packet, 5, noBytes, aliasedProperties(packet, known))
    // Retained messages come in bursts, one of each topic: they would take all aliases and use none of them again.
    const fresh = packet.retain ? undefined : aliases.next(packet.topic.length)
    if (fresh !== undefined) {
      const extra = aliasedProperties(packet, fresh)
      const length = lengthOf(packet, 5, packet.topic, extra)
      // A message that fits only without the alias goes without it.
      if (length <= connection.maximumPacketSize) {
        aliases.define(packet.topicName, fresh)
        return this.#fill(connection, packet, 5, packet.topic, extra, length)
      }
    }
    return this.#write(connection, packet, 5, packet.topic, extraProperties(packet, 5))
  }

  #write(connection: Connection, packet: OutgoingPublish, version: 4 | 5, topic: Buffer, extra: Buffer): boolean {
    const length = lengthOf(packet, version, topic, extra)
    if (length > connection.maximumPacketSize) return this.tooLarge(connection, packet.topicName, length)
    return this.#fill(connection, packet, version, topic, extra, length)
  }

  #fill(connection: Connection, packet: OutgoingPublish, version: 4 | 5, topic: Buffer, extra: Buffer, length: number): boolean {
    const { outbound } = connection
    const chunk = outbound.room(length)
    outbound.filled(writeInto(chunk, outbound.position, packet, version, topic, extra))
    this.#context.counters.publishSent[packet.qos]++
    return true
  }
}

/** Why the client could not have it, for people. */
export function tooLargeFor({ maximumPacketSize }: Connection): string {
  return `the client takes packets of at most ${maximumPacketSize} bytes`
}

/** The packet by itself, without a Topic Alias. */
export function encodePublish(packet: OutgoingPublish, version: 4 | 5): Buffer {
  return encodeWith(packet, version, packet.topic, extraProperties(packet, version))
}

function encodeWith(packet: OutgoingPublish, version: 4 | 5, topic: Buffer, extra: Buffer): Buffer {
  const out = Buffer.allocUnsafe(lengthOf(packet, version, topic, extra))
  writeInto(out, 0, packet, version, topic, extra)
  return out
}

function lengthOf(packet: OutgoingPublish, version: 4 | 5, topic: Buffer, extra: Buffer): number {
  const { qos, properties, payloadStart, payloadEnd } = packet
  return publishLength(topic.length, qos, version, extra.length + properties.length, payloadEnd - payloadStart)
}

function writeInto(out: Buffer, at: number, packet: OutgoingPublish, version: 4 | 5, topic: Buffer, extra: Buffer): number {
  const { dup, qos, retain, packetId, bytes, payloadStart, payloadEnd } = packet
  const firstByte = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0)
  const properties = version === 5 ? packet.properties : noBytes
  return writePublish(out, at, firstByte, topic, packetId, version, extra, properties, bytes, payloadStart, payloadEnd)
}

function extraProperties(packet: OutgoingPublish, version: 4 | 5): Buffer {
  if (version !== 5 || (packet.remainingSeconds < 0 && packet.subscriptionIds.length === 0)) return noBytes
  return deliveryProperties(packet.remainingSeconds, packet.subscriptionIds, 0)
}

function aliasedProperties(packet: OutgoingPublish, alias: OutboundAlias): Buffer {
  if (packet.remainingSeconds < 0 && packet.subscriptionIds.length === 0) return alias.property
  return deliveryProperties(packet.remainingSeconds, packet.subscriptionIds, alias.number)
}
