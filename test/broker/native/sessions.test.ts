import t from 'tap'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

const persistent = { clean: false, clientId: 'device' }

t.test('a persistent session keeps its subscriptions and its queue, in order, over disconnect and restart', async t => {
  let started = await TestBroker.start(t)
  const { client, connack } = await RawClient.connect(started.port, persistent)
  t.equal(connack.sessionPresent, false)
  await client.subscribe('orders/#', 1)
  await client.disconnect()
  const { client: publisher } = await RawClient.connect(started.port, { clientId: 'publisher' })
  for (let i = 0; i < 100; i++) await publisher.publish('orders/1', String(i), 1)
  started = await started.restart(t)
  const again = await RawClient.connect(started.port, persistent)
  t.equal(again.connack.sessionPresent, true)
  const seen: number[] = []
  for (let i = 0; i < 100; i++) {
    const packet = await again.client.expect('publish')
    t.equal(packet.dup, false) || t.comment(i)
    seen.push(Number(packet.payload))
    again.client.send({ cmd: 'puback', messageId: packet.messageId })
  }
  t.same(
    seen,
    Array.from({ length: 100 }, (_, i) => i)
  )
  t.same(await again.client.ping(), [])
  await again.client.disconnect()
  started = await started.restart(t)
  const empty = await RawClient.connect(started.port, persistent)
  t.same(await empty.client.ping(), [], 'what was acknowledged is gone for good')
})

t.test(
  '[MQTT-4.4.0-1] what was sent and not acknowledged is sent again with DUP and its packet id, after a restart too',
  async t => {
    let started = await TestBroker.start(t)
    const { client } = await RawClient.connect(started.port, persistent)
    await client.subscribe('a', 2)
    const { client: publisher } = await RawClient.connect(started.port, { clientId: 'publisher' })
    await publisher.publish('a', 'one', 1)
    await publisher.publish('a', 'two', 2)
    await publisher.publish('a', 'three', 2)
    const first = [await client.expect('publish'), await client.expect('publish'), await client.expect('publish')]
    const released = first.find(packet => String(packet.payload) === 'two')
    client.send({ cmd: 'pubrec', messageId: released?.messageId })
    await client.expect('pubrel')
    await client.cut()
    started = await started.restart(t)
    const again = await RawClient.connect(started.port, persistent)
    const packets = [await again.client.next(), await again.client.next(), await again.client.next()]
    t.same(
      packets.map(packet => (packet?.cmd === 'publish' ? `${packet.payload} ${packet.dup}` : packet?.cmd)),
      ['one true', 'pubrel', 'three true']
    )
    for (const [i, payload] of ['one', 'two', 'three'].entries()) {
      t.equal(packets[i]?.messageId, first.find(packet => String(packet.payload) === payload)?.messageId)
    }
  }
)

t.test('QoS 2 is exactly once over a restart between PUBREC and PUBREL', async t => {
  let started = await TestBroker.start(t)
  const publish = {
    cmd: 'publish',
    topic: 'devices/device/telemetry',
    payload: 'x',
    qos: 2,
    messageId: 9,
    retain: false,
    dup: false
  }
  const { client } = await RawClient.connect(started.port, persistent)
  client.send(publish)
  await client.expect('pubrec')
  await client.cut()
  started = await started.restart(t)
  const { client: again } = await RawClient.connect(started.port, persistent)
  again.send({ ...publish, dup: true })
  await again.expect('pubrec')
  again.send({ cmd: 'pubrel', messageId: 9 })
  await again.expect('pubcomp')
  t.equal((await started.records()).length, 1)
  again.send({ ...publish, payload: 'y' })
  await again.expect('pubrec')
  t.same(
    (await started.records()).map(record => String(record.payload)),
    ['x', 'y'],
    'the released id is free for a new message'
  )
})

t.test('[MQTT-3.1.2-4] clean start discards the stored session', async t => {
  const { port, broker } = await TestBroker.start(t)
  const { client } = await RawClient.connect(port, persistent)
  await client.subscribe('a', 1)
  await client.disconnect()
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('a', 'lost', 1)
  const { client: clean, connack } = await RawClient.connect(port, { clientId: 'device', clean: true })
  t.equal(connack.sessionPresent, false)
  t.same(await clean.ping(), [])
  t.equal(broker.counters.dropped.get('session-discarded'), 1, 'the message that waited is counted')
  await clean.disconnect()
  const { connack: third } = await RawClient.connect(port, persistent)
  t.equal(third.sessionPresent, false)
})

t.test('a stored session without subscriptions is present all the same', async t => {
  const { port } = await TestBroker.start(t)
  await (await RawClient.connect(port, persistent)).client.disconnect()
  t.equal((await RawClient.connect(port, persistent)).connack.sessionPresent, true)
})

t.test('[MQTT-3.1.4-3] a second connection takes the session over, and a v5 client is told so', async t => {
  const { port } = await TestBroker.start(t)
  const options = { clientId: 'device', clean: false, version: 5 as const, properties: { sessionExpiryInterval: 100 } }
  const { client: first } = await RawClient.connect(port, options)
  await first.subscribe('a', 1)
  const { client: second, connack } = await RawClient.connect(port, options)
  t.equal(connack.sessionPresent, true)
  t.match(await first.ended(), [{ cmd: 'disconnect', reasonCode: 0x8e }])
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('a', 'x', 1)
  t.equal(String((await second.expect('publish')).payload), 'x')
})

