import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

const connect = async (broker: TestBroker, clientId: string, options: object = {}) =>
  (await RawClient.connect(broker.port, { version: 5, clientId, ...options })).client

const persistent = { clean: false, properties: { sessionExpiryInterval: 3600 } }

t.test('[MQTT-4.8.2-1] [MQTT-4.8.2-2] what is not $share/{ShareName}/{filter} is refused with 0x8F', async t => {
  const broker = await TestBroker.start(t)
  const client = await connect(broker, 'member')
  for (const filter of [
    '$share/',
    '$share//a',
    '$share/group',
    '$share/group/',
    '$share/gro+up/a',
    '$share/gr#/a',
    '$share/g/a#'
  ]) {
    const { granted, reasonCodes } = await client.subscribe(filter, 1)
    t.same(granted ?? reasonCodes, [0x8f], filter)
  }
})

t.test('[MQTT-4.8.2-3] each member gets messages at the QoS it was granted, not above', async t => {
  const broker = await TestBroker.start(t)
  const member = await connect(broker, 'member')
  await member.subscribe('$share/group/a', 0)
  const publisher = await connect(broker, 'publisher')
  await publisher.publish('a', 'one', 1)
  await publisher.publish('a', 'two', 2)
  t.same(deliveries(await member.ping()), ['one qos 0', 'two qos 0'])
  await member.subscribe('$share/group/a', 1)
  await publisher.publish('a', 'three', 2)
  t.same(deliveries([await member.expect('publish')]), ['three qos 1'])
})

t.test('[MQTT-4.8.2-4] an unfinished QoS 2 delivery is completed with the member it began with', async t => {
  const broker = await TestBroker.start(t)
  const first = await connect(broker, 'first', persistent)
  await first.subscribe('$share/group/a', 2)
  const publisher = await connect(broker, 'publisher')
  await publisher.publish('a', 'whole', 2)
  const sent = await first.expect('publish')
  const second = await connect(broker, 'second')
  await second.subscribe('$share/group/a', 2)
  await first.cut()
  t.same(await second.ping(), [], 'the other member does not get it')
  const again = await connect(broker, 'first', persistent)
  const repeated = await again.expect('publish')
  t.match(repeated, { dup: true, messageId: sent.messageId })
  again.send({ cmd: 'pubrec', messageId: sent.messageId })
  await again.expect('pubrel')
  again.send({ cmd: 'pubcomp', messageId: sent.messageId })
  t.same(await again.ping(), [])
})

t.test('[MQTT-4.8.2-5] an unfinished QoS 2 delivery goes to nobody else when its session ends', async t => {
  const broker = await TestBroker.start(t)
  const first = await connect(broker, 'first')
  await first.subscribe('$share/group/a', 2)
  const publisher = await connect(broker, 'publisher')
  await publisher.publish('a', 'whole', 2)
  await first.expect('publish')
  const second = await connect(broker, 'second')
  await second.subscribe('$share/group/a', 2)
  await first.cut()
  await publisher.publish('a', 'next', 2)
  t.same(deliveries([await second.expect('publish')]), ['next qos 2'])
})

t.test('[MQTT-4.8.2-6] a message that a member refuses with 0x80 or above goes to nobody else', async t => {
  const broker = await TestBroker.start(t)
  const first = await connect(broker, 'first')
  await first.subscribe('$share/group/a', 2)
  const publisher = await connect(broker, 'publisher')
  await publisher.publish('a', 'one', 1)
  await publisher.publish('a', 'two', 2)
  const one = await first.expect('publish')
  const two = await first.expect('publish')
  const second = await connect(broker, 'second')
  await second.subscribe('$share/group/a', 2)
  first.send({ cmd: 'puback', messageId: one.messageId, reasonCode: 0x83 })
  first.send({ cmd: 'pubrec', messageId: two.messageId, reasonCode: 0x97 })
  t.same(await first.ping(), [])
  await first.cut()
  t.same(await second.ping(), [])
  t.equal(broker.broker.counters.queued, 0)
})

t.test('[MQTT-3.8.3-4] No Local on a shared subscription is a protocol error', async t => {
  const broker = await TestBroker.start(t)
  const client = await connect(broker, 'member')
  const options = { topic: '$share/group/a', qos: 1, nl: true, rap: false, rh: 0 }
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [options] })
  t.match(await client.next(), { cmd: 'disconnect', reasonCode: 0x82 })
  t.same(await client.ended(), [])
})

t.test('shared subscriptions are announced as available', async t => {
  const broker = await TestBroker.start(t)
  const { connack } = await RawClient.connect(broker.port, { version: 5, clientId: 'member' })
  t.not((connack.properties as Record<string, unknown> | undefined)?.sharedSubscriptionAvailable, false)
})

t.test('a shared subscription brings no retained message (section 4.8.2)', async t => {
  const broker = await TestBroker.start(t)
  const publisher = await connect(broker, 'publisher')
  await publisher.publish('a', 'retained', 1, { retain: true })
  const member = await connect(broker, 'member')
  await member.subscribe('$share/group/a', 1)
  t.same(await member.ping(), [])
})

t.test('identifier and Retain As Published are those of the member that gets the message', async t => {
  const broker = await TestBroker.start(t)
  const member = await connect(broker, 'member')
  await member.subscribe('$share/group/a', 1, { rap: true }, { subscriptionIdentifier: 77 })
  const publisher = await connect(broker, 'publisher')
  await publisher.publish('a', 'kept', 1, { retain: true })
  const packet = await member.expect('publish')
  t.equal(packet.retain, true)
  t.equal((packet.properties as { subscriptionIdentifier?: number }).subscriptionIdentifier, 77)
})

function deliveries(packets: AnyPacket[]): string[] {
  return packets.map(({ payload, qos }) => `${String(payload)} qos ${String(qos)}`)
}
