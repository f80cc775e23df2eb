import { once } from 'node:events'
import t from 'tap'
import { Gate, memoryPersistence, startContractBroker, turns } from '../../support/contract-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

const topic = 'a/b'

function publishPacket(messageId: number, qos: 0 | 1 | 2, payload = String(messageId)): object {
  return { cmd: 'publish', topic, payload, qos, messageId, retain: false, dup: false }
}

for (const { qos, ack } of [
  { qos: 1, ack: 'puback' },
  { qos: 2, ack: 'pubrec' }
] as const) {
  t.test(`${ack} leaves after the store has the message, however long it takes`, async t => {
    const persistence = memoryPersistence()
    const order: string[] = []
    const { port } = await startContractBroker(t, { persistence: persistence as never })
    const { client: subscriber } = await RawClient.connect(port, { clientId: 'subscriber', clean: false })
    await subscriber.subscribe(topic, 1)
    await subscriber.disconnect()
    const enqueue = persistence.outgoingEnqueueCombi.bind(persistence)
    persistence.outgoingEnqueueCombi = async (subscriptions, packet) => {
      await turns(20)
      await enqueue(subscriptions, packet)
      order.push('stored')
    }
    const { client } = await RawClient.connect(port, { clientId: 'publisher' })
    client.send(publishPacket(7, qos))
    await client.expect(ack)
    order.push(ack)
    t.strictSame(order, ['stored', ack])
  })
}

t.test('a store that refuses a message gets the publisher no acknowledgement but the end of the connection', async t => {
  const persistence = memoryPersistence()
  const { broker, port } = await startContractBroker(t, { persistence: persistence as never })
  persistence.outgoingEnqueueCombi = () => Promise.reject(new Error('disk full'))
  const { client } = await RawClient.connect(port, { clientId: 'three' })
  const [failed] = await Promise.all([once(broker, 'clientError'), client.send(publishPacket(1, 1))])
  t.match(failed[1], { message: 'disk full' })
  t.strictSame(await client.ended(), [], 'MQTT 3.1.1 has no word for it')
  const { client: five } = await RawClient.connect(port, { clientId: 'five', version: 5 })
  five.send(publishPacket(1, 1))
  t.match(await five.ended(), [{ cmd: 'disconnect', reasonCode: 0x80 }])
})

t.test('a failing look-up of subscriptions ends the connection, too, and is told to the whole broker', async t => {
  const persistence = memoryPersistence()
  const { broker, port } = await startContractBroker(t, { persistence: persistence as never })
  const { client } = await RawClient.connect(port, { clientId: 'publisher' })
  persistence.subscriptionsByTopic = () => Promise.reject(new Error('index lost'))
  const [told] = await Promise.all([once(broker, 'error'), client.send(publishPacket(1, 1))])
  t.match(told[0], { message: 'index lost' })
  t.strictSame(await client.ended(), [])
})

t.test('[MQTT3-4.3.3-2] a QoS 2 message the store refused is not taken for a duplicate when it comes again', async t => {
  const persistence = memoryPersistence()
  const { port } = await startContractBroker(t, { persistence: persistence as never })
  const { client: subscriber } = await RawClient.connect(port, { clientId: 'subscriber' })
  await subscriber.subscribe(topic, 0)
  const enqueue = persistence.outgoingEnqueueCombi
  persistence.outgoingEnqueueCombi = () => Promise.reject(new Error('disk full'))
  const { client } = await RawClient.connect(port, { clientId: 'publisher', clean: false })
  client.send(publishPacket(9, 2))
  t.strictSame(await client.ended(), [])
  persistence.outgoingEnqueueCombi = enqueue
  const { client: again } = await RawClient.connect(port, { clientId: 'publisher', clean: false })
  again.send({ ...publishPacket(9, 2), dup: true })
  await again.expect('pubrec')
  again.send({ ...publishPacket(9, 2), dup: true })
  await again.expect('pubrec')
  t.equal((await subscriber.ping()).length, 1, 'delivered exactly once')
})

t.test('packets of one connection keep their order under hooks that answer late', async t => {
  const { port } = await startContractBroker(t, {
    // Later messages answer sooner, as decisions of a remote service would.
    authorizePublish: (_client, packet, done) => void turns(12 - Number(packet.payload)).then(() => done(null)),
    authorizeSubscribe: (_client, subscription, done) => void turns(5).then(() => done(null, subscription))
  })
  const { client } = await RawClient.connect(port, { clientId: 'device' })
  client.socket.cork()
  client.send({ cmd: 'subscribe', messageId: 100, subscriptions: [{ topic, qos: 1 }] })
  const ids = Array.from({ length: 12 }, (_, index) => index + 1)
  for (const id of ids) client.send(publishPacket(id, 1))
  client.send({ cmd: 'pingreq' })
  client.socket.uncork()
  const packets: AnyPacket[] = []
  for (let packet = await client.next(); packet && packet.cmd !== 'pingresp'; packet = await client.next()) packets.push(packet)
  t.equal(packets[0]?.cmd, 'suback')
  const ackOrder = packets.filter(({ cmd }) => cmd === 'puback').map(({ messageId }) => messageId)
  t.strictSame(ackOrder, ids)
  t.strictSame(
    packets.filter(({ cmd }) => cmd === 'publish').map(({ payload }) => Number(payload)),
    ids
  )
})

