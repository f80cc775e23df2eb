import { t } from 'tap'
import { StorageGuard } from '../../../lib/stream/storage-guard.ts'
import { FailingFileSystem } from '../../support/failing-file-system.ts'
import { ManualClock, TestBroker, type TestBrokerOptions } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

const MIB = 1024 * 1024

/** A broker whose disk is as full as `fileSystem.free` says, once `guard.check()` has looked. */
async function start(t: { teardown(fn: () => unknown): unknown }, more: TestBrokerOptions = {}) {
  const fileSystem = new FailingFileSystem()
  fileSystem.free = 1000 * MIB
  const clock = new ManualClock()
  let guard: StorageGuard | undefined
  const onCommit = (_part: string, error: Error | undefined) => {
    if (error !== undefined) guard?.failed(error)
  }
  const broker = await TestBroker.start(t, { fileSystem, clock, onCommit, ...more })
  guard = new StorageGuard({
    limits: { quota: 0, minFreeBytes: 100 * MIB, whenFull: 'read-only', checkIntervalMs: 1000 },
    ...{ folder: broker.folder, fileSystem, clock },
    streams: () => broker.streams.all(),
    cuttable: () => true,
    logger: { info: () => {}, warn: () => {}, error: () => {} },
    onChange: reason => broker.broker.setReadOnly(reason)
  })
  const free = async (megabytes: number) => {
    fileSystem.free = megabytes * MIB
    await guard.check()
  }
  return { broker, fileSystem, clock, guard, free }
}

function publish(client: RawClient, topic: string, qos: 0 | 1 | 2, messageId: number, more: object = {}): void {
  client.send({ cmd: 'publish', topic, payload: `m${messageId}`, qos, messageId, retain: false, dup: false, ...more })
}

const dropped = (broker: TestBroker) => broker.broker.counters.dropped.get('read-only') ?? 0

t.test('read-only: durable publishes are refused with 0x97 and the reason, and taken again when there is room', async t => {
  const { broker, free } = await start(t)
  const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'pump' })
  await client.publish('devices/1', 'before', 1)
  await free(50)
  publish(client, 'devices/1', 1, 11)
  const refused = {
    messageId: 11,
    reasonCode: 0x97,
    properties: { reasonString: 'the broker is read-only: only 50.0 MiB are free on the disk; storage.minFreeBytes is 100.0 MiB' }
  }
  t.match(await client.expect('puback'), refused)
  publish(client, 'devices/1', 2, 12)
  t.match(await client.expect('pubrec'), { messageId: 12, reasonCode: 0x97 })
  publish(client, 'devices/1', 0, 0)
  publish(client, 'plain', 1, 13, { retain: true })
  t.match(await client.expect('puback'), { messageId: 13, reasonCode: 0x97 }, 'a retained message, too')
  t.equal(dropped(broker), 1)
  t.equal(broker.broker.counters.publishRefused.get('read-only'), 4)
  await free(105)
  publish(client, 'devices/1', 1, 14)
  t.match(await client.expect('puback'), { messageId: 14, reasonCode: 0x97 }, 'not at the first free byte')
  await free(120)
  await client.publish('devices/1', 'after', 1)
  await client.publish('devices/1', 'after, twice', 2)
  t.strictSame(
    (await broker.records()).map(({ payload }) => payload.toString()),
    ['before', 'after', 'after, twice']
  )
  await client.disconnect()
})

t.test('read-only: 3.1.1 publishers are disconnected, but not for QoS 0', async t => {
  const { broker, free } = await start(t)
  await free(50)
  const { client } = await RawClient.connect(broker.port, { clientId: 'old' })
  publish(client, 'devices/1', 0, 0)
  t.strictSame(await client.ping(), [], 'counted, and that is all')
  t.equal(dropped(broker), 1)
  publish(client, 'devices/1', 1, 1)
  t.strictSame(await client.ended(), [], 'without a PUBACK')
  t.equal(broker.broker.counters.connectionsClosed.get('read-only'), 1)
})

t.test('read-only: connecting, subscribing, reading, deleting and what needs no disk go on', async t => {
  const { broker, free } = await start(t)
  const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'pump' })
  await client.publish('devices/1', 'kept', 1)
  await client.publish('state', 'on', 1, { retain: true })
  await free(50)
  const session = { version: 5 as const, clean: false, properties: { sessionExpiryInterval: 3600 } }
  const { client: reader } = await RawClient.connect(broker.port, { clientId: 'reader', ...session })
  await reader.subscribe('$stream/telemetry/earliest', 1)
  const kept = await reader.expect('publish')
  t.equal(String(kept.payload), 'kept')
  reader.send({ cmd: 'puback', messageId: kept.messageId })
  await reader.ping()
  const { client: live } = await RawClient.connect(broker.port, { version: 5, clientId: 'live' })
  await live.subscribe('plain', 2)
  for (const qos of [0, 1, 2] as const) {
    await client.publish('plain', `at ${qos}`, qos)
    const packet = await live.expect('publish')
    t.equal(String(packet.payload), `at ${qos}`)
    if (qos === 1) live.send({ cmd: 'puback', messageId: packet.messageId })
    if (qos === 2) {
      live.send({ cmd: 'pubrec', messageId: packet.messageId })
      await live.expect('pubrel')
      live.send({ cmd: 'pubcomp', messageId: packet.messageId })
    }
  }
  await client.publish('state', '', 1, { retain: true })
  t.equal(broker.store.retainedCount, 0)
  t.equal(dropped(broker), 0)
  for (const one of [client, reader, live]) await one.disconnect()
})

