import t from 'tap'
import type { CompiledPolicy, Policy } from '../../../lib/access/contract.ts'
import { ManualClock, TestBroker, type TestBrokerOptions } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient, type RawConnectOptions } from '../../support/raw-client.ts'

type Teardown = { teardown(fn: () => unknown): unknown }

const group = '$share/group/jobs/#'
const stored = { clean: false, properties: { sessionExpiryInterval: 3600 } }

async function start(t: Teardown, options: TestBrokerOptions = {}) {
  const broker = await TestBroker.start(t, options)
  return { broker, publisher: await connect(broker, 'publisher') }
}

async function connect(broker: TestBroker, clientId: string, options: RawConnectOptions = {}): Promise<RawClient> {
  const { client } = await RawClient.connect(broker.port, { version: 5, clientId, ...options })
  return client
}

async function member(broker: TestBroker, clientId: string, options: RawConnectOptions = {}): Promise<RawClient> {
  const client = await connect(broker, clientId, options)
  await client.subscribe(group, 2)
  return client
}

const acknowledge = (client: RawClient, packet: AnyPacket) => client.send({ cmd: 'puback', messageId: packet.messageId })
const payloads = (packets: AnyPacket[]) => packets.map(({ payload }) => String(payload))
const numbers = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => String(first + i))

async function take(client: RawClient, count: number): Promise<AnyPacket[]> {
  const packets: AnyPacket[] = []
  while (packets.length < count) packets.push(await client.expect('publish'))
  return packets
}

async function publish(client: RawClient, list: string[], qos: 0 | 1 | 2 = 1): Promise<void> {
  for (const payload of list) await client.publish('jobs/1', payload, qos)
}

for (const qos of [0, 1, 2] as const) {
  t.test(`a QoS ${qos} message goes to one member, and every member has its share`, async t => {
    const { broker, publisher } = await start(t)
    const members = [await member(broker, 'a'), await member(broker, 'b', { version: 4 }), await member(broker, 'c', stored)]
    await publish(publisher, numbers(1, 30), qos)
    // QoS 0 has no acknowledgement that would tell it was handed out.
    if (qos === 0) await publisher.ping()
    const got = await Promise.all(members.map(async client => payloads(await client.ping())))
    t.same(
      got.flat().sort((x, y) => Number(x) - Number(y)),
      numbers(1, 30)
    )
    t.same(
      got.map(({ length }) => length),
      [10, 10, 10]
    )
  })
}

t.test('each group and each subscription of its own gets a copy', async t => {
  const { broker, publisher } = await start(t)
  const one = await member(broker, 'one')
  const other = await connect(broker, 'other')
  await other.subscribe('$share/another/jobs/+', 1)
  await one.subscribe('jobs/1', 1)
  await publish(publisher, ['x'])
  t.same(payloads(await one.ping()), ['x', 'x'])
  t.same(payloads(await other.ping()), ['x'])
})

t.test('a member whose window is full gets nothing more while another one has room', async t => {
  const { broker, publisher } = await start(t)
  const slow = await member(broker, 'slow', { properties: { receiveMaximum: 1 } })
  const quick = await member(broker, 'quick')
  await publish(publisher, numbers(1, 20))
  t.equal((await slow.ping()).length, 1)
  t.equal((await quick.ping()).length, 19)
})

for (const kind of ['clean', 'stored'] as const) {
  t.test(`with every window full messages wait, in order, and follow the acknowledgements (${kind})`, async t => {
    const { broker, publisher } = await start(t)
    const only = await member(broker, 'only', {
      clean: kind === 'clean',
      properties: { receiveMaximum: 2, ...(kind === 'stored' ? { sessionExpiryInterval: 60 } : {}) }
    })
    await publish(publisher, numbers(1, 200))
    const seen: string[] = []
    for (let i = 0; i < 200; i++) {
      const packet = await only.expect('publish')
      seen.push(String(packet.payload))
      acknowledge(only, packet)
    }
    t.same(seen, numbers(1, 200))
    t.same(await only.ping(), [])
    t.equal(broker.broker.counters.queued, 0)
  })

  t.test(`what a ${kind} member did not acknowledge goes to another one when it leaves`, async t => {
    const { broker, publisher } = await start(t)
    const options = kind === 'stored' ? stored : {}
    const leaving = await member(broker, 'leaving', options)
    await publish(publisher, numbers(1, 5))
    acknowledge(leaving, await leaving.expect('publish'))
    await leaving.ping()
    const staying = await member(broker, 'staying', options)
    await leaving.cut()
    const got = await take(staying, 4)
    t.same(payloads(got), numbers(2, 5))
    t.notOk(
      got.some(({ dup }) => dup),
      'to this client it is the first delivery'
    )
    for (const packet of got) acknowledge(staying, packet)
    t.same(await staying.ping(), [])
    const back = await connect(broker, 'leaving', options)
    t.same(await back.ping(), [], 'and is not sent again to the one that left')
    t.equal(broker.broker.counters.queued, 0)
  })
}