t.test('a message overtaken on its way through a slow store is delivered all the same', async t => {
  const persistence = memoryPersistence()
  const { port } = await startContractBroker(t, { persistence: persistence as never })
  const { client: subscriber } = await RawClient.connect(port, { clientId: 'subscriber' })
  await subscriber.subscribe(topic, 0)
  // Overlapping, so that duplicates are looked for.
  await subscriber.subscribe('a/+', 0)
  const gate = new Gate()
  const lookUp = persistence.subscriptionsByTopic.bind(persistence)
  persistence.subscriptionsByTopic = async wanted => {
    await gate.opened
    return await lookUp(wanted)
  }
  const { client: slow } = await RawClient.connect(port, { clientId: 'slow' })
  slow.send(publishPacket(1, 1, 'slow'))
  const { client: fast } = await RawClient.connect(port, { clientId: 'fast' })
  await fast.publish(topic, 'fast', 0)
  t.equal(String((await subscriber.expect('publish')).payload), 'fast')
  gate.open()
  t.equal(String((await subscriber.expect('publish')).payload), 'slow')
  await slow.expect('puback')
  t.strictSame(await subscriber.ping(), [], 'and each of them once')
})

t.test('what a client sends right behind its CONNECT is handled, even if it is gone before a hook lets it in', async t => {
  const left = new Gate()
  const { broker, port } = await startContractBroker(t, {
    authenticate: (client, _username, _password, done) => {
      if (client.id !== 'hasty') return done(null, true)
      client.conn.once('close', () => left.open())
      void left.opened.then(() => done(null, true))
    }
  })
  const { client: subscriber } = await RawClient.connect(port, { clientId: 'subscriber' })
  await subscriber.subscribe('#', 0)
  const hasty = await RawClient.open(port)
  hasty.sendConnect({ clientId: 'hasty', will: { topic: 'will', payload: Buffer.from('x'), qos: 0, retain: false } })
  hasty.send(publishPacket(1, 1, 'one'))
  hasty.send(publishPacket(0, 0, 'two'))
  hasty.send({ cmd: 'disconnect' })
  const gone = once(broker, 'clientDisconnect')
  hasty.socket.end()
  t.equal(String((await subscriber.expect('publish')).payload), 'one')
  t.equal(String((await subscriber.expect('publish')).payload), 'two')
  await gone
  t.strictSame(await subscriber.ping(), [], 'the DISCONNECT was handled, too: no will')
})

t.test("'publish' events come in the order of the packets, each after its `published` hook", async t => {
  const seen: string[] = []
  const { broker, port } = await startContractBroker(t, {
    published: (packet, client, done) => {
      if (client) seen.push(`hook ${packet.payload}`)
      done()
    }
  })
  broker.on('publish', (packet, client) => {
    if (client) seen.push(`event ${packet.payload}`)
  })
  const { client } = await RawClient.connect(port, { clientId: 'publisher' })
  client.socket.cork()
  for (let id = 1; id <= 3; id++) client.send(publishPacket(id, 0))
  client.send({ cmd: 'pingreq' })
  client.socket.uncork()
  await client.expect('pingresp')
  t.strictSame(seen, ['hook 1', 'event 1', 'hook 2', 'event 2', 'hook 3', 'event 3'])
})

t.test('more packets than queueLimit before CONNACK end the connection', async t => {
  const { broker, port } = await startContractBroker(t, { queueLimit: 2, authenticate: () => {} })
  const client = await RawClient.open(port)
  client.sendConnect({ clientId: 'flood' })
  const failed = once(broker, 'connectionError')
  for (let id = 1; id <= 3; id++) client.send(publishPacket(id, 1))
  t.match((await failed)[1], { message: 'Client queue limit reached' })
  t.strictSame(await client.ended(), [])
})

t.test('a subscriber that takes nothing holds back its publishers, loses nothing, and gets all in order later', async t => {
  const { broker, port } = await startContractBroker(t, { drainTimeout: 0 })
  const { client: subscriber } = await RawClient.connect(port, { clientId: 'subscriber' })
  await subscriber.subscribe(topic, 0)
  subscriber.socket.pause()
  const { client } = await RawClient.connect(port, { clientId: 'publisher' })
  const total = 200
  const payload = Buffer.alloc(64 * 1024)
  for (let n = 0; n < total; n++) {
    payload.writeUInt32BE(n)
    client.send({ cmd: 'publish', topic, payload, qos: 0, retain: false, dup: false })
  }
  const held = (): boolean => broker.clients.subscriber?.congestedSinceMs !== 0
  while (!held()) await turns(1)
  await turns(50)
  const takenIn = broker.counters.publishReceived[0]
  t.ok(held() && takenIn < total, `${takenIn} of ${total} were taken in`)
  subscriber.socket.resume()
  for (let n = 0; n < total; n++) {
    const { payload: got } = (await subscriber.expect('publish')) as unknown as { payload: Buffer }
    if (got.readUInt32BE() !== n) t.fail(`expected ${n}, got ${got.readUInt32BE()}`)
  }
  t.pass('all arrived in order')
})
