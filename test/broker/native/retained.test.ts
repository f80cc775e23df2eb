import t from 'tap'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

const retain = { retain: true }

t.test('[MQTT-3.3.1-5] the last retained message of each topic goes to new subscriptions, wildcard or not', async t => {
  const { port } = await TestBroker.start(t)
  const { client } = await RawClient.connect(port, { clientId: 'publisher' })
  for (const topic of ['a/b', 'a/c', 'a/', 'b', '/a']) await client.publish(topic, `${topic} old`, 1, retain)
  await client.publish('a/b', 'a/b new', 0, retain)
  const found = async (filter: string) => {
    const { client: subscriber } = await RawClient.connect(port, {})
    await subscriber.subscribe(filter, 1)
    const packets = await subscriber.ping()
    t.ok(
      packets.every(packet => packet.retain === true),
      '[MQTT-3.3.1-8] RETAIN is set'
    )
    return packets.map(packet => String(packet.payload)).sort()
  }
  t.same(await found('a/b'), ['a/b new'])
  t.same(await found('a/+'), ['a/ old', 'a/b new', 'a/c old'])
  t.same(await found('#'), ['/a old', 'a/ old', 'a/b new', 'a/c old', 'b old'])
  t.same(await found('+'), ['b old'])
  t.same(await found('nothing'), [])
})

t.test('[MQTT-3.3.1-6] an empty payload removes the retained message, also across a restart', async t => {
  let started = await TestBroker.start(t)
  const { client } = await RawClient.connect(started.port, { clientId: 'publisher' })
  await client.publish('a', 'x', 1, retain)
  await client.publish('b', 'y', 1, retain)
  await client.publish('a', '', 1, retain)
  started = await started.restart(t)
  const { client: subscriber } = await RawClient.connect(started.port, {})
  await subscriber.subscribe('#', 0)
  t.same(
    (await subscriber.ping()).map(packet => packet.topic),
    ['b']
  )
})

t.test('[MQTT-3.3.1-9] retain handling 0 sends always, 1 only to new subscriptions, 2 never', async t => {
  const { port } = await TestBroker.start(t)
  const { client } = await RawClient.connect(port, { clientId: 'v5', version: 5 })
  await client.publish('a', 'x', 1, retain)
  await client.subscribe('a', 0, { rh: 2 })
  t.same(await client.ping(), [])
  await client.subscribe('a', 0, { rh: 1 })
  t.same(await client.ping(), [], 'the subscription existed')
  await client.subscribe('+', 0, { rh: 1 })
  t.equal((await client.ping()).length, 1)
  await client.subscribe('a', 0, { rh: 0 })
  t.equal((await client.ping()).length, 1)
})

t.test('a retained message published live carries RETAIN 0', async t => {
  const { port } = await TestBroker.start(t)
  const { client } = await RawClient.connect(port, { clientId: 'subscriber' })
  await client.subscribe('a', 1)
  await client.publish('a', 'x', 0, retain)
  t.equal((await client.expect('publish')).retain, false)
})

t.test('retained QoS 2 messages are queued for a stored session like any other', async t => {
  const { port } = await TestBroker.start(t)
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('a', 'x', 2, retain)
  const { client } = await RawClient.connect(port, { clientId: 'device', clean: false })
  await client.subscribe('a', 2)
  const packet = await client.expect('publish')
  t.match(packet, { qos: 2, retain: true })
  await client.cut()
  const { client: again } = await RawClient.connect(port, { clientId: 'device', clean: false })
  t.match(await again.expect('publish'), { qos: 2, retain: true, dup: true, messageId: packet.messageId })
})

t.test('beyond the limit new topics are not retained, known ones are replaced, and it is counted', async t => {
  const { port, broker } = await TestBroker.start(t, { limits: { maxRetainedMessages: 1 } })
  const { client } = await RawClient.connect(port, {})
  await client.publish('a', '1', 1, retain)
  await client.publish('b', '1', 1, retain)
  await client.publish('a', '2', 1, retain)
  await client.subscribe('#', 0)
  t.same(
    (await client.ping()).map(packet => `${packet.topic} ${packet.payload}`),
    ['a 2']
  )
  t.equal(broker.counters.dropped.get('retained-limit'), 1)
})

