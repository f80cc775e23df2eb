import { t } from 'tap'
import type { BrokerLimits } from '../../lib/broker/limits.ts'
import { ManualClock, TestBroker, type TestBrokerOptions } from '../support/native-broker.ts'
import { DenyingPolicy } from '../support/policies.ts'
import { RawClient } from '../support/raw-client.ts'

type Teardown = { teardown(fn: () => unknown): unknown }

async function open(t: Teardown, options: TestBrokerOptions & { limits?: Partial<BrokerLimits> } = {}) {
  const clock = new ManualClock()
  const broker = await TestBroker.start(t, { letters: {}, clock, ...options })
  const connect = async (clientId: string, more: object = {}) =>
    (await RawClient.connect(broker.port, { version: 5, clientId, ...more })).client
  return { broker, clock, connect }
}

const forAnHour = { clean: false, properties: { sessionExpiryInterval: 3600 } }
const publishProperties = { userProperties: { site: 'north' }, contentType: 'text/plain', messageExpiryInterval: 60 }

/** Resolves when the broker keeps `count` dead letters on disk. */
async function letters(broker: TestBroker, count: number) {
  const signal = AbortSignal.timeout(30_000)
  if (count > 0) for await (const _ of broker.deadLetters!.stream.read({ from: 'earliest', follow: true, limit: count, signal }));
  return broker.letters()
}

/** A subscriber with a session that outlives its connection, and is away. */
async function awaySubscriber(connect: (clientId: string, more?: object) => Promise<RawClient>, more: object = {}) {
  const subscriber = await connect('reader', { ...forAnHour, ...more })
  await subscriber.subscribe('a/#', 2)
  await subscriber.disconnect()
}

t.test('queue-full: what finds no room is a dead letter before its publisher is told, packet whole', async t => {
  const { broker, clock, connect } = await open(t, { limits: { maxQueuedMessagesPerSession: 1 } })
  await awaySubscriber(connect)
  const publisher = await connect('writer')
  await publisher.publish('a/1', 'kept', 1)
  await publisher.publish('a/2', Buffer.from([1, 0, 255]), 2, { retain: true, properties: publishProperties })
  const [letter, ...rest] = await broker.letters()
  t.same(rest, [])
  t.match(letter, {
    id: 0,
    reason: 'queue-full',
    clientId: 'reader',
    filter: 'a/#',
    attempts: 0,
    qos: 2,
    diedAtMs: clock.nowMs,
    error: /limits\.maxQueuedMessagesPerSession/,
    message: {
      topic: 'a/2',
      payload: Buffer.from([1, 0, 255]),
      qos: 2,
      retain: true,
      publisherId: 'writer',
      publishedAtMs: clock.nowMs,
      expiresAtMs: clock.nowMs + 60_000
    }
  })
  const text = letter!.message.properties.toString('latin1')
  t.match(text, /text\/plain/)
  t.match(text, /site.*north/)
  t.notMatch(text, /dead-letter/, 'what was added for the log is gone again')
  t.equal(broker.broker.counters.dropped.get('queue-full'), 1)
  t.equal(broker.broker.counters.deadLetters.get('queue-full'), 1)
})

t.test('queue-full: a clean session that does not acknowledge leaves dead letters beyond its queue', async t => {
  const { broker, connect } = await open(t, { limits: { maxQueuedMessagesPerSession: 1, maxInflight: 1 } })
  const subscriber = await connect('reader')
  await subscriber.subscribe('a/#', 1)
  const publisher = await connect('writer')
  for (const payload of ['sent', 'waits', 'lost']) await publisher.publish('a/1', payload, 1)
  const [letter] = await letters(broker, 1)
  t.match(letter, { reason: 'queue-full', clientId: 'reader', message: { payload: Buffer.from('lost') } })
})

t.test('queue-full: the backlog of a shared subscription', async t => {
  const { broker, connect } = await open(t, { limits: { maxQueuedMessagesPerSession: 1 } })
  const member = await connect('member', forAnHour)
  await member.subscribe('$share/workers/a/#', 1)
  await member.disconnect()
  const publisher = await connect('writer')
  await publisher.publish('a/1', 'waits', 1)
  await publisher.publish('a/1', 'lost', 1)
  const [letter] = await letters(broker, 1)
  t.match(letter, { reason: 'queue-full', filter: '$share/workers/a/#', message: { payload: Buffer.from('lost') } })
  t.equal(letter!.clientId, undefined)
})

t.test('message-expired: what waited longer than it lives', async t => {
  const { broker, clock, connect } = await open(t)
  await awaySubscriber(connect)
  const publisher = await connect('writer')
  await publisher.publish('a/1', 'short', 1, { properties: { messageExpiryInterval: 5 } })
  await publisher.publish('a/1', 'long', 1)
  clock.advance(6_000)
  const again = await connect('reader', forAnHour)
  t.match(await again.expect('publish'), { payload: Buffer.from('long') })
  const [letter] = await letters(broker, 1)
  t.match(letter, { reason: 'message-expired', clientId: 'reader', filter: 'a/#', message: { payload: Buffer.from('short') } })
  t.equal(broker.broker.counters.queued, 1, 'it has left the queue')
})

