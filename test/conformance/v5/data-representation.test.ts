import t from 'tap'
import { field, join, properties, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'
import { answersTo, connectBytes, publishBytes, recorded, refusal, userProperty, violation } from './wire.ts'

const { port } = await TestBroker.start(t)

const illFormed: [what: string, bytes: Buffer][] = [
  ['a lone continuation byte', Buffer.from([0x61, 0x80])],
  ['a cut sequence', Buffer.from([0xe2, 0x82])],
  ['an overlong slash', Buffer.from([0xc0, 0xaf])],
  ['the surrogate U+D800', Buffer.from([0xed, 0xa0, 0x80])],
  ['the surrogate U+DFFF', Buffer.from([0xed, 0xbf, 0xbf])],
  ['a code point above U+10FFFF', Buffer.from([0xf4, 0x90, 0x80, 0x80])]
]

/** Every place of a string in what a client may send once it is connected. */
function packetsWith(text: Buffer): [where: string, bytes: Buffer][] {
  return [
    ['Topic Name', publishBytes(0, text, [])],
    ['Content Type', publishBytes(0, 'a', [0x03, field(text)])],
    ['Response Topic', publishBytes(0, 'a', [0x08, field(text)])],
    ['User Property name', publishBytes(0, 'a', [userProperty(text, 'x')])],
    ['User Property value', publishBytes(0, 'a', [userProperty('x', text)])],
    ['Topic Filter of SUBSCRIBE', raw(0x82, 0, 1, 0, field(text), 0)],
    ['Topic Filter of UNSUBSCRIBE', raw(0xa2, 0, 1, 0, field(text))],
    ['User Property of SUBSCRIBE', raw(0x82, 0, 1, properties(userProperty('x', text)), field('a'), 0)],
    ['User Property of UNSUBSCRIBE', raw(0xa2, 0, 1, properties(userProperty('x', text)), field('a'))],
    ['Reason String of PUBACK', raw(0x40, 0, 1, 0, properties(0x1f, field(text)))],
    ['Reason String of DISCONNECT', raw(0xe0, 0, properties(0x1f, field(text)))]
  ]
}

/** Every place of a string in a CONNECT. */
function connectsWith(text: Buffer): [where: string, bytes: Buffer][] {
  const will = (willProperties: Buffer[], topic: Buffer) => [field('c'), properties(...willProperties), topic, field('bye')]
  return [
    ['Client Identifier', connectBytes({ payload: [field(text)] })],
    ['User Name', connectBytes({ flags: 0x82, payload: [field('c'), field(text)] })],
    ['User Property', connectBytes({ properties: [userProperty(text, 'x')], payload: [field('c')] })],
    ['Authentication Method', connectBytes({ properties: [0x15, field(text)], payload: [field('c')] })],
    ['Will Topic', connectBytes({ flags: 6, payload: will([], field(text)) })],
    ['Will User Property', connectBytes({ flags: 6, payload: will([userProperty('x', text)], field('w')) })],
    ['Will Content Type', connectBytes({ flags: 6, payload: will([join([0x03, field(text)])], field('w')) })]
  ]
}

t.test('[MQTT-1.5.4-1] ill-formed UTF-8 ends the connection with 0x81, wherever the string stands', async t => {
  for (const [what, text] of illFormed) {
    for (const [where, bytes] of packetsWith(text)) t.equal(await violation(port, bytes), 0x81, `${what} in ${where}`)
    for (const [where, bytes] of connectsWith(text)) t.equal(await refusal(port, bytes), 0x81, `${what} in ${where}`)
  }
})

t.test('[MQTT-1.5.4-2] U+0000 ends the connection with 0x81, wherever the string stands', async t => {
  const text = Buffer.from('a\u0000b')
  for (const [where, bytes] of packetsWith(text)) t.equal(await violation(port, bytes), 0x81, where)
  for (const [where, bytes] of connectsWith(text)) t.equal(await refusal(port, bytes), 0x81, where)
})

t.test('control characters and non-characters are let through unchanged', async t => {
  const text = '\u0001\u001f\u007f\u009f\ufdd0\uffff'
  const { client } = await RawClient.connect(port, { clientId: text, version: 5 })
  await client.subscribe(`odd/${text}`)
  await client.publish(`odd/${text}`, 'x')
  t.equal((await client.expect('publish')).topic, `odd/${text}`)
})

t.test('[MQTT-1.5.4-3] EF BB BF is a character like any other', async t => {
  const mark = '\ufeff'
  const { client } = await RawClient.connect(port, { clientId: `${mark}bom`, version: 5 })
  const { client: plain } = await RawClient.connect(port, { clientId: 'bom', version: 5 })
  t.same(await client.ping(), [], 'its Client Identifier is another one')
  await plain.subscribe('bom/#')
  await client.subscribe(`${mark}bom/#`)
  const bytes = recorded(client)
  await client.publish(`${mark}bom/a`, 'x', 0, { properties: { contentType: `${mark}text`, userProperties: { [mark]: mark } } })
  const packet = await client.expect('publish')
  t.equal(packet.topic, `${mark}bom/a`)
  for (const text of [field(`${mark}bom/a`), join([0x03, field(`${mark}text`)]), userProperty(mark, mark)]) {
    t.ok(bytes().includes(text), text.toString('hex'))
  }
  t.same(await plain.ping(), [], 'the filter without it does not match')
})

t.test(
  '[MQTT-1.5.5-1] a padded Variable Byte Integer is malformed, in the fixed header, in lengths and in properties',
  async t => {
    const padded: [where: string, bytes: Buffer][] = [
      ['Remaining Length of PINGREQ', Buffer.from([0xc0, 0x80, 0x00])],
      ['Remaining Length of PUBLISH', Buffer.from([0x30, 0x84, 0x00, 0, 1, 0x61, 0])],
      ['Remaining Length of SUBSCRIBE', Buffer.from([0x82, 0x87, 0x80, 0x00, 0, 1, 0, 0, 1, 0x61, 0])],
      ['Property Length of PUBLISH', raw(0x30, field('a'), 0x80, 0x00)],
      ['Property Length of SUBSCRIBE', raw(0x82, 0, 1, 0x80, 0x00, field('a'), 0)],
      ['Subscription Identifier', raw(0x82, 0, 1, properties(0x0b, 0x81, 0x00), field('a'), 0)]
    ]
    for (const [where, bytes] of padded) t.equal(await violation(port, bytes), 0x81, where)
    const connect = connectBytes()
    const body = connect.subarray(2)
    t.equal(await refusal(port, join([0x10, body.length | 0x80, 0x00, body])), 0x81, 'Remaining Length of CONNECT')
  }
)

t.test('[MQTT-1.5.5-1] what the broker sends has lengths in as few bytes as they need', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'lengths', version: 5 })
  const identifiers: [id: number, bytes: Buffer][] = [
    [127, Buffer.from([0x0b, 0x7f])],
    [128, Buffer.from([0x0b, 0x80, 0x01])],
    [16_384, Buffer.from([0x0b, 0x80, 0x80, 0x01])],
    [268_435_455, Buffer.from([0x0b, 0xff, 0xff, 0xff, 0x7f])]
  ]
  for (const [id, property] of identifiers) {
    await client.subscribe('lengths', 0, {}, { subscriptionIdentifier: id })
    const bytes = recorded(client)
    await client.publish('lengths', '')
    await client.expect('publish')
    const body = join([field('lengths'), properties(property)])
    t.same(bytes(), join([0x30, body.length, body]), `identifier ${id}`)
  }
  // Around the borders of the Remaining Length: two bytes of topic length, one of topic, one of Property Length.
  await client.subscribe('l', 0)
  for (const [length, header] of [
    [127, [0x7f]],
    [128, [0x80, 0x01]],
    [16_383, [0xff, 0x7f]],
    [16_384, [0x80, 0x80, 0x01]]
  ] as const) {
    const bytes = recorded(client)
    await client.publish('l', Buffer.alloc(length - 4))
    await client.expect('publish')
    t.same(bytes().subarray(0, header.length + 1), Buffer.from([0x30, ...header]), `Remaining Length ${length}`)
  }
})

