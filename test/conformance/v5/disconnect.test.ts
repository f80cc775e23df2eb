import t from 'tap'
import { reasonCode } from '../../../lib/mqtt/reason-code.ts'
import { field, properties, raw } from '../../mqtt/packets/case.ts'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'
import { connect, connectStored, disconnectsWith, lastWords, lastWordsTo, payloads, publishPacket } from './clients.ts'

const clock = new ManualClock()
const { port, broker } = await TestBroker.start(t, { clock })
const will = { topic: 'wills', payload: Buffer.from('gone'), qos: 0, retain: false }

/** The codes of the DISCONNECT table; those a client may say come first. */
const clientCodes = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]
const serverCodes = [0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2]

t.test('[MQTT-3.14.0-1] before the CONNACK no error is answered with a DISCONNECT', async t => {
  const level5 = (...body: (number | Buffer)[]) => raw(0x10, field('MQTT'), 5, ...body)
  const refused = {
    'a PINGREQ first': raw(0xc0),
    'a DISCONNECT first': raw(0xe0, 0x81),
    'a reserved Connect Flag': level5(0x03, 0, 0, 0, field('a')),
    'a CONNECT that ends too soon': level5(0x02, 0, 0, 0),
    'an unknown property': level5(0x02, 0, 0, properties(0x7f, 0), field('a')),
    'an unknown Authentication Method': level5(0x02, 0, 0, properties(0x15, field('riddle')), field('a')),
    'Will QoS 3': level5(0x1e, 0, 0, 0, field('a'), 0, field('t'), field('p'))
  }
  for (const [what, bytes] of Object.entries(refused)) {
    const client = await RawClient.open(port, 5)
    client.sendBytes(bytes)
    for (const packet of await client.ended()) {
      t.equal(packet.cmd, 'connack', what)
      t.ok(Number(packet.reasonCode) >= 0x80, what)
    }
  }
})

t.test('[MQTT-3.14.1-1] reserved bits of a DISCONNECT are answered with DISCONNECT 0x81', async t => {
  for (let flags = 1; flags < 16; flags++)
    t.match(await lastWords(port, raw(0xe0 | flags)), disconnectsWith(0x81), `flags ${flags}`)
})

t.test('[MQTT-3.14.2-1] each code that is for clients is taken, and every other one answered with DISCONNECT 0x82', async t => {
  for (const code of clientCodes) t.same(await lastWords(port, raw(0xe0, code)), [], `0x${code.toString(16)}`)
  for (const code of [...Object.values(reasonCode), 0x05, 0x7f, 0xff]) {
    if (clientCodes.includes(code)) continue
    t.match(await lastWords(port, raw(0xe0, code)), disconnectsWith(0x82), `0x${code.toString(16)}`)
  }
})

t.test(
  '[MQTT-3.14.2-1] [MQTT-3.14.2-2] a DISCONNECT of the broker has a code of the table and no Session Expiry Interval',
  async t => {
    const said: AnyPacket[] = []
    for (const packet of [raw(0xe1), raw(0xc1), raw(0x70, 0, 0), raw(0x36, 0, 0), raw(0x82, 0, 1, 0), raw(0x20, 0, 0)]) {
      const client = await connectStored(port, 'table')
      said.push(...(await lastWordsTo(client, packet)))
    }
    const first = await connectStored(port, 'table')
    const second = await connectStored(port, 'table', { sessionExpiryInterval: 5 })
    said.push(...(await first.ended()))
    const silent = await connect(port, 'silent', { keepalive: 1 })
    clock.advance(2_000)
    said.push(...(await silent.ended()))
    await second.disconnect()
    t.equal(said.length, 8)
    for (const packet of said) {
      t.equal(packet.cmd, 'disconnect')
      t.ok([...clientCodes, ...serverCodes].includes(Number(packet.reasonCode)))
      t.notOk((packet.properties as { sessionExpiryInterval?: number } | undefined)?.sessionExpiryInterval)
    }
    t.same(
      said.map(packet => packet.reasonCode),
      [0x81, 0x81, 0x82, 0x81, 0x82, 0x82, 0x8e, 0x8d]
    )
  }
)