t.test('message-expired: also in the backlog of a shared subscription', async t => {
  const { broker, clock, connect } = await open(t)
  const member = await connect('member', forAnHour)
  await member.subscribe('$share/workers/a/#', 1)
  await member.disconnect()
  const publisher = await connect('writer')
  await publisher.publish('a/1', 'short', 1, { properties: { messageExpiryInterval: 5 } })
  clock.advance(6_000)
  await connect('member', forAnHour)
  const [letter] = await letters(broker, 1)
  t.match(letter, { reason: 'message-expired', filter: '$share/workers/a/#', message: { payload: Buffer.from('short') } })
})

t.test('session-expired: everything its queue held, in order, sent and unsent', async t => {
  const { broker, clock, connect } = await open(t, { limits: { maxInflight: 1 } })
  const subscriber = await connect('reader', forAnHour)
  await subscriber.subscribe('a/#', 1)
  const publisher = await connect('writer')
  await publisher.publish('a/0', '0', 1)
  await subscriber.expect('publish')
  for (let i = 1; i < 200; i++) await publisher.publish(`a/${i}`, String(i), 1)
  await subscriber.disconnect()
  clock.advance(3_601_000)
  const found = await letters(broker, 200)
  t.same(
    found.map(({ message }) => message.topic),
    Array.from({ length: 200 }, (_, i) => `a/${i}`)
  )
  t.same(
    new Set(found.map(({ reason, clientId, filter }) => `${reason} ${clientId} ${filter}`)),
    new Set(['session-expired reader a/#'])
  )
  t.same(
    found.slice(0, 3).map(({ attempts }) => attempts),
    [1, 0, 0]
  )
  await flushed(broker)
  t.equal(broker.broker.counters.queued, 0)
  t.equal(broker.broker.sessionCount, 1)
})

t.test('session-discarded: a clean start over a queue, and the new session begins at once', async t => {
  const { broker, connect } = await open(t)
  await awaySubscriber(connect)
  const publisher = await connect('writer')
  for (let i = 0; i < 100; i++) await publisher.publish('a/old', String(i), 2)
  const { client: again, connack } = await RawClient.connect(broker.port, {
    version: 5,
    clientId: 'reader',
    ...forAnHour,
    clean: true
  })
  t.equal(connack.sessionPresent, false)
  await again.subscribe('a/#', 1)
  await publisher.publish('a/new', 'new', 1)
  t.match(await again.expect('publish'), { topic: 'a/new' })
  const found = await letters(broker, 100)
  t.same(
    new Set(found.map(({ reason, clientId, qos }) => `${reason} ${clientId} ${qos}`)),
    new Set(['session-discarded reader 2'])
  )
  t.equal(found.length, 100)
})

t.test('session-expired: a shared subscription whose last member expires gives up its backlog', async t => {
  const { broker, clock, connect } = await open(t)
  const member = await connect('member', forAnHour)
  await member.subscribe('$share/workers/a/#', 1)
  await member.disconnect()
  const publisher = await connect('writer')
  for (let i = 0; i < 70; i++) await publisher.publish('a/1', String(i), 1)
  clock.advance(3_601_000)
  const found = await letters(broker, 70)
  t.same(new Set(found.map(({ reason, filter }) => `${reason} ${filter}`)), new Set(['session-expired $share/workers/a/#']))
  t.same(
    found.map(({ message }) => Number(message.payload)),
    Array.from({ length: 70 }, (_, i) => i)
  )
  await flushed(broker)
  t.equal(broker.broker.counters.queued, 0)
})

t.test('packet-too-large: live, and from the queue', async t => {
  const { broker, connect } = await open(t)
  const small = { clean: false, properties: { sessionExpiryInterval: 3600, maximumPacketSize: 100 } }
  const subscriber = await connect('reader', small)
  await subscriber.subscribe('a/#', 1)
  const clean = await connect('clean', { properties: { maximumPacketSize: 100 } })
  await clean.subscribe('a/#', 1)
  const publisher = await connect('writer')
  const large = 'x'.repeat(200)
  await publisher.publish('a/1', large, 1)
  const live = await letters(broker, 2)
  t.same(live.map(({ reason, clientId }) => `${reason} ${clientId}`).sort(), [
    'packet-too-large clean',
    'packet-too-large reader'
  ])
  t.match(live[0]!.error, /at most 100 bytes/)
  await subscriber.disconnect()
  await clean.disconnect()
  await publisher.publish('a/2', large, 2)
  await connect('reader', small)
  const [, , queued] = await letters(broker, 3)
  t.match(queued, { reason: 'packet-too-large', clientId: 'reader', message: { topic: 'a/2', payload: Buffer.from(large) } })
  await flushed(broker)
  t.equal(broker.broker.counters.queued, 0)
})

