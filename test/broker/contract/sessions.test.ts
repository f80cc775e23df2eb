import { once } from 'node:events'
import t from 'tap'
import { Gate, memoryPersistence, startContractBroker } from '../../support/contract-broker.ts'
import { ManualClock } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

t.test('MQTT 5 clients connect, and their properties travel', async t => {
  const clock = new ManualClock()
  const { port } = await startContractBroker(t, { clock })
  const { client: subscriber, connack } = await RawClient.connect(port, { version: 5 })
  t.match(connack, { reasonCode: 0, properties: { sharedSubscriptionAvailable: false } })
  t.match((connack.properties as { assignedClientIdentifier: string }).assignedClientIdentifier, /^aedes_/)
  await subscriber.subscribe('a/#', 1, {}, { subscriptionIdentifier: 7 })
  const { client } = await RawClient.connect(port, { clientId: 'five', version: 5 })
  await client.publish('a/b', 'x', 1, {
    properties: {
      userProperties: { colour: ['red', 'blue'] },
      contentType: 'text/plain',
      correlationData: Buffer.from([1, 2]),
      messageExpiryInterval: 60
    }
  })
  const packet = await subscriber.expect('publish')
  t.match(packet.properties, {
    userProperties: { colour: ['red', 'blue'] },
    contentType: 'text/plain',
    messageExpiryInterval: 60,
    subscriptionIdentifier: 7
  })
  const { client: four } = await RawClient.connect(port, { clientId: 'four' })
  await four.subscribe('a/#', 1)
  await client.publish('a/b', 'x', 1, { properties: { contentType: 'text/plain' } })
  t.match(await four.expect('publish'), { payload: Buffer.from('x') })
})

t.test('[MQTT-3.3.2-6] a queued message expires, or is sent with the time that is left', async t => {
  const clock = new ManualClock()
  const { broker, port } = await startContractBroker(t, { clock })
  const session = { clientId: 'sleeper', version: 5, clean: false, properties: { sessionExpiryInterval: 3600 } } as const
  const { client } = await RawClient.connect(port, session)
  await client.subscribe('a', 1)
  await client.cut()
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher', version: 5 })
  await publisher.publish('a', 'short', 1, { properties: { messageExpiryInterval: 10 } })
  await publisher.publish('a', 'long', 1, { properties: { messageExpiryInterval: 100 } })
  clock.advance(30_000)
  const { client: again, connack } = await RawClient.connect(port, session)
  t.equal(connack.sessionPresent, true)
  t.match(await again.expect('publish'), { payload: Buffer.from('long'), properties: { messageExpiryInterval: 70 } })
  t.equal(broker.counters.dropped.get('message-expired'), 1)
})

t.test('[MQTT-3.1.2-23] a session ends when its expiry interval has passed', async t => {
  const clock = new ManualClock()
  const { broker, port, persistence } = await startContractBroker(t, { clock })
  const session = { clientId: 'guest', version: 5, clean: false, properties: { sessionExpiryInterval: 60 } } as const
  const { client } = await RawClient.connect(port, session)
  await client.subscribe('a', 1)
  await client.disconnect()
  clock.advance(59_000)
  broker.engine.sweep(clock.now())
  const { client: again, connack } = await RawClient.connect(port, session)
  t.equal(connack.sessionPresent, true)
  await again.disconnect()
  clock.advance(61_000)
  broker.engine.sweep(clock.now())
  const { connack: late } = await RawClient.connect(port, session)
  t.equal(late.sessionPresent, false)
  t.same(await persistence.subscriptionsByClient({ id: 'guest' }), [])
})

t.test('[MQTT-3.3.1-1] unacknowledged messages are sent again first, marked DUP, then the rest in order', async t => {
  const { port } = await startContractBroker(t)
  const { client } = await RawClient.connect(port, { clientId: 'reader', clean: false })
  await client.subscribe('a', 1)
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('a', '1', 1)
  const { messageId } = await client.expect('publish')
  await client.cut()
  await publisher.publish('a', '2', 1)
  await publisher.publish('a', '3', 1)
  const { client: again } = await RawClient.connect(port, { clientId: 'reader', clean: false })
  t.match(await again.expect('publish'), { payload: Buffer.from('1'), dup: true, messageId })
  t.match(await again.expect('publish'), { payload: Buffer.from('2'), dup: false })
  t.match(await again.expect('publish'), { payload: Buffer.from('3'), dup: false })
})

