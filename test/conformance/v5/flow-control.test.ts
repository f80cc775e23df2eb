import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import type { RawClient } from '../../support/raw-client.ts'
import { arrivals, connect, connectStored, payloads, publishPacket } from './clients.ts'

const { port } = await TestBroker.start(t, { limits: { maxInflight: 5 } })
const publisher = await connect(port, 'publisher')

async function publishAll(topic: string, count: number, qos: 1 | 2): Promise<void> {
  for (let i = 1; i <= count; i++) await publisher.publish(topic, String(i), qos)
}

function open(stored: boolean, clientId: string, properties: object): Promise<RawClient> {
  return stored ? connectStored(port, clientId, properties) : connect(port, clientId, { properties })
}

for (const stored of [true, false]) {
  const kind = stored ? 'a stored session' : 'a session in memory'

  t.test(`[MQTT-4.9.0-1] the send quota begins with the Receive Maximum, and maxInflight at most: ${kind}`, async t => {
    for (const [properties, quota] of [
      [{ receiveMaximum: 3 }, 3],
      [{ receiveMaximum: 1 }, 1],
      [{ receiveMaximum: 100 }, 5],
      [{}, 5]
    ] as const) {
      const topic = `quota/${stored}/${JSON.stringify(properties)}`
      const client = await open(stored, topic, properties)
      await client.subscribe(topic, 1)
      await publishAll(topic, 8, 1)
      const first = await arrivals(client, quota)
      t.same(payloads(first), ['1', '2', '3', '4', '5'].slice(0, quota))
      t.same(await client.ping(), [])
      for (const { messageId } of first) client.send({ cmd: 'puback', messageId })
      const rest = await arrivals(client, Math.min(quota, 8 - quota))
      t.equal(String(rest[0]?.payload), String(quota + 1))
    }
  })

  t.test(
    `[MQTT-4.9.0-2] without quota no QoS 1 or 2 PUBLISH goes out, and each end of a delivery gives one back: ${kind}`,
    async t => {
      const topic = `spent/${stored}`
      const client = await open(stored, topic, { receiveMaximum: 2 })
      await client.subscribe(topic, 2)
      await publishAll(topic, 5, 2)
      const [one, two] = await arrivals(client, 2)
      t.same(await client.ping(), [])
      client.send({ cmd: 'pubrec', messageId: one?.messageId })
      t.match(await client.next(), { cmd: 'pubrel', messageId: one?.messageId })
      t.same(await client.ping(), [], 'PUBREC gives nothing back')
      client.send({ cmd: 'pubcomp', messageId: one?.messageId })
      t.same(payloads(await arrivals(client, 1)), ['3'], 'PUBCOMP does')
      t.same(await client.ping(), [])
      client.send({ cmd: 'pubcomp', messageId: one?.messageId })
      t.same(await client.ping(), [], 'but not twice')
      client.send({ cmd: 'pubrec', messageId: two?.messageId, reasonCode: 0x80 })
      t.same(payloads(await arrivals(client, 1)), ['4'], 'and a PUBREC that refuses')
      t.same(await client.ping(), [])
    }
  )

  t.test(`[MQTT-4.9.0-3] without quota every other packet is handled and answered: ${kind}`, async t => {
    const topic = `busy/${stored}`
    const client = await open(stored, topic, { receiveMaximum: 1 })
    await client.subscribe(topic, 2)
    await publishAll(topic, 3, 2)
    const { messageId } = await client.expect('publish')
    t.same(await client.ping(), [])
    t.match(await client.subscribe('busy/more', 1), { granted: [1] })
    client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['busy/more'] })
    await client.expect('unsuback')
    await client.publish('elsewhere', 'x', 1)
    await client.publish('elsewhere', 'x', 2)
    await publisher.publish(topic, 'at QoS 0', 0)
    t.same(payloads([await client.expect('publish')]), ['at QoS 0'])
    client.send({ cmd: 'pubrec', messageId })
    t.match(await client.expect('pubrel'), { messageId })
  })
}

t.test('[MQTT-4.9.0-1] each connection begins anew: what is sent again keeps to the Receive Maximum it named', async t => {
  const client = await connectStored(port, 'anew', { receiveMaximum: 4 })
  await client.subscribe('anew', 1)
  await publishAll('anew', 6, 1)
  await arrivals(client, 4)
  await client.cut()
  const again = await connectStored(port, 'anew', { receiveMaximum: 1 })
  for (const payload of ['1', '2', '3', '4', '5', '6']) {
    const packet = await again.expect('publish')
    t.equal(String(packet.payload), payload)
    t.equal(packet.dup, Number(payload) <= 4)
    t.same(await again.ping(), [])
    again.send({ cmd: 'puback', messageId: packet.messageId })
  }
})

t.test('[MQTT-3.3.4-10] PUBRELs of an earlier connection do not wait for quota', async t => {
  const client = await connectStored(port, 'release', { receiveMaximum: 4 })
  await client.subscribe('release', 2)
  await publishAll('release', 5, 2)
  const [one, two, three, four] = await arrivals(client, 4)
  for (const packet of [two, three]) {
    client.send({ cmd: 'pubrec', messageId: packet?.messageId })
    await client.expect('pubrel')
  }
  await client.cut()
  const again = await connectStored(port, 'release', { receiveMaximum: 1 })
  t.match(await arrivals(again, 3), [
    { cmd: 'publish', messageId: one?.messageId, dup: true },
    { cmd: 'pubrel', messageId: two?.messageId },
    { cmd: 'pubrel', messageId: three?.messageId }
  ])
  t.same(await again.ping(), [], 'the other PUBLISH packets do')
  for (const packet of [two, three]) again.send({ cmd: 'pubcomp', messageId: packet?.messageId })
  t.same(await again.ping(), [])
  again.send({ cmd: 'pubrec', messageId: one?.messageId })
  await again.expect('pubrel')
  again.send({ cmd: 'pubcomp', messageId: one?.messageId })
  t.match(await again.expect('publish'), { messageId: four?.messageId, dup: true })
})

t.test('a client that has more in flight than the Receive Maximum of the broker is told 0x93', async t => {
  const { port } = await TestBroker.start(t, { limits: { receiveMaximum: 3 } })
  for (const stored of [true, false]) {
    const client = await connect(port, 'greedy', stored ? { clean: false, properties: { sessionExpiryInterval: 9 } } : {})
    client.socket.cork()
    for (let id = 1; id <= 4; id++) client.send(publishPacket('greedy', 'x', 2, id))
    client.socket.uncork()
    t.match((await client.ended()).at(-1), { cmd: 'disconnect', reasonCode: 0x93 })
    const modest = await connect(port, 'modest')
    for (let id = 1; id <= 3; id++) modest.send(publishPacket('greedy', 'x', 2, id))
    t.same(
      (await arrivals(modest, 3)).map(({ cmd }) => cmd),
      ['pubrec', 'pubrec', 'pubrec']
    )
    for (const dup of [false, true]) {
      modest.send(publishPacket('greedy', 'x', 2, 3, { dup }))
      await modest.expect('pubrec')
    }
    modest.send({ cmd: 'pubrel', messageId: 1 })
    await modest.expect('pubcomp')
    modest.send(publishPacket('greedy', 'x', 2, 1))
    t.match(await modest.expect('pubrec'), { messageId: 1 }, 'PUBCOMP gives one back')
    await modest.disconnect()
  }
})
