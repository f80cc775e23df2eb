import { t } from 'tap'
import type { DuplicateKey, IntakeSettings } from '../../../lib/broker/native/stream-intake.ts'
import { SchemaRegistry } from '../../../lib/schema/registry.ts'
import { StreamSchema } from '../../../lib/schema/stream-schema.ts'
import { MemoryFileSystem } from '../../stream/memory-file-system.ts'
import { FailingFileSystem } from '../../support/failing-file-system.ts'
import { ManualClock, TestBroker, type TestBrokerOptions } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

interface Test {
  teardown(fn: () => unknown): unknown
}

const windowMs = 300_000
const deduplicate = (by: readonly DuplicateKey[] = ['message-id', 'packet-id'], maxEntries = 1000): IntakeSettings => ({
  deduplicate: { windowMs, maxEntries, by }
})

async function start(t: Test, settings: IntakeSettings = deduplicate(), options: TestBrokerOptions = {}): Promise<TestBroker> {
  return TestBroker.start(t, { intake: name => (name === 'telemetry' ? settings : undefined), ...options })
}

const withId = (id: string) => ({ properties: { userProperties: { 'message-id': id } } })
const duplicates = ({ broker }: TestBroker) => Object.fromEntries(broker.describeIntakes()[0]!.duplicates)
const payloads = async (broker: TestBroker) => (await broker.records()).map(({ payload }) => payload.toString())
const connect = async (broker: TestBroker, clientId = 'sensor', clean = false, version: 4 | 5 = 4) =>
  (
    await RawClient.connect(broker.port, {
      clientId,
      clean,
      version,
      properties: version === 5 ? { sessionExpiryInterval: 900 } : {}
    })
  ).client
const packet = (payload: string, messageId: number, dup = false): object => {
  return { cmd: 'publish', topic: 'devices/1', payload, qos: 1, messageId, dup, retain: false }
}
async function send(client: RawClient, payload: string, messageId: number, dup = false): Promise<AnyPacket> {
  client.send(packet(payload, messageId, dup))
  return client.expect('puback')
}

t.test('a message-id is appended once, at every QoS, and acknowledged each time', async t => {
  const broker = await start(t)
  const client = await connect(broker, 'sensor', true, 5)
  for (const qos of [0, 1, 2, 1] as const) await client.publish('devices/1', 'first', qos, withId('a'))
  await client.publish('devices/1', 'second', 1, withId('b'))
  t.same(await payloads(broker), ['first', 'second'])
  t.same(duplicates(broker), { 'message-id': 3 })
})

t.test('a message-id belongs to its client', async t => {
  const broker = await start(t)
  for (const id of ['one', 'two']) {
    await (await connect(broker, id, true, 5)).publish('devices/1', id, 1, withId('a'))
  }
  t.same(await payloads(broker), ['one', 'two'])
})

t.test('plain subscribers get a repetition, and so does a stream that does not look for them', async t => {
  const broker = await start(t, deduplicate(), { moreStreams: { plain: 'devices/#' } })
  const reader = await connect(broker, 'reader', true, 5)
  await reader.subscribe('devices/#', 1)
  const client = await connect(broker, 'sensor', true, 5)
  for (const _ of [1, 2]) await client.publish('devices/1', 'same', 1, withId('a'))
  for (const _ of [1, 2]) t.match(await reader.next(), { cmd: 'publish', payload: Buffer.from('same') })
  t.equal((await broker.records('telemetry')).length, 1)
  t.equal((await broker.records('plain')).length, 2)
})

t.test('the window ends with time, and with the number of messages', async t => {
  const clock = new ManualClock()
  const broker = await start(t, deduplicate(['message-id'], 2), { clock })
  const client = await connect(broker, 'sensor', true, 5)
  const publish = (id: string) => client.publish('devices/1', id, 1, withId(id))
  await publish('a')
  clock.advance(windowMs - 1)
  await publish('a')
  t.same(await payloads(broker), ['a'], 'within the time')
  clock.advance(1)
  await publish('a')
  t.same(await payloads(broker), ['a', 'a'], 'after it')
  for (const id of ['b', 'c', 'a']) await publish(id)
  t.same(await payloads(broker), ['a', 'a', 'b', 'c', 'a'], 'two are remembered, the oldest went')
  const [counts] = broker.broker.describeIntakes()
  t.equal(counts?.remembered, 2)
  t.ok(counts && counts.rememberedBytes > 200 && counts.rememberedBytes < 500, 'and their memory is known')
})

