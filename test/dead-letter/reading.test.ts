import { t } from 'tap'
import type { NativeEngine } from '../../lib/broker/native/engine.ts'
import { type KeptLetter, readLetter } from '../../lib/dead-letter/letter-record.ts'
import { TestBroker, type TestBrokerOptions } from '../support/native-broker.ts'
import { DenyingPolicy } from '../support/policies.ts'
import { RawClient } from '../support/raw-client.ts'

const forAnHour = { version: 5 as const, clientId: 'reader', clean: false, properties: { sessionExpiryInterval: 3600 } }
const own = [
  ['site', 'north'],
  ['dead-letter-reason', 'forged'],
  ['dead-letter-own-bytes', '0000000000']
]

/** A broker that has kept one letter, whose publisher sent properties that look like ours. */
async function open(t: { teardown(fn: () => unknown): unknown }, options: TestBrokerOptions = {}) {
  const broker = await TestBroker.start(t, { letters: {}, limits: { maxQueuedMessagesPerSession: 1 }, ...options })
  const { client: reader } = await RawClient.connect(broker.port, forAnHour)
  await reader.subscribe('a/#', 1)
  await reader.disconnect()
  const { client: writer } = await RawClient.connect(broker.port, { version: 5, clientId: 'writer' })
  await writer.publish('a/1', 'kept', 1)
  await writer.publish('a/2', 'lost', 1, { properties: { userProperties: Object.fromEntries(own), contentType: 'text/plain' } })
  return { broker, writer }
}

t.test('a client with the right to it reads dead letters under their topics, with everything about them', async t => {
  const { broker } = await open(t, { access: { policy: new DenyingPolicy() } })
  const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'operator' })
  t.match(await client.subscribe('$stream/$dead-letter/earliest', 1), { granted: [1] })
  const letter = await client.expect('publish')
  t.match(letter, { topic: 'a/2', payload: Buffer.from('lost'), properties: { contentType: 'text/plain' } })
  t.match((letter.properties as { userProperties: object }).userProperties, {
    site: 'north',
    'dead-letter-reason': ['forged', 'queue-full'],
    'dead-letter-client': 'reader',
    'dead-letter-filter': 'a/#',
    'dead-letter-qos': '1',
    'dead-letter-attempts': '0',
    'dead-letter-error': /full/,
    stream: '$dead-letter',
    offset: '0'
  })
})

t.test('without a right to it nobody reads them over MQTT', async t => {
  const { broker } = await open(t)
  const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'curious' })
  for (const filter of ['$stream/$dead-letter/earliest', '$stream/$dead-letter', '$share/g/$stream/$dead-letter/earliest']) {
    t.match(await client.subscribe(filter, 1), { granted: [0x87] }, filter)
  }
  t.match(await client.subscribe('$stream/telemetry', 1), { granted: [1] })
  const { broker: denied } = await open(t, {
    access: { policy: new DenyingPolicy().deny({ subscribe: ['$stream/$dead-letter'] }) }
  })
  const { client: other } = await RawClient.connect(denied.port, { version: 5, clientId: 'curious' })
  t.match(await other.subscribe('$stream/$dead-letter/earliest', 1), { granted: [0x87] })
})

t.test('a hook may give the right', async t => {
  const { broker } = await open(t, { authorizeSubscribe: (_client, subscription, done) => done(null, subscription) })
  const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'operator' })
  t.match(await client.subscribe('$stream/$dead-letter/earliest', 1), { granted: [1] })
  t.match(await client.expect('publish'), { topic: 'a/2' })
})

t.test('nobody publishes into it', async t => {
  const { broker, writer } = await open(t)
  const ended = writer.ended()
  writer.send({ cmd: 'publish', topic: '$dead-letter', payload: '', qos: 1, messageId: 99 })
  const { client: next } = await RawClient.connect(broker.port, { version: 5, clientId: 'next' })
  await next.ping()
  writer.socket.destroy()
  await ended
  t.equal((await broker.letters()).length, 1)
})

t.test('properties of a publisher that look like those of a letter are given back as they were', async t => {
  const { broker } = await open(t)
  const [letter] = await broker.letters()
  t.equal(letter!.reason, 'queue-full')
  const text = letter!.message.properties.toString('latin1')
  t.match(text, /dead-letter-reason.*forged/)
  t.notMatch(text, /queue-full/)
})

t.test('a letter that a consumer group gives up does not become another letter', async t => {
  const { broker } = await open(t)
  const { context } = broker.broker.engine as NativeEngine
  const [{ message }] = (await broker.letters()) as [KeptLetter]
  const letter = { reason: 'delivery-attempts-exhausted', message, attempts: 3, error: 'refused', group: 'g' } as const
  t.equal(context.deadLetter({ ...letter, stream: '$dead-letter', offset: 0 }), false)
  t.equal(context.deadLetter({ ...letter, stream: 'telemetry', offset: 0 }), true)
  await broker.deadLetters!.sync()
  t.match(await broker.letters(), [
    { id: 0 },
    { reason: 'delivery-attempts-exhausted', stream: 'telemetry', group: 'g', offset: 0, attempts: 3 }
  ])
})

t.test('a record that is no letter is told apart', t => {
  const record = { offset: 7, topic: 'a', clientId: 'b', payload: Buffer.alloc(0), properties: Buffer.alloc(0) }
  const rest = { partition: 0, timestampMs: 0, qos: 1 as const, retain: false, expiresAtMs: 0 }
  t.throws(() => readLetter({ ...record, ...rest }), { code: 'TRB_STREAM_CORRUPT', message: /dead letter at offset 7/ })
  t.end()
})
