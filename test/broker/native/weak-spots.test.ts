import t from 'tap'
import type { SessionStore } from '../../../persistence/contract.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'
import { naiveMatch } from '../../topic/naive-match.ts'

/** Faults that brokers of this family had: each is looked for here, one by one. */

const stored = (clientId: string) => ({
  clientId,
  clean: false,
  version: 5 as const,
  properties: { sessionExpiryInterval: 1000 }
})

function publish(
  client: RawClient,
  topic: string,
  payload: string,
  qos: 0 | 1 | 2,
  messageId: number,
  options: object = {}
): void {
  client.send({ cmd: 'publish', topic, payload, qos, messageId, retain: false, dup: false, ...options })
}

function told(packet: AnyPacket | undefined): string {
  return packet?.cmd === 'publish' ? `${packet.payload} ${packet.messageId}${packet.dup ? ' DUP' : ''}` : String(packet?.cmd)
}

for (const qos of [1, 2] as const) {
  t.test(
    `[MQTT-3.3.1-1] [MQTT-3.3.1-3] QoS ${qos}: DUP is set on what is sent again, and never taken over from the publisher`,
    async t => {
      let started = await TestBroker.start(t)
      const { client: first } = await RawClient.connect(started.port, stored('subscriber'))
      await first.subscribe('#', qos)
      const { client: publisher } = await RawClient.connect(started.port, { clientId: 'publisher' })
      await publisher.publish('a', 'one', qos, { dup: true })
      t.equal(told(await first.expect('publish')), 'one 1')
      await first.cut()
      await publisher.publish('a', 'two', qos, { dup: true })
      const { client: second } = await RawClient.connect(started.port, stored('subscriber'))
      t.equal(told(await second.expect('publish')), 'one 1 DUP')
      t.equal(told(await second.expect('publish')), 'two 2')
      await second.cut()
      started = await started.restart(t)
      const { client: third } = await RawClient.connect(started.port, stored('subscriber'))
      t.equal(told(await third.expect('publish')), 'one 1 DUP', 'known across a restart of the broker')
      t.equal(told(await third.expect('publish')), 'two 2 DUP')
      t.same(await third.ping(), [], 'and sent once per connection')
    }
  )
}

t.test('No Local, Retain As Published and subscription identifiers hold across a restart of the broker', async t => {
  let started = await TestBroker.start(t)
  const { client: first } = await RawClient.connect(started.port, stored('a'))
  await first.subscribe('x/#', 1, { nl: true, rap: true }, { subscriptionIdentifier: 7 })
  await first.subscribe('x/+', 0, {}, { subscriptionIdentifier: 268_435_455 })
  await first.subscribe('own', 1, { nl: true })
  await first.disconnect()
  started = await started.restart(t)
  const { client: second } = await RawClient.connect(started.port, stored('a'))
  await second.publish('own', 'from a', 1)
  const { client: other } = await RawClient.connect(started.port, { clientId: 'b' })
  await other.publish('own', 'from b', 1)
  t.equal(told(await second.expect('publish')), 'from b 1')
  await other.publish('x/y', 'both', 1, { retain: true })
  const both = await second.expect('publish')
  t.same([...(both.properties as { subscriptionIdentifier: number[] }).subscriptionIdentifier].sort(), [268_435_455, 7])
  t.match(both, { qos: 1, retain: true })
})

const topics = ['a', 'a/', 'a/b', 'a//b', 'a/b/', '/', '//', '/a', 'b', '$a', '$a/b', '$a/', 'ab', 'a/__proto__']
const filters = [
  ...[
    '#',
    '+',
    '+/+',
    '+/+/+',
    'a/+',
    'a/#',
    'a',
    'a/',
    '/',
    '/+',
    '/#',
    '+/',
    '//',
    '+//',
    'a//b',
    'a/+/b',
    'a//#',
    '+//b',
    '+/b'
  ],
  ...['$a', '$a/+', '$a/#', 'a/b/#', 'a/b/+', 'ab/#', '+/__proto__']
]

