import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import mqttPacket from 'mqtt-packet'
import t from 'tap'
import { encodePacket } from '../../lib/mqtt/encode.ts'
import { deliveryProperties, publishLength, writePublish } from '../../lib/mqtt/encode-publish.ts'
import type { ControlPacket, Properties, ProtocolVersion, PublishPacket, ServerPacket } from '../../lib/mqtt/packet.ts'
import { encodeMessageProperties } from '../../lib/mqtt/properties.ts'
import { anyClientPacket, anyPublish, anyServerPacket } from './arbitrary-packets.ts'
import { decodeOne } from './decode-one.ts'
import { toUserPropertyObject } from './user-properties.ts'

type Plain = Record<string, unknown>

/** Properties in the words of mqtt-packet. */
function theirProperties(properties: Properties): Plain {
  const { userProperties, subscriptionIdentifiers, payloadFormatIndicator, ...same } = properties
  const theirs: Plain = { ...same }
  if (userProperties !== undefined) theirs.userProperties = toUserPropertyObject(userProperties)
  if (subscriptionIdentifiers?.length === 1) theirs.subscriptionIdentifier = subscriptionIdentifiers[0]
  else if (subscriptionIdentifiers !== undefined) theirs.subscriptionIdentifier = subscriptionIdentifiers
  if (payloadFormatIndicator !== undefined) theirs.payloadFormatIndicator = payloadFormatIndicator === 1
  return theirs
}

/** One of our packets in the words of mqtt-packet. */
function theirPacket(packet: ControlPacket | PublishPacket | ServerPacket, version: ProtocolVersion): Plain {
  const theirs: Plain = { ...packet }
  if ('properties' in packet) {
    const properties = theirProperties(packet.properties)
    if (Object.keys(properties).length === 0) delete theirs.properties
    else theirs.properties = properties
  }
  if (packet.cmd === 'connect') {
    theirs.protocolId = version === 3 ? 'MQIsdp' : 'MQTT'
    if (packet.will !== undefined) theirs.will = { ...packet.will, properties: theirProperties(packet.will.properties) }
  }
  if (packet.cmd === 'connack' && version !== 5) theirs.returnCode = packet.reasonCode
  return theirs
}

/** What their parser makes of a packet, reduced to the fields that `expected` has. */
function parseTheirs(bytes: Buffer, version: ProtocolVersion): Plain {
  const parser = mqttPacket.parser({ protocolVersion: version })
  const packets: Plain[] = []
  parser.on('packet', packet => packets.push(packet as unknown as Plain))
  parser.on('error', error => {
    throw error
  })
  const left = parser.parse(bytes)
  if (left !== 0 || packets.length !== 1) throw new Error(`${packets.length} packets and ${left} bytes left`)
  return packets[0]!
}

/** Their objects come with or without prototypes, flags as numbers or booleans: compared by what they say. */
function normal(value: unknown): unknown {
  if (typeof value === 'boolean') return Number(value)
  if (Buffer.isBuffer(value)) return `bytes ${value.toString('hex')}`
  if (Array.isArray(value)) return value.map(normal)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .filter(([, each]) => each !== undefined)
    .map(([name, each]) => [name, normal(each)])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))
}

const versions: ProtocolVersion[] = [3, 4, 5]
for (const version of versions) {
  t.test(`what mqtt-packet writes for a client of version ${version} is decoded to the same packet`, async t => {
    fc.assert(
      fc.property(anyClientPacket(version), packet => {
        const bytes = mqttPacket.generate(theirPacket(packet, version) as unknown as mqttPacket.Packet, {
          protocolVersion: version
        })
        const decoded = decodeOne(bytes, version)
        deepStrictEqual(normal(theirPacket(decoded!, version)), normal(theirPacket(packet, version)))
      }),
      { numRuns: 500 }
    )
    t.pass()
  })

  t.test(`what we write for a peer of version ${version} is parsed by mqtt-packet to the same packet`, async t => {
    fc.assert(
      fc.property(anyServerPacket(version), packet => {
        const parsed = parseTheirs(encodePacket(packet, version), version)
        const expected = theirPacket(packet, version)
        if (version !== 5) delete expected.reasonCode
        if (version !== 5 && packet.cmd === 'unsuback') delete expected.granted
        const seen = Object.fromEntries(Object.keys(expected).map(name => [name, parsed[name]]))
        deepStrictEqual(normal(seen), normal(expected))
        deepStrictEqual('properties' in parsed, 'properties' in expected)
      }),
      { numRuns: 500 }
    )
    t.pass()
  })

  t.test(`a PUBLISH we write for version ${version} is parsed by mqtt-packet to the same message`, async t => {
    const ids = fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 3 })
    fc.assert(
      fc.property(anyPublish(version), ids, (packet, subscriptionIds) => {
        const { topic, payload, qos, dup, retain, messageId, properties } = packet
        const { topicAlias = 0, messageExpiryInterval = -1 } = properties
        const name = Buffer.from(topic)
        const extra = deliveryProperties(messageExpiryInterval, subscriptionIds, topicAlias)
        const block = encodeMessageProperties(properties)
        const first = 0x30 | (Number(dup) << 3) | (qos << 1) | Number(retain)
        const out = Buffer.alloc(publishLength(name.length, qos, version, extra.length + block.length, payload.length))
        const end = writePublish(out, 0, first, name, messageId ?? 0, version, extra, block, payload, 0, payload.length)
        deepStrictEqual(end, out.length)
        const parsed = parseTheirs(out, version)
        const all = { ...properties, ...(subscriptionIds.length > 0 ? { subscriptionIdentifiers: subscriptionIds } : {}) }
        const expected = theirPacket({ ...packet, properties: version === 5 ? all : {} }, version)
        const seen = Object.fromEntries(Object.keys(expected).map(key => [key, parsed[key]]))
        deepStrictEqual(normal(seen), normal(expected))
      }),
      { numRuns: 500 }
    )
    t.pass()
  })
}
