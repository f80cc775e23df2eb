import { once } from 'node:events'
import t from 'tap'
import type { SessionStore } from '../../../persistence/contract.ts'
import { field, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'
import { answerTo } from '../wire.ts'

const { port } = await TestBroker.start(t)
const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })

function publish(topic: string, qos: 0 | 1 | 2, messageId: number, changes: object = {}): object {
  return { cmd: 'publish', topic, payload: String(messageId), qos, messageId, retain: false, dup: false, ...changes }
}

async function subscriber(topic: string, qos: 0 | 1 | 2, clean = true): Promise<RawClient> {
  const { client } = await RawClient.connect(port, { clientId: `at ${topic}`, clean })
  await client.subscribe(topic, qos)
  return client
}

t.test('[MQTT-2.3.1-1] Packet Identifier 0 closes the connection', async t => {
  t.same(await answerTo(port, raw(0x32, field('a'), 0, 0)), ['closed'], 'PUBLISH at QoS 1')
  t.same(await answerTo(port, raw(0x34, field('a'), 0, 0)), ['closed'], 'PUBLISH at QoS 2')
  t.same(await answerTo(port, raw(0x82, 0, 0, field('a'), 0)), ['closed'], 'SUBSCRIBE')
  t.same(await answerTo(port, raw(0xa2, 0, 0, field('a'))), ['closed'], 'UNSUBSCRIBE')
})

t.test('[MQTT-2.3.1-4] [MQTT-4.3.2-1] identifiers are not 0, not in use, and free again after PUBACK', async t => {
  const client = await subscriber('ids', 1)
  const inUse = new Set<number>()
  for (let i = 0; i < 60; i++) {
    await publisher.publish('ids', String(i), 1)
    const packet = await client.expect('publish')
    t.notOk(inUse.has(Number(packet.messageId)) || packet.messageId === 0 || packet.dup)
    // Every third one stays unacknowledged.
    if (i % 3 === 0) inUse.add(Number(packet.messageId))
    else client.send({ cmd: 'puback', messageId: packet.messageId })
  }
})

t.test('[MQTT-2.3.1-5] [MQTT-4.3.1-1] QoS 0 has neither identifier nor DUP, in both directions', async t => {
  const client = await subscriber('plain', 0)
  const bytes = once(client.socket, 'data')
  publisher.sendBytes(raw(0x30, field('plain'), Buffer.from([1, 2, 3])))
  t.same((await bytes)[0], raw(0x30, field('plain'), Buffer.from([1, 2, 3])))
})

t.test('[MQTT-2.3.1-6] [MQTT-3.3.4-1] QoS 0 gets no answer, QoS 1 a PUBACK and QoS 2 a PUBREC with its identifier', async t => {
  publisher.send(publish('answers', 0, 0, { messageId: undefined }))
  t.same(await publisher.ping(), [])
  publisher.send(publish('answers', 1, 513))
  t.match(await publisher.next(), { cmd: 'puback', messageId: 513 })
  publisher.send(publish('answers', 2, 514))
  t.match(await publisher.next(), { cmd: 'pubrec', messageId: 514 })
  publisher.send({ cmd: 'pubrel', messageId: 514 })
  t.match(await publisher.next(), { cmd: 'pubcomp', messageId: 514 })
})

t.test('[MQTT-2.2.2-1] [MQTT-3.6.1-1] what the broker sends has the flags of table 2.2', async t => {
  const client = await subscriber('bits', 2)
  const seen: number[] = []
  client.socket.on('data', bytes => seen.push(bytes[0]!))
  await publisher.publish('bits', 'x', 2)
  const { messageId } = await client.expect('publish')
  client.send({ cmd: 'pubrec', messageId })
  await client.expect('pubrel')
  client.send({ cmd: 'pubcomp', messageId })
  client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['bits'] })
  await client.expect('unsuback')
  client.send(publish('elsewhere', 1, 1))
  await client.expect('puback')
  client.send(publish('elsewhere', 2, 2))
  await client.expect('pubrec')
  client.send({ cmd: 'pubrel', messageId: 2 })
  await client.expect('pubcomp')
  await client.subscribe('bits')
  await client.ping()
  t.same(seen, [0x34, 0x62, 0xb0, 0x40, 0x50, 0x70, 0x90, 0xd0])
})

t.test('[MQTT-3.6.1-1] [MQTT-2.2.2-2] acknowledgements with other flags close the connection', async t => {
  for (const flags of [0, 1, 3, 4, 6, 10]) t.same(await answerTo(port, raw(0x60 | flags, 0, 1)), ['closed'], `PUBREL ${flags}`)
  t.same(await answerTo(port, raw(0x62, 0, 1)), ['pubcomp', 'alive'])
  for (const type of [0x40, 0x50, 0x70]) {
    for (const flags of [1, 2, 4, 8]) t.same(await answerTo(port, raw(type | flags, 0, 1)), ['closed'])
  }
})

