import { once } from 'node:events'
import t from 'tap'
import { field, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'
import { answerTo } from '../wire.ts'

const { port, broker } = await TestBroker.start(t)
const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
const ill = field(Buffer.from([0x61, 0xff]))
const refusedTopic = 'refused'
broker.authorizeSubscribe = (_client, subscription, done) => done(null, subscription.topic === refusedTopic ? null : subscription)

async function connected(clientId: string, clean = true): Promise<RawClient> {
  return (await RawClient.connect(port, { clientId, clean })).client
}

/** The bytes of the next answer, as they come. */
async function answer(client: RawClient, bytes: Buffer): Promise<Buffer> {
  const data = once(client.socket, 'data')
  client.sendBytes(bytes)
  return (await data)[0]
}

function payloads(packets: AnyPacket[]): string[] {
  return packets.map(packet => `${packet.payload} at ${packet.qos}`)
}

t.test('[MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-2.2.2-2] flags other than 0010 close the connection', async t => {
  for (const flags of [0, 1, 3, 6, 10]) {
    t.same(await answerTo(port, raw(0x80 | flags, 0, 1, field('a'), 0)), ['closed'], `SUBSCRIBE ${flags}`)
    t.same(await answerTo(port, raw(0xa0 | flags, 0, 1, field('a'))), ['closed'], `UNSUBSCRIBE ${flags}`)
  }
})

t.test('[MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-1.5.3-1] a Topic Filter that is not UTF-8 closes the connection', async t => {
  t.same(await answerTo(port, raw(0x82, 0, 1, ill, 0)), ['closed'])
  t.same(await answerTo(port, raw(0x82, 0, 1, field('good'), 0, ill, 0)), ['closed'])
  t.same(await answerTo(port, raw(0xa2, 0, 1, ill)), ['closed'])
})

t.test('[MQTT-3.10.3-1] Topic Filters that do not end with the packet close the connection', async t => {
  t.same(await answerTo(port, raw(0xa2, 0, 1, field('a'), 0)), ['closed'])
  t.same(await answerTo(port, raw(0xa2, 0, 1, field('a'), 0, 9, Buffer.from('short'))), ['closed'])
})

t.test('[MQTT-3.8.3-2] wildcards are supported at every level', async t => {
  const client = await connected('wild')
  for (const filter of ['#', '+', '+/#', 'a/+/c', 'a/#', '/+', '+/+'])
    t.same((await client.subscribe(filter)).granted, [0], filter)
})

t.test('[MQTT-3.8.3-3] [MQTT-3.10.3-2] SUBSCRIBE and UNSUBSCRIBE without a Topic Filter close the connection', async t => {
  t.same(await answerTo(port, raw(0x82, 0, 1)), ['closed'])
  t.same(await answerTo(port, raw(0xa2, 0, 1)), ['closed'])
})

t.test('[MQTT-3.8.3-4] reserved bits beside the QoS, and QoS 3, close the connection', async t => {
  for (const bit of [0x04, 0x08, 0x10, 0x20, 0x40, 0x80]) {
    t.same(await answerTo(port, raw(0x82, 0, 1, field('a'), bit)), ['closed'], `bit ${bit}`)
  }
  t.same(await answerTo(port, raw(0x82, 0, 1, field('a'), 3)), ['closed'])
})

t.test('[MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.3.1-7] SUBSCRIBE is answered by SUBACK with its identifier', async t => {
  const client = await connected('suback')
  t.same(await answer(client, raw(0x82, 0xab, 0xcd, field('a'), 1)), raw(0x90, 0xab, 0xcd, 1))
})

t.test(
  '[MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-2.3.1-7] UNSUBSCRIBE is answered by UNSUBACK with its identifier, always',
  async t => {
    const client = await connected('unsuback')
    await client.subscribe('a')
    t.same(await answer(client, raw(0xa2, 0xab, 0xcd, field('a'))), raw(0xb0, 0xab, 0xcd))
    t.same(await answer(client, raw(0xa2, 0xab, 0xce, field('a'))), raw(0xb0, 0xab, 0xce), 'nothing was left to remove')
  }
)

t.test('[MQTT-3.8.4-3] the same filter replaces: new QoS, retained messages again, one copy', async t => {
  await publisher.publish('replaced', 'retained', 1, { retain: true })
  const client = await connected('replacing')
  await client.subscribe('replaced', 2)
  t.same(payloads(await client.ping()), ['retained at 1'])
  await client.subscribe('replaced', 0)
  t.same(payloads(await client.ping()), ['retained at 0'])
  await publisher.publish('replaced', 'live', 2)
  t.same(payloads(await client.ping()), ['live at 0'])
})

t.test('[MQTT-3.8.4-3] nothing is lost while a subscription is replaced', async t => {
  const client = await connected('uninterrupted')
  await client.subscribe('flow', 1)
  const arrived: string[] = []
  const reading = (async () => {
    while (arrived.length < 300) {
      const packet = await client.next()
      if (packet?.cmd !== 'publish') continue
      arrived.push(String(packet.payload))
      client.send({ cmd: 'puback', messageId: packet.messageId })
    }
  })()
  for (let i = 0; i < 300; i++) {
    if (i % 10 === 0) client.send({ cmd: 'subscribe', messageId: i + 1, subscriptions: [{ topic: 'flow', qos: 1 }] })
    publisher.send({ cmd: 'publish', topic: 'flow', payload: String(i), qos: 1, messageId: i + 1, retain: false, dup: false })
  }
  await reading
  t.same(
    arrived,
    Array.from({ length: 300 }, (_, i) => String(i))
  )
  for (let i = 0; i < 300; i++) await publisher.expect('puback')
})

t.test(
  '[MQTT-3.8.4-4] [MQTT-3.8.4-5] [MQTT-3.9.3-1] [MQTT-3.9.3-2] several filters get one SUBACK, a code each in their order',
  async t => {
    await publisher.publish('many/a', 'ra', 1, { retain: true })
    await publisher.publish('many/b', 'rb', 1, { retain: true })
    const client = await connected('many')
    const filters = [field('many/a'), 2, field(refusedTopic), 2, field('many/b'), 1, field('not/#/valid'), 0, field('many/a'), 0]
    const first = await answer(client, raw(0x82, 0, 7, ...filters))
    t.same(first.subarray(0, 9), raw(0x90, 0, 7, 2, 0x80, 1, 0x80, 0), 'before the retained messages')
    await client.expect('suback')
    t.same(
      payloads(await client.ping()).sort(),
      ['ra at 0', 'ra at 1', 'rb at 1'],
      'retained messages as for a SUBSCRIBE each, at its own QoS; of a filter that comes twice the last one holds for what follows'
    )
    await publisher.publish('many/a', 'live', 1)
    t.same(payloads(await client.ping()), ['live at 0'])
  }
)

t.test('[MQTT-3.8.4-6] messages come at the lower of the published and the granted QoS', async t => {
  for (const granted of [0, 1, 2] as const) {
    const client = await connected(`lower ${granted}`)
    t.same((await client.subscribe('lower', granted)).granted, [granted])
    for (const published of [0, 1, 2] as const) await publisher.publish('lower', `q${published}`, published)
    t.same(
      payloads(await client.ping()),
      [0, 1, 2].map(published => `q${published} at ${Math.min(granted, published)}`)
    )
  }
})

t.test('[MQTT-3.3.5-1] overlapping subscriptions give one copy at the highest QoS of those that match', async t => {
  const client = await connected('overlap')
  await client.subscribe('over/#', 0)
  await client.subscribe('over/+', 2)
  await client.subscribe('over/lap', 1)
  await client.subscribe('elsewhere', 2)
  await publisher.publish('over/lap', 'three match', 2)
  await publisher.publish('over/lap/deep', 'one matches', 2)
  t.same(payloads(await client.ping()), ['three match at 2', 'one matches at 0'])
  client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['over/+'] })
  await client.expect('unsuback')
  await publisher.publish('over/lap', 'two match', 2)
  t.same(payloads(await client.ping()), ['two match at 1'])
})

