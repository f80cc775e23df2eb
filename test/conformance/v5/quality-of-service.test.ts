import t from 'tap'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import type { AnyPacket, RawClient } from '../../support/raw-client.ts'
import { arrivals, connect, connectStored, noSecrets, payloads, publishPacket } from './clients.ts'

const clock = new ManualClock()
const { port } = await TestBroker.start(t, { clock, access: { policy: noSecrets } })
const publisher = await connect(port, 'publisher')

/** A client that subscribed to the topic at QoS 2; its session is stored or not. */
async function subscriber(topic: string, stored: boolean, properties: object = {}): Promise<RawClient> {
  const client = stored ? await connectStored(port, topic, properties) : await connect(port, topic, { properties })
  await client.subscribe(topic, 2)
  return client
}

t.test('[MQTT-4.3.1-1] a QoS 0 message is sent with QoS 0 and without DUP', async t => {
  const client = await subscriber('qos0', true)
  await publisher.publish('qos0', 'x', 0)
  t.match(await client.expect('publish'), { qos: 0, dup: false })
})

const firstDeliveries = [
  {
    title: '[MQTT-4.3.2-1] [MQTT-4.3.2-2] a QoS 1 message is first sent with an unused Packet Identifier and without DUP',
    qos: 1
  },
  {
    title: '[MQTT-4.3.3-1] [MQTT-4.3.3-2] a QoS 2 message is first sent with an unused Packet Identifier and without DUP',
    qos: 2
  }
] as const

for (const { title, qos } of firstDeliveries) {
  t.test(title, async t => {
    for (const stored of [true, false]) {
      const topic = `first/${qos}/${stored}`
      const client = await subscriber(topic, stored)
      for (let i = 0; i < 20; i++) {
        // With DUP, which is the publisher's own business.
        publisher.send(publishPacket(topic, String(i), qos, i + 1, { dup: true }))
        await publisher.expect(qos === 1 ? 'puback' : 'pubrec')
      }
      if (qos === 2) await release(publisher, 20)
      const first = await arrivals(client, 20)
      t.ok(first.every(packet => packet.qos === qos && packet.dup === false && Number(packet.messageId) > 0))
      t.equal(new Set(first.map(packet => packet.messageId)).size, 20, 'twenty on their way, twenty ids')
    }
  })
}

t.test('[MQTT-4.3.2-3] a QoS 1 message is unacknowledged, and holds its place in the window, until its PUBACK', async t => {
  for (const stored of [true, false]) {
    const client = await subscriber(`held1/${stored}`, stored, { receiveMaximum: 1 })
    for (const payload of ['one', 'two']) await publisher.publish(`held1/${stored}`, payload, 1)
    const one = await client.expect('publish')
    client.send({ cmd: 'puback', messageId: Number(one.messageId) + 1 })
    t.same(await client.ping(), [], 'a PUBACK of another id changes nothing')
    client.send({ cmd: 'puback', messageId: one.messageId })
    t.equal(String((await client.expect('publish')).payload), 'two')
  }
})

t.test('[MQTT-4.3.2-4] the PUBACK has the Packet Identifier of the PUBLISH', async t => {
  for (const messageId of [1, 300, 65535]) {
    publisher.send(publishPacket('devices/kept', 'x', 1, messageId))
    t.match(await publisher.expect('puback'), { messageId })
  }
})

t.test('[MQTT-4.3.2-5] after the PUBACK a PUBLISH with the same id is a new message, with DUP too', async t => {
  const client = await subscriber('same/1', true)
  for (const [payload, dup] of [
    ['a', false],
    ['b', false],
    ['c', true]
  ] as const) {
    publisher.send(publishPacket('same/1', payload, 1, 77, { dup }))
    t.match(await publisher.expect('puback'), { messageId: 77, reasonCode: 0 })
  }
  t.same(payloads(await arrivals(client, 3)), ['a', 'b', 'c'])
})

t.test('[MQTT-4.3.3-3] [MQTT-4.3.3-5] a QoS 2 message is unfinished, and holds its place, until PUBREC and PUBCOMP', async t => {
  for (const stored of [true, false]) {
    const client = await subscriber(`held2/${stored}`, stored, { receiveMaximum: 1 })
    for (const payload of ['one', 'two']) await publisher.publish(`held2/${stored}`, payload, 2)
    const { messageId } = await client.expect('publish')
    t.same(await client.ping(), [])
    client.send({ cmd: 'pubrec', messageId })
    await client.expect('pubrel')
    t.same(await client.ping(), [], 'PUBREC does not end it')
    client.send({ cmd: 'pubcomp', messageId })
    t.equal(String((await client.expect('publish')).payload), 'two')
  }
})

t.test('[MQTT-4.3.3-4] a PUBREC is answered with PUBREL for the same id, one that refuses ends the delivery', async t => {
  for (const stored of [true, false]) {
    const client = await subscriber(`pubrec/${stored}`, stored, { receiveMaximum: 1 })
    for (const payload of ['taken', 'taken without subscribers', 'refused', 'next']) {
      await publisher.publish(`pubrec/${stored}`, payload, 2)
    }
    for (const reasonCode of [0x00, 0x10]) {
      const { messageId } = await client.expect('publish')
      client.send({ cmd: 'pubrec', messageId, reasonCode })
      t.match(await client.expect('pubrel'), { messageId, reasonCode: 0x00 })
      client.send({ cmd: 'pubcomp', messageId })
    }
    const refused = await client.expect('publish')
    client.send({ cmd: 'pubrec', messageId: refused.messageId, reasonCode: 0x83 })
    t.equal(String((await client.expect('publish')).payload), 'next', 'no PUBREL, and the window is open')
  }
})

