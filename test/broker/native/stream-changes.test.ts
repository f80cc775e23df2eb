import { t } from 'tap'
import type { StreamRecord } from '../../../lib/stream/contract.ts'
import type { StreamDeclaration } from '../../../lib/stream/declaration.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

function declare(name: string, filter: string, more: Partial<StreamDeclaration> = {}): StreamDeclaration {
  return { name, filter, key: 'clientId', partitions: 4, retention: { ageMs: 0, bytes: 0 }, ack: 'synced', ...more }
}

async function add(broker: TestBroker, declaration: StreamDeclaration): Promise<void> {
  broker.broker.streamChanges!.add(await broker.streams.add(declaration))
}

function change(broker: TestBroker, declaration: StreamDeclaration): void {
  broker.broker.streamChanges!.change(broker.streams.change(declaration))
}

async function remove(broker: TestBroker, name: string): Promise<void> {
  await broker.broker.streamChanges!.remove(name)
  await broker.streams.release(name)
}

async function payloads(broker: TestBroker, name: string): Promise<string[]> {
  const records: StreamRecord[] = []
  const stream = broker.streams.get(name)!
  for await (const record of stream.read({ from: 'earliest' })) records.push(record)
  return records.map(({ payload }) => payload.toString())
}

const text = (packet: AnyPacket) => String(packet.payload)

t.test('the very next publish enters a stream that was added, on a topic the publisher used before', async t => {
  const broker = await TestBroker.start(t, { streamFilter: 'other/#' })
  const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'pump' })
  await client.publish('devices/1', 'before', 1)
  await add(broker, declare('devices', 'devices/#'))
  await client.publish('devices/1', 'after', 1)
  t.strictSame(await payloads(broker, 'devices'), ['after'], 'and its PUBACK came when it was on disk')
  await client.publish('devices/1', 'at most once', 0)
  await client.publish('devices/1', 'exactly once', 2)
  t.strictSame(await payloads(broker, 'devices'), ['after', 'at most once', 'exactly once'])
  await client.disconnect()
})

t.test('a changed filter, key and ack mode count from the next publish on', async t => {
  const broker = await TestBroker.start(t, { streamFilter: 'other/#' })
  await add(broker, declare('devices', 'devices/#', { partitions: 64 }))
  const { client } = await RawClient.connect(broker.port, { clientId: 'pump' })
  await client.publish('devices/1', 'in', 1)
  change(broker, declare('devices', 'machines/#', { key: 'topic', partitions: 64 }))
  await client.publish('devices/1', 'out', 1)
  for (let i = 0; i < 8; i++) await client.publish(`machines/${i}`, `m${i}`, 1)
  const stream = broker.streams.get('devices')!
  const partitions = new Set<number>()
  for await (const { partition, topic } of stream.read({ from: 'earliest' })) if (topic !== 'devices/1') partitions.add(partition)
  t.strictSame((await payloads(broker, 'devices')).slice(0, 2), ['in', 'm0'])
  t.ok(partitions.size > 1, 'one publisher, but the key is the topic now')
  await client.disconnect()
})

t.test('a publish to a stream that is removed meanwhile is acknowledged, and the next one goes elsewhere', async t => {
  const broker = await TestBroker.start(t, { streamFilter: 'other/#' })
  await add(broker, declare('devices', 'devices/#'))
  const { client } = await RawClient.connect(broker.port, { clientId: 'pump', version: 5 })
  await client.publish('devices/1', 'one', 1)
  client.send({ cmd: 'publish', topic: 'devices/1', payload: 'two', qos: 1, messageId: 7, retain: false, dup: false })
  const removing = remove(broker, 'devices')
  t.match(await client.expect('puback'), { messageId: 7 })
  await removing
  await client.publish('devices/1', 'three', 1)
  t.equal(broker.streams.get('devices'), undefined)
  await client.disconnect()
})

t.test('who reads a stream that is removed is told so, and its subscription is gone', async t => {
  const broker = await TestBroker.start(t)
  await add(broker, declare('devices', 'd/#'))
  const session = { clean: false, properties: { sessionExpiryInterval: 3600 } }
  const { client: reader } = await RawClient.connect(broker.port, { version: 5, clientId: 'reader', ...session })
  await reader.subscribe('$stream/devices/earliest', 1)
  await reader.subscribe('news', 1)
  const { client: member } = await RawClient.connect(broker.port, { version: 5, clientId: 'member' })
  await member.subscribe('$share/g/$stream/devices/earliest', 1)
  const { client: old } = await RawClient.connect(broker.port, { version: 4, clientId: 'old' })
  await old.subscribe('$stream/devices', 0)
  const { client: bystander } = await RawClient.connect(broker.port, { version: 5, clientId: 'bystander' })
  await bystander.subscribe('$stream/telemetry', 1)
  const { client: pump } = await RawClient.connect(broker.port, { version: 5, clientId: 'pump' })
  await pump.publish('d/1', 'x', 1)
  t.equal(text(await reader.expect('publish')), 'x')
  await remove(broker, 'devices')
  t.match((await reader.ended()).at(-1), {
    cmd: 'disconnect',
    reasonCode: 0x98,
    properties: { reasonString: 'stream devices was removed' }
  })
  t.match((await member.ended()).at(-1), { cmd: 'disconnect', reasonCode: 0x98 })
  await old.ended()
  t.strictSame(broker.broker.describeGroups(), [])
  await pump.publish('devices/1', 'still here', 1)
  t.equal(text(await bystander.expect('publish')), 'still here')
  const { client: again, connack } = await RawClient.connect(broker.port, { version: 5, clientId: 'reader', ...session })
  t.equal(connack.sessionPresent, true)
  await pump.publish('news', 'n', 1)
  t.equal(text(await again.expect('publish')), 'n', 'its other subscription is')
  t.match(await again.subscribe('$stream/devices/earliest', 1), { granted: [0x8f] })
  const restarted = await broker.restart(t)
  t.strictSame(restarted.broker.describeGroups(), [], 'the group is gone from the store')
})

