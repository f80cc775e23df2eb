import t from 'tap'
import { field, properties, raw } from '../../mqtt/packets/case.ts'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'
import { connect, disconnectsWith, lastWords, lastWordsTo, payloads } from './clients.ts'

const clock = new ManualClock()
const { port } = await TestBroker.start(t, {
  clock,
  limits: { maxPacketBytes: 2000, topicAliasMaximum: 4 },
  authenticate: (_client, username, _password, done) => done(null, username !== 'nobody')
})

interface Fault {
  what: string
  code: number
  /** The bytes for MQTT 5, and for 3.1.1 when they differ or the fault does not exist there. */
  v5: Buffer
  v4?: Buffer | undefined
}

function publishWith(...content: (number | Buffer)[]): Buffer {
  return raw(0x30, field('a'), properties(...content))
}

const connectAgain = raw(0x10, field('MQTT'), 5, 2, 0, 0, 0, field('again'))
const connectAgain4 = raw(0x10, field('MQTT'), 4, 2, 0, 0, field('again'))

const faults: Fault[] = [
  { what: 'a second CONNECT', code: 0x82, v5: connectAgain, v4: connectAgain4 },
  { what: 'a CONNACK from a client', code: 0x82, v5: raw(0x20, 0, 0, 0), v4: raw(0x20, 0, 0) },
  { what: 'a SUBACK from a client', code: 0x82, v5: raw(0x90, 0, 1, 0, 0), v4: raw(0x90, 0, 1, 0) },
  { what: 'an UNSUBACK from a client', code: 0x82, v5: raw(0xb0, 0, 1, 0, 0), v4: raw(0xb0, 0, 1) },
  { what: 'a PINGRESP from a client', code: 0x82, v5: raw(0xd0), v4: raw(0xd0) },
  { what: 'packet type 0', code: 0x81, v5: raw(0x00), v4: raw(0x00) },
  { what: 'an AUTH of a client that named no method', code: 0x82, v5: raw(0xf0, 0x18, properties(0x15, field('m'))) },
  { what: 'packet type 15 before MQTT 5', code: 0x81, v5: raw(0xf1, 0x18, 0), v4: raw(0xf0) },
  { what: 'a Remaining Length of five bytes', code: 0x81, v5: fiveBytes(), v4: fiveBytes() },
  { what: 'a PUBLISH at QoS 3', code: 0x81, v5: raw(0x36, field('a'), 0, 1, 0), v4: raw(0x36, field('a'), 0, 1) },
  { what: 'a PUBLISH with DUP at QoS 0', code: 0x81, v5: raw(0x38, field('a'), 0), v4: raw(0x38, field('a')) },
  { what: 'a PUBLISH with packet identifier 0', code: 0x82, v5: raw(0x32, field('a'), 0, 0, 0), v4: raw(0x32, field('a'), 0, 0) },
  { what: 'a PUBLISH that ends inside its topic', code: 0x81, v5: raw(0x30, 0, 9, 0x61), v4: raw(0x30, 0, 9, 0x61) },
  { what: 'a PUBLISH with an unknown property', code: 0x81, v5: publishWith(0x7f, 0) },
  { what: 'a PUBLISH with a property of CONNECT', code: 0x81, v5: publishWith(0x21, 0, 1) },
  { what: 'a PUBLISH with Topic Alias 0', code: 0x94, v5: publishWith(0x23, 0, 0) },
  { what: 'a PUBLISH with a Topic Alias above the maximum', code: 0x94, v5: publishWith(0x23, 0, 5) },
  { what: 'a Topic Alias that was never set', code: 0x82, v5: raw(0x30, 0, 0, properties(0x23, 0, 2)) },
  { what: 'a PUBLISH with a Subscription Identifier', code: 0x82, v5: publishWith(0x0b, 1) },
  { what: 'a PUBLISH with two Content Types', code: 0x82, v5: publishWith(0x03, field('t'), 0x03, field('t')) },
  { what: 'a Payload Format Indicator of 2', code: 0x82, v5: publishWith(0x01, 2) },
  { what: 'a packet larger than the maximum', code: 0x95, v5: tooLarge(), v4: tooLarge() }
]

for (const { what, code, v5, v4 } of faults) {
  t.test(`[MQTT-4.13.1-1] ${what} ends the connection, with DISCONNECT 0x${code.toString(16)} for MQTT 5`, async t => {
    t.match(await lastWords(port, v5), disconnectsWith(code))
    if (v4 !== undefined) t.same(await lastWords(port, v4, { version: 4, clientId: 'older' }), [], 'without a word for 3.1.1')
  })
}

