import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import type { Broker } from '../../../lib/broker/broker.ts'
import type { StoredWill } from '../../../persistence/contract.ts'
import { LevelStore } from '../../../persistence/level-store.ts'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

const will = { topic: 'wills/device', payload: Buffer.from('gone'), qos: 1, retain: false }

/** Cuts a connection and waits until the broker has noticed. */
async function cut(client: RawClient, broker: Broker): Promise<void> {
  await Promise.all([once(broker, 'clientDisconnect'), client.cut()])
}

async function watcher(port: number): Promise<RawClient> {
  const { client } = await RawClient.connect(port, { clientId: 'watcher', version: 5 })
  await client.subscribe('wills/#', 1)
  return client
}

t.test('[MQTT-3.1.2-8] the will is published when the connection is lost', async t => {
  const { port } = await TestBroker.start(t)
  const watching = await watcher(port)
  const { client } = await RawClient.connect(port, { clientId: 'device', will })
  await client.cut()
  t.match(await watching.expect('publish'), { topic: 'wills/device', qos: 1, retain: false })
})

t.test('[MQTT-3.14.4-3] the will is not published after DISCONNECT', async t => {
  const { port } = await TestBroker.start(t)
  const watching = await watcher(port)
  const { client } = await RawClient.connect(port, { clientId: 'device', will })
  await client.disconnect()
  t.same(await watching.ping(), [])
})

t.test('DISCONNECT with reason 0x04 publishes the will', async t => {
  const { port } = await TestBroker.start(t)
  const watching = await watcher(port)
  const { client } = await RawClient.connect(port, { clientId: 'device', version: 5, will })
  client.send({ cmd: 'disconnect', reasonCode: 4 })
  t.equal((await watching.expect('publish')).topic, 'wills/device')
})

t.test('a protocol error publishes the will', async t => {
  const { port } = await TestBroker.start(t)
  const watching = await watcher(port)
  const { client } = await RawClient.connect(port, { clientId: 'device', will })
  client.sendBytes(Buffer.from([0x36, 0x05, 0, 1, 97, 0, 1]))
  t.equal((await watching.expect('publish')).topic, 'wills/device')
})

t.test('a retained will is retained, its MQTT 5 properties arrive and its delay does not', async t => {
  const { port } = await TestBroker.start(t)
  const properties = { willDelayInterval: 0, contentType: 'text/plain', userProperties: { why: 'lost' } }
  const { client } = await RawClient.connect(port, {
    clientId: 'device',
    version: 5,
    will: { ...will, retain: true, properties }
  })
  await client.cut()
  const watching = await watcher(port)
  const packet = await watching.expect('publish')
  t.equal(packet.retain, true)
  t.match(packet.properties, { contentType: 'text/plain', userProperties: { why: 'lost' } })
  t.notOk('willDelayInterval' in (packet.properties as object))
})

t.test('[MQTT-3.1.3-9] a delayed will waits, and a client that comes back in time keeps it back', async t => {
  const clock = new ManualClock()
  const { port, broker } = await TestBroker.start(t, { clock })
  const watching = await watcher(port)
  const delayed = { ...will, properties: { willDelayInterval: 10 } }
  const options = { clientId: 'device', clean: false, version: 5 as const, properties: { sessionExpiryInterval: 100 } }
  const { client } = await RawClient.connect(port, { ...options, will: delayed })
  await cut(client, broker)
  clock.advance(9_000)
  const { client: again } = await RawClient.connect(port, { ...options, will: delayed })
  clock.advance(20_000)
  await cut(again, broker)
  t.same(await watching.ping(), [])
  clock.advance(10_001)
  t.equal((await watching.expect('publish')).topic, 'wills/device')
})

