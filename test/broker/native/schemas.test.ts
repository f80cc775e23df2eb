import { t } from 'tap'
import type { IntakeSettings } from '../../../lib/broker/native/stream-intake.ts'
import type { DeadLetter } from '../../../lib/dead-letter/contract.ts'
import { decodeMessageProperties } from '../../../lib/mqtt/properties.ts'
import type { JsonSchema } from '../../../lib/schema/json-schema.ts'
import { SchemaRegistry } from '../../../lib/schema/registry.ts'
import { type InvalidPolicy, type SchemaSource, StreamSchema } from '../../../lib/schema/stream-schema.ts'
import type { StreamRecord } from '../../../lib/stream/contract.ts'
import { MemoryFileSystem } from '../../stream/memory-file-system.ts'
import { TestBroker, type TestBrokerOptions } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

const schema = { type: 'object', properties: { n: { type: 'number', maximum: 10 } }, required: ['n'] }
const limits = { maxBytes: 1000, maxDepth: 16 }
const valid = '{"n":1}'
const invalid = '{"n":11}'
const reason = 'not valid for stream telemetry: /n must be <= 10'

interface Test {
  teardown(fn: () => unknown): unknown
}

function newRegistry(): Promise<SchemaRegistry> {
  return SchemaRegistry.open({ folder: '/schemas', fileSystem: new MemoryFileSystem() })
}

async function settings(onInvalid: InvalidPolicy, of: JsonSchema = schema): Promise<IntakeSettings> {
  const source: SchemaSource = { file: 'reading.json', schema: of }
  return { schema: new StreamSchema('telemetry', source, onInvalid, limits, await newRegistry()) }
}

async function start(t: Test, onInvalid: InvalidPolicy, options: TestBrokerOptions = {}) {
  const telemetry = await settings(onInvalid)
  const letters: DeadLetter[] = []
  const policy = { includeQos0: true, noSubscriber: false, cleanSessions: false }
  const deadLetters = { add: (letter: DeadLetter) => void letters.push(letter), policy }
  const intake = (name: string) => (name === 'telemetry' ? telemetry : undefined)
  const broker = await TestBroker.start(t, { deadLetters, intake, ...options })
  const counts = () => broker.broker.describeIntakes()[0]!
  return { broker, letters, counts }
}

const payloads = (records: readonly StreamRecord[]) => records.map(({ payload }) => payload.toString())

t.test('reject: MQTT 5 is told 0x99 with the first error and its pointer, and nobody gets the message', async t => {
  for (const qos of [1, 2] as const) {
    await t.test(`at QoS ${qos}`, async t => {
      const { broker, counts } = await start(t, 'reject')
      const { client: reader } = await RawClient.connect(broker.port, { version: 5 })
      await reader.subscribe('devices/#', 2)
      const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'sensor' })
      client.send({ cmd: 'publish', topic: 'devices/1', payload: invalid, qos, messageId: 7, retain: true })
      const answer = await client.expect(qos === 1 ? 'puback' : 'pubrec')
      t.match(answer, { messageId: 7, reasonCode: 0x99, properties: { reasonString: reason } })
      // The connection lives on, and the id is free again.
      await client.publish('devices/1', valid, qos, { messageId: 7 })
      t.match(await reader.next(), { cmd: 'publish', payload: Buffer.from(valid), retain: false })
      t.same(payloads(await broker.records()), [valid])
      t.equal(broker.store.retainedCount, 0)
      t.same(
        [...counts().validated],
        [
          ['rejected', 1],
          ['valid', 1]
        ]
      )
      t.same([...counts().faults], [['invalid', 1]])
      t.equal(broker.broker.counters.publishRefused.get('schema-invalid'), 1)
    })
  }
})

t.test('reject: MQTT 3.1.1 has no reason codes, so that the connection ends without an ack', async t => {
  for (const qos of [1, 2] as const) {
    const { broker } = await start(t, 'reject')
    const { client } = await RawClient.connect(broker.port, { clientId: 'sensor' })
    client.send({ cmd: 'publish', topic: 'devices/1', payload: invalid, qos, messageId: 7 })
    t.same(await client.ended(), [])
    t.same(await broker.records(), [])
  }
})

t.test('reject: at QoS 0 the message is dropped and counted, and the connection lives on', async t => {
  for (const version of [4, 5] as const) {
    const { broker, counts } = await start(t, 'reject')
    const { client } = await RawClient.connect(broker.port, { version, clientId: 'sensor' })
    client.send({ cmd: 'publish', topic: 'devices/1', payload: 'no JSON', qos: 0 })
    client.send({ cmd: 'publish', topic: 'devices/1', payload: valid, qos: 0 })
    await client.publish('devices/1', valid, 1)
    t.same(payloads(await broker.records()), [valid, valid])
    t.equal(broker.broker.counters.dropped.get('schema-invalid'), 1)
    t.same([...counts().faults], [['not-json', 1]])
  }
})

t.test('dead-letter: acknowledged, kept whole, not in the stream; subscribers and retained messages as ever', async t => {
  for (const version of [4, 5] as const) {
    for (const qos of [0, 1, 2] as const) {
      await t.test(`MQTT ${version}, QoS ${qos}`, async t => {
        const { broker, letters, counts } = await start(t, 'dead-letter')
        const { client: reader } = await RawClient.connect(broker.port, { version: 5 })
        await reader.subscribe('devices/#', 2)
        const { client } = await RawClient.connect(broker.port, { version, clientId: 'sensor' })
        await client.publish('devices/1', invalid, qos, { retain: true })
        await client.publish('devices/1', valid, qos === 0 ? 1 : qos)
        t.match(await reader.next(), { cmd: 'publish', payload: Buffer.from(invalid) })
        t.same(payloads(await broker.records()), [valid])
        t.match(letters, [
          {
            reason: 'validation-failed',
            stream: 'telemetry',
            error: '/n must be <= 10',
            message: { topic: 'devices/1', publisherId: 'sensor', qos, payload: Buffer.from(invalid) }
          }
        ])
        t.equal(broker.store.retainedCount, 1)
        t.equal(counts().validated.get('dead-lettered'), 1)
        t.equal(broker.broker.counters.dropped.get('validation-failed'), 1)
      })
    }
  }
})

