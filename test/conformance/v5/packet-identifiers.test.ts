import t from 'tap'
import { field, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'
import { publishBytes, recorded, violation } from './wire.ts'

const { port } = await TestBroker.start(t)
const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher', version: 5 })

t.test('[MQTT-2.2.1-2] a PUBLISH at QoS 0 has no Packet Identifier, in neither direction', async t => {
  const { client } = await RawClient.connect(port, { version: 5 })
  await client.subscribe('a')
  const bytes = recorded(client)
  // 0x0001 would be an identifier at QoS 1. Here it is payload, after the Property Length.
  publisher.sendBytes(raw(0x30, field('a'), 0, 0, 1))
  t.same((await client.expect('publish')).payload, Buffer.from([0, 1]))
  t.same(bytes(), raw(0x30, field('a'), 0, 0, 1))
})

t.test('[MQTT-2.2.1-3] Packet Identifier 0 ends the connection with 0x82', async t => {
  t.equal(await violation(port, publishBytes(2, 'a', [], 'x', 0)), 0x82, 'PUBLISH at QoS 1')
  t.equal(await violation(port, publishBytes(4, 'a', [], 'x', 0)), 0x82, 'PUBLISH at QoS 2')
  t.equal(await violation(port, raw(0x82, 0, 0, 0, field('a'), 0)), 0x82, 'SUBSCRIBE')
  t.equal(await violation(port, raw(0xa2, 0, 0, 0, field('a'))), 0x82, 'UNSUBSCRIBE')
  for (const [name, firstByte] of [
    ['PUBACK', 0x40],
    ['PUBREC', 0x50],
    ['PUBREL', 0x62],
    ['PUBCOMP', 0x70]
  ] as const) {
    t.equal(await violation(port, raw(firstByte, 0, 0)), 0x82, name)
  }
})

t.test(
  '[MQTT-2.2.1-4] an identifier that is in use is not given to another message, over reconnects and at both QoS',
  async t => {
    const options = { clientId: 'ids', clean: false, version: 5 as const, properties: { sessionExpiryInterval: 100 } }
    const { client } = await RawClient.connect(port, options)
    await client.subscribe('ids', 2)
    const packets: AnyPacket[] = []
    const collect = async (from: RawClient, count: number) => {
      for (let i = 0; i < count; i++) {
        await publisher.publish('ids', String(packets.length), i % 2 === 0 ? 1 : 2)
        packets.push(await from.expect('publish'))
      }
    }
    await collect(client, 6)
    t.notOk(packets.some(packet => packet.messageId === 0))
    t.equal(new Set(packets.map(packet => packet.messageId)).size, 6)
    // Half of the QoS 2 handshake does not free an identifier.
    client.send({ cmd: 'pubrec', messageId: packets[1]?.messageId })
    await client.expect('pubrel')
    await client.cut()
    const { client: again } = await RawClient.connect(port, options)
    for (let i = 0; i < 6; i++) await again.next()
    await collect(again, 6)
    t.equal(new Set(packets.map(packet => packet.messageId)).size, 12)
  }
)

t.test('[MQTT-2.2.1-4] nor after a restart of the broker, which begins to count anew', async t => {
  const first = await TestBroker.start(t)
  const options = { clientId: 'ids', clean: false, version: 5 as const, properties: { sessionExpiryInterval: 100 } }
  const { client } = await RawClient.connect(first.port, options)
  await client.subscribe('ids', 2)
  const own = await RawClient.connect(first.port, { version: 5 })
  for (let i = 0; i < 4; i++) await own.client.publish('ids', 'old', i % 2 === 0 ? 1 : 2)
  const old = new Set<unknown>()
  while (old.size < 4) old.add((await client.expect('publish')).messageId)
  await client.cut()
  const second = await first.restart(t)
  const { client: again } = await RawClient.connect(second.port, options)
  const sentAgain = new Set<unknown>()
  while (sentAgain.size < 4) sentAgain.add((await again.expect('publish')).messageId)
  t.same(sentAgain, old)
  const { client: other } = await RawClient.connect(second.port, { version: 5 })
  for (let i = 0; i < 4; i++) {
    await other.publish('ids', 'new', i % 2 === 0 ? 1 : 2)
    const { messageId } = await again.expect('publish')
    t.notOk(old.has(messageId), `${messageId}`)
    old.add(messageId)
  }
})

t.test('[MQTT-2.2.1-5] each answer has the identifier of what it answers', async t => {
  const { client } = await RawClient.connect(port, { version: 5 })
  for (const messageId of [1, 255, 256, 65_535]) {
    const publish = { cmd: 'publish', topic: 'nobody', payload: '', messageId, retain: false, dup: false }
    client.send({ ...publish, qos: 1 })
    t.equal((await client.expect('puback')).messageId, messageId)
    client.send({ ...publish, qos: 2 })
    t.equal((await client.expect('pubrec')).messageId, messageId)
    client.send({ cmd: 'pubrel', messageId })
    t.equal((await client.expect('pubcomp')).messageId, messageId)
  }
  await client.subscribe('answers', 2)
  await publisher.publish('answers', 'x', 2)
  const { messageId } = await client.expect('publish')
  client.send({ cmd: 'pubrec', messageId })
  t.equal((await client.expect('pubrel')).messageId, messageId)
})

t.test('[MQTT-2.2.1-6] SUBACK and UNSUBACK have the identifier of their request', async t => {
  const { client } = await RawClient.connect(port, { version: 5 })
  for (const messageId of [1, 255, 256, 65_535]) {
    client.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: 'a', qos: 0 }] })
    t.equal((await client.expect('suback')).messageId, messageId)
    client.send({ cmd: 'unsubscribe', messageId, unsubscriptions: ['a', 'b'] })
    t.equal((await client.expect('unsuback')).messageId, messageId)
  }
})

t.test('[MQTT-2.2.2-1] without properties there is a Property Length of 0', async t => {
  const client = await RawClient.open(port, 5)
  client.sendConnect({ clientId: 'lengths', version: 5 })
  await client.expect('connack')
  const bytes = recorded(client)
  await client.subscribe('lengths')
  await client.publish('lengths', 'x')
  await client.expect('publish')
  client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['lengths'] })
  await client.expect('unsuback')
  const expected = [raw(0x90, 0, 1, 0, 0), raw(0x30, field('lengths'), 0, Buffer.from('x')), raw(0xb0, 0, 2, 0, 0)]
  t.same(bytes(), Buffer.concat(expected), 'SUBACK, PUBLISH, UNSUBACK')
})

t.test('[MQTT-2.2.2-1] a packet without its Property Length is malformed', async t => {
  t.equal(await violation(port, raw(0x30, field('a'))), 0x81, 'PUBLISH')
  t.equal(await violation(port, raw(0x82, 0, 1)), 0x81, 'SUBSCRIBE')
  t.equal(await violation(port, raw(0xa2, 0, 1)), 0x81, 'UNSUBSCRIBE')
})
