import t, { type Test } from 'tap'
import { field, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'
import { arrivals, connect, connectStored, disconnectsWith, lastWords, payloads } from './clients.ts'

const maxTopicLevels = 8
const { port, broker } = await TestBroker.start(t, { limits: { maxTopicLevels } })
const publisher = await connect(port, 'publisher')

/** A client that subscribed to the filters, one by one. */
async function subscriber(...filters: string[]): Promise<RawClient> {
  const client = await connect(port, '')
  for (const filter of filters) t.match(await client.subscribe(filter, 1), { granted: [1] }, filter)
  return client
}

/** Which of the topics reach a subscription, live; each message says its topic. */
async function reached(filter: string, topics: readonly string[]): Promise<string[]> {
  const client = await subscriber(filter)
  for (const topic of topics) await publisher.publish(topic, topic, 1)
  const arrived = payloads(await client.ping())
  await client.disconnect()
  return arrived
}

/** The SUBACK code for a filter, for MQTT 5 and for 3.1.1. */
async function answers(filter: string): Promise<unknown[]> {
  const client = await connect(port, '')
  const older = await connect(port, 'older', { version: 4 })
  // Raw bytes: the client library refuses some of these itself.
  client.sendBytes(raw(0x82, 0, 1, 0, field(filter), 0))
  older.sendBytes(raw(0x82, 0, 1, field(filter), 0))
  return [(await client.expect('suback')).granted, (await older.expect('suback')).granted].flat()
}

function publishTo(topic: string | Buffer, version: 4 | 5): Buffer {
  return version === 5 ? raw(0x30, field(topic), 0) : raw(0x30, field(topic))
}

async function cutsOff(t: Test, topic: string | Buffer, code: number): Promise<void> {
  t.match(await lastWords(port, publishTo(topic, 5)), disconnectsWith(code), JSON.stringify(topic))
  t.same(await lastWords(port, publishTo(topic, 4), { version: 4, clientId: 'older' }), [], `${JSON.stringify(topic)} in 3.1.1`)
}

t.test('[MQTT-4.7.0-1] wildcards work in filters', async t => {
  const topics = ['sport', 'sport/', 'sport/tennis', 'sport/tennis/player1', 'sport//player1', '/sport', 'sports']
  t.same(await reached('sport/#', topics), ['sport', 'sport/', 'sport/tennis', 'sport/tennis/player1', 'sport//player1'])
  t.same(await reached('sport/+', topics), ['sport/', 'sport/tennis'])
  t.same(await reached('sport/+/player1', topics), ['sport/tennis/player1', 'sport//player1'])
  t.same(await reached('+', topics), ['sport', 'sports'])
  t.same(await reached('+/+', topics), ['sport/', 'sport/tennis', '/sport'])
  t.same(await reached('/+', topics), ['/sport'])
  t.same(await reached('+/tennis/#', topics), ['sport/tennis', 'sport/tennis/player1'])
  t.same(await reached('#', topics), topics)
})

t.test('[MQTT-4.7.0-1] wildcards find the retained messages of the topics they match, and of no other', async t => {
  const topics = ['r', 'r/', 'r/a', 'r/a/', 'r/a/b', 'r//b', '/r', 'r0', 'r/ab', 'R/a', 'r/\u00e9', 'r/\uffff', 'r/\u{1f600}']
  for (const topic of topics) await publisher.publish(topic, topic, 1, { retain: true })
  const found = async (filter: string) => {
    const client = await subscriber(filter)
    const arrived = payloads(await client.ping()).filter(topic => topics.includes(topic))
    await client.disconnect()
    return arrived.sort()
  }
  const below = topics.filter(topic => topic.startsWith('r/'))
  t.same(await found('r/#'), ['r', ...below].sort())
  t.same(await found('r/+'), ['r/', 'r/a', 'r/ab', 'r/\u00e9', 'r/\uffff', 'r/\u{1f600}'].sort())
  t.same(await found('r/+/b'), ['r/a/b', 'r//b'].sort())
  t.same(await found('r/a/+'), ['r/a/', 'r/a/b'])
  t.same(await found('r/a/#'), ['r/a', 'r/a/', 'r/a/b'])
  t.same(await found('+/a'), ['R/a', 'r/a'])
  t.same(await found('+'), ['r', 'r0'])
  t.same(await found('/+'), ['/r'])
  t.same(await found('r/a'), ['r/a'])
  for (const topic of topics) await publisher.publish(topic, '', 1, { retain: true })
  t.same(await found('#'), [])
})

t.test('[MQTT-4.7.0-1] a Topic Name with a wildcard is answered with DISCONNECT 0x90, before MQTT 5 by hanging up', async t => {
  for (const topic of ['+', '#', 'a/+', 'a/#', 'a+', '#a', '/+/']) await cutsOff(t, topic, 0x90)
})

t.test(
  '[MQTT-4.7.1-1] a filter in which the multi-level wildcard is not alone in the last level is refused with 0x8F',
  async t => {
    for (const filter of ['sport/tennis#', 'sport/tennis/#/ranking', '#/', '##', '#a', 'a/#b', '+#', '#/#']) {
      t.same(await answers(filter), [0x8f, 0x80], filter)
    }
  }
)

t.test('[MQTT-4.7.1-2] a filter in which the single-level wildcard is not alone in its level is refused with 0x8F', async t => {
  for (const filter of ['sport+', '+sport', 'a/b+', 'a/+b/c', '++', '+/++', 'a/+#']) {
    t.same(await answers(filter), [0x8f, 0x80], filter)
  }
  for (const filter of ['+', '+/', '/+', '+/+/+', 'a/+/b', '+/#', 'a/+']) t.same(await answers(filter), [0, 0], filter)
})

t.test('[MQTT-4.7.2-1] a filter that begins with a wildcard does not reach topics that begin with "$"', async t => {
  await publisher.publish('$data/monitor', 'retained', 1, { retain: true })
  const topics = ['$data/monitor', '$data', 'data/$monitor', '$']
  for (const filter of ['#', '+/#', '+/monitor', '+', '+/+']) {
    const arrived = await reached(filter, topics)
    t.notOk(
      arrived.some(topic => topic.startsWith('$') || topic === 'retained'),
      filter
    )
  }
  t.same((await reached('$data/#', topics)).sort(), ['$data', '$data/monitor', 'retained'])
  t.same((await reached('$data/+', topics)).sort(), ['$data/monitor', 'retained'])
  const [monitor] = await Promise.all([reached('+/$monitor', topics)])
  t.same(monitor, ['data/$monitor'], 'only the first level counts')
  await publisher.publish('$data/monitor', '', 1, { retain: true })
})

t.test('[MQTT-4.7.2-1] what the broker says of itself under $SYS does not reach leading wildcards', async t => {
  const all = await subscriber('#', '+/#')
  const system = await subscriber('$SYS/+/new/clients')
  const newcomer = await connect(port, 'newcomer')
  const said = await system.expect('publish')
  t.equal(said.topic, `$SYS/${broker.id}/new/clients`)
  t.same(await all.ping(), [])
  await newcomer.disconnect()
})

t.test('[MQTT-4.7.3-1] an empty filter is refused with 0x8F, an empty Topic Name answered with DISCONNECT 0x82', async t => {
  t.same(await answers(''), [0x8f, 0x80])
  await cutsOff(t, '', 0x82)
  t.same(await reached('+', [' ', 'a']), [' ', 'a'], 'one character is enough, a space too')
})

t.test('[MQTT-4.7.3-2] U+0000 in a Topic Name or Topic Filter is answered with DISCONNECT 0x81', async t => {
  for (const topic of ['\u0000', 'a\u0000', 'a/\u0000/b']) {
    await cutsOff(t, topic, 0x81)
    t.match(await lastWords(port, raw(0x82, 0, 1, 0, field(topic), 0)), disconnectsWith(0x81))
    t.match(await lastWords(port, raw(0xa2, 0, 1, 0, field(topic))), disconnectsWith(0x81))
    t.same(await lastWords(port, raw(0x82, 0, 1, field(topic), 0), { version: 4, clientId: 'older' }), [])
  }
})

t.test('a Topic Name that is not UTF-8 is answered with DISCONNECT 0x81, before MQTT 5 by hanging up', async t => {
  for (const hex of ['80', 'c080', 'eda080', 'f4908080', 'e282']) await cutsOff(t, Buffer.from(hex, 'hex'), 0x81)
})

t.test('[MQTT-4.7.3-3] topics and filters of 65,535 bytes are as good as any other', async t => {
  const long = `long/${'€'.repeat(21_843)}x`
  t.equal(Buffer.byteLength(long), 65_535)
  const exact = await subscriber(long)
  const wildcard = await subscriber('long/+')
  await publisher.publish(long, 'far', 1)
  for (const client of [exact, wildcard]) {
    const packet = await client.expect('publish')
    t.ok(packet.topic === long)
    t.equal(String(packet.payload), 'far')
  }
  const stored = await connectStored(port, 'far')
  await stored.subscribe(long, 1)
  await stored.disconnect()
  await publisher.publish(long, 'kept', 1, { retain: true })
  const again = await connectStored(port, 'far')
  t.same(payloads(await arrivals(again, 1)), ['kept'], 'queued')
  t.same(payloads(await (await subscriber('long/+')).ping()), ['kept'], 'retained')
  exact.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: [long] })
  const words = await exact.ping()
  t.match(words.at(-1), { cmd: 'unsuback', granted: [0] })
})