t.test('messages wait for stored members that are all away, over a restart, and go to the first that comes', async t => {
  let { broker, publisher } = await start(t)
  for (const id of ['a', 'b']) await (await member(broker, id, stored)).disconnect()
  await publish(publisher, numbers(1, 100))
  broker = await broker.restart(t)
  const first = await connect(broker, 'b', stored)
  const got = await take(first, 100)
  t.same(payloads(got), numbers(1, 100))
  for (const packet of got) acknowledge(first, packet)
  t.same(await first.ping(), [])
  broker = await broker.restart(t)
  for (const id of ['a', 'b']) t.same(await (await connect(broker, id, stored)).ping(), [], `${id} gets nothing twice`)
})

t.test('[MQTT-4.4.0-1] the only member gets what it did not acknowledge again, with DUP and the same packet id', async t => {
  const { broker, publisher } = await start(t)
  const only = await member(broker, 'only', stored)
  await publish(publisher, numbers(1, 3))
  const before = await take(only, 3)
  await only.cut()
  await publish(publisher, ['4'])
  const { client: again } = await RawClient.connect(broker.port, {
    version: 5,
    clientId: 'only',
    clean: false,
    properties: { sessionExpiryInterval: 60, receiveMaximum: 2 }
  })
  const got: AnyPacket[] = []
  for (let i = 0; i < 4; i++) {
    got.push(await again.expect('publish'))
    acknowledge(again, got[i]!)
  }
  t.same(payloads(got), numbers(1, 4))
  t.same(
    got.map(({ dup }) => dup),
    [true, true, true, false]
  )
  t.same(
    got.slice(0, 3).map(({ messageId }) => messageId),
    before.map(({ messageId }) => messageId)
  )
  t.same(await again.ping(), [])
})

t.test('what a member that is away did not acknowledge goes to the next one that comes', async t => {
  const { broker, publisher } = await start(t)
  const away = await member(broker, 'away', stored)
  await publish(publisher, numbers(1, 3))
  await away.ping()
  await away.cut()
  const next = await member(broker, 'next')
  t.same(payloads(await take(next, 3)), numbers(1, 3))
  const back = await connect(broker, 'away', stored)
  t.same(await back.ping(), [])
})

t.test('after a crash DUP says that a member may have had the message before', async t => {
  let { broker, publisher } = await start(t)
  const member1 = await member(broker, 'a', stored)
  await publish(publisher, ['1'])
  await member1.expect('publish')
  await publish(publisher, ['2'])
  broker = await broker.restart(t)
  const again = await connect(broker, 'a', stored)
  const got = await take(again, 2)
  t.same(payloads(got), ['1', '2'])
  t.equal(got[0]!.dup, true)
})

t.test('when the last member unsubscribes what waited is dropped and counted, and nothing stays behind', async t => {
  let { broker, publisher } = await start(t)
  const only = await member(broker, 'only', { ...stored, properties: { sessionExpiryInterval: 60, receiveMaximum: 1 } })
  await publish(publisher, numbers(1, 5))
  const sent = await only.expect('publish')
  only.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: [group] })
  await only.expect('unsuback')
  t.equal(broker.broker.counters.dropped.get('unsubscribed'), 4)
  acknowledge(only, sent)
  t.same(await only.ping(), [])
  t.equal(broker.broker.counters.queued, 0)
  await only.subscribe(group, 1)
  t.same(await only.ping(), [], 'a new subscription begins empty')
  await publish(publisher, ['6'])
  t.same(payloads([await only.expect('publish')]), ['6'])
  only.send({ cmd: 'unsubscribe', messageId: 10, unsubscriptions: [group] })
  await only.expect('unsuback')
  broker = await broker.restart(t)
  t.same(
    broker.broker.describeClients().map(({ clientId }) => clientId),
    ['only']
  )
})