t.test('3.1: overlapping subscriptions give one copy too', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'overlap31', version: 3 })
  await client.subscribe('old/#', 0)
  await client.subscribe('old/+', 1)
  await publisher.publish('old/a', 'x', 2)
  t.same(payloads(await client.ping()), ['x at 1'])
})

t.test('[MQTT-3.10.4-1] [MQTT-4.7.3-4] UNSUBSCRIBE removes the filter with the same characters only', async t => {
  const client = await connected('exact')
  await client.subscribe('exact/a')
  await client.subscribe('exact/+')
  await client.subscribe('exact/\u00e4')
  client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['exact/A', 'exact/a/', 'exact/#', '+/a', 'exact/a\u0308'] })
  await client.expect('unsuback')
  t.same(broker.describeClients().find(({ clientId }) => clientId === 'exact')?.subscriptions.length, 3)
  client.send({ cmd: 'unsubscribe', messageId: 10, unsubscriptions: ['exact/+'] })
  await client.expect('unsuback')
  await publisher.publish('exact/a', 'kept')
  await publisher.publish('exact/b', 'gone')
  await publisher.publish('exact/\u00e4', 'kept too')
  await publisher.ping()
  t.same(payloads(await client.ping()), ['kept at 0', 'kept too at 0'])
})

t.test('[MQTT-3.10.4-2] after UNSUBACK no new message is added', async t => {
  const client = await connected('stopped', false)
  await client.subscribe('stopped', 1)
  client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['stopped'] })
  await client.expect('unsuback')
  await publisher.publish('stopped', 'live', 1)
  t.same(await client.ping(), [])
  await client.disconnect()
  await publisher.publish('stopped', 'queued', 1)
  t.same(await (await connected('stopped', false)).ping(), [])
})

t.test('[MQTT-3.10.4-3] deliveries that began are completed after UNSUBSCRIBE, over a reconnect too', async t => {
  const client = await connected('completed', false)
  await client.subscribe('completed', 2)
  await publisher.publish('completed', 'one', 1)
  await publisher.publish('completed', 'two', 2)
  const [one, two] = [await client.expect('publish'), await client.expect('publish')]
  client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['completed'] })
  await client.expect('unsuback')
  client.send({ cmd: 'pubrec', messageId: two.messageId })
  t.equal((await client.expect('pubrel')).messageId, two.messageId)
  await client.disconnect()
  const again = await connected('completed', false)
  t.match(await again.next(), { cmd: 'publish', messageId: one.messageId, dup: true })
  t.match(await again.next(), { cmd: 'pubrel', messageId: two.messageId })
})

t.test('[MQTT-3.10.4-6] several filters of one UNSUBSCRIBE get one UNSUBACK', async t => {
  const client = await connected('several')
  for (const filter of ['s/a', 's/b', 's/c']) await client.subscribe(filter)
  t.same(await answer(client, raw(0xa2, 0, 9, field('s/a'), field('unknown'), field('s/c'))), raw(0xb0, 0, 9))
  await client.expect('unsuback')
  for (const topic of ['s/a', 's/b', 's/c']) await publisher.publish(topic, topic)
  await publisher.ping()
  t.same(payloads(await client.ping()), ['s/b at 0'])
})