t.test('[MQTT-1.5.7-1] name and value of a String Pair are each checked', async t => {
  for (const pair of [
    userProperty(Buffer.from([0xff]), 'x'),
    userProperty('x', Buffer.from([0xff])),
    userProperty('\u0000', '')
  ]) {
    t.equal(await violation(port, publishBytes(0, 'a', [pair])), 0x81, pair.toString('hex'))
    t.equal(await refusal(port, connectBytes({ properties: [pair] })), 0x81, pair.toString('hex'))
  }
  t.equal(await violation(port, raw(0x30, field('a'), properties(0x26, field('name alone')))), 0x81, 'half a pair')
})

t.test('[MQTT-2.1.3-1] a packet with other flags than its type has is malformed', async t => {
  const packets: [what: string, flags: number, body: Buffer][] = [
    ['PUBACK', 0x40, Buffer.from([0, 1])],
    ['PUBREC', 0x50, Buffer.from([0, 1])],
    ['PUBREL', 0x62, Buffer.from([0, 1])],
    ['PUBCOMP', 0x70, Buffer.from([0, 1])],
    ['SUBSCRIBE', 0x82, Buffer.from([0, 1, 0, 0, 1, 0x61, 0])],
    ['UNSUBSCRIBE', 0xa2, Buffer.from([0, 1, 0, 0, 1, 0x61])],
    ['PINGREQ', 0xc0, Buffer.alloc(0)],
    ['DISCONNECT', 0xe0, Buffer.alloc(0)]
  ]
  for (const [what, firstByte, body] of packets) {
    for (const bit of [1, 2, 4, 8]) {
      t.equal(
        await violation(port, raw(firstByte ^ bit, body)),
        0x81,
        `${what} with first byte 0x${(firstByte ^ bit).toString(16)}`
      )
    }
  }
  for (const flags of [1, 2, 4, 8]) {
    const bytes = connectBytes()
    bytes[0] = 0x10 | flags
    t.same(await answersTo(port, bytes), [], `CONNECT with flags ${flags}`)
  }
})

t.test('[MQTT-2.1.3-1] the flags of what the broker sends are those of the table', async t => {
  const client = await RawClient.open(port, 5)
  const bytes = recorded(client)
  client.sendConnect({ clientId: 'flags', version: 5 })
  await client.expect('connack')
  await client.publish('other', 'x', 1)
  await client.publish('other', 'x', 2)
  await client.subscribe('flags', 2)
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('flags', 'x', 2)
  const { messageId } = await client.expect('publish')
  client.send({ cmd: 'pubrec', messageId })
  await client.expect('pubrel')
  client.send({ cmd: 'pubcomp', messageId })
  client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['flags'] })
  await client.expect('unsuback')
  await client.ping()
  client.sendBytes(Buffer.from([0xc1, 0]))
  await client.ended()
  t.same(
    [...new Set(firstBytes(bytes()))].sort((a, b) => a - b),
    [0x20, 0x34, 0x40, 0x50, 0x62, 0x70, 0x90, 0xb0, 0xd0, 0xe0]
  )
})

/** The first byte of each packet; none here is longer than 127 bytes. */
function firstBytes(bytes: Buffer): number[] {
  const found: number[] = []
  for (let at = 0; at < bytes.length; at += 2 + bytes[at + 1]!) found.push(bytes[at]!)
  return found
}