t.test('[MQTT-4.7.3-4] topics are compared as they are: no normalization, no substitution', async t => {
  // Pairs that some normalization or other would make equal.
  const pairs = [
    ['case', 'Case'],
    ['\u00c5', 'A\u030a'],
    ['\u00c5ngstr\u00f6m', '\u212bngstr\u00f6m'],
    ['\ufb01', 'fi'],
    ['/slash', 'slash'],
    ['slash/', 'slash'],
    ['a//b', 'a/b'],
    ['a/./b', 'a/b'],
    ['space ', 'space'],
    ['\ufeffmark', 'mark'],
    ['zero\u200bwidth', 'zerowidth'],
    ['%41', 'A'],
    ['\uff21', 'A'],
    ['stra\u00dfe', 'strasse'],
    ['\u0001', '\u0002'],
    ['\uffff', '\ufffd'],
    ['\u{1f600}', '\u{1f601}']
  ] as const
  for (const [one, other] of pairs) {
    t.same(await reached(one, [one, other]), [one])
    t.same(await reached(other, [one, other]), [other])
  }
})

t.test(
  '[MQTT-4.8.2-1] [MQTT-4.8.2-2] a Shared Subscription without ShareName, with wildcards in it or without filter is refused',
  async t => {
    const wrong = [
      '$share/',
      '$share//',
      '$share//a',
      '$share/group',
      '$share/group/',
      '$share/gr+up/a',
      '$share/#/a',
      '$share/+/a',
      '$share/g#/a'
    ]
    for (const filter of [...wrong, '$share/group/a#', '$share/group/#/a', '$share/group/a+']) {
      t.same(await answers(filter), [0x8f, 0x80], filter)
    }
    t.same(await reached('$share', ['$share', 'a']), ['$share'], 'without the slash it is a filter like any other')
    t.same(await reached('$sharegroup/a', ['$sharegroup/a', 'a']), ['$sharegroup/a'])
  }
)

