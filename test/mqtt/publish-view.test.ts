import t from 'tap'
import { Frame, readFrame } from '../../lib/mqtt/frame.ts'
import type { ProtocolVersion } from '../../lib/mqtt/packet.ts'
import { decodeMessageProperties } from '../../lib/mqtt/properties.ts'
import { forwardableProperties, PublishView, viewPublish } from '../../lib/mqtt/publish-view.ts'
import { field, join, properties, raw } from './packets/case.ts'

function view(bytes: Buffer, version: ProtocolVersion, into = new PublishView()): PublishView {
  const frame = new Frame()
  readFrame(bytes, 0, bytes.length, 1 << 20, frame)
  const code = viewPublish(bytes, frame, version, into)
  if (code !== 0) throw new Error(`refused with ${code}`)
  return into
}

const userProperty = join([0x26, field('k'), field('v')])
const everything = join([
  ...[0x01, 1, userProperty, 0x23, 0, 7, 0x03, field('text'), 0x02, 0, 0, 0, 60],
  ...[0x08, field('re'), 0x09, field('id'), userProperty]
])

t.test('a view says where topic, properties and payload lie', async t => {
  const bytes = raw(0x35, field('a/b'), 1, 2, properties(everything), Buffer.from('payload'))
  const v = view(bytes, 5)
  t.equal(bytes.toString('utf8', v.topicStart, v.topicEnd), 'a/b')
  t.equal(bytes.toString('utf8', v.payloadStart, v.payloadEnd), 'payload')
  t.strictSame(bytes.subarray(v.propertiesStart, v.propertiesEnd), everything)
  t.match(v, { qos: 2, retain: true, dup: false, packetId: 258, topicAlias: 7 })
  t.match(v, { messageExpirySeconds: 60, payloadFormatIndicator: 1, propertiesForwardable: false })
})

t.test('nothing of the packet before shows in a view that is used again', async t => {
  const v = view(raw(0x35, field('a/b'), 1, 2, properties(everything), Buffer.from('payload')), 5)
  t.strictSame(view(raw(0x30, field('c'), 0), 5, v), view(raw(0x30, field('c'), 0), 5))
  view(raw(0x35, field('a/b'), 1, 2, properties(everything), Buffer.from('payload')), 5, v)
  t.strictSame(view(raw(0x30, field('c')), 4, v), view(raw(0x30, field('c')), 4))
})

t.test('a Message Expiry Interval above 2^31 keeps its value', async t => {
  t.equal(view(raw(0x30, field('a'), properties(0x02, 0xff, 0xff, 0xff, 0xff)), 5).messageExpirySeconds, 0xffffffff)
  t.equal(view(raw(0x30, field('a'), properties(0x02, 0, 0, 0, 0)), 5).messageExpirySeconds, 0)
})

t.test('[MQTT-3.3.2-18] what is forwarded lacks alias and expiry and keeps its order', async t => {
  const bytes = raw(0x30, field('a'), properties(everything))
  t.strictSame(
    forwardableProperties(bytes, view(bytes, 5)),
    join([0x01, 1, userProperty, 0x03, field('text'), 0x08, field('re'), 0x09, field('id'), userProperty])
  )
})

t.test('properties without alias and expiry are forwarded byte for byte', async t => {
  const block = join([userProperty, 0x01, 0, 0x09, field('')])
  const bytes = raw(0x30, field('a'), properties(block))
  const v = view(bytes, 5)
  t.ok(v.propertiesForwardable)
  const kept = forwardableProperties(bytes, v)
  bytes.fill(0)
  t.strictSame(kept, block)
  t.strictSame(decodeMessageProperties(kept), {
    payloadFormatIndicator: 0,
    correlationData: Buffer.alloc(0),
    userProperties: [['k', 'v']]
  })
})

t.test('nothing to forward is one shared empty Buffer', async t => {
  const aliasOnly = raw(0x30, field('a'), properties(0x23, 0, 1, 0x02, 0, 0, 0, 1))
  const none = raw(0x30, field('a'), 0)
  const old = raw(0x30, field('a'))
  const results = [
    forwardableProperties(aliasOnly, view(aliasOnly, 5)),
    forwardableProperties(none, view(none, 5)),
    forwardableProperties(old, view(old, 4))
  ]
  t.equal(results[0]?.length, 0)
  t.equal(new Set(results).size, 1)
})
