import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

for (const version of [3, 4, 5] as const) {
  t.test(
    `MQTT level ${version}: each QoS arrives at each subscription QoS, downgraded to the lower one [MQTT-3.8.4-8]`,
    async t => {
      const { port } = await TestBroker.start(t)
      const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher', version })
      for (const subscribed of [0, 1, 2] as const) {
        const { client: subscriber } = await RawClient.connect(port, { clientId: `subscriber${subscribed}`, version })
        t.same((await subscriber.subscribe('rooms/+', subscribed)).granted, [subscribed])
        for (const published of [0, 1, 2] as const) {
          await publisher.publish('rooms/1', `q${published}`, published)
          const packet = await subscriber.expect('publish')
          const qos = Math.min(published, subscribed)
          t.match(packet, { topic: 'rooms/1', qos, dup: false, retain: false })
          t.equal(String(packet.payload), `q${published}`)
          if (qos === 1) subscriber.send({ cmd: 'puback', messageId: packet.messageId })
          if (qos === 2) {
            subscriber.send({ cmd: 'pubrec', messageId: packet.messageId })
            t.equal((await subscriber.expect('pubrel')).messageId, packet.messageId)
            subscriber.send({ cmd: 'pubcomp', messageId: packet.messageId })
          }
        }
        await subscriber.disconnect()
      }
    }
  )
}

t.test('[MQTT-4.3.3-10] a QoS 2 PUBLISH sent again before PUBREL is acknowledged again and not delivered again', async t => {
  const { port } = await TestBroker.start(t)
  const { client: subscriber } = await RawClient.connect(port, { clientId: 'subscriber' })
  await subscriber.subscribe('a', 0)
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  const publish = { cmd: 'publish', topic: 'a', payload: 'once', qos: 2, messageId: 7, retain: false, dup: false }
  publisher.send(publish)
  await publisher.expect('pubrec')
  publisher.send({ ...publish, dup: true })
  await publisher.expect('pubrec')
  publisher.send({ cmd: 'pubrel', messageId: 7 })
  await publisher.expect('pubcomp')
  publisher.send({ ...publish, payload: 'a new message with the same id' })
  await publisher.expect('pubrec')
  const arrived = await subscriber.ping()
  t.same(
    arrived.map(packet => String(packet.payload)),
    ['once', 'a new message with the same id']
  )
})

t.test('a burst of packets in one read is answered completely and in order', async t => {
  const { port, records } = bindRecords(await TestBroker.start(t))
  const { client } = await RawClient.connect(port, { clientId: 'burst' })
  client.socket.cork()
  for (let id = 1; id <= 500; id++) {
    const topic = id % 2 ? 'devices/burst/telemetry' : 'elsewhere'
    client.send({ cmd: 'publish', topic, payload: String(id), qos: 1, messageId: id, retain: false, dup: false })
  }
  client.socket.uncork()
  const ids: unknown[] = []
  for (let i = 0; i < 500; i++) ids.push((await client.expect('puback')).messageId)
  t.same(
    ids,
    Array.from({ length: 500 }, (_, i) => i + 1),
    '[MQTT-4.6.0-2] PUBACKs come in the order of the PUBLISH packets'
  )
  t.same(
    (await records()).map(record => Number(record.payload)),
    Array.from({ length: 250 }, (_, i) => 2 * i + 1)
  )
})

t.test('a packet that arrives byte by byte is understood, one of a megabyte too', async t => {
  const { port } = await TestBroker.start(t, { limits: { maxPacketBytes: 2_000_000 } })
  const { client } = await RawClient.connect(port, { clientId: 'slow' })
  await client.subscribe('a', 0)
  client.socket.setNoDelay(true)
  const bytes = Buffer.from('3006000161626364', 'hex')
  for (let i = 0; i < bytes.length; i++) {
    client.sendBytes(bytes.subarray(i, i + 1))
    await new Promise(resolve => setImmediate(resolve))
  }
  t.equal(String((await client.expect('publish')).payload), 'bcd')
  const large = Buffer.alloc(1_000_000, 'x')
  const { client: second } = await RawClient.connect(port, { clientId: 'large' })
  await second.subscribe('b', 0)
  await second.publish('b', large)
  t.equal((await second.expect('publish')).payload?.toString().length, large.length)
})

