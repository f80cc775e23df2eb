import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient, type RawConnectOptions } from '../../support/raw-client.ts'
import { publishBytes, violation } from './wire.ts'

const receiveMaximum = 5
const { port } = await TestBroker.start(t, { limits: { receiveMaximum, maxPacketBytes: 5_000 } })
const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher', version: 5 })

async function connect(options: RawConnectOptions = {}): Promise<RawClient> {
  return (await RawClient.connect(port, { version: 5, ...options })).client
}

function identifiers(packet: AnyPacket | undefined): number[] {
  const { subscriptionIdentifier } = (packet?.properties ?? {}) as { subscriptionIdentifier?: number | number[] }
  return [subscriptionIdentifier ?? []].flat().sort((a, b) => a - b)
}

/** `QoS identifiers` of each packet, sorted. */
function shown(packets: AnyPacket[]): string[] {
  return packets.map(packet => `${packet.qos} ${identifiers(packet)}`).sort()
}

function packet(qos: 0 | 1 | 2, messageId: number, topic = 'a'): object {
  return { cmd: 'publish', topic, payload: 'x', qos, messageId, retain: false, dup: false }
}

t.test('[MQTT-3.3.4-1] QoS 0 is answered with nothing, QoS 1 with PUBACK, QoS 2 with PUBREC', async t => {
  const client = await connect()
  client.send(packet(0, 0))
  t.same(await client.ping(), [])
  client.send(packet(1, 1))
  t.match(await client.ping(), [{ cmd: 'puback', messageId: 1 }])
  client.send(packet(2, 2))
  t.match(await client.ping(), [{ cmd: 'pubrec', messageId: 2 }])
  client.send({ cmd: 'pubrel', messageId: 2 })
  t.match(await client.ping(), [{ cmd: 'pubcomp', messageId: 2 }])
})

t.test('[MQTT-3.3.4-1] a PUBACK says 0x10 when nobody subscribed, 0x00 when somebody did', async t => {
  const client = await connect()
  client.send(packet(1, 1, 'lonely'))
  t.match(await client.next(), { cmd: 'puback', reasonCode: 0x10 })
  const other = await connect()
  await other.subscribe('lonely')
  client.send(packet(1, 2, 'lonely'))
  t.match(await client.next(), { cmd: 'puback', reasonCode: 0 })
  await other.expect('publish')
  other.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['lonely'] })
  await other.expect('unsuback')
  client.send(packet(1, 3, 'lonely'))
  t.match(await client.next(), { cmd: 'puback', reasonCode: 0x10 })
})

t.test(
  '[MQTT-3.3.4-2] several matching subscriptions deliver at the highest QoS among them, never above the message',
  async t => {
    const client = await connect()
    await client.subscribe('qos/a', 0)
    await client.subscribe('qos/+', 2)
    await client.subscribe('qos/#', 1)
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish('qos/a', 'x', qos)
      t.equal((await client.expect('publish')).qos, qos)
    }
    t.same(await client.ping(), [], 'one copy each')
    const modest = await connect()
    await modest.subscribe('qos/b', 0)
    await modest.subscribe('qos/+', 1)
    await publisher.publish('qos/b', 'x', 2)
    t.equal((await modest.expect('publish')).qos, 1)
  }
)

t.test('[MQTT-3.3.4-3] [MQTT-3.3.4-4] one copy carries the identifiers of all matching subscriptions that have one', async t => {
  const client = await connect()
  await client.subscribe('ids/a', 0, {}, { subscriptionIdentifier: 1 })
  await client.subscribe('ids/+', 1, {}, { subscriptionIdentifier: 268_435_455 })
  await client.subscribe('ids/#', 2)
  await client.subscribe('ids/b', 0, {}, { subscriptionIdentifier: 7 })
  await publisher.publish('ids/a', 'x', 2)
  t.same(shown(await client.ping()), ['2 1,268435455'])
  await publisher.publish('ids/a/b', 'x', 1)
  t.same(shown(await client.ping()), ['1 '], 'none where the subscription has none')
  await publisher.publish('ids/b', 'x', 1)
  t.same(shown(await client.ping()), ['1 7,268435455'])
})