t.test(
  '[MQTT-3.3.1-1] [MQTT-3.3.1-3] [MQTT-4.4.0-1] unacknowledged messages come again, with DUP and their identifiers',
  async t => {
    const client = await subscriber('again', 2, false)
    publisher.send(publish('again', 1, 1, { dup: true }))
    await publisher.expect('puback')
    publisher.send(publish('again', 2, 2, { dup: true }))
    await publisher.expect('pubrec')
    const first = [await client.expect('publish'), await client.expect('publish')]
    t.match(first, [
      { qos: 1, dup: false },
      { qos: 2, dup: false }
    ])
    await client.cut()
    const { client: back } = await RawClient.connect(port, { clientId: 'at again', clean: false })
    const second = [await back.expect('publish'), await back.expect('publish')]
    t.match(second, [
      { qos: 1, dup: true, messageId: first[0]?.messageId },
      { qos: 2, dup: true, messageId: first[1]?.messageId }
    ])
  }
)

t.test('[MQTT-4.3.3-1] [MQTT-4.4.0-1] after PUBREL it is PUBREL that comes again, never PUBLISH', async t => {
  const client = await subscriber('released', 2, false)
  await publisher.publish('released', 'x', 2)
  const { messageId, dup } = await client.expect('publish')
  t.equal(dup, false)
  client.send({ cmd: 'pubrec', messageId })
  t.equal((await client.expect('pubrel')).messageId, messageId)
  for (let i = 0; i < 2; i++) {
    await client.cut()
    const { client: back } = await RawClient.connect(port, { clientId: 'at released', clean: false })
    t.match(await back.next(), { cmd: 'pubrel', messageId })
    t.same(await back.ping(), [])
    await back.cut()
  }
  const { client: last } = await RawClient.connect(port, { clientId: 'at released', clean: false })
  await last.expect('pubrel')
  last.send({ cmd: 'pubcomp', messageId })
  await last.ping()
  await last.cut()
  const { client: done } = await RawClient.connect(port, { clientId: 'at released', clean: false })
  t.same(await done.ping(), [], 'PUBCOMP ends it')
})

t.test('[MQTT-3.3.1-2] QoS 0 with DUP closes the connection', async t => {
  t.same(await answerTo(port, raw(0x38, field('a'))), ['closed'])
})

t.test('[MQTT-3.3.1-4] QoS 3 closes the connection', async t => {
  t.same(await answerTo(port, raw(0x36, field('a'), 0, 1)), ['closed'])
})

t.test('[MQTT-4.3.2-2] a QoS 1 identifier that was acknowledged is a new message, with DUP or without', async t => {
  const client = await subscriber('new', 0)
  for (const dup of [false, true, true]) {
    publisher.send(publish('new', 1, 77, { dup }))
    t.match(await publisher.next(), { cmd: 'puback', messageId: 77 })
  }
  t.equal((await client.ping()).length, 3)
})

t.test('[MQTT-4.3.3-2] QoS 2 is delivered once until PUBREL, over reconnects too; then the identifier is new', async t => {
  const client = await subscriber('once', 0)
  const device = { clientId: 'exactly', clean: false }
  let { client: sender } = await RawClient.connect(port, device)
  sender.send(publish('once', 2, 5))
  await sender.expect('pubrec')
  sender.send(publish('once', 2, 5, { dup: true }))
  await sender.expect('pubrec')
  await sender.cut()
  sender = (await RawClient.connect(port, device)).client
  sender.send(publish('once', 2, 5, { dup: true }))
  await sender.expect('pubrec')
  t.equal((await client.ping()).length, 1)
  sender.send({ cmd: 'pubrel', messageId: 5 })
  t.match(await sender.next(), { cmd: 'pubcomp', messageId: 5 })
  sender.send({ cmd: 'pubrel', messageId: 5 })
  t.match(await sender.next(), { cmd: 'pubcomp', messageId: 5 }, 'a PUBREL that comes again is answered again')
  sender.send(publish('once', 2, 5))
  await sender.expect('pubrec')
  t.equal((await client.ping()).length, 1, 'a new message')
})

t.test('[MQTT-4.6.0-1] what comes again comes in the order it was sent in, QoS 1 and 2 alike, before what is new', async t => {
  const client = await subscriber('order', 2, false)
  const numbersOf = async (receiver: RawClient, dup: boolean): Promise<number[]> => {
    const numbers: number[] = []
    for (let i = 0; i < 20; i++) {
      const packet = await receiver.expect('publish')
      t.equal(packet.dup, dup)
      numbers.push(Number(packet.payload))
    }
    return numbers
  }
  const { client: burst } = await RawClient.connect(port, { clientId: 'burst' })
  burst.socket.cork()
  for (let id = 1; id <= 20; id++) burst.send(publish('order', id % 2 ? 2 : 1, id))
  burst.socket.uncork()
  const sent = await numbersOf(client, false)
  await client.cut()
  for (let id = 21; id <= 30; id++) await publisher.publish('order', String(id), 1)
  const { client: back } = await RawClient.connect(port, { clientId: 'at order', clean: false })
  t.same(await numbersOf(back, true), sent)
  for (let id = 21; id <= 30; id++) t.match(await back.expect('publish'), { dup: false, payload: Buffer.from(String(id)) })
})

