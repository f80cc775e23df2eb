import { once } from 'node:events'
import t from 'tap'
import type { CompiledPolicy } from '../../../lib/access/contract.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient, type RawConnectOptions } from '../../support/raw-client.ts'

/** What CONNACK says about the server, and what happens to a client that does not heed it. */

/** The CONNACK of a client that is refused, and that the connection ended after it. */
async function refused(port: number, options: RawConnectOptions): Promise<object[]> {
  const client = await RawClient.open(port, options.version ?? 5)
  client.sendConnect({ version: 5, ...options })
  return (await client.ended()).map(({ cmd, reasonCode, returnCode }) => ({ cmd, code: reasonCode ?? returnCode }))
}

/** The reason code of the DISCONNECT that answers what is sent; undefined when the connection just ends. */
async function disconnected(port: number, version: 4 | 5, packet: object): Promise<unknown> {
  const { client } = await RawClient.connect(port, { version })
  client.send(packet)
  const packets = await client.ended()
  return packets.length === 0 ? undefined : packets.map(({ cmd, reasonCode }) => [cmd, reasonCode])
}

const publish = { cmd: 'publish', topic: 'a', payload: 'x', qos: 0, messageId: 1, retain: false, dup: false }
const will = { topic: 'gone', payload: Buffer.from('x'), qos: 0, retain: false }
const subscribe = { cmd: 'subscribe', messageId: 3 }

t.test('with everything on, CONNACK announces the three limits and nothing that a client assumes anyway', async t => {
  const { port } = await TestBroker.start(t)
  const { connack } = await RawClient.connect(port, { clientId: 'c', version: 5 })
  t.strictSame({ ...(connack.properties as object) }, { receiveMaximum: 100, maximumPacketSize: 1048576, topicAliasMaximum: 16 })
})

t.test('what is off is announced', async t => {
  const features = { retain: false, wildcardSubscriptions: false, subscriptionIdentifiers: false, sharedSubscriptions: false }
  const { port } = await TestBroker.start(t, { features, limits: { maximumQos: 0 } })
  const { connack } = await RawClient.connect(port, { clientId: 'c', version: 5 })
  t.match(connack.properties, {
    maximumQoS: 0,
    retainAvailable: false,
    wildcardSubscriptionAvailable: false,
    subscriptionIdentifiersAvailable: false,
    sharedSubscriptionAvailable: false
  })
})

t.test(
  '[MQTT-3.2.2-9] [MQTT-3.2.2-11] a server of less than QoS 2 announces Maximum QoS; a PUBLISH above it ends the connection',
  async t => {
    for (const maximumQos of [0, 1] as const) {
      const { port } = await TestBroker.start(t, { limits: { maximumQos } })
      const { client, connack } = await RawClient.connect(port, { version: 5 })
      t.equal((connack.properties as { maximumQoS: number }).maximumQoS, maximumQos)
      await client.publish('a', 'x', maximumQos)
      await client.ping()
      for (const qos of [1, 2] as const) {
        if (qos <= maximumQos) continue
        t.same(await disconnected(port, 5, { ...publish, qos }), [['disconnect', 0x9b]])
        t.equal(await disconnected(port, 4, { ...publish, qos }), undefined, '3.1.1 is closed')
      }
    }
  }
)

t.test('[MQTT-3.2.2-10] with Maximum QoS 1 a SUBSCRIBE for QoS 2 is accepted and granted QoS 1', async t => {
  const { port } = await TestBroker.start(t, { limits: { maximumQos: 1 } })
  for (const version of [4, 5] as const) {
    const { client } = await RawClient.connect(port, { clientId: `c${version}`, version })
    for (const qos of [0, 1, 2] as const) t.same((await client.subscribe('a', qos)).granted, [Math.min(qos, 1)])
    await client.disconnect()
  }
})

t.test('[MQTT-3.2.2-12] a Will QoS above Maximum QoS is refused with 0x9B', async t => {
  const { port } = await TestBroker.start(t, { limits: { maximumQos: 1 } })
  t.same(await refused(port, { will: { ...will, qos: 2 } }), [{ cmd: 'connack', code: 0x9b }])
  t.same(await refused(port, { version: 4, will: { ...will, qos: 2 } }), [], '3.1.1 has no word for it')
  await RawClient.connect(port, { version: 5, will: { ...will, qos: 1 } })
})

t.test(
  '[MQTT-3.2.2-13] [MQTT-3.2.2-14] without retained messages a Will Retain is refused with 0x9A, and a retained PUBLISH disconnected',
  async t => {
    const { port } = await TestBroker.start(t, { features: { retain: false } })
    t.same(await refused(port, { will: { ...will, retain: true } }), [{ cmd: 'connack', code: 0x9a }])
    t.same(await refused(port, { version: 4, will: { ...will, retain: true } }), [])
    for (const qos of [0, 1, 2]) {
      t.same(await disconnected(port, 5, { ...publish, qos, retain: true }), [['disconnect', 0x9a]])
      t.equal(await disconnected(port, 4, { ...publish, qos, retain: true }), undefined)
    }
    const { client } = await RawClient.connect(port, { version: 5, will })
    await client.publish('a', 'x', 2)
  }
)