t.test('a session ends when its expiry interval has passed, and not before', async t => {
  const clock = new ManualClock()
  const { port, broker } = await TestBroker.start(t, { clock })
  const options = { clientId: 'device', clean: false, version: 5 as const, properties: { sessionExpiryInterval: 10 } }
  const { client } = await RawClient.connect(port, options)
  await client.subscribe('a', 1)
  await client.disconnect()
  clock.advance(9_000)
  const second = await RawClient.connect(port, options)
  t.equal(second.connack.sessionPresent, true)
  await second.client.disconnect()
  clock.advance(10_001)
  while (broker.sessionCount > 0) await new Promise(resolve => setImmediate(resolve))
  t.equal((await RawClient.connect(port, options)).connack.sessionPresent, false)
})

t.test('session expiry runs on while the broker is down', async t => {
  const clock = new ManualClock()
  let started = await TestBroker.start(t, { clock })
  const options = { clientId: 'device', clean: false, version: 5 as const, properties: { sessionExpiryInterval: 10 } }
  await (await RawClient.connect(started.port, options)).client.disconnect()
  await started.stop()
  clock.advance(11_000)
  started = await started.restart(t)
  while (started.broker.sessionCount > 0) await new Promise(resolve => setImmediate(resolve))
  t.equal((await RawClient.connect(started.port, options)).connack.sessionPresent, false)
})

t.test('MQTT 5 without an expiry interval: the session ends with the connection, also when it was resumed', async t => {
  const { port, broker } = await TestBroker.start(t)
  const options = { clientId: 'device', clean: false, version: 5 as const }
  const { client } = await RawClient.connect(port, { ...options, properties: { sessionExpiryInterval: 100 } })
  await client.disconnect()
  const resumed = await RawClient.connect(port, options)
  t.equal(resumed.connack.sessionPresent, true)
  await resumed.client.disconnect()
  while (broker.sessionCount > 0) await new Promise(resolve => setImmediate(resolve))
  t.equal((await RawClient.connect(port, options)).connack.sessionPresent, false)
})

t.test('subscriptions keep their MQTT 5 options and identifiers over a restart', async t => {
  let started = await TestBroker.start(t)
  const options = { clientId: 'device', clean: false, version: 5 as const, properties: { sessionExpiryInterval: 100 } }
  const { client } = await RawClient.connect(started.port, options)
  await client.subscribe('a', 1, { nl: true, rap: true }, { subscriptionIdentifier: 77 })
  await client.cut()
  started = await started.restart(t)
  const { client: again } = await RawClient.connect(started.port, options)
  await again.publish('a', 'own', 1)
  const { client: publisher } = await RawClient.connect(started.port, { clientId: 'publisher' })
  await publisher.publish('a', 'foreign', 1, { retain: true })
  const packet = await again.expect('publish')
  t.equal(String(packet.payload), 'foreign', 'no local holds')
  t.equal(packet.retain, true, 'retain as published holds')
  t.match(packet.properties, { subscriptionIdentifier: 77 })
})

t.test('a queued message is not delivered after its expiry, and what is left of the interval is forwarded', async t => {
  const clock = new ManualClock()
  const { port, broker } = await TestBroker.start(t, { clock })
  const options = { clientId: 'device', clean: false, version: 5 as const, properties: { sessionExpiryInterval: 1000 } }
  const { client } = await RawClient.connect(port, options)
  await client.subscribe('a', 1)
  await client.disconnect()
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher', version: 5 })
  await publisher.publish('a', 'short', 1, { properties: { messageExpiryInterval: 5 } })
  await publisher.publish('a', 'long', 1, { properties: { messageExpiryInterval: 60 } })
  clock.advance(20_000)
  const { client: again } = await RawClient.connect(port, options)
  const packet = await again.expect('publish')
  t.equal(String(packet.payload), 'long')
  t.match(packet.properties, { messageExpiryInterval: 40 })
  t.equal(broker.counters.dropped.get('message-expired'), 1)
})

t.test('a full queue refuses new messages, counts them and keeps the old ones', async t => {
  const { port, broker } = await TestBroker.start(t, { limits: { maxQueuedMessagesPerSession: 3 } })
  const { client } = await RawClient.connect(port, persistent)
  await client.subscribe('a', 1)
  await client.disconnect()
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  for (let i = 0; i < 5; i++) await publisher.publish('a', String(i), 1)
  const { client: again } = await RawClient.connect(port, persistent)
  for (const expected of ['0', '1', '2']) t.equal(String((await again.expect('publish')).payload), expected)
  t.same(await again.ping(), [])
  t.equal(broker.counters.dropped.get('queue-full'), 2)
})

t.test('[MQTT-3.3.4-9] a v5 client never has more in flight than its Receive Maximum', async t => {
  const { port } = await TestBroker.start(t)
  const { client } = await RawClient.connect(port, { clientId: 'device', version: 5, properties: { receiveMaximum: 2 } })
  await client.subscribe('a', 2)
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  for (let i = 0; i < 6; i++) await publisher.publish('a', String(i), ((i % 2) + 1) as 1 | 2)
  const arrived = await client.ping()
  t.equal(arrived.length, 2)
  const seen = arrived.map(packet => String(packet.payload))
  for (const packet of arrived) finish(client, packet)
  while (seen.length < 6) {
    const packet = await client.next()
    if (packet?.cmd === 'pubrel') client.send({ cmd: 'pubcomp', messageId: packet.messageId })
    else if (packet?.cmd === 'publish') {
      seen.push(String(packet.payload))
      finish(client, packet)
    }
  }
  t.same(seen, ['0', '1', '2', '3', '4', '5'])
})

function finish(client: RawClient, packet: { qos?: unknown; messageId?: unknown }): void {
  client.send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId: packet.messageId })
}
