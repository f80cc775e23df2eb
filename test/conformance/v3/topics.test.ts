import t from 'tap'
import { field, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'
import { answerTo } from '../wire.ts'

const { port, broker } = await TestBroker.start(t, { limits: { maxPacketBytes: 200_000 } })
const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
let clients = 0

/** SUBACK's code for a filter, whether it is one or not. */
async function granted(filter: string): Promise<number> {
  const { client } = await RawClient.connect(port, { clientId: `granted ${++clients}` })
  const { granted } = (await client.subscribe(filter)) as unknown as { granted: number[] }
  await client.cut()
  return granted[0] ?? -1
}

/** Which of these topics reach a subscription on the filter. */
async function reached(filter: string, topics: readonly string[]): Promise<string[]> {
  const { client } = await RawClient.connect(port, { clientId: `reached ${++clients}` })
  await client.subscribe(filter)
  for (const topic of topics) await publisher.publish(topic, 'x')
  await publisher.ping()
  const arrived = (await client.ping()).map(packet => String(packet.topic))
  await client.cut()
  return arrived
}

t.test('[MQTT-4.7.1-2] # is a whole level and the last one', async t => {
  for (const filter of ['#', 'sport/#', '/#', '+/#', 'sport/tennis/#']) t.equal(await granted(filter), 0, filter)
  for (const filter of ['sport/tennis#', 'sport/tennis/#/ranking', '#/', 'a#', '##', '#a', '+#']) {
    t.equal(await granted(filter), 0x80, filter)
  }
  const topics = ['sport', 'sport/', 'sport/tennis', 'sport/tennis/player1/score', 'sports', 'Sport/a']
  t.same(await reached('sport/#', topics), ['sport', 'sport/', 'sport/tennis', 'sport/tennis/player1/score'])
})

t.test('[MQTT-4.7.1-3] + is a whole level, anywhere', async t => {
  for (const filter of ['+', '+/tennis/#', 'sport/+/player1', '/+', '+/+', '+/', 'a/+']) t.equal(await granted(filter), 0, filter)
  for (const filter of ['sport+', 'sport/+tennis', 'a+/b', '++', '+a', 'a/b+']) t.equal(await granted(filter), 0x80, filter)
  t.same(await reached('sport/+', ['sport/tennis', 'sport/', 'sport', 'sport/tennis/player1']), ['sport/tennis', 'sport/'])
  t.same(await reached('+/+', ['/finance', 'a/b', 'finance']), ['/finance', 'a/b'])
  t.same(await reached('/+', ['/finance']), ['/finance'])
  t.same(await reached('+', ['/finance', 'finance']), ['finance'])
})

t.test('[MQTT-4.7.2-1] a filter that begins with a wildcard does not match topics that begin with $', async t => {
  const topics = ['$data/a', '$data', 'data/a', 'a/$data']
  t.same(await reached('#', topics), ['data/a', 'a/$data'])
  t.same(await reached('+/a', topics), ['data/a'])
  t.same(await reached('+/#', topics), ['data/a', 'a/$data'])
  t.same(await reached('$data/#', topics), ['$data/a', '$data'])
  t.same(await reached('$data/+', topics), ['$data/a'])
  await publisher.publish('$data/kept', 'x', 1, { retain: true })
  await publisher.publish('plain/kept', 'x', 1, { retain: true })
  const { client } = await RawClient.connect(port, { clientId: 'retained' })
  await client.subscribe('+/kept')
  t.same(
    (await client.ping()).map(packet => packet.topic),
    ['plain/kept'],
    'nor what is retained there'
  )
})

t.test('what the broker says of itself is matched by $SYS filters only', async t => {
  const { client: all } = await RawClient.connect(port, { clientId: 'all' })
  await all.subscribe('#')
  const { client: system } = await RawClient.connect(port, { clientId: 'system' })
  await system.subscribe(`$SYS/${broker.id}/new/clients`)
  await RawClient.connect(port, { clientId: 'newcomer' })
  t.match(await system.expect('publish'), { topic: `$SYS/${broker.id}/new/clients` })
  const topics = (await all.ping()).map(packet => String(packet.topic))
  t.notOk(topics.some(topic => topic.startsWith('$')))
})

t.test('[MQTT-4.7.3-1] topics have at least one character', async t => {
  t.same(await answerTo(port, raw(0x30, field(''))), ['closed'], 'a name')
  t.equal(await granted(''), 0x80, 'a filter')
  t.equal(await granted('/'), 0)
  t.equal(await granted(' '), 0)
  t.same(await reached('/', ['/', ' ']), ['/'])
})

t.test('[MQTT-4.7.3-2] [MQTT-1.5.3-2] topics have no U+0000', async t => {
  t.same(await answerTo(port, raw(0x30, field('a\u0000b'))), ['closed'])
  t.same(await answerTo(port, raw(0x82, 0, 1, field('a\u0000b'), 0)), ['closed'])
  t.same(await answerTo(port, raw(0xa2, 0, 1, field('\u0000'))), ['closed'])
})

t.test('[MQTT-4.7.3-3] topics have up to 65,535 bytes', async t => {
  for (const topic of ['x'.repeat(65_535), 'ä'.repeat(32_767)]) t.same(await reached(topic, [topic]), [topic])
})

t.test('[MQTT-4.7.3-4] topics are compared character by character, without normalizing anything', async t => {
  const topics = ['\u00c5', 'A\u030a', '\u212b', 'ACCOUNTS', 'Accounts', 'a//b', 'a/b', 'a/ b']
  for (const topic of topics) t.same(await reached(topic, topics), [topic])
})

t.test('a level may be empty, and a separator at either end makes one', async t => {
  t.same(await reached('a//+', ['a//b', 'a/b', 'a///b', 'a//']), ['a//b', 'a//'])
  t.same(await reached('+/a', ['/a', 'a', '/a/']), ['/a'])
})