t.test('ids that are empty or longer than 256 characters are none', async t => {
  const broker = await start(t)
  const client = await connect(broker, 'sensor', true, 5)
  for (const id of ['', 'x'.repeat(257)]) for (const _ of [1, 2]) await client.publish('devices/1', 'p', 1, withId(id))
  t.equal((await broker.records()).length, 4)
})

t.test('the ack of a repetition waits until the original is on disk', async t => {
  const gates: (() => void)[] = []
  let gated = false
  const broker = await start(t, deduplicate(), {
    wrapStream: stream =>
      new Proxy(stream, {
        get(target, name) {
          if (name === 'sync') {
            return async () => {
              if (gated) await new Promise<void>(resolve => gates.push(resolve))
              return target.sync()
            }
          }
          const value = Reflect.get(target, name, target) as unknown
          return typeof value === 'function' ? value.bind(target) : value
        }
      })
  })
  const client = await connect(broker, 'sensor', true, 5)
  gated = true
  client.send({ ...packet('p', 1), ...withId('a') })
  const before = await client.ping()
  client.send({ ...packet('p', 2), ...withId('a') })
  const between = await client.ping()
  t.same([...before, ...between], [], 'neither is acknowledged')
  gated = false
  while (gates.length === 0) await new Promise(resolve => setImmediate(resolve))
  gates.shift()!()
  t.match(
    [await client.next(), await client.next()],
    [
      { cmd: 'puback', messageId: 1 },
      { cmd: 'puback', messageId: 2 }
    ]
  )
  t.same(await payloads(broker), ['p'])
})

t.test('a QoS 1 packet sent again after the connection broke is appended once', async t => {
  for (const version of [4, 5] as const) {
    const broker = await start(t)
    const first = await connect(broker, 'sensor', false, version)
    await send(first, 'p', 7)
    await first.cut()
    const second = await connect(broker, 'sensor', false, version)
    t.match(await send(second, 'p', 7, true), { messageId: 7 })
    t.same(await payloads(broker), ['p'])
    t.same(duplicates(broker), { 'packet-id': 1 })
  }
})

t.test('what is not the same packet of the same session is never swallowed', async t => {
  const cases: Record<string, (broker: TestBroker) => Promise<void>> = {
    'without DUP': async broker => void (await send(await connect(broker), 'p', 7)),
    'another payload': async broker => void (await send(await connect(broker), 'q', 7, true)),
    'another id': async broker => void (await send(await connect(broker), 'p', 8, true)),
    'another client': async broker => void (await send(await connect(broker, 'other'), 'p', 7, true)),
    'another topic': async broker => {
      const client = await connect(broker)
      client.send({ ...packet('p', 7, true), topic: 'devices/2' })
      await client.expect('puback')
    },
    'another session': async broker => {
      await (await connect(broker, 'sensor', true)).disconnect()
      await send(await connect(broker), 'p', 7, true)
    },
    'retained now': async broker => {
      const client = await connect(broker)
      client.send({ ...packet('p', 7, true), retain: true })
      await client.expect('puback')
    },
    'the id had another message since, on a topic of no stream': async broker => {
      const client = await connect(broker)
      client.send({ ...packet('x', 7), topic: 'chat' })
      await client.expect('puback')
      await client.cut()
      await send(await connect(broker), 'p', 7, true)
    },
    'the id had a QoS 2 message since': async broker => {
      const client = await connect(broker)
      await client.publish('chat', 'x', 2, { messageId: 7 })
      await client.cut()
      await send(await connect(broker), 'p', 7, true)
    },
    'the second DUP, after the first was acknowledged on this connection': async broker => {
      const client = await connect(broker)
      await send(client, 'p', 7, true)
      await send(client, 'p', 7, true)
    }
  }
  for (const [name, again] of Object.entries(cases)) {
    const broker = await start(t)
    const client = await connect(broker)
    await send(client, 'p', 7)
    await client.cut()
    await again(broker)
    t.equal((await broker.records()).length, 2, name)
  }
})

t.test('a client that gave an id away again is not trusted once its ack was sent', async t => {
  const broker = await start(t)
  let client = await connect(broker)
  await send(client, 'on', 1)
  await send(client, 'off', 1)
  await send(client, 'on', 1)
  await client.cut()
  client = await connect(broker)
  // Its last message had arrived; this may be another one of the same bytes that had not.
  await send(client, 'on', 1, true)
  t.same(await payloads(broker), ['on', 'off', 'on', 'on'])
})

