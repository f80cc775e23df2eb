import { once } from 'node:events'
import t from 'tap'
import type { Broker } from '../../../lib/broker/broker.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

const close = (broker: Broker) => new Promise<void>(resolve => broker.close(() => resolve()))
const will = { topic: 'wills/device', payload: Buffer.from('gone'), qos: 1, retain: false }

t.test('closing the broker does not wait for a hook that never answers', async t => {
  for (const hook of ['preConnect', 'authenticate', 'authorizePublish', 'authorizeSubscribe'] as const) {
    let asked = () => {}
    const called = new Promise<void>(resolve => {
      asked = resolve
    })
    const { port, broker } = await TestBroker.start(t, { [hook]: () => asked() })
    const client = await RawClient.open(port)
    client.sendConnect({ clientId: 'device', will })
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] })
    client.send({ cmd: 'publish', topic: 'a', payload: '', qos: 1, messageId: 2, retain: false, dup: false })
    await called
    await close(broker)
    await client.ended()
    t.equal(broker.connections.size, 0, hook)
  }
})

t.test('a connection that arrives while the broker closes, or after, is ended', async t => {
  const { port, broker } = await TestBroker.start(t)
  const closed = close(broker)
  const during = await RawClient.open(port)
  await closed
  const after = await RawClient.open(port)
  await Promise.all([during.ended(), after.ended()])
  t.equal(broker.connections.size, 0)
})

t.test('closing twice closes once, and both callers wait for the end', async t => {
  const { port, broker } = await TestBroker.start(t)
  const { client } = await RawClient.connect(port, { clientId: 'device', clean: false })
  let closings = 0
  broker.on('closed', () => closings++)
  const first = close(broker)
  await close(broker)
  t.equal(closings, 1)
  await first
  t.equal(closings, 1)
  await client.ended()
})

t.test('a client that is closed by a listener of the client event is not accepted', async t => {
  const { port, broker } = await TestBroker.start(t)
  const seen: string[] = []
  broker.on('client', client => client.close())
  broker.on('clientReady', () => seen.push('ready'))
  const client = await RawClient.open(port)
  const gone = once(broker, 'clientDisconnect')
  client.sendConnect({ clientId: 'unwanted' })
  t.same(await client.ended(), [])
  await gone
  t.same(seen, [])
  t.equal(broker.connectedClients, 0)
})

t.test('emptyOutgoingQueue counts what it removes, once', async t => {
  const { port, broker } = await TestBroker.start(t, { limits: { maxInflight: 3 } })
  const { client } = await RawClient.connect(port, { clientId: 'device', clean: false })
  await client.subscribe('a', 1)
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  for (let i = 0; i < 5; i++) await publisher.publish('a', String(i), 1)
  const sent = [await client.expect('publish'), await client.expect('publish'), await client.expect('publish')]
  // The second and the third are done, the first is not: what follows them has holes before it.
  client.send({ cmd: 'puback', messageId: sent[1]?.messageId })
  client.send({ cmd: 'puback', messageId: sent[2]?.messageId })
  await client.ping()
  await client.cut()
  while (broker.connectedClients > 1) await new Promise(resolve => setImmediate(resolve))
  t.equal(broker.counters.queued, 3)
  broker.once('client', connected => connected.emptyOutgoingQueue(() => {}))
  const { client: again } = await RawClient.connect(port, { clientId: 'device', clean: false })
  t.same(await again.ping(), [])
  t.equal(broker.counters.queued, 0)
  await publisher.publish('a', 'new', 1)
  t.equal(String((await again.expect('publish')).payload), 'new')
})