t.test('a filter of too many levels is refused with 0x8F, a Topic Name of as many answered with DISCONNECT 0x90', async t => {
  const deepest = Array.from({ length: maxTopicLevels }, () => 'x').join('/')
  t.same(await answers(deepest), [0, 0])
  t.same(await answers(`${deepest}/y`), [0x8f, 0x80])
  t.same(await answers(`${deepest}/`), [0x8f, 0x80], 'an empty level is one too')
  t.same(await reached('x/#', [deepest]), [deepest])
  await cutsOff(t, `${deepest}/y`, 0x90)
  t.same(await answers(`$share/group/${deepest}`), [0, 0], 'what names the group is no level of a topic')
  t.same(await answers(`$share/group/${deepest}/y`), [0x8f, 0x80])
})

t.test('a Will Topic of too many levels is refused with CONNACK 0x90, before MQTT 5 by hanging up', async t => {
  const deepest = Array.from({ length: maxTopicLevels }, () => 'x').join('/')
  const open = async (version: 4 | 5, topic: string) => {
    const client = await RawClient.open(port, version)
    client.sendConnect({ version, clientId: 'deep', will: { topic, payload: Buffer.from('x'), qos: 0, retain: false } })
    return client
  }
  t.match(await (await open(5, `${deepest}/y`)).ended(), { length: 1, 0: { cmd: 'connack', reasonCode: 0x90 } })
  t.same(await (await open(4, `${deepest}/y`)).ended(), [])
  for (const version of [4, 5] as const) await (await open(version, deepest)).expect('connack')
})