t.test('[MQTT-4.13.1-1] a fault inside a CONNECT is answered with a CONNACK that names it, and the end', async t => {
  const connects = [
    { what: 'a reserved Connect Flag', code: 0x81, bytes: raw(0x10, field('MQTT'), 5, 3, 0, 0, 0, field('a')) },
    { what: 'a flag of the fixed header', code: undefined, bytes: raw(0x11, field('MQTT'), 5, 2, 0, 0, 0, field('a')) },
    { what: 'Receive Maximum 0', code: 0x82, bytes: connectWith(0x21, 0, 0) },
    { what: 'a property twice', code: 0x82, bytes: connectWith(0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1) },
    { what: 'a property of PUBLISH', code: 0x81, bytes: connectWith(0x23, 0, 1) }
  ]
  for (const { what, code, bytes } of connects) {
    const client = await RawClient.open(port, 5)
    client.sendBytes(bytes)
    const words = await client.ended()
    // What cannot be read up to its version gets no answer.
    if (code === undefined) t.same(words, [], what)
    else t.match(words, { length: 1, 0: { cmd: 'connack', reasonCode: code, sessionPresent: false } }, what)
  }
})

t.test('[MQTT-4.13.2-1] every CONNACK and DISCONNECT of 0x80 or more is followed by the end of the connection', async t => {
  const method = await RawClient.open(port, 5)
  method.sendBytes(connectWith(0x15, field('riddle')))
  t.match(await method.ended(), { length: 1, 0: { cmd: 'connack', reasonCode: 0x8c } })
  const nobody = await RawClient.open(port, 5)
  nobody.sendConnect({ version: 5, clientId: 'nobody', username: 'nobody' })
  t.match(await nobody.ended(), { length: 1, 0: { cmd: 'connack', reasonCode: 0x87 } })
  const future = await RawClient.open(port, 5)
  future.sendBytes(raw(0x10, field('MQTT'), 6, 2, 0, 0, 0, field('a')))
  t.match(await future.ended(), { length: 1, 0: { cmd: 'connack', reasonCode: 0x84 } })
  const silent = await connect(port, 'silent', { keepalive: 10 })
  clock.advance(15_001)
  t.match(await silent.ended(), disconnectsWith(0x8d))
  const first = await connect(port, 'twice')
  await connect(port, 'twice')
  t.match(await first.ended(), disconnectsWith(0x8e))
})

t.test('[MQTT-4.13.2-1] the connection of a client that sends DISCONNECT with 0x80 or more is closed', async t => {
  t.same(await lastWords(port, raw(0xe0, 0x80)), [])
  t.same(await lastWords(port, raw(0xe0, 0x97, 0)), [])
})

t.test('a client that breaks the protocol leaves its Will Message behind', async t => {
  const watcher = await connect(port, 'watcher')
  await watcher.subscribe('wills/#', 0)
  for (const version of [4, 5] as const) {
    const will = { topic: `wills/${version}`, payload: Buffer.from('gone'), qos: 0, retain: false }
    const client = await connect(port, 'clumsy', { version, will })
    await lastWordsTo(client, raw(0xc1))
    t.same(payloads([await watcher.expect('publish')]), ['gone'])
  }
})

t.test('what a fault leaves unread is not acted upon', async t => {
  const watcher = await connect(port, 'reader')
  await watcher.subscribe('after/#', 0)
  const client = await connect(port, 'writer')
  const publish = (payload: string) => raw(0x30, field('after/a'), 0, Buffer.from(payload))
  client.sendBytes(Buffer.concat([publish('before'), raw(0xc1), publish('behind')]))
  t.match(await client.ended(), disconnectsWith(0x81))
  t.same(payloads(await watcher.ping()), ['before'])
})

t.test('the DISCONNECT says why in words, unless the client asked for none', async t => {
  const [told] = await lastWords(port, raw(0xc1))
  t.match(told?.properties, { reasonString: /flags/ })
  const [untold] = await lastWords(port, raw(0xc1), { clientId: 'plain', properties: { requestProblemInformation: false } })
  t.match(untold, { cmd: 'disconnect', reasonCode: 0x81 })
  t.notOk((untold?.properties as { reasonString?: string } | undefined)?.reasonString)
})

function connectWith(...content: (number | Buffer)[]): Buffer {
  return raw(0x10, field('MQTT'), 5, 2, 0, 0, properties(...content), field('a'))
}

function fiveBytes(): Buffer {
  return Buffer.from([0xc0, 0x80, 0x80, 0x80, 0x80, 0x01])
}

function tooLarge(): Buffer {
  return raw(0x30, field('a'), 0, Buffer.alloc(2000))
}