t.test(
  '[MQTT-4.6.0-2] [MQTT-4.6.0-3] PUBACK and PUBREC come in the order of the messages, whatever has to reach the disk',
  async t => {
    const { client } = await RawClient.connect(port, { clientId: 'acks' })
    client.socket.cork()
    // Every other topic goes into a stream and waits for the disk.
    for (let id = 1; id <= 200; id++) client.send(publish(id % 2 ? 'devices/acks' : 'elsewhere', id % 4 < 2 ? 1 : 2, id))
    client.socket.uncork()
    const answers: string[] = []
    for (let id = 1; id <= 200; id++) {
      const packet = await client.next()
      answers.push(`${packet?.cmd} ${packet?.messageId}`)
    }
    t.same(
      answers,
      Array.from({ length: 200 }, (_, i) => `${(i + 1) % 4 < 2 ? 'puback' : 'pubrec'} ${i + 1}`)
    )
  }
)

t.test('[MQTT-4.6.0-4] PUBREL comes in the order of the PUBRECs', async t => {
  const client = await subscriber('pubrels', 2, false)
  const ids: unknown[] = []
  for (let i = 0; i < 10; i++) {
    await publisher.publish('pubrels', String(i), 2)
    ids.push((await client.expect('publish')).messageId)
  }
  ids.reverse()
  for (const messageId of ids) client.send({ cmd: 'pubrec', messageId })
  const released: unknown[] = []
  for (let i = 0; i < 10; i++) released.push((await client.expect('pubrel')).messageId)
  t.same(released, ids)
})

t.test('[MQTT-4.6.0-5] [MQTT-4.6.0-6] each publisher, topic and QoS arrives in order, live and from the queue', async t => {
  const live = await subscriber('ordered/+', 2)
  const away = await subscriber('ordered/#', 2, false)
  await away.cut()
  const { client } = await RawClient.connect(port, { clientId: 'ordering' })
  client.socket.cork()
  for (let id = 1; id <= 300; id++) client.send(publish(`ordered/${id % 3}`, (id % 2) + 1 === 1 ? 1 : 2, id))
  client.socket.uncork()
  const { client: back } = await RawClient.connect(port, { clientId: 'at ordered/#', clean: false })
  for (const receiver of [live, back]) {
    const last = new Map<string, number>()
    for (let i = 0; i < 300; i++) {
      const packet = await receiver.expect('publish')
      const way = `${packet.topic} ${packet.qos}`
      const number = Number(packet.payload)
      if (number <= (last.get(way) ?? 0)) t.fail(`${number} after ${last.get(way)} on ${way}`)
      last.set(way, number)
    }
    t.equal(last.size, 6)
  }
})

t.test('[MQTT-4.5.0-1] a message reaches every session with a matching subscription, away or not', async t => {
  const live = await subscriber('all/a', 1)
  const away = await subscriber('all/+', 1, false)
  await away.cut()
  const elsewhere = await subscriber('all', 1)
  await publisher.publish('all/a', 'x', 1)
  t.match(await live.expect('publish'), { topic: 'all/a' })
  const { client: back } = await RawClient.connect(port, { clientId: 'at all/+', clean: false })
  t.match(await back.expect('publish'), { topic: 'all/a' })
  t.same(await elsewhere.ping(), [])
})

t.test('[MQTT-4.8.0-1] an acknowledgement of the wrong kind closes the connection, one for nothing is let pass', async t => {
  for (const [qos, wrong] of [
    [1, 'pubrec'],
    [1, 'pubcomp'],
    [2, 'puback'],
    [2, 'pubcomp']
  ] as const) {
    const topic = `wrong ${qos} ${wrong}`
    const client = await subscriber(topic, qos)
    client.send({ cmd: wrong, messageId: 4711 })
    t.equal((await client.ping()).length, wrong === 'pubrec' ? 1 : 0, 'PUBREC is answered with PUBREL')
    await publisher.publish(topic, 'x', 2)
    const { messageId } = await client.expect('publish')
    client.send({ cmd: wrong, messageId })
    t.same(await client.ended(), [], `${wrong} for QoS ${qos}`)
  }
})

t.test('[MQTT-4.8.0-2] a message that cannot be stored is not acknowledged: its connection closes', async t => {
  let failing = false
  const wrapStore = (store: SessionStore): SessionStore =>
    new Proxy(store, {
      get(inner, key) {
        const value = Reflect.get(inner, key, inner) as unknown
        if (typeof value !== 'function') return value
        if (key !== 'commit') return value.bind(inner)
        return () => (failing ? Promise.reject(new Error('ENOSPC: no space left on device')) : inner.commit())
      }
    })
  const { port } = await TestBroker.start(t, { wrapStore })
  const { client } = await RawClient.connect(port, { clientId: 'unlucky' })
  await client.publish('kept', 'x', 1, { retain: true })
  failing = true
  client.send(publish('kept', 1, 9, { retain: true }))
  t.same(await client.ended(), [])
  failing = false
})
