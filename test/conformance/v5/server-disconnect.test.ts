import { once } from 'node:events'
import t from 'tap'
import type { BrokerOptions } from '../../../lib/broker/broker.ts'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

/** Connections that the server ends, or does not begin, for reasons of its own (sections 4.11 and 4.13). */

const propertiesOf = (packet: AnyPacket | undefined) => ({ ...(packet?.properties as object) })

t.test('[MQTT-3.14.2-1] an operator ends a connection with 0x98; the session stays and the will is published', async t => {
  const { port, broker } = await TestBroker.start(t)
  const { client: watcher } = await RawClient.connect(port, { clientId: 'watcher' })
  await watcher.subscribe('gone', 0)
  const will = { topic: 'gone', payload: Buffer.from('x'), qos: 0, retain: false }
  const properties = { sessionExpiryInterval: 100 }
  const { client } = await RawClient.connect(port, { clientId: 'c', version: 5, will, properties })
  t.equal(broker.disconnectClient('c', { reason: 'moved house' }), true)
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x98, properties: { reasonString: 'moved house' } }])
  t.equal((await watcher.expect('publish')).topic, 'gone')
  t.equal(broker.disconnectClient('c'), false, 'it is not connected any more')
  t.equal(broker.counters.connectionsClosed.get('administrative-action'), 1)
  const { connack } = await RawClient.connect(port, { clientId: 'c', version: 5, clean: false, properties })
  t.equal(connack.sessionPresent, true)
})

t.test('a 3.1.1 connection is ended without a word, and nobody is ended by a name objects know', async t => {
  const { port, broker } = await TestBroker.start(t)
  const { client } = await RawClient.connect(port, { clientId: 'c', version: 4 })
  for (const name of ['constructor', '__proto__', '', 'C']) t.equal(broker.disconnectClient(name), false, name)
  await client.ping()
  t.equal(broker.disconnectClient('c'), true)
  t.same(await client.ended(), [])
})

t.test('an operator may name the reason and another server, but only codes that a server sends', async t => {
  const { port, broker } = await TestBroker.start(t)
  const end = async (options: Parameters<typeof broker.disconnectClient>[1]) => {
    const { client } = await RawClient.connect(port, { clientId: 'c', version: 5 })
    broker.disconnectClient('c', options)
    const [packet] = await client.ended()
    return [packet?.reasonCode, propertiesOf(packet)]
  }
  t.same(await end({ reasonCode: 0x97, reason: 'enough' }), [0x97, { reasonString: 'enough' }])
  const serverReference = 'b.example:1883'
  t.same(await end({ serverReference, reason: 'r' }), [0x9c, { serverReference, reasonString: 'r' }])
  t.same(await end({ reasonCode: 0x9d, serverReference, reason: 'r' }), [0x9d, { serverReference, reasonString: 'r' }])
  t.throws(() => broker.disconnectClient('c', { reasonCode: 0x00 }), RangeError)
  t.throws(() => broker.disconnectClient('c', { reasonCode: 0x82 }), RangeError)
  t.throws(() => broker.disconnectClient('c', { reasonCode: 0x98, serverReference }), /goes with 0x9c and 0x9d/)
})

t.test('[MQTT-3.2.2-7] a client that is redirected at CONNECT learns where to go: 0x9C for now, 0x9D for good', async t => {
  const { port } = await TestBroker.start(t, {
    serverReference: 'other.example',
    redirect: ({ id }) =>
      id === 'stays' ? undefined : id === 'moves' ? { serverReference: 'new.example', permanently: true } : {}
  })
  const refused = async (clientId: string, version: 4 | 5) => {
    const client = await RawClient.open(port, version)
    client.sendConnect({ version, clientId })
    return client.ended()
  }
  const [moved] = await refused('moves', 5)
  t.match(moved, { cmd: 'connack', reasonCode: 0x9d, properties: { serverReference: 'new.example' } })
  const [elsewhere] = await refused('elsewhere', 5)
  t.match(elsewhere, { cmd: 'connack', reasonCode: 0x9c, properties: { serverReference: 'other.example' } })
  t.match(await refused('moves', 4), [{ cmd: 'connack', returnCode: 3 }])
  const { connack } = await RawClient.connect(port, { clientId: 'stays', version: 5 })
  t.equal(connack.reasonCode, 0)
})

t.test('a server that shuts down says 0x8B, or 0x9C when another one is named', async t => {
  for (const [options, code, properties] of [
    [{}, 0x8b, {}],
    [{ serverReference: 'b.example:1883' }, 0x9c, { serverReference: 'b.example:1883' }]
  ] as [BrokerOptions, number, object][]) {
    const started = await TestBroker.start(t, options)
    const { client } = await RawClient.connect(started.port, { version: 5 })
    const { client: older } = await RawClient.connect(started.port, { version: 4 })
    await started.stop()
    const packets = await client.ended()
    t.same(
      packets.map(packet => [packet.cmd, packet.reasonCode, propertiesOf(packet)]),
      [['disconnect', code, properties]]
    )
    t.same(await older.ended(), [])
  }
})

t.test('what fails within the broker is told with 0x83 and without the details', async t => {
  const { port, broker } = await TestBroker.start(t, {
    wrapStore: store =>
      new Proxy(store, {
        get(target, name) {
          if (name === 'commit') return () => Promise.reject(new Error('ENOSPC: no space left on /srv/data/store'))
          const value = Reflect.get(target, name, target)
          return typeof value === 'function' ? value.bind(target) : value
        }
      })
  })
  const { client } = await RawClient.connect(port, { version: 5 })
  const reported = once(broker, 'clientError')
  client.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 1, retain: true, dup: false })
  const packets = await client.ended()
  t.same(
    packets.map(packet => [packet.cmd, packet.reasonCode, propertiesOf(packet)]),
    [['disconnect', 0x83, {}]]
  )
  t.match((await reported)[1], /no space left/, 'who runs the broker is told')
})

t.test('[MQTT-3.1.2-22] [MQTT-3.1.4-3] a keep alive that ran out is told with 0x8D, a session taken over with 0x8E', async t => {
  const clock = new ManualClock()
  const { port } = await TestBroker.start(t, { clock })
  const { client: silent } = await RawClient.connect(port, { version: 5, keepalive: 10 })
  const { client: first } = await RawClient.connect(port, { clientId: 'c', version: 5 })
  await RawClient.connect(port, { clientId: 'c', version: 5 })
  t.match(await first.ended(), [{ cmd: 'disconnect', reasonCode: 0x8e }])
  clock.advance(15_001)
  t.match(await silent.ended(), [{ cmd: 'disconnect', reasonCode: 0x8d }])
})