t.test('forward-denied: the right was withdrawn while the message waited', async t => {
  const policy = new DenyingPolicy()
  const { broker, connect } = await open(t, { access: { policy } })
  await awaySubscriber(connect)
  const publisher = await connect('writer')
  await publisher.publish('a/secret', 'waits', 1)
  policy.deny({ receive: ['a/secret'] })
  const again = await connect('reader', forAnHour)
  const [letter] = await letters(broker, 1)
  t.match(letter, { reason: 'forward-denied', clientId: 'reader', attempts: 0, message: { payload: Buffer.from('waits') } })
  await publisher.publish('a/secret', 'never owed', 1)
  await again.ping()
  t.equal((await broker.letters()).length, 1, 'who had no right when it was published is owed nothing')
})

t.test('forward-denied: the authorizeForward hook refuses what waited', async t => {
  let refuses = false
  const { broker, connect } = await open(t, { authorizeForward: (_client, packet) => (refuses ? null : packet) })
  await awaySubscriber(connect)
  const publisher = await connect('writer')
  await publisher.publish('a/1', 'waits', 1)
  refuses = true
  await connect('reader', forAnHour)
  const [letter] = await letters(broker, 1)
  t.match(letter, { reason: 'forward-denied', clientId: 'reader', message: { payload: Buffer.from('waits') } })
})

t.test('no-subscriber: kept when asked for, and only what nothing took', async t => {
  const { broker, connect } = await open(t, { letters: { noSubscriber: true } })
  const publisher = await connect('writer')
  await publisher.publish('nobody/1', 'lost', 1)
  await publisher.publish('nobody/2', 'not owed', 0)
  await publisher.publish('nobody/3', 'retained', 1, { retain: true })
  await publisher.publish('devices/1', 'in a stream', 1)
  const found = await letters(broker, 1)
  t.equal(found.length, 1)
  t.match(found[0], { reason: 'no-subscriber', message: { topic: 'nobody/1' } })
  t.equal(found[0]!.clientId, undefined)
})

t.test('QoS 0 is counted, and kept when asked for', async t => {
  for (const includeQos0 of [false, true]) {
    const { broker, connect } = await open(t, { letters: { includeQos0 } })
    const subscriber = await connect('reader', { properties: { maximumPacketSize: 100 } })
    await subscriber.subscribe('a/#', 0)
    const publisher = await connect('writer')
    await publisher.publish('a/1', 'x'.repeat(200), 1)
    const found = await letters(broker, includeQos0 ? 1 : 0)
    t.same(
      found.map(({ reason, qos, message }) => [reason, qos, message.qos]),
      includeQos0 ? [['packet-too-large', 0, 1]] : []
    )
    t.equal(broker.broker.counters.dropped.get('packet-too-large'), 1)
  }
})

t.test('what waits for a session that ends with its connection is kept when asked for', async t => {
  const { broker, connect } = await open(t, { letters: { cleanSessions: true }, limits: { maxInflight: 1 } })
  const subscriber = await connect('reader')
  await subscriber.subscribe('a/#', 1)
  const publisher = await connect('writer')
  await publisher.publish('a/1', 'sent', 1)
  await publisher.publish('a/1', 'waits', 1)
  await subscriber.cut()
  const found = await letters(broker, 1)
  t.match(found, [{ reason: 'session-expired', clientId: 'reader', message: { payload: Buffer.from('waits') } }])
})

t.test('without a store for them deliveries are counted as before', async t => {
  const broker = await TestBroker.start(t, { clock: new ManualClock(), limits: { maxQueuedMessagesPerSession: 1 } })
  const connect = async (clientId: string, more: object = {}) =>
    (await RawClient.connect(broker.port, { version: 5, clientId, ...more })).client
  await awaySubscriber(connect)
  const publisher = await connect('writer')
  await publisher.publish('a/1', 'kept', 1)
  await publisher.publish('a/1', 'lost', 1)
  t.equal(broker.broker.counters.dropped.get('queue-full'), 1)
  await connect('reader', { properties: { sessionExpiryInterval: 3600 } })
  t.equal(broker.broker.counters.dropped.get('session-discarded'), 1)
  t.equal(broker.broker.counters.deadLetters.size, 0)
})

/** Everything that was written so far is on disk. */
async function flushed(broker: TestBroker): Promise<void> {
  const client = (await RawClient.connect(broker.port, { clientId: 'flush' })).client
  await client.publish('devices/flush', '', 1)
  await client.publish('devices/flush', '', 1)
  await client.disconnect()
}
