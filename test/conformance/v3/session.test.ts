import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

const { port } = await TestBroker.start(t)
const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })

/** A session that is stored, its client away. */
async function asleep(clientId: string, filter: string, qos: 0 | 1 | 2 = 1): Promise<void> {
  const { client } = await RawClient.connect(port, { clientId, clean: false })
  await client.subscribe(filter, qos)
  await client.disconnect()
}

async function watcher(filter: string): Promise<RawClient> {
  const { client } = await RawClient.connect(port, { clientId: `watching ${filter}` })
  await client.subscribe(filter, 2)
  return client
}

t.test('[MQTT-3.1.2-4] [MQTT-3.2.2-2] [MQTT-3.2.2-3] Clean Session 0 resumes the stored session, or begins one', async t => {
  const first = await RawClient.connect(port, { clientId: 'resumed', clean: false })
  t.match(first.connack, { returnCode: 0, sessionPresent: false })
  await first.client.subscribe('resumed', 1)
  await first.client.cut()
  const second = await RawClient.connect(port, { clientId: 'resumed', clean: false })
  t.match(second.connack, { returnCode: 0, sessionPresent: true })
  await publisher.publish('resumed', 'without subscribing again', 1)
  t.match(await second.client.expect('publish'), { topic: 'resumed', qos: 1 })
})

t.test('[MQTT-3.2.2-2] a stored session without subscriptions is present too', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'bare', clean: false })
  await client.disconnect()
  t.match((await RawClient.connect(port, { clientId: 'bare', clean: false })).connack, { sessionPresent: true })
})

t.test('[MQTT-3.1.2-5] QoS 1 and 2 messages wait for a client that is away', async t => {
  await asleep('away', 'away/+', 2)
  for (const qos of [1, 2] as const) await publisher.publish('away/a', `q${qos}`, qos)
  const { client } = await RawClient.connect(port, { clientId: 'away', clean: false })
  for (const qos of [1, 2]) {
    const packet = await client.expect('publish')
    t.match(packet, { topic: 'away/a', qos, dup: false })
    t.equal(String(packet.payload), `q${qos}`)
  }
})

t.test('QoS 0 messages do not wait for a client that is away', async t => {
  await asleep('away0', 'away0', 2)
  await publisher.publish('away0', 'missed', 0)
  await publisher.publish('away0', 'waits', 1)
  const { client } = await RawClient.connect(port, { clientId: 'away0', clean: false })
  t.equal(String((await client.expect('publish')).payload), 'waits')
})

t.test(
  '[MQTT-3.1.2-6] [MQTT-3.1.4-3] [MQTT-3.2.2-1] Clean Session 1 discards what was stored, and leaves nothing behind',
  async t => {
    await asleep('discarded', 'discarded')
    await publisher.publish('discarded', 'queued', 1)
    const clean = await RawClient.connect(port, { clientId: 'discarded', clean: true })
    t.match(clean.connack, { returnCode: 0, sessionPresent: false })
    await publisher.publish('discarded', 'live', 1)
    t.same(await clean.client.ping(), [], 'neither its queue nor its subscription is there')
    await clean.client.subscribe('discarded', 1)
    await clean.client.disconnect()
    const next = await RawClient.connect(port, { clientId: 'discarded', clean: false })
    t.match(next.connack, { sessionPresent: false })
    await publisher.publish('discarded', 'later', 1)
    t.same(await next.client.ping(), [])
  }
)

t.test('[MQTT-3.1.2-7] retained messages outlive the session of their publisher', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'retainer', clean: true })
  await client.publish('kept', 'kept', 1, { retain: true })
  await client.disconnect()
  t.match(await (await watcher('kept')).expect('publish'), { topic: 'kept', retain: true })
})

t.test('[MQTT-3.1.2-8] the will is published whenever the connection ends without DISCONNECT', async t => {
  const watching = await watcher('lost/+')
  const ways: Record<string, (client: RawClient) => Promise<unknown>> = {
    cut: client => client.cut(),
    ended: async client => client.socket.end(),
    'protocol error': async client => client.sendBytes(Buffer.from([0xf0, 0])),
    'taken over': () => RawClient.connect(port, { clientId: 'taken over' })
  }
  for (const [way, leave] of Object.entries(ways)) {
    const will = { topic: `lost/${way}`, payload: way, qos: 2, retain: false }
    const { client } = await RawClient.connect(port, { clientId: way, will })
    await leave(client)
    const packet = await watching.expect('publish')
    t.match(packet, { topic: `lost/${way}`, qos: 2, retain: false }, way)
    watching.send({ cmd: 'pubrec', messageId: packet.messageId })
    watching.send({ cmd: 'pubcomp', messageId: (await watching.expect('pubrel')).messageId })
  }
})

t.test('[MQTT-3.1.2-10] [MQTT-3.1.2-12] a will is published once, and not for the next connection, which has none', async t => {
  const watching = await watcher('once')
  const device = { clientId: 'wills once', clean: false }
  const { client } = await RawClient.connect(port, { ...device, will: { topic: 'once', payload: 'x', qos: 0, retain: false } })
  await client.cut()
  await watching.expect('publish')
  const { client: again } = await RawClient.connect(port, device)
  await again.cut()
  const { client: last } = await RawClient.connect(port, device)
  t.same(await last.ping(), [])
  t.same(await watching.ping(), [])
})

t.test('[MQTT-3.1.2-10] a will that DISCONNECT discarded is not published by a later loss', async t => {
  const watching = await watcher('dismissed')
  const device = { clientId: 'dismissed', clean: false }
  const { client } = await RawClient.connect(port, {
    ...device,
    will: { topic: 'dismissed', payload: 'x', qos: 0, retain: false }
  })
  await client.disconnect()
  const { client: again } = await RawClient.connect(port, device)
  await again.cut()
  await RawClient.connect(port, device)
  t.same(await watching.ping(), [])
})