t.test('[MQTT-3.14.4-1] after its DISCONNECT the broker sends nothing, not even what waits for the disk', async t => {
  const client = await connectStored(port, 'last')
  await client.subscribe('devices/last', 1)
  client.socket.cork()
  for (let id = 1; id <= 20; id++) client.send(publishPacket('devices/last', String(id), 1, id))
  client.send({ cmd: 'pingreq' })
  client.sendBytes(raw(0xc1))
  for (let id = 21; id <= 40; id++) client.send(publishPacket('devices/last', String(id), 1, id))
  client.send({ cmd: 'pingreq' })
  client.socket.uncork()
  const words = await client.ended()
  t.match(words.at(-1), { cmd: 'disconnect', reasonCode: 0x81 })
  t.equal(words.filter(packet => packet.cmd === 'disconnect').length, 1)
  t.equal(words.filter(packet => packet.cmd === 'pingresp').length, 1)
})

t.test('[MQTT-3.14.4-2] the broker closes the connection after its DISCONNECT, and after that of the client', async t => {
  const refused = await connect(port, '')
  refused.sendBytes(raw(0xc1))
  t.match(await refused.ended(), disconnectsWith(0x81))
  const leaving = await connect(port, '')
  leaving.send({ cmd: 'disconnect' })
  t.same(await leaving.ended(), [])
})

t.test('[MQTT-3.14.4-3] DISCONNECT 0x00 discards the Will Message, every other code publishes it', async t => {
  const watcher = await connect(port, 'watcher')
  await watcher.subscribe('wills', 0)
  for (const code of clientCodes) {
    const client = await connect(port, 'mortal', { will: { ...will, payload: Buffer.from(String(code)) } })
    client.sendBytes(raw(0xe0, code))
    await client.ended()
  }
  const short = await connect(port, 'mortal', { will: { ...will, payload: Buffer.from('short form') } })
  await short.disconnect()
  const cut = await connect(port, 'mortal', { will })
  await cut.cut()
  const expected = [...clientCodes.filter(code => code !== 0).map(String), 'gone']
  const heard: AnyPacket[] = []
  while (heard.length < expected.length) heard.push(await watcher.expect('publish'))
  t.same(payloads(heard), expected)
  t.same(await watcher.ping(), [])
})

t.test('a Session Expiry Interval of 0 at CONNECT cannot be raised in DISCONNECT: answered with 0x82', async t => {
  const raise = raw(0xe0, 0, properties(0x11, 0, 0, 0, 9))
  t.match(await lastWords(port, raise), disconnectsWith(0x82))
  t.same(await lastWordsTo(await connectStored(port, 'raise'), raise), [], 'any other one may be changed')
})

t.test('the Session Expiry Interval of a DISCONNECT takes the place of that of the CONNECT', async t => {
  const shortened = await connectStored(port, 'shortened')
  t.same(await lastWordsTo(shortened, raw(0xe0, 0, properties(0x11, 0, 0, 0, 9))), [])
  const ended = await connectStored(port, 'ended')
  t.same(await lastWordsTo(ended, raw(0xe0, 0, properties(0x11, 0, 0, 0, 0))), [])
  while ([...broker.describeClients()].some(({ clientId }) => clientId === 'ended')) await turn()
  clock.advance(9_001)
  while ([...broker.describeClients()].some(({ clientId }) => clientId === 'shortened')) await turn()
  const options = { version: 5, clean: false } as const
  t.equal((await RawClient.connect(port, { ...options, clientId: 'shortened' })).connack.sessionPresent, false)
  t.equal((await RawClient.connect(port, { ...options, clientId: 'ended' })).connack.sessionPresent, false)
})

t.test(
  'a Server Reference or a second Reason String in DISCONNECT is answered with 0x82, an unknown property with 0x81',
  async t => {
    const why = Buffer.from('1f0003776879', 'hex')
    t.match(await lastWords(port, raw(0xe0, 0, properties(0x1c, field('other')))), disconnectsWith(0x82))
    t.match(await lastWords(port, raw(0xe0, 0, properties(why, why))), disconnectsWith(0x82))
    t.match(await lastWords(port, raw(0xe0, 0, properties(0x01, 0))), disconnectsWith(0x81))
    t.match(await lastWords(port, raw(0xe0, 0, 0, 0)), disconnectsWith(0x81), 'bytes after the end')
    t.same(await lastWords(port, raw(0xe0, 0x98, properties(why))), [])
  }
)

t.test('a broker that stops says 0x8B', async t => {
  const started = await TestBroker.start(t)
  const client = await connect(started.port, '')
  const stopped = started.stop()
  t.match(await client.ended(), disconnectsWith(0x8b))
  await stopped
})

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
