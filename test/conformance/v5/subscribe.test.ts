import t from 'tap'
import { field, properties, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { arrivals, connect, connectStored, disconnectsWith, lastWords, noSecrets, payloads, publishPacket } from './clients.ts'

const { port } = await TestBroker.start(t, {
  access: { policy: noSecrets },
  limits: { maxSubscriptionsPerSession: 4, maxTopicLevels: 5 }
})
const publisher = await connect(port, 'publisher')

/** A SUBSCRIBE to one filter with these Subscription Options. */
function withOptions(filter: string, options: number): Buffer {
  return raw(0x82, 0, 10, 0, field(filter), options)
}

t.test('[MQTT-3.8.1-1] a SUBSCRIBE whose flags are not 0010 is answered with DISCONNECT 0x81', async t => {
  for (let flags = 0; flags < 16; flags++) {
    if (flags === 2) continue
    const bytes = raw(0x80 | flags, 0, 10, 0, field('a'), 0)
    t.match(await lastWords(port, bytes), disconnectsWith(0x81), `flags ${flags}`)
  }
})

t.test('[MQTT-3.8.3-1] a Topic Filter that is not UTF-8 is answered with DISCONNECT 0x81', async t => {
  for (const hex of [
    '80',
    'c080',
    'c0af',
    'e0809f',
    'eda080',
    'edbfbf',
    'f08080af',
    'f4908080',
    'f8888080',
    'c3',
    'e282',
    '6100'
  ]) {
    const bytes = raw(0x82, 0, 10, 0, field(Buffer.from(hex, 'hex')), 0)
    t.match(await lastWords(port, bytes), disconnectsWith(0x81), hex)
    t.same(await lastWords(port, raw(0x82, 0, 10, field(Buffer.from(hex, 'hex')), 0), { version: 4, clientId: 'utf8' }), [])
  }
})

t.test('[MQTT-3.8.3-2] a SUBSCRIBE without a Topic Filter is answered with DISCONNECT 0x82', async t => {
  t.match(await lastWords(port, raw(0x82, 0, 10, 0)), disconnectsWith(0x82))
})

t.test('[MQTT-3.8.3-3] with No Local a client does not get what it published itself, on whatever connection', async t => {
  const client = await connectStored(port, 'no-local')
  await client.subscribe('no-local/a', 1, { nl: true })
  await client.subscribe('no-local/b', 1)
  await client.publish('no-local/a', 'own a', 1)
  client.send(publishPacket('no-local/b', 'own b', 1, 99))
  const own = await client.expect('publish')
  t.equal(String(own.payload), 'own b', 'without No Local it does')
  await client.expect('puback')
  await client.cut()
  await publisher.publish('no-local/a', 'foreign a', 1)
  const again = await connectStored(port, 'no-local')
  t.same(payloads(await arrivals(again, 2)), ['own b', 'foreign a'])
  await again.publish('no-local/a', 'own again', 1)
  t.same(await again.ping(), [])
})

t.test('[MQTT-3.8.3-3] what another subscription of the client matches comes by that one alone', async t => {
  const client = await connect(port, 'both')
  await client.subscribe('both/#', 2, { nl: true }, { subscriptionIdentifier: 1 })
  await client.subscribe('both/+', 1, {}, { subscriptionIdentifier: 2 })
  client.send(publishPacket('both/a', 'own', 2, 9))
  const own = (await client.ping()).filter(({ cmd }) => cmd === 'publish')
  t.equal(own.length, 1)
  t.match(own[0], { qos: 1, properties: { subscriptionIdentifier: 2 } })
})

t.test('a retained message belongs to its topic, so a new subscription with No Local gets what its client published', async t => {
  const client = await connect(port, 'own-state')
  await client.publish('own-state', 'kept', 1, { retain: true })
  await client.subscribe('own-state', 1, { nl: true })
  t.same(payloads(await client.ping()), ['kept'])
})

t.test('[MQTT-3.8.3-5] a reserved bit of the Subscription Options is answered with DISCONNECT 0x81', async t => {
  for (const options of [0x40, 0x80, 0xc0, 0x41]) {
    t.match(await lastWords(port, withOptions('a', options)), disconnectsWith(0x81), `0x${options.toString(16)}`)
  }
})

t.test('Maximum QoS 3, Retain Handling 3 and a Subscription Identifier of 0 or given twice are answered with 0x82', async t => {
  t.match(await lastWords(port, withOptions('a', 3)), disconnectsWith(0x82))
  t.match(await lastWords(port, withOptions('a', 0x30)), disconnectsWith(0x82))
  t.match(await lastWords(port, raw(0x82, 0, 10, properties(0x0b, 0), field('a'), 0)), disconnectsWith(0x82))
  t.match(await lastWords(port, raw(0x82, 0, 10, properties(0x0b, 1, 0x0b, 2), field('a'), 0)), disconnectsWith(0x82))
})

t.test('a SUBSCRIBE with packet identifier 0 is answered with 0x82, before MQTT 5 by hanging up', async t => {
  t.match(await lastWords(port, raw(0x82, 0, 0, 0, field('a'), 0)), disconnectsWith(0x82))
  t.same(await lastWords(port, raw(0x82, 0, 0, field('a'), 0), { version: 4, clientId: 'zero' }), [])
})

t.test('[MQTT-3.8.4-1] [MQTT-3.8.4-2] each SUBSCRIBE is answered by a SUBACK with its Packet Identifier', async t => {
  const client = await connect(port, '')
  const ids = [1, 65535, 300, 1]
  for (const messageId of ids) client.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: 'ids', qos: 0 }] })
  t.same(
    (await client.ping()).map(({ cmd, messageId }) => ({ cmd, messageId })),
    ids.map(messageId => ({ cmd: 'suback', messageId }))
  )
})