t.test('QoS 3 is malformed, whatever is supported', async t => {
  const { port } = await TestBroker.start(t, { features: { retain: false }, limits: { maximumQos: 0 } })
  const { client } = await RawClient.connect(port, { version: 5 })
  client.sendBytes(Buffer.from([0x37, 6, 0, 1, 0x61, 0, 1, 0]))
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x81 }])
})

t.test('[MQTT-4.13.1-1] a SUBSCRIBE for what was announced as not available ends the connection with its own code', async t => {
  const wildcard = { ...subscribe, subscriptions: ['a', 'a/#'].map(topic => ({ topic, qos: 0 })) }
  const shared = { ...subscribe, subscriptions: [{ topic: '$share/g/a', qos: 0 }] }
  const numbered = { ...subscribe, subscriptions: [{ topic: 'a', qos: 0 }], properties: { subscriptionIdentifier: 1 } }
  for (const [features, packet, code] of [
    [{ wildcardSubscriptions: false }, wildcard, 0xa2],
    [{ sharedSubscriptions: false }, shared, 0x9e],
    [{ subscriptionIdentifiers: false }, numbered, 0xa1]
  ] as const) {
    const { port } = await TestBroker.start(t, { features })
    t.same(await disconnected(port, 5, packet), [['disconnect', code]])
  }
})

t.test('3.1.1 clients get 0x80 for the filters that are not supported, and the others are granted', async t => {
  const { port } = await TestBroker.start(t, { features: { wildcardSubscriptions: false, sharedSubscriptions: false } })
  const { client } = await RawClient.connect(port, { version: 4 })
  const filters = ['a/+', 'a', '$share/g/a']
  client.send({ ...subscribe, subscriptions: filters.map(topic => ({ topic, qos: 1 })) })
  t.same((await client.expect('suback')).granted, [0x80, 1, 0x80])
})

t.test('[MQTT-3.1.2-28] Response Information is sent to clients that ask for it, and to no others', async t => {
  const { port } = await TestBroker.start(t)
  const asked = async (clientId: string, properties: object) => {
    const { client, connack } = await RawClient.connect(port, { clientId, version: 5, properties })
    await client.disconnect()
    return (connack.properties as { responseInformation?: string }).responseInformation
  }
  const asking = { requestResponseInformation: true }
  t.equal(await asked('c1', asking), 'responses/c1/')
  t.equal(await asked('c1', { requestResponseInformation: false }), undefined)
  t.equal(await asked('c1', {}), undefined)
  for (const clientId of ['a/b', 'a+', '#']) {
    t.equal(await asked(clientId, asking), undefined, `${clientId} would reach into the topics of others`)
  }
  t.match(await asked('', asking), /^responses\/tributary-[0-9a-f-]+\/$/, 'an assigned client id will do')
})

t.test('Response Information follows the configured prefix and the rights of the client', async t => {
  const policy = (filter: string): CompiledPolicy => ({
    permitsAll: false,
    canPublish: () => true,
    canReceive: () => true,
    canSubscribe: asked => asked === filter
  })
  const access = { policy: { generation: 0, compile: () => policy('answers/c1/#') } }
  const { port } = await TestBroker.start(t, { access, responseTopicPrefix: 'answers/{clientId}/' })
  const properties = { requestResponseInformation: true }
  const first = await RawClient.connect(port, { clientId: 'c1', version: 5, properties })
  t.match(first.connack.properties, { responseInformation: 'answers/c1/' })
  const second = await RawClient.connect(port, { clientId: 'c2', version: 5, properties })
  t.notOk('responseInformation' in (second.connack.properties as object), 'it may not subscribe there')

  const none = await TestBroker.start(t, { responseTopicPrefix: '' })
  const third = await RawClient.connect(none.port, { clientId: 'c1', version: 5, properties })
  t.notOk('responseInformation' in (third.connack.properties as object))
})

t.test('[MQTT-3.1.2-24] a client that takes no packet as large as its CONNACK gets none, and the connection ends', async t => {
  const { port, broker } = await TestBroker.start(t)
  const { client: watcher } = await RawClient.connect(port, { clientId: 'watcher' })
  await watcher.subscribe('gone', 0)
  for (const maximumPacketSize of [1, 5, 15]) {
    const closed = once(broker, 'clientDisconnect')
    t.same(await refused(port, { clientId: 'c', will, properties: { maximumPacketSize } }), [])
    await closed
  }
  t.same(await watcher.ping(), [], 'who was never connected has no will')
  t.equal(broker.counters.connectionsClosed.get('packet-too-large'), 3)
  t.equal(broker.connectedClients, 1)
})