t.test(
  'a retained message that is replaced while retained messages are searched does not arrive after its successor',
  async t => {
    let held = false
    let release = () => {}
    const { port } = await TestBroker.start(t, {
      wrapStore: store =>
        new Proxy(store, {
          get(inner, key) {
            const value = Reflect.get(inner, key, inner) as unknown
            if (typeof value !== 'function') return value
            if (key !== 'retainedByFilter') return value.bind(inner)
            return async function* (filter: string) {
              const found = []
              for await (const message of inner.retainedByFilter(filter)) found.push(message)
              held = true
              await new Promise<void>(resolve => {
                release = resolve
              })
              yield* found
            }
          }
        })
    })
    const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
    await publisher.publish('a/b', 'old', 1, { retain: true })
    await publisher.publish('a/c', 'unchanged', 1, { retain: true })
    const { client } = await RawClient.connect(port, { clientId: 'subscriber' })
    await client.subscribe('a/#', 1)
    while (!held) await new Promise(resolve => setImmediate(resolve))
    await publisher.publish('a/b', 'new', 1, { retain: true })
    release()
    t.same(
      (await client.ping()).map(packet => String(packet.payload)),
      ['new', 'unchanged']
    )
  }
)

t.test('retained messages that are more than the outbound buffer holds all arrive, at QoS 0 too', async t => {
  const { port, broker } = await TestBroker.start(t, { limits: { maxOutboundBufferBytes: 64 * 1024 } })
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  const payload = Buffer.alloc(100_000)
  for (let i = 0; i < 200; i++) await publisher.publish(`a/${i}`, payload, 1, { retain: true })
  const { client } = await RawClient.connect(port, { clientId: 'subscriber' })
  client.socket.pause()
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a/#', qos: 0 }] })
  while ((broker.clients.subscriber?.congestedSinceMs ?? 0) === 0) await new Promise(resolve => setImmediate(resolve))
  client.socket.resume()
  await client.expect('suback')
  t.equal((await client.ping()).length, 200)
  t.equal(broker.counters.dropped.get('outbound-buffer-full'), undefined)
})

t.test('a client whose retained messages cannot be read is told, instead of missing them in silence', async t => {
  let failing = false
  const { port } = await TestBroker.start(t, {
    wrapStore: store =>
      new Proxy(store, {
        get(inner, key) {
          const value = Reflect.get(inner, key, inner) as unknown
          if (typeof value !== 'function') return value
          const fails = failing && (key === 'retainedByTopic' || key === 'retainedByFilter')
          if (!fails) return value.bind(inner)
          return () => {
            throw new Error('the database is being reopened')
          }
        }
      })
  })
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('a/b', 'x', 1, { retain: true })
  failing = true
  for (const filter of ['a/b', 'a/#']) {
    const { client } = await RawClient.connect(port, { clientId: 'subscriber', version: 5 })
    await client.subscribe(filter, 1)
    t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x83 }])
  }
})

for (const qos of [0, 1, 2] as const) {
  t.test(`[MQTT-3.3.2-6] a retained message is sent at QoS ${qos} with what is left of its Message Expiry Interval`, async t => {
    const clock = new ManualClock()
    const { port } = await TestBroker.start(t, {
      clock,
      authorizeForward: (client, packet) => (client.id === 'rewritten' ? { ...packet, payload: Buffer.from('y') } : packet)
    })
    const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher', version: 5 })
    await publisher.publish('a', 'x', qos, { retain: true, properties: { messageExpiryInterval: 30 } })
    await publisher.ping()
    clock.advance(12_000)
    for (const clientId of ['plain', 'rewritten', 'stored']) {
      const expiry = clientId === 'stored' ? { properties: { sessionExpiryInterval: 100 } } : {}
      const { client } = await RawClient.connect(port, { clientId, version: 5, ...expiry })
      await client.subscribe('a', qos)
      t.match(await client.expect('publish'), { qos, properties: { messageExpiryInterval: 18 } }, clientId)
    }
  })
}
