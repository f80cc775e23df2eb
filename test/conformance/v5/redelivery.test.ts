import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { arrivals, connect, connectStored, payloads, publishPacket } from './clients.ts'

const { port } = await TestBroker.start(t)
const publisher = await connect(port, 'publisher')

t.test('[MQTT-4.4.0-1] what is unacknowledged comes again with its Packet Identifier when the session is taken up', async t => {
  const client = await connectStored(port, 'resend')
  await client.subscribe('resend', 2)
  for (const [payload, qos] of [
    ['q1', 1],
    ['done', 1],
    ['q2', 2],
    ['released', 2],
    ['finished', 2]
  ] as const) {
    await publisher.publish('resend', payload, qos)
  }
  const sent = new Map((await arrivals(client, 5)).map(packet => [String(packet.payload), packet.messageId]))
  client.send({ cmd: 'puback', messageId: sent.get('done') })
  for (const payload of ['released', 'finished']) {
    client.send({ cmd: 'pubrec', messageId: sent.get(payload) })
    await client.expect('pubrel')
  }
  client.send({ cmd: 'pubcomp', messageId: sent.get('finished') })
  await client.ping()
  for (const attempt of ['second', 'third']) {
    await client.cut()
    const again = await connectStored(port, 'resend')
    t.match(
      await arrivals(again, 3),
      [
        { cmd: 'publish', messageId: sent.get('q1'), qos: 1, dup: true },
        { cmd: 'publish', messageId: sent.get('q2'), qos: 2, dup: true },
        { cmd: 'pubrel', messageId: sent.get('released') }
      ],
      `${attempt} attempt`
    )
    t.same(await again.ping(), [])
    await again.cut()
  }
})

t.test('[MQTT-4.4.0-1] nothing is sent again while the connection lasts, whatever the client leaves unanswered', async t => {
  const client = await connectStored(port, 'once')
  await client.subscribe('once/#', 2)
  await publisher.publish('once/a', 'q1', 1)
  await publisher.publish('once/a', 'q2', 2)
  await publisher.publish('once/a', 'released', 2)
  const released = (await arrivals(client, 3)).at(-1)
  client.send({ cmd: 'pubrec', messageId: released?.messageId })
  await client.expect('pubrel')
  await client.subscribe('once/+', 2)
  for (const payload of ['another', 'and another']) {
    await publisher.publish('once/b', payload, 1)
    const packet = await client.expect('publish')
    t.equal(String(packet.payload), payload)
    client.send({ cmd: 'puback', messageId: packet.messageId })
  }
  t.same(await client.ping(), [])
})

t.test('[MQTT-4.4.0-1] with Clean Start 1 nothing of the old session is sent again', async t => {
  const client = await connectStored(port, 'clean')
  await client.subscribe('clean', 1)
  await publisher.publish('clean', 'x', 1)
  await client.expect('publish')
  await client.cut()
  const again = await connect(port, 'clean', { clean: true, properties: { sessionExpiryInterval: 1000 } })
  await again.subscribe('clean', 1)
  await publisher.publish('clean', 'new', 1)
  t.same(payloads(await arrivals(again, 1)), ['new'])
})

t.test('[MQTT-4.4.0-2] what was refused by PUBACK or PUBREC is not sent again', async t => {
  const client = await connectStored(port, 'refused')
  await client.subscribe('refused', 2)
  await publisher.publish('refused', 'q1', 1)
  await publisher.publish('refused', 'q2', 2)
  await publisher.publish('refused', 'kept', 1)
  const [first, second] = await arrivals(client, 3)
  client.send({ cmd: 'puback', messageId: first?.messageId, reasonCode: 0x80 })
  client.send({ cmd: 'pubrec', messageId: second?.messageId, reasonCode: 0x97 })
  await client.ping()
  await client.cut()
  const again = await connectStored(port, 'refused')
  t.same(payloads(await arrivals(again, 1)), ['kept'])
  t.same(await again.ping(), [])
})

t.test('what a client sends again after a reconnect is acknowledged: QoS 2 ids are remembered, QoS 1 is taken again', async t => {
  const watcher = await connect(port, 'watcher')
  await watcher.subscribe('sender/#', 0)
  const sender = await connectStored(port, 'sender')
  sender.send(publishPacket('sender/2', 'q2', 2, 1))
  await sender.expect('pubrec')
  sender.send(publishPacket('sender/2', 'q2 released', 2, 2))
  await sender.expect('pubrec')
  sender.send({ cmd: 'pubrel', messageId: 2 })
  await sender.expect('pubcomp')
  sender.send(publishPacket('sender/1', 'q1', 1, 3))
  await sender.expect('puback')
  await sender.cut()
  const again = await connectStored(port, 'sender')
  again.send(publishPacket('sender/2', 'q2', 2, 1, { dup: true }))
  t.match(await again.expect('pubrec'), { messageId: 1, reasonCode: 0 })
  again.send({ cmd: 'pubrel', messageId: 2 })
  t.match(await again.expect('pubcomp'), { messageId: 2, reasonCode: 0x92 })
  again.send(publishPacket('sender/1', 'q1', 1, 3, { dup: true }))
  t.match(await again.expect('puback'), { messageId: 3, reasonCode: 0 })
  t.same(payloads(await watcher.ping()), ['q2', 'q2 released', 'q1', 'q1'])
})
