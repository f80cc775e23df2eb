import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

/** What is larger than the client's Maximum Packet Size is never sent, and everything goes on as if it had been. */

const maximumPacketSize = 100
const large = 'x'.repeat(200)

function payloads(packets: AnyPacket[]): string[] {
  return packets.map(({ payload }) => String(payload))
}

function subscriber(port: number, properties: object = {}, clientId = 'subscriber') {
  return RawClient.connect(port, { clientId, version: 5, clean: false, properties: { maximumPacketSize, ...properties } })
}

async function acknowledge(client: RawClient, packet: AnyPacket): Promise<void> {
  if (packet.qos === 1) client.send({ cmd: 'puback', messageId: packet.messageId })
  if (packet.qos !== 2) return
  client.send({ cmd: 'pubrec', messageId: packet.messageId })
  await client.expect('pubrel')
  client.send({ cmd: 'pubcomp', messageId: packet.messageId })
}

for (const [kept, sessionExpiryInterval] of [
  ['that ends with the connection', 0],
  ['that is stored', 1000]
] as const) {
  for (const qos of [0, 1, 2] as const) {
    t.test(`[MQTT-3.1.2-24] [MQTT-3.1.2-25] live, QoS ${qos}, to a session ${kept}`, async t => {
      const { port, broker } = await TestBroker.start(t)
      // A window of one: a message that is not sent must not keep a place in it.
      const { client } = await subscriber(port, { sessionExpiryInterval, receiveMaximum: 1 })
      await client.subscribe('a', qos)
      const { client: publisher } = await RawClient.connect(port, { version: 5 })
      for (const payload of [large, '1', large, '2', large, '3']) {
        await publisher.publish('a', payload, qos)
        await publisher.ping()
      }
      for (const expected of ['1', '2', '3']) {
        const packet = await client.expect('publish')
        t.equal(String(packet.payload), expected)
        await acknowledge(client, packet)
      }
      t.same(await client.ping(), [])
      t.equal(broker.counters.dropped.get('packet-too-large'), 3)
      t.equal(broker.counters.queued, 0)
      t.match(broker.describeClients(), [{ clientId: 'subscriber', backlog: 0, inflight: 0 }, {}])
    })
  }
}

t.test('[MQTT-3.1.2-25] what was queued and is too large is not offered again to a connection that could take it', async t => {
  const { port, broker } = await TestBroker.start(t)
  const session = { sessionExpiryInterval: 1000 }
  const first = await subscriber(port, session)
  await first.client.subscribe('a', 2)
  await first.client.disconnect()
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  for (const [n, payload] of [large, '1', large, '2'].entries()) await publisher.publish('a', payload, n < 2 ? 1 : 2)
  const second = await subscriber(port, session)
  for (const expected of ['1', '2']) {
    const packet = await second.client.expect('publish')
    t.equal(String(packet.payload), expected)
    await acknowledge(second.client, packet)
  }
  await second.client.ping()
  t.equal(broker.counters.queued, 0)
  await second.client.disconnect()
  const third = await subscriber(port, { ...session, maximumPacketSize: 1000 })
  t.same(await third.client.ping(), [])
  t.equal(broker.counters.dropped.get('packet-too-large'), 2)
})

t.test('[MQTT-3.1.2-25] a message in flight that the next connection cannot take is over', async t => {
  const { port, broker } = await TestBroker.start(t)
  const session = { sessionExpiryInterval: 1000 }
  const first = await subscriber(port, { ...session, maximumPacketSize: 1000 })
  await first.client.subscribe('a', 1)
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  await publisher.publish('a', large, 1)
  await publisher.publish('a', 'small', 1)
  t.same(payloads([await first.client.expect('publish'), await first.client.expect('publish')]), [large, 'small'])
  await first.client.cut()
  const second = await subscriber(port, session)
  const packet = await second.client.expect('publish')
  t.match(packet, { dup: true, payload: Buffer.from('small') })
  await acknowledge(second.client, packet)
  await second.client.ping()
  t.equal(broker.counters.queued, 0)
})

t.test('[MQTT-3.1.2-24] retained messages', async t => {
  const { port, broker } = await TestBroker.start(t)
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  for (const qos of [0, 1, 2] as const) {
    await publisher.publish(`a/${qos}`, large, qos, { retain: true })
    await publisher.publish(`a/${qos}/small`, 'small', qos, { retain: true })
  }
  await publisher.ping()
  const { client } = await subscriber(port)
  await client.subscribe('a/#', 2)
  t.same(payloads(await client.ping()), ['small', 'small', 'small'])
  await client.subscribe('a/1', 2)
  t.same(payloads(await client.ping()), [])
  t.equal(broker.counters.dropped.get('packet-too-large'), 4)
})

t.test('[MQTT-3.1.2-24] a QoS 0 fan-out that shares its bytes', async t => {
  const { port, broker } = await TestBroker.start(t)
  const clients: RawClient[] = []
  for (let n = 0; n < 6; n++) {
    const { client } = await subscriber(port, n % 2 ? {} : { maximumPacketSize: 1000 }, `s${n}`)
    await client.subscribe('a', 0)
    clients.push(client)
  }
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  await publisher.publish('a', large, 1)
  await publisher.publish('a', 'small', 1)
  for (const [n, client] of clients.entries()) t.same(payloads(await client.ping()), n % 2 ? ['small'] : [large, 'small'])
  t.equal(broker.counters.dropped.get('packet-too-large'), 3)
})

t.test('who looks at the debug log sees which message was too large for whom', async t => {
  const lines: object[] = []
  const ignore = () => {}
  const logger = { debug: (details: object) => lines.push(details), info: ignore, warn: ignore, error: ignore }
  const { port } = await TestBroker.start(t, { logger })
  const { client } = await subscriber(port)
  await client.subscribe('a', 0)
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  await publisher.publish('a', large, 1)
  t.match(lines, [{ clientId: 'subscriber', topic: 'a', bytes: 207, maximumPacketSize }])
})