t.test('read-only: what would wait in the queue of a stored session is refused', async t => {
  const { broker, free } = await start(t)
  const session = { version: 5 as const, clean: false, properties: { sessionExpiryInterval: 3600 } }
  const { client: away } = await RawClient.connect(broker.port, { clientId: 'away', ...session })
  await away.subscribe('orders/#', 1)
  await away.subscribe('$share/g/tasks', 1)
  await away.disconnect()
  const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'pump' })
  await free(50)
  publish(client, 'orders/1', 1, 1)
  t.match(await client.expect('puback'), { reasonCode: 0x97 })
  publish(client, 'tasks', 1, 2)
  t.match(await client.expect('puback'), { reasonCode: 0x97 })
  await client.publish('orders/1', 'nobody waits for QoS 0', 0)
  const { client: stored } = await RawClient.connect(broker.port, { clientId: 'stored', ...session })
  publish(stored, 'nowhere', 2, 3)
  t.match(await stored.expect('pubrec'), { reasonCode: 0x97 }, 'its packet id could not be kept')
  publish(stored, 'nowhere', 1, 4)
  t.match(await stored.expect('puback'), { reasonCode: 0x10 })
  t.equal(broker.broker.counters.queued, 0)
  t.equal(dropped(broker), 0)
  await stored.disconnect()
  await client.disconnect()
})

t.test('read-only: a QoS 2 message that was taken before is acknowledged again', async t => {
  const { broker, free } = await start(t)
  const session = { version: 5 as const, clean: false, clientId: 'pump', properties: { sessionExpiryInterval: 3600 } }
  const { client } = await RawClient.connect(broker.port, session)
  publish(client, 'devices/1', 2, 5)
  t.match(await client.expect('pubrec'), { messageId: 5, reasonCode: 0 })
  await client.cut()
  await free(50)
  const { client: again } = await RawClient.connect(broker.port, session)
  publish(again, 'devices/1', 2, 5, { dup: true })
  t.match(await again.expect('pubrec'), { messageId: 5, reasonCode: 0 })
  again.send({ cmd: 'pubrel', messageId: 5 })
  t.match(await again.expect('pubcomp'), { messageId: 5 })
  t.equal((await broker.records()).length, 1)
  await again.disconnect()
})

t.test('read-only: a will waits until the disk takes it', async t => {
  const { broker, free } = await start(t)
  const will = { topic: 'devices/gone', payload: Buffer.from('bye'), qos: 1, retain: false }
  const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'device', will })
  await free(50)
  await client.cut()
  await free(500)
  const stream = broker.streams.get('telemetry')!
  for await (const record of stream.read({ from: 'earliest', follow: true })) {
    t.equal(record.topic, 'devices/gone')
    break
  }
})

t.test('read-only: the program that embeds the broker is told, too', async t => {
  const { broker, free } = await start(t)
  await free(50)
  const packet = { cmd: 'publish', topic: 'devices/1', payload: 'x', qos: 1, retain: false, dup: false }
  const publishing = new Promise<void>((resolve, reject) => {
    broker.broker.publish(packet, (error?: Error) => (error ? reject(error) : resolve()))
  })
  await t.rejects(publishing, { code: 'TRB_STORAGE_READ_ONLY' })
  t.equal(dropped(broker), 1)
})

t.test('a disk that is full before anybody looked makes the broker read-only at once', async t => {
  const { broker, fileSystem, clock, guard } = await start(t)
  const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'pump' })
  fileSystem.failure = 'ENOSPC'
  publish(client, 'devices/1', 1, 1)
  t.notOk(
    (await client.ended()).some((packet: AnyPacket) => packet.cmd === 'puback'),
    'nothing is acknowledged'
  )
  const { client: next } = await RawClient.connect(broker.port, { version: 5, clientId: 'pump' })
  publish(next, 'devices/1', 1, 2)
  t.match(await next.expect('puback'), { reasonCode: 0x97 })
  fileSystem.failure = undefined
  clock.advance(10_000)
  await guard.check()
  await next.publish('devices/1', 'again', 1)
  t.strictSame(
    (await broker.records()).map(({ payload }) => payload.toString()),
    ['again']
  )
  await next.disconnect()
})