t.test(
  '[MQTT-4.7.1-2] [MQTT-4.7.2-1] empty levels, # and $: retained messages are found by the filters that match, no others',
  async t => {
    let started = await TestBroker.start(t)
    const { client: publisher } = await RawClient.connect(started.port, { clientId: 'publisher' })
    for (const topic of topics) await publisher.publish(topic, topic, 1, { retain: true })
    for (const restarted of [false, true]) {
      if (restarted) started = await started.restart(t)
      for (const filter of filters) {
        const { client } = await RawClient.connect(started.port, { clientId: 'looker' })
        await client.subscribe(filter, 0)
        const found = (await client.ping()).map(({ topic }) => String(topic)).sort()
        t.same(found, topics.filter(topic => naiveMatch(filter, topic)).sort(), `${filter}${restarted ? ' after a restart' : ''}`)
        await client.disconnect()
      }
    }
  }
)

t.test('the same filters bring the same messages live', async t => {
  const { port } = await TestBroker.start(t)
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  for (const filter of filters) {
    const { client } = await RawClient.connect(port, { clientId: 'looker' })
    await client.subscribe(filter, 0)
    for (const topic of topics) publish(publisher, topic, topic, 0, 0)
    await publisher.ping()
    const found = (await client.ping()).map(({ topic }) => String(topic))
    t.same(
      found,
      topics.filter(topic => naiveMatch(filter, topic)),
      filter
    )
    await client.disconnect()
  }
})

t.test('[MQTT-3.8.4-8] a wildcard subscription at QoS 1 gets a QoS 2 message at QoS 1: live, queued and retained', async t => {
  const { port } = await TestBroker.start(t)
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('w/retained', 'retained', 2, { retain: true })
  const { client: first } = await RawClient.connect(port, stored('subscriber'))
  await first.subscribe('w/#', 1)
  t.match(await first.expect('publish'), { qos: 1, retain: true })
  first.send({ cmd: 'puback', messageId: 1 })
  await publisher.publish('w/live', 'live', 2)
  t.match(await first.expect('publish'), { qos: 1, topic: 'w/live' })
  first.send({ cmd: 'puback', messageId: 2 })
  t.same(await first.ping(), [], 'PUBACK was the end of it: no PUBREL follows')
  await first.cut()
  await publisher.publish('w/queued', 'queued', 2)
  const { client: second } = await RawClient.connect(port, stored('subscriber'))
  t.match(await second.expect('publish'), { qos: 1, topic: 'w/queued', dup: false })
  second.send({ cmd: 'puback', messageId: 3 })
  t.same(await second.ping(), [])
})

const wrongAcks = [
  { name: 'PUBACK for a QoS 2 delivery', qos: 2, ack: { cmd: 'puback' } },
  { name: 'PUBCOMP before PUBREC', qos: 2, ack: { cmd: 'pubcomp' } },
  { name: 'PUBREC for a QoS 1 delivery', qos: 1, ack: { cmd: 'pubrec' } },
  { name: 'PUBCOMP for a QoS 1 delivery', qos: 1, ack: { cmd: 'pubcomp' } }
] as const

for (const { name, qos, ack } of wrongAcks) {
  t.test(`${name} is a protocol error, and the message is sent again on the next connection`, async t => {
    const { port } = await TestBroker.start(t)
    const { client: first } = await RawClient.connect(port, stored('subscriber'))
    await first.subscribe('a', qos)
    const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
    await publisher.publish('a', 'x', qos)
    const { messageId } = await first.expect('publish')
    first.send({ ...ack, messageId })
    t.match(await first.ended(), [{ cmd: 'disconnect', reasonCode: 0x82 }])
    const { client: second } = await RawClient.connect(port, stored('subscriber'))
    t.match(await second.expect('publish'), { messageId, dup: true, payload: Buffer.from('x') })
  })
}

for (const version of [4, 5] as const) {
  t.test(`MQTT level ${version}: acknowledgements of ids that are not in use are answered, or nothing happens`, async t => {
    const { port } = await TestBroker.start(t)
    const { client } = await RawClient.connect(port, { clientId: 'a', version })
    await client.subscribe('a', 2)
    client.send({ cmd: 'puback', messageId: 9 })
    client.send({ cmd: 'pubcomp', messageId: 9 })
    t.same(await client.ping(), [])
    client.send({ cmd: 'pubrec', messageId: 9 })
    client.send({ cmd: 'pubrel', messageId: 9 })
    const answers = await client.ping()
    t.same(
      answers.map(({ cmd, messageId }) => [cmd, messageId]),
      [
        ['pubrel', 9],
        ['pubcomp', 9]
      ]
    )
    if (version === 5) for (const { reasonCode } of answers) t.equal(reasonCode, 0x92)
    const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
    await publisher.publish('a', 'still here', 2)
    t.equal(String((await client.expect('publish')).payload), 'still here')
  })
}