t.test('tag: in the stream with the error as a User Property, for subscribers without it', async t => {
  for (const qos of [0, 1, 2] as const) {
    const { broker, counts } = await start(t, 'tag')
    const { client: reader } = await RawClient.connect(broker.port, { version: 5 })
    await reader.subscribe('devices/#', 2)
    const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'sensor' })
    const properties = { contentType: 'application/json', userProperties: { unit: 'm' } }
    await client.publish('devices/1', invalid, qos, { properties })
    await client.publish('devices/1', valid, 1, { properties })
    t.match(await reader.next(), { cmd: 'publish', properties })
    const records = await broker.records()
    t.same(payloads(records), [invalid, valid])
    const decoded = records.map(record => decodeMessageProperties(record.properties))
    t.match(decoded[0], {
      contentType: 'application/json',
      userProperties: [
        ['unit', 'm'],
        ['schema-error', '/n must be <= 10']
      ]
    })
    t.same(decoded[1]?.userProperties, [['unit', 'm']])
    t.same([...counts().validated.keys()].sort(), ['tagged', 'valid'])
  }
})

t.test('other topics are nobody’s business', async t => {
  const { broker, counts } = await start(t, 'reject')
  const { client } = await RawClient.connect(broker.port, { version: 5 })
  const { client: reader } = await RawClient.connect(broker.port, { version: 5 })
  await reader.subscribe('chat/#')
  await client.publish('chat/1', 'no JSON', 1)
  t.match(await reader.next(), { cmd: 'publish', payload: Buffer.from('no JSON') })
  t.same([...counts().validated], [])
})

t.test('of several streams the strictest goes first: one reject refuses for all, else each does as it says', async t => {
  const policies: Record<string, IntakeSettings> = {
    telemetry: await settings('tag'),
    strict: await settings('reject', { type: 'object' }),
    letters: await settings('dead-letter')
  }
  const letters: DeadLetter[] = []
  const broker = await TestBroker.start(t, {
    moreStreams: { strict: 'devices/#', letters: 'devices/#', plain: 'devices/#' },
    intake: name => policies[name],
    deadLetters: { add: letter => void letters.push(letter) }
  })
  const { client } = await RawClient.connect(broker.port, { version: 5 })
  client.send({ cmd: 'publish', topic: 'devices/1', payload: '[]', qos: 1, messageId: 1 })
  t.match(await client.expect('puback'), {
    reasonCode: 0x99,
    properties: { reasonString: /stream strict: the document must be object/ }
  })
  await client.publish('devices/1', invalid, 1)
  const contents: Record<string, string[]> = {}
  for (const name of ['telemetry', 'strict', 'letters', 'plain']) contents[name] = payloads(await broker.records(name))
  t.same(contents, { telemetry: [invalid], strict: [invalid], letters: [], plain: [invalid] })
  t.match(letters, [{ stream: 'letters' }])
  t.equal(letters.length, 1)
})

t.test('the hook comes first: what it makes of the payload is checked', async t => {
  const { broker } = await start(t, 'reject', {
    authorizePublish: (_client, packet, done) => {
      packet.payload = Buffer.from(valid)
      setImmediate(done, null)
    }
  })
  const { client } = await RawClient.connect(broker.port, { version: 5 })
  await client.publish('devices/1', invalid, 1)
  t.same(payloads(await broker.records()), [valid])
})

t.test('programs in the same process are told by an error', async t => {
  const { broker } = await start(t, 'reject')
  const publish = (payload: string) =>
    new Promise<Error | undefined>(resolve => {
      broker.broker.publish({ cmd: 'publish', topic: 'devices/1', payload, qos: 1, dup: false, retain: false }, (error?: Error) =>
        resolve(error)
      )
    })
  t.match(await publish(invalid), { code: 'TRB_SCHEMA_REJECTED', message: reason })
  t.notOk(await publish(valid))
  t.same(payloads(await broker.records()), [valid])
})

t.test('with `latest` the next message is checked with the new version, with a number it is not', async t => {
  const registry = await newRegistry()
  await registry.add('reading', { type: 'object' })
  const told: unknown[] = []
  const logger = { info: (details: object) => void told.push(details), error: () => undefined }
  const bind = (stream: string, version: number | 'latest') => ({
    schema: new StreamSchema(stream, { subject: 'reading', version }, 'tag', limits, registry, logger)
  })
  const policies: Record<string, IntakeSettings> = { telemetry: bind('telemetry', 'latest'), pinned: bind('pinned', 1) }
  const broker = await TestBroker.start(t, { moreStreams: { pinned: 'devices/#' }, intake: name => policies[name] })
  const { client } = await RawClient.connect(broker.port, { version: 5 })
  await client.publish('devices/1', '{}', 1)
  await registry.add('reading', { type: 'object', required: ['n'] }, { compatibility: 'none' })
  await client.publish('devices/1', '{}', 1)
  const tagged = async (name: string) => (await broker.records(name)).map(({ properties }) => properties.length > 0)
  t.same(await tagged('telemetry'), [false, true])
  t.same(await tagged('pinned'), [false, false])
  t.same(told, [{ stream: 'telemetry', schema: 'reading@2' }])
})