t.test('after as many messages as may be in flight the id is another message’s', async t => {
  for (const [again, expected] of [[[2, 3, 4], 4] as const, [[1], 5] as const]) {
    const broker = await start(t, deduplicate(), { limits: { receiveMaximum: 3 } })
    let client = await connect(broker)
    for (const id of [1, 2, 3, 4]) await send(client, 'same', id)
    await client.cut()
    client = await connect(broker)
    for (const id of again) await send(client, 'same', id, true)
    t.equal((await broker.records()).length, expected, `sent again: ${again.join(', ')}`)
  }
})

t.test('a packet whose ack was never sent is known on the same connection too', async t => {
  const broker = await start(t)
  const client = await connect(broker)
  // Both in one read: the first waits for its commit.
  client.socket.cork()
  client.send(packet('p', 7))
  client.send(packet('p', 7, true))
  client.socket.uncork()
  await client.expect('puback')
  await client.expect('puback')
  t.same(await payloads(broker), ['p'])
})

t.test('what the window knows survives a restart', async t => {
  const clock = new ManualClock()
  let broker = await start(t, deduplicate(), { clock })
  let client = await connect(broker, 'sensor', false, 5)
  await client.publish('devices/1', 'a', 1, withId('a'))
  await send(client, 'b', 9)
  await client.cut()
  clock.advance(1000)
  broker = await broker.restart(t)
  client = await connect(broker, 'sensor', false, 5)
  await send(client, 'b', 9, true)
  await client.publish('devices/1', 'a', 1, withId('a'))
  t.same(await payloads(broker), ['a', 'b'])
  t.same(duplicates(broker), { 'message-id': 1, 'packet-id': 1 })
  clock.advance(windowMs)
  broker = await broker.restart(t)
  t.equal(broker.broker.describeIntakes()[0]?.remembered, 0, 'what is older than the window is not read back')
})

t.test('a session that began anew is another one after a restart as well', async t => {
  const clock = new ManualClock()
  let broker = await start(t, deduplicate(), { clock })
  let client = await connect(broker)
  await send(client, 'p', 7)
  await client.disconnect()
  clock.advance(1000)
  await (await connect(broker, 'sensor', true)).disconnect()
  await (await connect(broker)).disconnect()
  broker = await broker.restart(t)
  client = await connect(broker)
  await send(client, 'p', 7, true)
  t.same(await payloads(broker), ['p', 'p'])
})

t.test('records that a failed write discarded are not remembered', async t => {
  const fileSystem = new FailingFileSystem()
  const broker = await start(t, deduplicate(), { fileSystem })
  let client = await connect(broker, 'sensor', false, 5)
  await client.publish('devices/1', 'before', 1, withId('0'))
  fileSystem.failure = 'EIO'
  client.send({ ...packet('a', 1), ...withId('a') })
  client.send(packet('b', 2))
  await client.ended()
  fileSystem.failure = undefined
  client = await connect(broker, 'sensor', false, 5)
  client.send({ ...packet('a', 1, true), ...withId('a') })
  client.send(packet('b', 2, true))
  client.send({ ...packet('before', 3), ...withId('0') })
  for (const _ of [1, 2, 3]) await client.expect('puback')
  t.same(await payloads(broker), ['before', 'a', 'b'])
  t.same(duplicates(broker), { 'message-id': 1 })
})

t.test('a record that is tagged as invalid is known again after a restart', async t => {
  const registry = await SchemaRegistry.open({ folder: '/schemas', fileSystem: new MemoryFileSystem() })
  const schema = new StreamSchema(
    'telemetry',
    { file: 'f', schema: { type: 'object' } },
    'tag',
    { maxBytes: 100, maxDepth: 9 },
    registry
  )
  const clock = new ManualClock()
  let broker = await start(t, { ...deduplicate(), schema }, { clock })
  let client = await connect(broker)
  await send(client, '[]', 7)
  await client.cut()
  broker = await broker.restart(t)
  client = await connect(broker)
  await send(client, '[]', 7, true)
  t.same(await payloads(broker), ['[]'])
})

t.test('readers see nothing of the Packet Identifier', async t => {
  const broker = await start(t)
  await send(await connect(broker), 'p', 7)
  const reader = await connect(broker, 'reader', true, 5)
  await reader.subscribe('$stream/telemetry/earliest')
  const record = await reader.next()
  t.same(Object.keys((record as { properties: { userProperties: object } }).properties.userProperties).sort(), [
    'offset',
    'partition',
    'stream',
    'timestamp'
  ])
})