t.test('[MQTT-3.3.4-3] two subscriptions may share an identifier, and a new SUBSCRIBE changes it or takes it away', async t => {
  const client = await connect()
  client.send({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [
      { topic: 'same/a', qos: 0 },
      { topic: 'same/+', qos: 0 }
    ],
    properties: { subscriptionIdentifier: 3 }
  })
  await client.expect('suback')
  await publisher.publish('same/a', 'x', 0)
  t.same([...new Set(identifiers(await client.expect('publish')))], [3])
  await client.subscribe('same/a', 0, {}, { subscriptionIdentifier: 4 })
  await publisher.publish('same/a', 'x', 0)
  t.same(identifiers(await client.expect('publish')), [3, 4])
  await client.subscribe('same/+', 0)
  await publisher.publish('same/a', 'x', 0)
  t.same(identifiers(await client.expect('publish')), [4])
})

t.test('[MQTT-3.3.4-3] identifiers go along with queued messages, and with the session to its next connection', async t => {
  const options = { clientId: 'kept', clean: false, properties: { sessionExpiryInterval: 1000 } }
  const client = await connect(options)
  await client.subscribe('kept/a', 1, {}, { subscriptionIdentifier: 5 })
  await client.subscribe('kept/#', 1, {}, { subscriptionIdentifier: 6 })
  await client.cut()
  await publisher.publish('kept/a', 'queued', 1)
  const again = await connect(options)
  t.same(identifiers(await again.expect('publish')), [5, 6])
  await publisher.publish('kept/b', 'live', 1)
  t.same(identifiers(await again.expect('publish')), [6])
})

t.test('[MQTT-3.3.4-5] retained messages come once for each subscription, with its own identifier', async t => {
  await publisher.publish('multi/a', 'x', 1, { retain: true })
  const client = await connect()
  client.send({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [
      { topic: 'multi/a', qos: 0 },
      { topic: 'multi/+', qos: 1 }
    ],
    properties: { subscriptionIdentifier: 3 }
  })
  await client.expect('suback')
  t.same(shown(await client.ping()), ['0 3', '1 3'])
  await client.subscribe('multi/#', 1, {}, { subscriptionIdentifier: 4 })
  t.same(shown(await client.ping()), ['1 4'])
  await client.subscribe('#', 0)
  t.same(
    (await client.ping()).filter(one => one.topic === 'multi/a').map(one => `${one.qos} ${identifiers(one)}`),
    ['0 ']
  )
})

t.test('[MQTT-3.3.4-5] the copy for a shared subscription has its identifier, the other copy those of the others', async t => {
  const client = await connect()
  await client.subscribe('$share/group/shared/a', 0, {}, { subscriptionIdentifier: 1 })
  await client.subscribe('shared/+', 0, {}, { subscriptionIdentifier: 2 })
  await client.subscribe('shared/#', 0, {}, { subscriptionIdentifier: 3 })
  await publisher.publish('shared/a', 'x', 0)
  await publisher.ping()
  t.same(shown(await client.ping()), ['0 1', '0 2,3'])
})

t.test('[MQTT-3.3.4-6] a Subscription Identifier from a publisher ends the connection with 0x82', async t => {
  t.equal(await violation(port, publishBytes(0, 'a', [0x0b, 1])), 0x82)
})

t.test('[MQTT-3.3.4-7] one QoS 2 message too many ends the connection with 0x93, released ones do not count', async t => {
  const { client, connack } = await RawClient.connect(port, { version: 5 })
  t.match(connack.properties, { receiveMaximum })
  for (let id = 1; id <= receiveMaximum; id++) {
    client.send(packet(2, id))
    await client.expect('pubrec')
  }
  client.send({ cmd: 'pubrel', messageId: 1 })
  await client.expect('pubcomp')
  client.send(packet(2, 100))
  await client.expect('pubrec')
  client.send({ ...packet(2, 100), dup: true })
  await client.expect('pubrec')
  client.send(packet(0, 0))
  t.same(await client.ping(), [], 'QoS 0 does not count')
  client.send(packet(2, 101))
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x93 }])
})

