import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Frame, readFrame } from '../../lib/mqtt/frame.ts'
import type { ProtocolVersion } from '../../lib/mqtt/packet.ts'
import { PacketError } from '../../lib/mqtt/packet-error.ts'
import { readProperties } from '../../lib/mqtt/properties.ts'
import { propertyOwner } from '../../lib/mqtt/property-table.ts'
import { PublishView, viewPublish } from '../../lib/mqtt/publish-view.ts'
import { Reader } from '../../lib/mqtt/reader.ts'
import { topicNameError } from '../../lib/topic/name.ts'
import { decodeOne } from './decode-one.ts'
import { packetTable } from './packet-table.ts'
import { field, join, properties, raw } from './packets/case.ts'

const version = fc.constantFrom<ProtocolVersion>(3, 4, 5)
const guardBytes = 64

/** What becomes of `bytes` between guards of this value: a packet, a refusal, or undefined while incomplete. */
function outcome(bytes: Uint8Array, protocolVersion: ProtocolVersion, guard: number): unknown {
  const chunk = Buffer.alloc(bytes.length + 2 * guardBytes, guard)
  chunk.set(bytes, guardBytes)
  try {
    return decodeOne(chunk, protocolVersion, guardBytes, guardBytes + bytes.length)
  } catch (error) {
    if (error instanceof PacketError)
      return { refused: error.reasonCode, as: error.protocolVersion, with: error.connackReturnCode }
    throw error
  }
}

/** Fails when anything but a PacketError is thrown, or when what lies around the packet makes a difference. */
function isContained(bytes: Uint8Array, protocolVersion: ProtocolVersion): void {
  const packet = outcome(bytes, protocolVersion, 0x00)
  deepStrictEqual(outcome(bytes, protocolVersion, 0xff), packet)
  deepStrictEqual(outcome(bytes, protocolVersion, 0x41), packet)
}

/** One change to a packet, at a place given as a fraction of its length. */
const mutation = fc.record({
  kind: fc.constantFrom('set', 'flip', 'insert', 'remove', 'truncate', 'repeat', 'number'),
  place: fc.double({ min: 0, max: 1, noNaN: true }),
  value: fc.oneof(fc.constantFrom(0, 1, 2, 0x26, 0x7f, 0x80, 0xff), fc.integer({ min: 0, max: 255 }))
})

function mutate(bytes: Buffer, { kind, place, value }: { kind: string; place: number; value: number }): Buffer {
  const at = Math.min(bytes.length - 1, Math.floor(place * bytes.length))
  if (at < 0) return bytes
  const before = bytes.subarray(0, at)
  const after = bytes.subarray(at + 1)
  switch (kind) {
    case 'set':
      return join([before, value, after])
    case 'flip':
      return join([before, bytes[at]! ^ (1 << (value & 7)), after])
    case 'insert':
      return join([before, value, bytes.subarray(at)])
    case 'remove':
      return join([before, after])
    case 'truncate':
      return Buffer.from(before)
    case 'repeat':
      return join([before, bytes.subarray(at, at + 1 + (value & 15)), bytes.subarray(at)])
    default:
      return join([before, 0xff, 0xff, after])
  }
}

t.test('random bytes are a packet, incomplete or a PacketError, whatever lies around them', async t => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), version, (bytes, protocolVersion) => {
      isContained(bytes, protocolVersion)
      // The same with a Remaining Length that fits, which random bytes seldom have.
      isContained(raw(bytes[0]!, Buffer.from(bytes.subarray(1))), protocolVersion)
    }),
    { numRuns: 3000 }
  )
  t.pass()
})

t.test('packets with a few bytes changed are a packet, incomplete or a PacketError, whatever lies around them', async t => {
  const mutations = fc.array(mutation, { minLength: 1, maxLength: 4 })
  let refused = 0
  fc.assert(
    fc.property(fc.constantFrom(...packetTable), mutations, fc.boolean(), (entry, changes, repair) => {
      let bytes: Buffer = Buffer.from(entry.bytes)
      if (repair) {
        // Changed inside the body, with a Remaining Length that is right again.
        const frame = new Frame()
        if (readFrame(bytes, 0, bytes.length, 1000, frame) <= 0) return
        let body: Buffer = bytes.subarray(frame.bodyStart)
        for (const change of changes) body = mutate(body, change)
        bytes = raw(bytes[0]!, body)
      } else {
        for (const change of changes) bytes = mutate(bytes, change)
      }
      isContained(bytes, entry.version)
      if (bytes.length > 0 && 'refused' in Object(outcome(bytes, entry.version, 0))) refused++
    }),
    { numRuns: 3000 }
  )
  t.ok(refused > 500, 'and many of them are refused')
})

/** A property or what is nearly one; the ids of PUBLISH come most often. */
const anyProperty = fc
  .tuple(
    fc.oneof(
      { arbitrary: fc.constantFrom(0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x23, 0x26), weight: 9 },
      { arbitrary: fc.integer({ min: 0, max: 255 }), weight: 1 }
    ),
    fc.constantFrom('', 'a', 'é', 'a/#', '\u0000', '\ufeff'),
    fc.constantFrom(0, 1, 2, 255)
  )
  .map(([id, content, number]) => {
    switch (id) {
      case 0x01:
      case 0x0b:
        return join([id, number])
      case 0x02:
        return join([id, number, 0, 0, number])
      case 0x23:
        return join([id, 0, number])
      case 0x26:
        return join([id, field('k'), field(content)])
      default:
        return join([id, field(content)])
    }
  })

t.test('the fast scan of PUBLISH properties accepts exactly what the property table accepts', async t => {
  let accepted = 0
  const blocks = fc.tuple(fc.array(anyProperty, { maxLength: 5 }).map(join), fc.option(mutation, { nil: undefined, freq: 3 }))
  fc.assert(
    fc.property(blocks, ([plain, change]) => {
      const block = properties(change === undefined ? plain : mutate(plain, change))
      const bytes = raw(0x30, field('t'), block, Buffer.from([0x26]))
      const frame = new Frame()
      const view = new PublishView()
      readFrame(bytes, 0, bytes.length, 1000, frame)
      const code = viewPublish(bytes, frame, 5, view)
      let slow: ReturnType<typeof readProperties> | undefined
      try {
        slow = readProperties(new Reader(block, 0, block.length), propertyOwner.publish)
      } catch (error) {
        if (!(error instanceof PacketError)) throw error
      }
      const soundReply = slow?.responseTopic === undefined || topicNameError(slow.responseTopic) === undefined
      const sound = slow !== undefined && slow.subscriptionIdentifiers === undefined && soundReply
      deepStrictEqual(code === 0, sound)
      if (code !== 0 || slow === undefined) return
      accepted++
      deepStrictEqual(view.topicAlias, slow.topicAlias ?? 0)
      deepStrictEqual(view.messageExpirySeconds, slow.messageExpiryInterval ?? -1)
      deepStrictEqual(view.payloadFormatIndicator, slow.payloadFormatIndicator ?? -1)
      deepStrictEqual(view.payloadEnd - view.payloadStart, 1)
    }),
    { numRuns: 3000 }
  )
  t.ok(accepted > 500, 'and many of them are accepted')
})