t.test('a QoS 2 message whose queue entries cannot be stored is not lost when it is sent again, and arrives once', async t => {
  let failures = 0
  const wrapStore = (store: SessionStore): SessionStore =>
    new Proxy(store, {
      get(inner, key) {
        const value = Reflect.get(inner, key, inner) as unknown
        if (typeof value !== 'function') return value
        if (key !== 'commit') return value.bind(inner)
        return () => (failures-- > 0 ? Promise.reject(new Error('ENOSPC: no space left on device')) : inner.commit())
      }
    })
  let started = await TestBroker.start(t, { wrapStore })
  const { client: sleeper } = await RawClient.connect(started.port, stored('sleeper'))
  await sleeper.subscribe('a', 2)
  await sleeper.disconnect()
  const { client: first } = await RawClient.connect(started.port, stored('publisher'))
  await first.publish('elsewhere', 'settles what is under way', 1)
  failures = 1
  publish(first, 'a', 'x', 2, 77)
  t.match(await first.ended(), [{ cmd: 'disconnect' }], 'no PUBREC')
  const { client: second } = await RawClient.connect(started.port, stored('publisher'))
  publish(second, 'a', 'x', 2, 77, { dup: true })
  t.match(await second.expect('pubrec'), { messageId: 77 })
  await second.cut()
  started = await started.restart(t, {})
  const { client: third } = await RawClient.connect(started.port, stored('publisher'))
  publish(third, 'a', 'x', 2, 77, { dup: true })
  await third.expect('pubrec')
  third.send({ cmd: 'pubrel', messageId: 77 })
  await third.expect('pubcomp')
  const { client: awake } = await RawClient.connect(started.port, stored('sleeper'))
  t.equal(told(await awake.expect('publish')), 'x 1')
  t.same(await awake.ping(), [], 'once')
})

t.test('sessions of dev1 and dev10 are two, in memory and on disk', async t => {
  let started = await TestBroker.start(t)
  for (const clientId of ['dev1', 'dev10', 'dev']) {
    const { client } = await RawClient.connect(started.port, stored(clientId))
    await client.subscribe(`${clientId}/#`, 1)
    await client.disconnect()
  }
  const { client: publisher } = await RawClient.connect(started.port, { clientId: 'publisher' })
  for (const clientId of ['dev1', 'dev10', 'dev']) await publisher.publish(`${clientId}/x`, clientId, 1)
  const { client: cleaner } = await RawClient.connect(started.port, { clientId: 'dev1', clean: true })
  await cleaner.disconnect()
  started = await started.restart(t)
  for (const clientId of ['dev10', 'dev']) {
    const { client, connack } = await RawClient.connect(started.port, stored(clientId))
    t.equal(connack.sessionPresent, true)
    t.equal(told(await client.expect('publish')), `${clientId} 1`)
    t.same(await client.ping(), [])
  }
  t.equal((await RawClient.connect(started.port, stored('dev1'))).connack.sessionPresent, false)
})