t.test('[MQTT-3.10.4-3] a delivery that began before UNSUBSCRIBE is completed, over a lost connection too', async t => {
  const { broker, publisher } = await start(t)
  const only = await member(broker, 'only', stored)
  await publish(publisher, ['1'])
  const sent = await only.expect('publish')
  only.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: [group] })
  await only.expect('unsuback')
  await only.cut()
  const again = await connect(broker, 'only', stored)
  const repeated = await again.expect('publish')
  t.match(repeated, { dup: true, messageId: sent.messageId })
  acknowledge(again, repeated)
  t.same(await again.ping(), [])
  t.equal(broker.broker.counters.queued, 0)
})

t.test('messages that expire while they wait are dropped and counted', async t => {
  const clock = new ManualClock()
  const { broker, publisher } = await start(t, { clock })
  await (await member(broker, 'a', stored)).disconnect()
  await publisher.publish('jobs/1', 'short', 1, { properties: { messageExpiryInterval: 5 } })
  await publisher.publish('jobs/1', 'long', 1, { properties: { messageExpiryInterval: 50 } })
  clock.advance(10_000)
  const back = await connect(broker, 'a', stored)
  const packet = await back.expect('publish')
  t.equal(String(packet.payload), 'long')
  t.equal((packet.properties as { messageExpiryInterval?: number }).messageExpiryInterval, 40)
  t.equal(broker.broker.counters.dropped.get('message-expired'), 1)
})

t.test('the backlog of a group has the limit of a session', async t => {
  const { broker, publisher } = await start(t, { limits: { maxQueuedMessagesPerSession: 3 } })
  await (await member(broker, 'a', stored)).disconnect()
  await publish(publisher, numbers(1, 5))
  t.equal(broker.broker.counters.dropped.get('queue-full'), 2)
  const back = await connect(broker, 'a', stored)
  t.same(payloads(await take(back, 3)), numbers(1, 3))
})

t.test('messages go past members that may not have them; with none that may they are dropped and counted', async t => {
  const policy: Policy = {
    generation: 0,
    compile: ({ clientId }): CompiledPolicy => ({
      canPublish: () => true,
      canSubscribe: filter => filter === '$share/group/jobs/#',
      canReceive: topic => clientId === 'trusted' || !topic.endsWith('secret'),
      permitsAll: false
    })
  }
  const { broker, publisher } = await start(t, { access: { policy } })
  const plain = await member(broker, 'plain')
  await publisher.publish('jobs/secret', 'nobody', 1)
  t.equal(broker.broker.counters.dropped.get('forward-denied'), 1)
  const trusted = await member(broker, 'trusted')
  await publisher.publish('jobs/secret', 'one', 1)
  await publisher.publish('jobs/secret', 'two', 1)
  t.same(payloads(await trusted.ping()), ['one', 'two'])
  t.same(await plain.ping(), [])
  const refused = await plain.subscribe('$share/group/other', 1)
  t.same(refused.granted ?? refused.reasonCodes, [0x87])
})

t.test('a group of clean members goes to the store when a member with a stored session joins', async t => {
  let { broker, publisher } = await start(t)
  const clean = await member(broker, 'clean', { properties: { receiveMaximum: 1 } })
  await publish(publisher, numbers(1, 4))
  await clean.expect('publish')
  const keeper = await connect(broker, 'keeper', { ...stored, properties: { sessionExpiryInterval: 60, receiveMaximum: 1 } })
  await keeper.subscribe(group, 1)
  t.same(payloads([await keeper.expect('publish')]), ['2'])
  await keeper.cut()
  await clean.cut()
  broker = await broker.restart(t)
  const back = await connect(broker, 'keeper', stored)
  const got: string[] = []
  for (let i = 0; i < 4; i++) got.push(String((await back.expect('publish')).payload))
  t.same(got.sort(), numbers(1, 4))
})

t.test('a publisher is told 0x10 only when no group has a member either', async t => {
  const { broker, publisher } = await start(t)
  const send = async () => {
    publisher.send({ cmd: 'publish', topic: 'jobs/1', payload: 'x', qos: 1, messageId: 700, retain: false, dup: false })
    return (await publisher.expect('puback')).reasonCode
  }
  t.equal(await send(), 0x10)
  await member(broker, 'a')
  t.equal(await send(), 0)
})

t.test('members that come and go count as subscriptions', async t => {
  const { broker } = await start(t)
  const a = await member(broker, 'a')
  await member(broker, 'b')
  t.equal(broker.broker.subscriptionCount, 2)
  await a.disconnect()
  t.equal(broker.broker.subscriptionCount, 1)
})