t.test('[MQTT-3.1.2-9] [MQTT-3.1.2-16] [MQTT-3.1.2-17] a will is published with its QoS, and retained if it says so', async t => {
  const watching = await watcher('flags/+')
  for (const retain of [false, true]) {
    const will = { topic: `flags/${retain}`, payload: 'x', qos: 1, retain }
    const { client } = await RawClient.connect(port, { clientId: `flags ${retain}`, will })
    await client.cut()
    t.match(await watching.expect('publish'), { topic: `flags/${retain}`, qos: 1, retain: false })
  }
  const late = await RawClient.connect(port, { clientId: 'late' })
  t.match(await late.client.subscribe('flags/+', 2), { granted: [2] })
  t.match(await late.client.ping(), [{ topic: 'flags/true', qos: 1, retain: true }])
})

t.test('[MQTT-3.1.3-2] sessions are told apart by their Client Identifiers, to the letter', async t => {
  await asleep('Device1', 'ids')
  await publisher.publish('ids', 'for Device1', 1)
  for (const clientId of ['device1', 'Device', 'Device10', 'Device1 ']) {
    const { client, connack } = await RawClient.connect(port, { clientId, clean: false })
    t.match(connack, { sessionPresent: false }, clientId)
    t.same(await client.ping(), [])
    await client.disconnect()
  }
  const { client, connack } = await RawClient.connect(port, { clientId: 'Device1', clean: false })
  t.match(connack, { sessionPresent: true })
  t.equal(String((await client.expect('publish')).payload), 'for Device1')
})

t.test('[MQTT-3.2.0-1] CONNACK comes before the messages that wait', async t => {
  await asleep('first', 'first')
  for (let i = 0; i < 50; i++) await publisher.publish('first', String(i), 1)
  const client = await RawClient.open(port)
  client.sendConnect({ clientId: 'first', clean: false })
  t.equal((await client.next())?.cmd, 'connack')
  t.equal((await client.next())?.cmd, 'publish')
})

t.test('[MQTT-4.1.0-1] session state survives a restart: subscriptions, queue and what is under way', async t => {
  let started = await TestBroker.start(t)
  const device = { clientId: 'durable', clean: false }
  const { client } = await RawClient.connect(started.port, device)
  const { client: other } = await RawClient.connect(started.port, { clientId: 'other' })
  await client.subscribe('durable', 2)
  await other.publish('durable', 'under way', 1)
  const underWay = await client.expect('publish')
  await client.disconnect()
  await other.publish('durable', 'queued', 2)
  started = await started.restart(t)
  const { client: again, connack } = await RawClient.connect(started.port, device)
  t.match(connack, { sessionPresent: true })
  t.match(await again.expect('publish'), { messageId: underWay.messageId, dup: true, qos: 1 })
  t.match(await again.expect('publish'), { dup: false, qos: 2 })
  again.send({ cmd: 'publish', topic: 'durable', payload: 'live', qos: 0, retain: false })
  t.match(await again.expect('publish'), { topic: 'durable', qos: 0 })
})

t.test('[MQTT-4.1.0-2] a session lasts as long as its connection, Clean Session or not', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'lasting', clean: true })
  await client.subscribe('lasting', 1)
  for (let i = 0; i < 3; i++) {
    await publisher.publish('lasting', String(i), 1)
    const packet = await client.expect('publish')
    client.send({ cmd: 'puback', messageId: packet.messageId })
    t.same(await client.ping(), [])
  }
})

t.test('[MQTT-3.1.2-8] the end of the broker ends the connection as well: the will reaches those who come back', async t => {
  let started = await TestBroker.start(t)
  const device = { clientId: 'mourner', clean: false }
  const { client } = await RawClient.connect(started.port, device)
  await client.subscribe('stopped', 1)
  await client.disconnect()
  await RawClient.connect(started.port, { clientId: 'doomed', will: { topic: 'stopped', payload: 'x', qos: 1, retain: false } })
  started = await started.restart(t)
  const { client: again } = await RawClient.connect(started.port, device)
  t.match(await again.expect('publish'), { topic: 'stopped', qos: 1 })
})

t.test('an empty will with Will Retain removes what was retained', async t => {
  await publisher.publish('presence', 'here', 1, { retain: true })
  const watching = await watcher('presence')
  t.match(await watching.expect('publish'), { retain: true })
  const will = { topic: 'presence', payload: '', qos: 0, retain: true }
  const { client } = await RawClient.connect(port, { clientId: 'presence', will })
  await client.cut()
  t.match(await watching.expect('publish'), { topic: 'presence', retain: false })
  const { client: late } = await RawClient.connect(port, { clientId: 'too late' })
  await late.subscribe('presence')
  t.same(await late.ping(), [])
})

t.test('3.1: sessions are kept and resumed, but CONNACK does not tell', async t => {
  const device = { clientId: 'old', clean: false, version: 3 as const }
  const { client } = await RawClient.connect(port, device)
  await client.subscribe('old', 1)
  await client.disconnect()
  await publisher.publish('old', 'queued', 1)
  const again = await RawClient.open(port, 3)
  again.sendConnect(device)
  const bytes = await new Promise<Buffer>(resolve => again.socket.once('data', resolve))
  t.same(bytes.subarray(0, 4), Buffer.from([0x20, 2, 0, 0]))
  await again.expect('connack')
  t.match(await again.expect('publish'), { topic: 'old', qos: 1 })
})