for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
  t.test(`${name} is a client id, a topic and a filter like any other`, async t => {
    let started = await TestBroker.start(t)
    const clients: unknown[] = []
    started.broker.on('publish', (packet, client) => {
      if (!packet.topic.startsWith('$SYS')) clients.push(client?.id ?? null)
    })
    const will = { topic: name, payload: Buffer.from('will'), qos: 1, retain: false, properties: { willDelayInterval: 1 } }
    const { client: first, connack } = await RawClient.connect(started.port, { ...stored(name), will })
    t.equal(connack.sessionPresent, false)
    await first.subscribe(name, 1)
    publish(first, name, 'x', 1, 5)
    t.equal(told(await first.expect('publish')), 'x 1')
    t.equal(started.broker.clients[name]?.id, name)
    await first.cut()
    while (started.broker.connectedClients > 0) await new Promise(resolve => setImmediate(resolve))
    const { client: publisher } = await RawClient.connect(started.port, { clientId: 'publisher' })
    await publisher.publish(name, 'y', 1, { retain: true })
    t.same(clients, [name, 'publisher'])
    t.equal(started.broker.clients[name], undefined, 'nobody by that name is connected')
    t.equal(started.broker.clients.closed, undefined, 'nor by the name of a property')
    started = await started.restart(t, {})
    const { client: second, connack: again } = await RawClient.connect(started.port, stored(name))
    t.equal(again.sessionPresent, true)
    t.equal(told(await second.expect('publish')), 'x 1 DUP')
    t.equal(told(await second.expect('publish')), 'y 2')
    const { client: looker } = await RawClient.connect(started.port, { clientId: 'looker' })
    await looker.subscribe(name, 0)
    t.equal(String((await looker.expect('publish')).payload), 'y')
  })
}

t.test('filters that a hook refuses are not stored with those it grants', async t => {
  let started = await TestBroker.start(t, {
    authorizeSubscribe: (_client, subscription, done) =>
      subscription.topic === 'error' ? done(new Error('no')) : done(null, subscription.topic === 'no' ? null : subscription)
  })
  const { client } = await RawClient.connect(started.port, stored('a'))
  const subscriptions = ['no', 'yes', 'error'].map(topic => ({ topic, qos: 1 }))
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions })
  t.same((await client.expect('suback')).granted, [0x87, 1, 0x87])
  t.equal(started.broker.subscriptionCount, 1)
  await client.disconnect()
  started = await started.restart(t, {})
  t.equal(started.broker.subscriptionCount, 1)
  const { client: publisher } = await RawClient.connect(started.port, { clientId: 'publisher' })
  for (const topic of ['no', 'yes', 'error']) await publisher.publish(topic, topic, 1)
  const { client: back } = await RawClient.connect(started.port, stored('a'))
  t.equal(told(await back.expect('publish')), 'yes 1')
  t.same(await back.ping(), [])
})

t.test(
  '[MQTT-3.3.4-9] what waits in a shared backlog and in the own queue together stays within the Receive Maximum',
  async t => {
    const { port, broker } = await TestBroker.start(t)
    const session = (receiveMaximum: number) => ({
      ...stored('member'),
      properties: { sessionExpiryInterval: 1000, receiveMaximum }
    })
    const { client: first } = await RawClient.connect(port, session(3))
    await first.subscribe('$share/g/a', 2)
    const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
    await publisher.publish('a', 'own', 2)
    await publisher.publish('a', 'shared 1', 1)
    await publisher.publish('a', 'shared 2', 1)
    await first.cut()
    const { client: second } = await RawClient.connect(port, session(1))
    for (let i = 0; i < 3; i++) {
      const packets = [await second.expect('publish')]
      for (let quiet = 0; quiet < 5; quiet++) {
        await broker.engine.drain()
        packets.push(...(await second.ping()))
      }
      t.equal(packets.length, 1, 'one at a time')
      const { qos, messageId } = packets[0]!
      second.send({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId, ...(qos === 2 ? { reasonCode: 0x80 } : {}) })
    }
  }
)

t.test(
  '[MQTT-4.8.2-4] what a member had when it left its group goes to another one, or nowhere, when its session ends',
  async t => {
    const { port, broker } = await TestBroker.start(t)
    const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
    for (const others of [0, 1]) {
      const { client: member } = await RawClient.connect(port, stored('member'))
      await member.subscribe('$share/g/a', 1)
      await publisher.publish('a', 'x', 1)
      await member.expect('publish')
      const { client: other } = await RawClient.connect(port, stored('other'))
      if (others === 1) await other.subscribe('$share/g/a', 1)
      member.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['$share/g/a'] })
      await member.expect('unsuback')
      await member.cut()
      await (await RawClient.connect(port, { clientId: 'member', clean: true })).client.disconnect()
      if (others === 1) {
        const { messageId, payload } = await other.expect('publish')
        t.equal(String(payload), 'x')
        other.send({ cmd: 'puback', messageId })
        await other.ping()
      }
      t.equal(broker.counters.queued, 0)
      await other.cut()
    }
  }
)