t.test('[MQTT-3.3.4-9] a client never has more unacknowledged than its Receive Maximum, QoS 1 and 2 together', async t => {
  for (const options of [{ clientId: 'unstored' }, { clientId: 'stored', clean: false }]) {
    const properties = { receiveMaximum: 2, sessionExpiryInterval: options.clientId === 'stored' ? 1000 : 0 }
    const client = await connect({ ...options, properties })
    await client.subscribe('window', 2)
    await client.subscribe('window/free', 0)
    for (let i = 0; i < 6; i++) await publisher.publish('window', String(i), i % 2 === 0 ? 1 : 2)
    const [first, second] = [await client.expect('publish'), await client.expect('publish')]
    t.same(await client.ping(), [], 'the window is full')
    await publisher.publish('window/free', 'free', 1)
    t.equal((await client.expect('publish')).qos, 0, 'QoS 0 takes no place')
    client.send({ cmd: 'pubrec', messageId: second.messageId })
    await client.expect('pubrel')
    t.same(await client.ping(), [], 'PUBREC frees no place')
    client.send({ cmd: 'pubcomp', messageId: second.messageId })
    t.equal(String((await client.expect('publish')).payload), '2', 'PUBCOMP does')
    client.send({ cmd: 'puback', messageId: first.messageId })
    const third = await client.expect('publish')
    t.equal(String(third.payload), '3', 'PUBACK does')
    t.same(await client.ping(), [])
    client.send({ cmd: 'pubrec', messageId: third.messageId, reasonCode: 0x80 })
    t.equal(String((await client.expect('publish')).payload), '4', 'PUBREC with an error does')
    await client.cut()
  }
})

t.test('[MQTT-3.3.4-9] the window holds for what is sent again on another connection', async t => {
  const options = { clientId: 'narrower', clean: false }
  const client = await connect({ ...options, properties: { sessionExpiryInterval: 1000 } })
  await client.subscribe('narrower', 1)
  for (let i = 0; i < 4; i++) await publisher.publish('narrower', String(i), 1)
  for (let i = 0; i < 4; i++) await client.expect('publish')
  await client.cut()
  const again = await connect({ ...options, properties: { sessionExpiryInterval: 1000, receiveMaximum: 1 } })
  for (let i = 0; i < 4; i++) {
    const one = await again.expect('publish')
    t.equal(String(one.payload), String(i))
    t.same(await again.ping(), [])
    again.send({ cmd: 'puback', messageId: one.messageId })
  }
})

t.test('[MQTT-3.3.4-10] all other packets are sent while PUBLISH packets wait for the window', async t => {
  const client = await connect({ properties: { receiveMaximum: 1 } })
  await client.subscribe('full', 1)
  for (let i = 0; i < 3; i++) await publisher.publish('full', String(i), 1)
  await client.expect('publish')
  client.send(packet(1, 10))
  t.match(await client.next(), { cmd: 'puback', messageId: 10 })
  client.send(packet(2, 11))
  t.match(await client.next(), { cmd: 'pubrec', messageId: 11 })
  client.send({ cmd: 'pubrel', messageId: 11 })
  t.match(await client.next(), { cmd: 'pubcomp', messageId: 11 })
  t.match(await client.subscribe('more', 1), { cmd: 'suback' })
  client.send({ cmd: 'unsubscribe', messageId: 12, unsubscriptions: ['more'] })
  t.match(await client.next(), { cmd: 'unsuback', messageId: 12 })
  client.send({ cmd: 'pubrec', messageId: 999 })
  t.match(await client.next(), { cmd: 'pubrel', messageId: 999, reasonCode: 0x92 })
  t.same(await client.ping(), [])
})

t.test('[MQTT-3.2.2-15] a packet above the announced Maximum Packet Size ends the connection with 0x95', async t => {
  const { client, connack } = await RawClient.connect(port, { version: 5 })
  t.match(connack.properties, { maximumPacketSize: 5_000 })
  await client.subscribe('large')
  const fixed = publishBytes(0, 'large', [], '').length
  await client.publish('large', 'x'.repeat(5_000 - fixed - 1))
  t.equal((await client.expect('publish')).length, 4_997, 'with its fixed header of three bytes it is of the size allowed')
  client.send({ ...packet(0, 0, 'large'), payload: 'x'.repeat(5_000 - fixed) })
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x95 }])
})

t.test('[MQTT-3.2.2-15] a client that sends a far too large packet is told 0x95 however late it looks', async t => {
  const client = await connect()
  client.socket.pause()
  const bytes = publishBytes(0, 'a', [], 'x'.repeat(8_000_000))
  await new Promise(resolve => client.socket.write(bytes, resolve))
  client.socket.resume()
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x95 }])
})
