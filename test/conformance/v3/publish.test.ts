import t from 'tap'
import { field, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'
import { answerTo } from '../wire.ts'

const { port, broker } = await TestBroker.start(t)
const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
let subscribers = 0

/** A new client with one subscription, and the retained messages that came with it. */
async function subscribed(filter: string, qos: 0 | 1 | 2 = 2): Promise<{ client: RawClient; retained: AnyPacket[] }> {
  const { client } = await RawClient.connect(port, { clientId: `subscriber ${++subscribers}` })
  await client.subscribe(filter, qos)
  return { client, retained: await client.ping() }
}

function shown(packets: AnyPacket[]): string[] {
  return packets.map(({ topic, payload, qos, retain }) => `${topic} ${payload} at ${qos}${retain ? ' retained' : ''}`)
}

t.test('[MQTT-3.3.1-5] [MQTT-3.3.1-8] a retained message goes to later subscribers with RETAIN and its QoS', async t => {
  for (const qos of [0, 1, 2] as const) await publisher.publish(`kept/${qos}`, 'x', qos, { retain: true })
  t.same(shown((await subscribed('kept/+')).retained).sort(), [
    'kept/0 x at 0 retained',
    'kept/1 x at 1 retained',
    'kept/2 x at 2 retained'
  ])
  t.same(shown((await subscribed('kept/2', 1)).retained), ['kept/2 x at 1 retained'], 'the lower QoS of the two')
})

t.test('[MQTT-3.3.1-6] the last retained message of each matching topic is sent, and no other', async t => {
  for (const payload of ['first', 'second', 'last']) await publisher.publish('last/a', payload, 1, { retain: true })
  await publisher.publish('last/a/b', 'deeper', 1, { retain: true })
  await publisher.publish('last', 'above', 1, { retain: true })
  t.same(shown((await subscribed('last/+')).retained), ['last/a last at 1 retained'])
  t.same(shown((await subscribed('last/#')).retained).sort(), [
    'last above at 1 retained',
    'last/a last at 1 retained',
    'last/a/b deeper at 1 retained'
  ])
  t.same((await subscribed('lastly')).retained, [])
})

t.test('a/+ finds what is retained on a/', async t => {
  await publisher.publish('empty/', 'x', 0, { retain: true })
  t.same(shown((await subscribed('empty/+')).retained), ['empty/ x at 0 retained'])
})

t.test('[MQTT-3.3.1-7] a QoS 0 message with RETAIN takes the place of what was retained', async t => {
  await publisher.publish('replaced', 'old', 2, { retain: true })
  await publisher.publish('replaced', 'new', 0, { retain: true })
  await publisher.ping()
  t.same(shown((await subscribed('replaced')).retained), ['replaced new at 0 retained'])
})

t.test('[MQTT-3.3.1-9] established subscriptions get messages without RETAIN, however they were sent', async t => {
  const { client } = await subscribed('live')
  await publisher.publish('live', 'retained', 1, { retain: true })
  await publisher.publish('live', 'ordinary', 1)
  t.same(shown(await client.ping()), ['live retained at 1', 'live ordinary at 1'])
})

t.test('[MQTT-3.3.1-10] [MQTT-3.3.1-11] an empty message with RETAIN is forwarded, removes, and is not retained', async t => {
  await publisher.publish('removed', 'x', 1, { retain: true })
  const { client } = await subscribed('removed')
  await publisher.publish('removed', '', 1, { retain: true })
  t.same(shown(await client.ping()), ['removed  at 1'])
  t.same((await subscribed('removed')).retained, [])
  await publisher.publish('never there', '', 1, { retain: true })
  t.same((await subscribed('never there')).retained, [])
})

t.test('[MQTT-3.3.1-12] messages without RETAIN leave the retained one alone, empty ones too', async t => {
  await publisher.publish('stays', 'x', 1, { retain: true })
  await publisher.publish('stays', 'passing', 2)
  await publisher.publish('stays', '', 1)
  await publisher.publish('not kept', 'passing', 1)
  t.same(shown((await subscribed('stays')).retained), ['stays x at 1 retained'])
  t.same((await subscribed('not kept')).retained, [])
})

t.test('[MQTT-3.3.2-1] [MQTT-1.5.3-1] [MQTT-1.5.3-2] a Topic Name that is missing or no text closes the connection', async t => {
  t.same(await answerTo(port, raw(0x30)), ['closed'], 'missing')
  t.same(await answerTo(port, raw(0x30, 0)), ['closed'], 'half a length')
  t.same(await answerTo(port, raw(0x30, 0, 4, Buffer.from('abc'))), ['closed'], 'cut off')
  t.same(await answerTo(port, raw(0x30, field(Buffer.from([0xff])))), ['closed'], 'not UTF-8')
  t.same(await answerTo(port, raw(0x30, field(Buffer.from([0xed, 0xbf, 0xbf])))), ['closed'], 'a surrogate')
  t.same(await answerTo(port, raw(0x30, field('a\u0000'))), ['closed'], 'U+0000')
})

t.test('[MQTT-3.3.2-2] [MQTT-4.7.1-1] a Topic Name with a wildcard closes the connection', async t => {
  for (const topic of ['#', '+', 'a/#', 'a/+/b', 'a+', '#a'])
    t.same(await answerTo(port, raw(0x30, field(topic))), ['closed'], topic)
})

t.test('[MQTT-3.3.2-3] messages arrive under the name they were published to, at matching filters only', async t => {
  const { client } = await subscribed('names/+/Temp')
  for (const topic of ['names/1/Temp', 'names/1/temp', 'names/1', 'names/1/Temp/', 'Names/1/Temp', 'names//Temp']) {
    await publisher.publish(topic, 'x')
  }
  await publisher.ping()
  t.same(shown(await client.ping()), ['names/1/Temp x at 0', 'names//Temp x at 0'])
})

t.test('[MQTT-3.3.5-2] a client that may not publish is closed without an acknowledgement', async t => {
  const { client } = await subscribed('forbidden')
  broker.authorizePublish = (_client, packet, done) => done(packet.topic === 'forbidden' ? new Error('no') : null)
  for (const qos of [0, 1, 2] as const) {
    const bytes = raw(0x30 | (qos << 1), field('forbidden'), ...(qos > 0 ? [0, 1] : []))
    t.same(await answerTo(port, bytes), ['closed'], `QoS ${qos}`)
  }
  t.same(await client.ping(), [])
})

t.test('[MQTT-1.5.3-3] EF BB BF stays what it is, at the beginning too', async t => {
  const { client } = await subscribed('\ufefftopic')
  await publisher.publish('\ufefftopic', 'with', 1)
  await publisher.publish('topic', 'without', 1)
  t.same(shown(await client.ping()), ['\ufefftopic with at 1'])
})

t.test('control characters and non-characters pass unchanged', async t => {
  const topic = 'a\u0001b\u001fc\u007fd\u009fe\ufffef\u{1ffff}'
  const { client } = await subscribed(topic)
  await publisher.publish(topic, 'x', 1)
  t.same(shown(await client.ping()), [`${topic} x at 1`])
})
