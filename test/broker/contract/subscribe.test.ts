import t from 'tap'
import type { Policy } from '../../../lib/access/contract.ts'
import { startContractBroker } from '../../support/contract-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

t.test('a refused filter is neither stored nor queued for', async t => {
  const { port, persistence } = await startContractBroker(t, {
    authorizeSubscribe: (_client, subscription, done) => done(null, subscription.topic === 'secret' ? null : subscription)
  })
  const { client } = await RawClient.connect(port, { clientId: 'nosy', clean: false })
  client.send({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [
      { topic: 'secret', qos: 1 },
      { topic: 'open', qos: 1 }
    ]
  })
  t.same((await client.expect('suback')).granted, [0x80, 1])
  const stored = await persistence.subscriptionsByClient({ id: 'nosy' })
  t.same(
    stored?.map(({ topic }) => topic),
    ['open']
  )
  await client.disconnect()
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('secret', 'x', 1)
  const queued = await persistence.outgoingStream({ id: 'nosy' }).toArray()
  t.equal(queued.length, 0)
})

t.test('a stored filter that is refused when the session is resumed leaves the store', async t => {
  const { broker, port, persistence } = await startContractBroker(t)
  const { client } = await RawClient.connect(port, { clientId: 'once-trusted', clean: false })
  await client.subscribe('secret', 1)
  await client.subscribe('open', 1)
  await client.disconnect()
  broker.authorizeSubscribe = (_client, subscription, done) => done(null, subscription.topic === 'secret' ? null : subscription)
  const { client: again, connack } = await RawClient.connect(port, { clientId: 'once-trusted', clean: false })
  t.equal(connack.sessionPresent, true)
  await again.ping()
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('secret', 'x', 1)
  t.strictSame(await again.ping(), [])
  const stored = await persistence.subscriptionsByClient({ id: 'once-trusted' })
  t.same(
    stored?.map(({ topic }) => topic),
    ['open']
  )
})

t.test(
  '[MQTT-3.3.4-2] [MQTT3-3.3.5-1] overlapping filters deliver once, at the highest QoS, and take one place in the queue',
  async t => {
    const { port, persistence } = await startContractBroker(t)
    const { client } = await RawClient.connect(port, { clientId: 'overlap', clean: false })
    await client.subscribe('a/#', 1)
    await client.subscribe('a/+', 2)
    await client.subscribe('a/b', 0)
    const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
    await publisher.publish('a/b', 'live', 2)
    t.match(await client.expect('publish'), { qos: 2 })
    t.strictSame(await client.ping(), [])
    await client.cut()
    await publisher.publish('a/b', 'queued', 2)
    const queued = await persistence.outgoingStream({ id: 'overlap' }).toArray()
    t.equal(queued.length, 2, 'the first one is not acknowledged, the second one is there once')
  }
)

for (const name of ['constructor', '__proto__', 'hasOwnProperty']) {
  t.test(`client id and topic '${name}' are names as any other`, async t => {
    const { broker, port } = await startContractBroker(t)
    const { client } = await RawClient.connect(port, { clientId: name, clean: false })
    t.equal(broker.clients[name]?.id, name)
    await client.subscribe(name, 1)
    await client.publish(name, 'x', 0)
    t.match(await client.expect('publish'), { topic: name })
    const { client: next, connack } = await RawClient.connect(port, { clientId: name, clean: false })
    t.equal(connack.sessionPresent, true)
    t.strictSame(await client.ended(), [], 'the older connection goes')
    t.equal(broker.connectedClients, 1)
    await next.disconnect()
    t.equal(broker.connectedClients, 0)
  })
}

t.test('a policy decides about publishing, subscribing, receiving and wills', async t => {
  const policy: Policy = {
    generation: 0,
    compile: ({ clientId }) => ({
      permitsAll: clientId === 'admin',
      canPublish: topic => topic.startsWith('out/'),
      canSubscribe: filter => filter !== '#',
      canReceive: topic => topic !== 'in/secret'
    })
  }
  const { broker, port } = await startContractBroker(t, { access: { policy } })
  const { client } = await RawClient.connect(port, { clientId: 'device', version: 5 })
  t.same((await client.subscribe('#', 0)).granted, [0x87])
  t.same((await client.subscribe('in/+', 1)).granted, [1])
  client.send({ cmd: 'publish', topic: 'in/x', payload: 'x', qos: 1, messageId: 5, retain: false, dup: false })
  t.match(await client.expect('puback'), { messageId: 5, reasonCode: 0x87 })
  const { client: admin } = await RawClient.connect(port, { clientId: 'admin' })
  await admin.publish('in/secret', 'x', 1)
  await admin.publish('in/open', 'y', 1)
  t.match(await client.expect('publish'), { topic: 'in/open' })
  t.equal(broker.counters.dropped.get('forward-denied'), 1)
  const will = { topic: 'in/x', payload: Buffer.from('w'), qos: 0, retain: false }
  const { connack } = await RawClient.connect(port, { clientId: 'willing', version: 5, will })
  t.equal(connack.reasonCode, 0x87)
})

t.test('[MQTT-3.3.1-9] [MQTT-3.3.1-10] retained messages come at the QoS of their filter, as Retain Handling asks', async t => {
  const { port } = await startContractBroker(t)
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('a/b', 'kept', 2, { retain: true })
  const { client } = await RawClient.connect(port, { clientId: 'reader', version: 5 })
  await client.subscribe('a/+', 0, { rh: 0 })
  t.match(await client.expect('publish'), { qos: 0, retain: true })
  await client.subscribe('a/+', 0, { rh: 1 })
  t.strictSame(await client.ping(), [], 'it was subscribed already')
  await client.subscribe('a/#', 0, { rh: 2 })
  t.strictSame(await client.ping(), [])
})