t.test('[MQTT-4.3.3-6] the PUBLISH is not sent again once the PUBREL was', async t => {
  const client = await subscriber('released', true)
  await publisher.publish('released', 'x', 2)
  const { messageId } = await client.expect('publish')
  client.send({ cmd: 'pubrec', messageId })
  await client.expect('pubrel')
  await client.cut()
  const again = await connectStored(port, 'released')
  t.match(await again.next(), { cmd: 'pubrel', messageId })
  t.same(await again.ping(), [])
})

t.test('[MQTT-4.3.3-7] a message that was sent is sent again even if it expired since', async t => {
  const client = await subscriber('expiring', true, { receiveMaximum: 1 })
  for (const payload of ['sent', 'waiting']) {
    await publisher.publish('expiring', payload, 2, { properties: { messageExpiryInterval: 10 } })
  }
  await publisher.publish('expiring', 'lasting', 2)
  const { messageId } = await client.expect('publish')
  await client.cut()
  clock.advance(11_000)
  const again = await connectStored(port, 'expiring', { receiveMaximum: 1 })
  const resent = await again.expect('publish')
  t.match(resent, { messageId, dup: true })
  t.equal(String(resent.payload), 'sent')
  again.send({ cmd: 'pubrec', messageId })
  await again.expect('pubrel')
  again.send({ cmd: 'pubcomp', messageId })
  t.equal(String((await again.expect('publish')).payload), 'lasting', 'what only waited has expired')
})

t.test('[MQTT-4.3.3-8] [MQTT-4.3.3-11] PUBREC and PUBCOMP have the Packet Identifier of PUBLISH and PUBREL', async t => {
  for (const messageId of [1, 300, 65535]) {
    publisher.send(publishPacket('devices/kept', 'x', 2, messageId))
    t.match(await publisher.expect('pubrec'), { messageId, reasonCode: 0 })
    publisher.send({ cmd: 'pubrel', messageId })
    t.match(await publisher.expect('pubcomp'), { messageId, reasonCode: 0 })
  }
})

t.test('[MQTT-4.3.3-9] after a PUBREC that refuses, a PUBLISH with the same id is a new message', async t => {
  const client = await subscriber('open', false)
  publisher.send(publishPacket('secret', 'refused', 2, 50))
  t.match(await publisher.expect('pubrec'), { messageId: 50, reasonCode: 0x87 })
  publisher.send(publishPacket('open', 'new', 2, 50))
  t.match(await publisher.expect('pubrec'), { messageId: 50, reasonCode: 0 })
  publisher.send({ cmd: 'pubrel', messageId: 50 })
  t.match(await publisher.expect('pubcomp'), { reasonCode: 0 })
  t.same(payloads(await client.ping()), ['new'])
})

t.test('[MQTT-4.3.3-10] until PUBREL a PUBLISH with the same id gets a PUBREC and is not delivered again', async t => {
  for (const stored of [true, false]) {
    const topic = `again/${stored}`
    const client = await subscriber(topic, false)
    const sender = stored ? await connectStored(port, 'again-sender') : await connect(port, 'again-sender0')
    for (const dup of [false, true, false]) {
      sender.send(publishPacket(topic, 'once', 2, 60, { dup }))
      t.match(await sender.expect('pubrec'), { messageId: 60, reasonCode: 0 })
    }
    t.same(payloads(await client.ping()), ['once'])
  }
})

t.test('[MQTT-4.3.3-12] after PUBCOMP a PUBLISH with the same id is a new message', async t => {
  const client = await subscriber('reused', false)
  for (const payload of ['first', 'second']) {
    publisher.send(publishPacket('reused', payload, 2, 70, { dup: payload === 'second' }))
    await publisher.expect('pubrec')
    publisher.send({ cmd: 'pubrel', messageId: 70 })
    await publisher.expect('pubcomp')
  }
  t.same(payloads(await client.ping()), ['first', 'second'])
})

t.test('[MQTT-4.3.3-13] a message that expires at once, or between PUBREC and PUBREL, is acknowledged to the end', async t => {
  const away = await subscriber('expired', true)
  await away.disconnect()
  for (const [messageId, seconds] of [
    [80, 0],
    [81, 1]
  ] as const) {
    const properties = { messageExpiryInterval: seconds }
    publisher.send(publishPacket('expired', 'x', 2, messageId, { properties }))
    t.match(await publisher.expect('pubrec'), { messageId, reasonCode: 0 })
    clock.advance(2_000)
    publisher.send(publishPacket('expired', 'x', 2, messageId, { properties, dup: true }))
    t.match(await publisher.expect('pubrec'), { messageId, reasonCode: 0 })
    publisher.send({ cmd: 'pubrel', messageId })
    t.match(await publisher.expect('pubcomp'), { messageId, reasonCode: 0 })
  }
  await publisher.publish('expired', 'lasting', 1)
  t.same(payloads(await arrivals(await connectStored(port, 'expired'), 1)), ['lasting'])
})

async function release(client: RawClient, count: number): Promise<AnyPacket[]> {
  for (let id = 1; id <= count; id++) client.send({ cmd: 'pubrel', messageId: id })
  return arrivals(client, count)
}