t.test('a message that arrives while the queue is replayed comes once, and after the queue', async t => {
  const persistence = memoryPersistence()
  const { port } = await startContractBroker(t, { persistence: persistence as never })
  const { client } = await RawClient.connect(port, { clientId: 'reader', clean: false })
  await client.subscribe('a', 1)
  await client.disconnect()
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('a', '1', 1)
  await publisher.publish('a', '2', 1)
  const gate = new Gate()
  const update = persistence.outgoingUpdate.bind(persistence)
  persistence.outgoingUpdate = async (who, packet) => {
    await gate.opened
    return await update(who, packet)
  }
  const { client: again } = await RawClient.connect(port, { clientId: 'reader', clean: false })
  publisher.send({ cmd: 'publish', topic: 'a', payload: '3', qos: 1, messageId: 30, retain: false, dup: false })
  await again.ping()
  gate.open()
  for (const payload of ['1', '2', '3']) t.equal(String((await again.expect('publish')).payload), payload)
  await publisher.expect('puback')
  t.strictSame(await again.ping(), [])
})

t.test(
  '[MQTT-3.3.4-9] no more than Receive Maximum messages are on the way to an MQTT 5 client, and nobody waits for it',
  async t => {
    const { port } = await startContractBroker(t, { concurrency: 1 })
    const properties = { receiveMaximum: 2 }
    const { client } = await RawClient.connect(port, { clientId: 'narrow', version: 5, properties })
    await client.subscribe('a', 1)
    const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
    for (let n = 1; n <= 5; n++) await publisher.publish('a', String(n), 1)
    const first = await client.expect('publish')
    await client.expect('publish')
    t.strictSame(await client.ping(), [])
    client.send({ cmd: 'puback', messageId: first.messageId })
    t.equal(String((await client.expect('publish')).payload), '3')
    t.strictSame(await client.ping(), [])
  }
)

t.test('the will of a connection that is taken over is published, and that of its successor stays stored', async t => {
  const { port, persistence } = await startContractBroker(t)
  const { client: subscriber } = await RawClient.connect(port, { clientId: 'subscriber' })
  await subscriber.subscribe('will/#', 0)
  const will = (name: string): object => ({ topic: `will/${name}`, payload: Buffer.from(name), qos: 0, retain: false })
  await RawClient.connect(port, { clientId: 'twin', will: will('first') })
  await RawClient.connect(port, { clientId: 'twin', will: will('second') })
  t.match(await subscriber.expect('publish'), { topic: 'will/first' })
  const stored = (await (persistence as unknown as { getWill(client: object): Promise<unknown> }).getWill({
    id: 'twin'
  })) as object
  t.match(stored, { topic: 'will/second' })
})

t.test('[MQTT-3.1.3-9] a delayed will is published when the delay is over, unless the client is back', async t => {
  const clock = new ManualClock()
  const { broker, port } = await startContractBroker(t, { clock })
  const { client: subscriber } = await RawClient.connect(port, { clientId: 'subscriber' })
  await subscriber.subscribe('will', 0)
  const session = {
    clientId: 'flaky',
    version: 5,
    clean: false,
    properties: { sessionExpiryInterval: 3600 },
    will: { topic: 'will', payload: Buffer.from('gone'), qos: 0, retain: false, properties: { willDelayInterval: 30 } }
  } as const
  const cut = async (): Promise<void> => {
    const { client } = await RawClient.connect(port, session)
    await Promise.all([once(broker, 'clientDisconnect'), client.cut()])
  }
  await cut()
  clock.advance(20_000)
  broker.engine.sweep(clock.now())
  await cut()
  clock.advance(20_000)
  broker.engine.sweep(clock.now())
  t.strictSame(await subscriber.ping(), [])
  clock.advance(11_000)
  broker.engine.sweep(clock.now())
  t.match(await subscriber.expect('publish'), { payload: Buffer.from('gone') })
})

t.test('a refused or failed session start is told as what it is', async t => {
  const persistence = memoryPersistence()
  const { port } = await startContractBroker(t, { persistence: persistence as never })
  persistence.subscriptionsByClient = () => Promise.reject(new Error('store is away'))
  const { connack } = await RawClient.connect(port, { clientId: 'four', clean: false })
  t.equal(connack.returnCode, 3, 'server unavailable')
  const { connack: five } = await RawClient.connect(port, { clientId: 'five', clean: false, version: 5 })
  t.equal(five.reasonCode, 0x88)
})

t.test('MQTT 5 clients are told that the broker stops', async t => {
  const { broker, port } = await startContractBroker(t)
  const { client } = await RawClient.connect(port, { clientId: 'five', version: 5 })
  await new Promise<void>(resolve => broker.close(() => resolve()))
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x8b }])
})