t.test('a subscription to a stream that was not declared any more reads on when it comes back', async t => {
  const broker = await TestBroker.start(t)
  await add(broker, declare('devices', 'd/#'))
  const session = { clean: false, clientId: 'reader' }
  const { client: reader } = await RawClient.connect(broker.port, session)
  await reader.subscribe('$stream/devices/earliest', 1)
  await reader.disconnect()
  const second = await broker.restart(t)
  const { client: back } = await RawClient.connect(second.port, session)
  await add(second, declare('devices', 'd/#'))
  await back.publish('d/1', 'again', 0)
  t.equal(text(await back.expect('publish')), 'again')
  await back.cut()
})

t.test('a group goes on without a loss when its stream gets another number of partitions', async t => {
  const broker = await TestBroker.start(t)
  await add(broker, declare('devices', 'd/#', { partitions: 8, key: 'topic' }))
  const { client } = await RawClient.connect(broker.port, { clientId: 'pump', version: 5 })
  const { client: member } = await RawClient.connect(broker.port, { clientId: 'member', version: 5 })
  await member.subscribe('$share/g/$stream/devices/earliest', 1)
  const seen = new Set<string>()
  const take = async (until: number) => {
    while (seen.size < until) {
      const packet = await member.expect('publish')
      seen.add(text(packet))
      member.send({ cmd: 'puback', messageId: packet.messageId })
    }
  }
  for (let i = 0; i < 10; i++) await client.publish(`d/${i}`, `first ${i}`, 1)
  await take(10)
  change(broker, declare('devices', 'd/#', { partitions: 3, key: 'topic' }))
  for (let i = 0; i < 10; i++) await client.publish(`d/${i}`, `second ${i}`, 1)
  await take(20)
  await member.ping()
  const group = () => broker.broker.describeGroups()[0]
  t.equal(group()?.partitions.length, 3)
  t.equal(group()?.lag, 0)
  await member.disconnect()
  change(broker, declare('devices', 'd/#', { partitions: 8, key: 'topic' }))
  for (let i = 0; i < 10; i++) await client.publish(`d/${i}`, `third ${i}`, 1)
  await client.disconnect()
  t.equal(group()?.partitions.length, 8)
  t.equal(group()?.lag, 10, 'the lowest position counts')
})

t.test('positions stored under another number of partitions lose nothing', async t => {
  const broker = await TestBroker.start(t, { streamFilter: 'd/#' })
  const { client } = await RawClient.connect(broker.port, { clientId: 'pump' })
  const { client: member } = await RawClient.connect(broker.port, { clientId: 'member' })
  await member.subscribe('$share/g/$stream/telemetry/earliest', 1)
  await client.publish('d/1', 'owed', 1)
  await member.expect('publish')
  await member.cut()
  await client.disconnect()
  const second = await broker.restart(t)
  change(second, declare('telemetry', 'd/#', { partitions: 9 }))
  const { client: next } = await RawClient.connect(second.port, { clientId: 'next' })
  await next.subscribe('$share/g/$stream/telemetry', 1)
  t.equal(text(await next.expect('publish')), 'owed')
  await next.cut()
})

t.test('the plan is told who reads how far', async t => {
  const broker = await TestBroker.start(t, { streamFilter: 'd/#' })
  const { client } = await RawClient.connect(broker.port, { clientId: 'pump' })
  const { client: reader } = await RawClient.connect(broker.port, { clientId: 'reader' })
  await reader.subscribe('$stream/telemetry/earliest', 1)
  await reader.subscribe('$share/g/$stream/telemetry/earliest/d/+', 1)
  await client.publish('d/1', 'one', 1)
  const [first, second] = [await reader.expect('publish'), await reader.expect('publish')]
  t.strictSame(broker.broker.streamChanges?.readers('telemetry'), [
    { kind: 'group', name: 'g', filter: 'd/+', position: 0 },
    { kind: 'client', name: 'reader', filter: '$stream/telemetry/earliest', position: 0 }
  ])
  for (const { messageId } of [first, second]) reader.send({ cmd: 'puback', messageId })
  await reader.ping()
  t.strictSame(
    broker.broker.streamChanges?.readers('telemetry').map(({ position }) => position),
    [1, 1]
  )
  t.strictSame(broker.broker.streamChanges?.readers('other'), [])
  await reader.disconnect()
  await client.disconnect()
})