t.test('a delayed will is published when its session ends before the delay does', async t => {
  const clock = new ManualClock()
  const { port, broker } = await TestBroker.start(t, { clock })
  const watching = await watcher(port)
  const { client } = await RawClient.connect(port, {
    clientId: 'device',
    version: 5,
    will: { ...will, properties: { willDelayInterval: 1000 } },
    properties: { sessionExpiryInterval: 5 }
  })
  await cut(client, broker)
  clock.advance(5_001)
  t.equal((await watching.expect('publish')).topic, 'wills/device')
})

t.test('a will that the authorizePublish hook refuses is not published', async t => {
  const { port, broker } = await TestBroker.start(t, {
    authorizePublish: (_client, packet, done) => done(packet.topic === 'wills/device' ? new Error('no') : null)
  })
  const watching = await watcher(port)
  const { client } = await RawClient.connect(port, { clientId: 'device', will })
  await client.cut()
  t.same(await watching.ping(), [])
  t.equal(broker.counters.dropped.get('will-denied'), 1)
})

t.test('[MQTT-3.1.2-8] DISCONNECT with an error code publishes the will, only 0x00 discards it', async t => {
  const { port } = await TestBroker.start(t)
  const watching = await watcher(port)
  const { client } = await RawClient.connect(port, { clientId: 'device', version: 5, will })
  client.send({ cmd: 'disconnect', reasonCode: 0x80 })
  t.equal((await watching.expect('publish')).topic, 'wills/device')
})

t.test('a client that was never accepted leaves no will', async t => {
  let failing = false
  const { port } = await TestBroker.start(t, {
    wrapStore: store =>
      new Proxy(store, {
        get(inner, key) {
          const value = Reflect.get(inner, key, inner) as unknown
          if (typeof value !== 'function') return value
          if (key !== 'commit') return value.bind(inner)
          return () => (failing ? Promise.reject(new Error('EIO')) : inner.commit())
        }
      })
  })
  const watching = await watcher(port)
  failing = true
  const { connack } = await RawClient.connect(port, { clientId: 'device', will })
  t.equal(connack.returnCode, 3)
  failing = false
  t.same(await watching.ping(), [])
})

t.test('a will whose hook answers late does not take the stored will of the next connection with it', async t => {
  const answers: (() => void)[] = []
  const stored = new Map<string, string>()
  const { port } = await TestBroker.start(t, {
    authorizePublish: (_client, _packet, done) => void answers.push(() => done(null)),
    wrapStore: store =>
      new Proxy(store, {
        get(inner, key) {
          if (key === 'putWill') return (one: StoredWill) => stored.set(one.clientId, String(one.message.payload))
          if (key === 'deleteWill') return (clientId: string) => stored.delete(clientId)
          const value = Reflect.get(inner, key, inner) as unknown
          return typeof value === 'function' ? value.bind(inner) : value
        }
      })
  })
  const { client } = await RawClient.connect(port, { clientId: 'device', will })
  await client.cut()
  while (answers.length === 0) await new Promise(resolve => setImmediate(resolve))
  await RawClient.connect(port, { clientId: 'device', will: { ...will, payload: Buffer.from('second') } })
  answers.shift()?.()
  t.same([...stored], [['device', 'second']])
  // Nobody answers at the end, and the broker closes all the same.
})

t.test('after a crash the will of a session that died with the broker does not wait for its delay', async t => {
  const clock = new ManualClock()
  const options = { clientId: 'watcher', clean: false }
  let started = await TestBroker.start(t, { clock })
  const { client } = await RawClient.connect(started.port, options)
  await client.subscribe('wills/#', 1)
  await started.stop()
  const store = await LevelStore.open({ folder: join(started.folder, 'store') })
  const message = { topic: 'wills/device', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
  const rest = { properties: Buffer.alloc(0), expiresAtMs: 0, publishedAtMs: clock.now(), publisherId: 'device' }
  store.putWill({ clientId: 'device', message: { ...message, ...rest }, delaySeconds: 1000, dueAtMs: 0 })
  await store.close()
  started = await started.restart(t)
  const { client: watching } = await RawClient.connect(started.port, options)
  t.equal((await watching.expect('publish')).topic, 'wills/device')
})