t.test('[MQTT-3.8.4-3] a subscription to the same filter replaces QoS, options and identifier of the one before', async t => {
  const client = await connect(port, 'replace')
  await client.subscribe('replace/+', 2, { nl: false, rap: true }, { subscriptionIdentifier: 1 })
  await publisher.publish('replace/a', 'first', 1, { retain: true })
  const first = await client.expect('publish')
  t.match(first, { qos: 1, retain: true, properties: { subscriptionIdentifier: 1 } })
  client.send({ cmd: 'puback', messageId: first.messageId })
  await client.subscribe('replace/+', 0, { nl: true, rap: false, rh: 2 }, { subscriptionIdentifier: 2 })
  await publisher.publish('replace/a', 'second', 1, { retain: true })
  const arrived = await client.ping()
  t.match(arrived, [{ qos: 0, retain: false, properties: { subscriptionIdentifier: 2 } }])
  t.equal(arrived.length, 1, 'one subscription, one copy')
  await client.publish('replace/a', 'own', 1)
  t.same(await client.ping(), [], 'No Local came with the replacement')
  await client.subscribe('replace/+', 0, { rh: 2 })
  await publisher.publish('replace/a', 'third', 1)
  const third = await client.expect('publish')
  t.equal(String(third.payload), 'third')
  t.notOk((third.properties as { subscriptionIdentifier?: number } | undefined)?.subscriptionIdentifier, 'the identifier went')
})

t.test('[MQTT-3.8.4-4] replacing a subscription with Retain Handling 0 sends retained messages again', async t => {
  await publisher.publish('again/a', 'kept', 1, { retain: true })
  const client = await connect(port, 'again')
  await client.subscribe('again/#', 0)
  t.same(payloads(await client.ping()), ['kept'])
  await client.subscribe('again/#', 0, { rh: 0 })
  t.same(payloads(await client.ping()), ['kept'])
  await client.subscribe('again/#', 0, { rh: 1 })
  t.same(payloads(await client.ping()), [])
})

t.test('[MQTT-3.8.4-4] no message is lost while a subscription is replaced', async t => {
  const client = await connectStored(port, 'lossless')
  await client.subscribe('lossless', 1)
  const count = 90 // within the Receive Maximum of the broker
  for (let id = 1; id <= count; id++) {
    publisher.send(publishPacket('lossless', String(id), 1, id))
    client.send({ cmd: 'subscribe', messageId: id, subscriptions: [{ topic: 'lossless', qos: 1 + (id % 2) }] })
  }
  const seen: string[] = []
  while (seen.length < count) {
    const packet = await client.next()
    if (packet?.cmd !== 'publish') continue
    seen.push(String(packet.payload))
    client.send({ cmd: 'puback', messageId: packet.messageId })
  }
  t.same(
    seen,
    Array.from({ length: count }, (_, i) => String(i + 1))
  )
  for (let id = 1; id <= count; id++) await publisher.expect('puback')
})

t.test('[MQTT-3.8.4-5] the filters of one SUBSCRIBE are handled in turn, each with its own options', async t => {
  await publisher.publish('turn/a', 'kept', 1, { retain: true })
  const client = await connect(port, 'turn')
  const subscribe = (...subscriptions: object[]) => client.send({ cmd: 'subscribe', messageId: 1, subscriptions })
  subscribe({ topic: 'turn/a', qos: 0, rh: 0 }, { topic: 'turn/a', qos: 1, rh: 2 })
  t.match(await client.expect('suback'), { granted: [0, 1] })
  const retained = await client.ping()
  t.match(retained, [{ retain: true, qos: 0 }], 'the first one asked for the retained message, at QoS 0')
  t.equal(retained.length, 1)
  await publisher.publish('turn/a', 'live', 1)
  const live = await client.ping()
  t.match(live, [{ qos: 1, retain: false }], 'the second one replaced it')
  t.equal(live.length, 1)
})

t.test(
  '[MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] the SUBACK has a code for each filter, in their order',
  async t => {
    const subscriptions = [
      { topic: 'codes/a', qos: 2 },
      { topic: 'secret/a', qos: 1 },
      { topic: 'codes/#/b', qos: 0 },
      { topic: 'codes/b', qos: 0 },
      { topic: '1/2/3/4/5/6', qos: 0 },
      { topic: 'codes/c', qos: 1 },
      { topic: 'codes/d', qos: 1 },
      { topic: 'codes/e', qos: 1 },
      { topic: 'codes/a', qos: 0 }
    ]
    const client = await connect(port, 'codes')
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions })
    t.match(await client.expect('suback'), { granted: [2, 0x87, 0x8f, 0, 0x8f, 1, 1, 0x97, 0] })
    const older = await connect(port, 'codes4', { version: 4 })
    older.send({ cmd: 'subscribe', messageId: 1, subscriptions })
    t.match(await older.expect('suback'), { granted: [2, 0x80, 0x80, 0, 0x80, 1, 1, 0x80, 0] })
  }
)

t.test('[MQTT-3.8.4-8] a message comes at the lower one of its own QoS and the QoS granted', async t => {
  for (const granted of [0, 1, 2] as const) {
    const client = await connect(port, `lower${granted}`)
    t.match(await client.subscribe(`lower/${granted}`, granted), { granted: [granted] })
    for (const qos of [0, 1, 2] as const) await publisher.publish(`lower/${granted}`, `at ${qos}`, qos)
    t.same(
      (await client.ping()).map(packet => `${packet.payload} as ${packet.qos}`),
      [0, 1, 2].map(qos => `at ${qos} as ${Math.min(qos, granted)}`)
    )
  }
})