t.test('no local and retain as published hold', async t => {
  const { port } = await TestBroker.start(t)
  const { client } = await RawClient.connect(port, { clientId: 'self', version: 5 })
  await client.subscribe('a', 1, { nl: true, rap: true })
  await client.publish('a', 'own', 1)
  const { client: other } = await RawClient.connect(port, { clientId: 'other', version: 5 })
  await other.publish('a', 'foreign', 0, { retain: true })
  const [packet, ...more] = await client.ping()
  t.match(packet, { cmd: 'publish', retain: true })
  t.equal(String(packet?.payload), 'foreign')
  t.same(more, [])
})

t.test(
  '[MQTT-3.3.4-4] overlapping subscriptions give one copy at the highest QoS with every subscription identifier',
  async t => {
    const { port } = await TestBroker.start(t)
    const { client } = await RawClient.connect(port, { clientId: 'v5', version: 5 })
    await client.subscribe('a/#', 0, {}, { subscriptionIdentifier: 3 })
    await client.subscribe('a/+', 1, {}, { subscriptionIdentifier: 9 })
    const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
    await publisher.publish('a/b', 'x', 2)
    const arrived = await client.ping()
    t.equal(arrived.length, 1)
    t.equal(arrived[0]?.qos, 1)
    const { subscriptionIdentifier } = arrived[0]!.properties as { subscriptionIdentifier: number[] }
    t.same([...subscriptionIdentifier].sort(), [3, 9])
  }
)

t.test('MQTT 5 properties reach the subscriber as they were sent, a 3.1.1 subscriber gets none', async t => {
  const { port } = await TestBroker.start(t)
  const { client: v5 } = await RawClient.connect(port, { clientId: 'v5', version: 5 })
  await v5.subscribe('a', 0)
  const { client: v4 } = await RawClient.connect(port, { clientId: 'v4' })
  await v4.subscribe('a', 0)
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher', version: 5 })
  const properties = {
    payloadFormatIndicator: true,
    contentType: 'text/plain',
    responseTopic: 'answers',
    correlationData: Buffer.from([1, 2, 3]),
    userProperties: { unit: 'degC', tag: ['a', 'b'] }
  }
  await publisher.publish('a', 'x', 1, { properties: { ...properties, messageExpiryInterval: 100, topicAlias: 2 } })
  const packet = await v5.expect('publish')
  t.match(packet.properties, properties)
  t.equal((packet.properties as { topicAlias?: number }).topicAlias, undefined, 'a topic alias belongs to one connection')
  t.equal((packet.properties as { messageExpiryInterval: number }).messageExpiryInterval, 100)
  t.notOk((await v4.expect('publish')).properties)
})

t.test('QoS 2 ids left over from an earlier connection do not count against the Receive Maximum of this one', async t => {
  const { port } = await TestBroker.start(t, { limits: { receiveMaximum: 2 } })
  const options = { clientId: 'device', clean: false, version: 5 as const, properties: { sessionExpiryInterval: 100 } }
  const { client } = await RawClient.connect(port, options)
  const publish = (messageId: number) => ({
    cmd: 'publish',
    topic: 'a',
    payload: '',
    qos: 2,
    messageId,
    retain: false,
    dup: false
  })
  for (const id of [1, 2]) {
    client.send(publish(id))
    await client.expect('pubrec')
  }
  await client.cut()
  const { client: again } = await RawClient.connect(port, options)
  for (const id of [1, 2]) again.send({ cmd: 'pubrel', messageId: id })
  for (const id of [3, 4]) again.send(publish(id))
  const arrived = [await again.next(), await again.next(), await again.next(), await again.next()]
  t.same(
    arrived.map(packet => packet?.cmd),
    ['pubcomp', 'pubcomp', 'pubrec', 'pubrec']
  )
  await again.cut()
  const { client: third } = await RawClient.connect(port, options)
  for (const id of [5, 6]) third.send(publish(id))
  t.equal((await third.expect('pubrec')).messageId, 5)
  t.equal((await third.expect('pubrec')).messageId, 6)
  third.send(publish(7))
  t.match(await third.ended(), [{ cmd: 'disconnect', reasonCode: 0x93 }])
})

function bindRecords(started: TestBroker) {
  return { port: started.port, records: () => started.records() }
}
