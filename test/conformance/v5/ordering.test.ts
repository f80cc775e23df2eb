import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import type { AnyPacket, RawClient } from '../../support/raw-client.ts'
import { arrivals, connect, connectStored, publishPacket } from './clients.ts'

const { port } = await TestBroker.start(t)
/** Within the Receive Maximum of the broker, so that a publisher may send all of it at once. */
const burst = 90

t.test('[MQTT-4.6.0-2] the PUBACKs of the broker come in the order of the PUBLISH packets, whatever each waits for', async t => {
  const client = await connectStored(port, 'acks')
  await client.subscribe('acks/stored', 1)
  const publisher = await connect(port, 'acks-publisher')
  // In a stream, for a stored session, retained, for nobody: some wait for the disk and some do not.
  const topics = ['devices/acks', 'acks/stored', 'acks/retained', 'acks/nobody']
  publisher.socket.cork()
  for (let id = 1; id <= burst; id++) {
    const topic = topics[id % topics.length] ?? ''
    publisher.send(publishPacket(topic, String(id), 1, id, { retain: topic === 'acks/retained' }))
  }
  publisher.socket.uncork()
  t.same(idsOf(await arrivals(publisher, burst)), numbers(burst))
})

t.test('[MQTT-4.6.0-3] the PUBRECs of the broker come in the order of the PUBLISH packets, among the PUBACKs too', async t => {
  const publisher = await connectStored(port, 'recs-publisher')
  publisher.socket.cork()
  for (let id = 1; id <= burst; id++) {
    publisher.send(publishPacket(id % 3 === 0 ? 'devices/recs' : 'recs', String(id), id % 2 === 0 ? 2 : 1, id))
  }
  publisher.socket.uncork()
  const answers = await arrivals(publisher, burst)
  t.same(idsOf(answers), numbers(burst))
  t.ok(answers.every(({ cmd, messageId }) => cmd === (Number(messageId) % 2 === 0 ? 'pubrec' : 'puback')))
})

t.test('[MQTT-4.6.0-4] the PUBRELs of the broker come in the order of the PUBRECs', async t => {
  for (const stored of [true, false]) {
    const client = stored ? await connectStored(port, 'rels') : await connect(port, 'rels0')
    await client.subscribe(`rels/${stored}`, 2)
    const publisher = await connect(port, 'rels-publisher')
    for (let id = 1; id <= burst; id++) publisher.send(publishPacket(`rels/${stored}`, String(id), 2, id))
    const ids = idsOf(await arrivals(client, burst)).reverse()
    client.socket.cork()
    for (const messageId of ids) client.send({ cmd: 'pubrec', messageId })
    client.socket.uncork()
    const answers = await arrivals(client, burst)
    t.ok(answers.every(({ cmd }) => cmd === 'pubrel'))
    t.same(idsOf(answers), ids)
    await publisher.cut()
  }
})

t.test(
  '[MQTT-4.6.0-5] [MQTT-4.6.0-6] each topic and QoS keeps the order of its publisher, live, queued and sent again',
  async t => {
    const topics = ['order/a', 'order/b', 'devices/order']
    const seen = new Map<string, number[]>()
    const note = (packet: AnyPacket): void => {
      if (packet.dup) return
      const key = `${packet.topic} at ${packet.qos}`
      const numbers = seen.get(key)
      if (numbers) numbers.push(Number(packet.payload))
      else seen.set(key, [Number(packet.payload)])
    }
    const publisher = await connect(port, 'order-publisher')
    let next = 1
    const publish = async (count: number, qos: readonly (0 | 1 | 2)[]): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const number = next++
        await publisher.publish(topics[number % 3] ?? '', String(number), qos[number % qos.length])
      }
    }
    let client = await connectStored(port, 'order', { receiveMaximum: 7 })
    for (const filter of ['order/#', 'devices/+']) await client.subscribe(filter, 2)
    await publish(60, [0, 1, 2, 1])
    await answer(client, 60, note)
    await client.disconnect()
    await publish(60, [1, 2])
    client = await connectStored(port, 'order', { receiveMaximum: 7 })
    const unanswered = await arrivals(client, 7)
    for (const packet of unanswered) note(packet)
    await client.cut()
    client = await connectStored(port, 'order', { receiveMaximum: 7 })
    const resent: AnyPacket[] = []
    await answer(client, 60, packet => {
      if (packet.dup) resent.push(packet)
      note(packet)
    })
    for (const qos of [1, 2]) {
      const ofQos = (packets: readonly AnyPacket[]) => idsOf(packets.filter(packet => packet.qos === qos))
      t.same(ofQos(resent), ofQos(unanswered), `QoS ${qos} is sent again in the order of the first time`)
    }
    await publish(30, [2, 1])
    await answer(client, 30, note)
    for (const [key, order] of seen) {
      t.same(
        order,
        [...order].sort((a, b) => a - b),
        key
      )
    }
    const all = [...seen.values()].flat()
    t.same(
      all.sort((a, b) => a - b),
      numbers(150),
      'none is missing, none came twice'
    )
  }
)

t.test('retained messages of a topic do not overtake newer ones, nor come after them', async t => {
  const publisher = await connect(port, 'newest-publisher')
  for (let round = 1; round <= 20; round++) {
    const client = await connect(port, 'newest')
    for (let i = 1; i <= 3; i++) publisher.send(publishPacket('newest/a', `${round * 10 + i}`, 1, i, { retain: true }))
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'newest/#', qos: 1 }] })
    await arrivals(publisher, 3)
    const order = (await client.ping()).filter(({ cmd }) => cmd === 'publish').map(({ payload }) => Number(payload))
    t.same(
      order,
      [...order].sort((a, b) => a - b)
    )
    await client.disconnect()
  }
})

/** Takes `count` messages and answers each to the end of its handshake. */
async function answer(client: RawClient, count: number, note: (packet: AnyPacket) => void): Promise<void> {
  let open = 0
  for (let taken = 0; taken < count || open > 0; ) {
    const packet = await client.next()
    if (packet === undefined) throw new Error('the connection ended')
    const { messageId } = packet
    if (packet.cmd === 'pubrel') {
      client.send({ cmd: 'pubcomp', messageId })
      open--
    } else {
      note(packet)
      taken++
      if (packet.qos === 1) client.send({ cmd: 'puback', messageId })
      if (packet.qos !== 2) continue
      client.send({ cmd: 'pubrec', messageId })
      open++
    }
  }
}

function idsOf(packets: readonly AnyPacket[]): unknown[] {
  return packets.map(({ messageId }) => messageId)
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1)
}
