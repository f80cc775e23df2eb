import fc from 'fast-check'
import t from 'tap'
import {
  deliveryProperties,
  publishLength,
  variableByteLength,
  writePublish,
  writeVariableByte
} from '../../lib/mqtt/encode-publish.ts'
import { readProperties } from '../../lib/mqtt/properties.ts'
import { propertyOwner } from '../../lib/mqtt/property-table.ts'
import { Reader } from '../../lib/mqtt/reader.ts'
import { field, join, properties, raw, variableByte } from './packets/case.ts'

const none = Buffer.alloc(0)

t.test('a PUBLISH is written as the standard lays it out, at every payload size around a change of method', async t => {
  for (const size of [0, 1, 2, 3, 4, 5, 7, 8, 78, 79, 80, 81, 82, 83, 84, 100, 127, 128, 200, 20_000]) {
    const source = Buffer.from(Array.from({ length: size + 6 }, (_, i) => (i * 7 + 1) & 0xff))
    const payload = source.subarray(3, 3 + size)
    const topic = Buffer.from('a/é')
    for (const qos of [0, 1, 2]) {
      const first = 0x31 | (qos << 1)
      const id = qos === 0 ? none : Buffer.from([0xab, 0xcd])
      const block = join([0x26, field('k'), field('v')])
      const extra = join([0x02, 0, 0, 0, 9])
      const expected4 = raw(first, field('a/é'), id, payload)
      const expected5 = raw(first, field('a/é'), id, properties(extra, block), payload)
      const out = Buffer.alloc(expected5.length + 10, 0xee)
      const end4 = writePublish(out, 5, first, topic, 0xabcd, 4, none, none, source, 3, 3 + size)
      t.strictSame(out.subarray(5, end4), expected4)
      t.equal(end4 - 5, publishLength(topic.length, qos, 4, 0, size))
      t.ok(out.subarray(end4).every(byte => byte === 0xee) && out.subarray(0, 5).every(byte => byte === 0xee))
      const end5 = writePublish(out, 0, first, topic, 0xabcd, 5, extra, block, source, 3, 3 + size)
      t.strictSame(out.subarray(0, end5), expected5)
      t.equal(end5, publishLength(topic.length, qos, 5, extra.length + block.length, size))
    }
  }
})

t.test('properties never reach a 3.1.1 subscriber', async t => {
  const out = Buffer.alloc(100)
  const block = join([0x26, field('k'), field('v')])
  const end = writePublish(out, 0, 0x30, Buffer.from('a'), 0, 4, none, block, none, 0, 0)
  t.strictSame(out.subarray(0, end), raw(0x30, field('a')))
  t.equal(publishLength(1, 0, 4, block.length, 0), end)
})

t.test('[MQTT-3.3.4-3] a delivery carries expiry, every matching Subscription Identifier and the alias', async t => {
  const block = deliveryProperties(0xffffffff, [1, 128, 268_435_455], 300)
  const framed = properties(block)
  t.strictSame(readProperties(new Reader(framed, 0, framed.length), propertyOwner.publish), {
    messageExpiryInterval: 0xffffffff,
    subscriptionIdentifiers: [1, 128, 268_435_455],
    topicAlias: 300
  })
  t.strictSame(deliveryProperties(0, [], 0), Buffer.from([0x02, 0, 0, 0, 0]))
  t.equal(deliveryProperties(-1, [], 0), deliveryProperties(-1, [], 0))
  t.equal(deliveryProperties(-1, [], 0).length, 0)
})

t.test('[MQTT-1.5.5-1] a Variable Byte Integer takes as few bytes as possible', async t => {
  fc.assert(
    fc.property(
      fc.oneof(fc.integer({ min: 0, max: 268_435_455 }), fc.constantFrom(0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152)),
      value => {
        const out = Buffer.alloc(4)
        const end = writeVariableByte(out, 0, value)
        return end === variableByteLength(value) && out.subarray(0, end).equals(variableByte(value))
      }
    )
  )
  t.pass()
})
