import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import type { Readable } from 'node:stream'
import { Aedes } from 'aedes'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import type { AedesPacket } from '../../persistence/aedes-packet.ts'
import { LevelPersistence, LevelStore } from '../../persistence/index.ts'
import type { StoredMessage } from '../../persistence/message-codec.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { FaultyDb } from './faulty-db.ts'
import { message, putSession } from './store-fixtures.ts'

const BROKER = { id: 'broker-1' }

/** A persistence that is set up, and a way to set it up again on the same folder. */
async function opened(t: Test) {
  const folder = temporaryFolder(t)
  const faulty = new FaultyDb()
  let open = true
  let persistence = new LevelPersistence({ folder, openDb: faulty.open })
  await persistence.setup(BROKER)
  const close = async () => {
    if (open) await persistence.destroy()
    open = false
  }
  t.teardown(close)
  const restart = async () => {
    await close()
    persistence = new LevelPersistence({ folder, openDb: faulty.open })
    await persistence.setup({ id: 'broker-2' })
    open = true
    return persistence
  }
  return { persistence, faulty, restart, close, folder }
}

function publish(brokerCounter: number, more: Partial<AedesPacket> = {}): AedesPacket {
  const payload = Buffer.from(String(brokerCounter))
  return { cmd: 'publish', topic: 't', payload, qos: 1, retain: false, dup: false, brokerId: BROKER.id, brokerCounter, ...more }
}

const packets = (stream: Readable): Promise<AedesPacket[]> => stream.toArray()
const texts = async (stream: Readable) => (await packets(stream)).map(({ payload }) => String(payload))

const PROPERTIES = {
  contentType: 'text/plain',
  correlationData: Buffer.from([0, 1, 255]),
  payloadFormatIndicator: true,
  messageExpiryInterval: 60,
  userProperties: { ['__proto__']: 'a', list: ['b', 'ü'] },
  subscriptionIdentifier: [1, 268_435_455]
}

t.test('MQTT 5 fields of packets survive a restart', async t => {
  const { persistence, restart } = await opened(t)
  const full = publish(1, { properties: PROPERTIES, messageExpiry: 1_900_000_000_000, clientId: 'pub', nl: true, qos: 2 })
  await persistence.outgoingEnqueueCombi([{ clientId: 'c' }], full)
  await persistence.incomingStorePacket({ id: 'c' }, { ...full, messageId: 7 })
  await persistence.storeRetained({ ...full, topic: 'kept', retain: true, undefinedField: undefined, callback: () => undefined })
  await persistence.putWill({ id: 'c' }, { topic: 'will', payload: 'text', qos: 1, retain: true, properties: PROPERTIES })
  const again = await restart()
  const [queued] = await packets(again.outgoingStream({ id: 'c' }))
  t.strictSame(queued, { ...full, messageId: undefined })
  t.strictSame(await again.incomingGetPacket({ id: 'c' }, { messageId: 7 }), { ...full, messageId: 7 })
  const [kept] = await packets(again.createRetainedStream('kept'))
  t.strictSame(kept, { ...full, topic: 'kept', retain: true, undefinedField: undefined })
  const will = await again.getWill({ id: 'c' })
  t.match(will, {
    topic: 'will',
    payload: 'text',
    qos: 1,
    retain: true,
    properties: PROPERTIES,
    clientId: 'c',
    brokerId: BROKER.id
  })
  t.same((await packets(again.streamWill({ 'broker-2': 1 }))).length, 1)
  t.same((await packets(again.streamWill({ [BROKER.id]: 1 }))).length, 0)
})

t.test('subscriptions survive a restart with their MQTT 5 options', async t => {
  const { persistence, restart } = await opened(t)
  const full = { topic: 'a/+', qos: 1 as const, rh: 2, rap: true, nl: true, subscriptionIdentifier: 42 }
  const plain = { topic: 'b', qos: 0 as const, rh: 0, rap: false, nl: false }
  for (const id of ['constructor', '__proto__', 'dev1', 'dev10']) await persistence.addSubscriptions({ id }, [full, plain])
  await persistence.cleanSubscriptions({ id: 'dev1' })
  const again = await restart()
  t.same(await again.subscriptionsByClient({ id: 'dev1' }), [])
  for (const id of ['constructor', '__proto__', 'dev10']) t.strictSame(await again.subscriptionsByClient({ id }), [full, plain])
  t.same((await again.subscriptionsByTopic('a/x')).map(({ clientId }) => clientId).sort(), ['__proto__', 'constructor', 'dev10'])
  t.same(await again.countOffline(), { subsCount: 3, clientsCount: 3 })
  t.same((await again.getClientList('b').toArray()).sort(), ['__proto__', 'constructor', 'dev10'])
})

t.test('a queue keeps its order and states across restarts, whatever the broker is called', async t => {
  const { persistence, restart } = await opened(t)
  const client = { id: 'c' }
  for (let i = 1; i <= 250; i++) await persistence.outgoingEnqueue({ clientId: 'c' }, publish(i, { qos: 2 }))
  await persistence.outgoingUpdate(client, { ...publish(1), messageId: 11 })
  await persistence.outgoingUpdate(client, { ...publish(2), messageId: 12 })
  await persistence.outgoingUpdate(client, { cmd: 'pubrel', messageId: 11 })
  let again = await restart()
  for (let i = 1; i <= 3; i++)
    await again.outgoingEnqueue({ clientId: 'c' }, publish(i, { brokerId: 'broker-2', payload: `new ${i}` }))
  again = await restart()
  const queue = await packets(again.outgoingStream(client))
  t.same(queue[0], { cmd: 'pubrel', messageId: 11 })
  t.equal(queue[1]?.messageId, 12)
  const wanted = Array.from({ length: 249 }, (_, i) => String(i + 2)).concat('new 1', 'new 2', 'new 3')
  t.same(
    queue.slice(1).map(({ payload }) => String(payload)),
    wanted
  )
  t.same(await again.outgoingClearMessageId(client, { messageId: 11 }), { cmd: 'pubrel', messageId: 11 })
  t.match(await again.outgoingClearMessageId(client, { messageId: 12 }), { payload: Buffer.from('2'), messageId: 12 })
  t.equal(await again.outgoingClearMessageId(client, { messageId: 12 }), undefined)
  t.equal((await packets(again.outgoingStream(client))).length, 251)
})

t.test('a packet that was never given an id can be cleared, and not a neighbour in its place', async t => {
  const { persistence } = await opened(t)
  const client = { id: 'c' }
  for (let i = 1; i <= 3; i++) await persistence.outgoingEnqueue({ clientId: 'c' }, publish(i))
  t.match(await persistence.outgoingClearMessageId(client, publish(2)), { payload: Buffer.from('2') })
  t.equal(await persistence.outgoingClearMessageId(client, {}), undefined)
  t.same(await texts(persistence.outgoingStream(client)), ['1', '3'])
})

t.test('packets enqueued while the queue is being read are neither lost nor out of order', async t => {
  const { persistence, restart } = await opened(t)
  for (let i = 1; i <= 150; i++) void persistence.outgoingEnqueue({ clientId: 'c' }, publish(i))
  const again = await restart()
  const first = again.outgoingUpdate({ id: 'c' }, { ...publish(1), messageId: 1 })
  const enqueued = [151, 152].map(i => again.outgoingEnqueue({ clientId: 'c' }, publish(i)))
  await Promise.all([first, ...enqueued])
  await again.outgoingUpdate({ id: 'c' }, { ...publish(152), messageId: 2 })
  const queue = await packets(again.outgoingStream({ id: 'c' }))
  t.same(
    queue.map(({ brokerCounter }) => brokerCounter),
    Array.from({ length: 152 }, (_, i) => i + 1)
  )
  t.same([queue[0]?.messageId, queue[151]?.messageId], [1, 2])
})

t.test('a promise resolves only when its write is on disk, and many share one sync', async t => {
  const { persistence, faulty } = await opened(t)
  let writes = 0
  const db = faulty.db!
  const batch = db.batch.bind(db) as () => ReturnType<typeof db.batch>
  const counted = () => {
    writes++
    return batch()
  }
  Object.assign(db, { batch: counted })
  await Promise.all(Array.from({ length: 500 }, (_, i) => persistence.outgoingEnqueue({ clientId: `c${i % 7}` }, publish(i))))
  t.ok(writes <= 2, `${writes} batches for 500 calls`)

  faulty.fault = 'before'
  await t.rejects(persistence.storeRetained(publish(1, { retain: true })), { code: 'TRB_STORE_WRITE_FAILED' })
  await persistence.storeRetained(publish(2, { topic: 'other', retain: true }))
  t.same(
    (await texts(persistence.createRetainedStreamCombi(['t', 'other']))).sort(),
    ['1', '2'],
    'the failed write went with the next'
  )
})

t.test('a client leaves nothing behind once everything of it is gone', async t => {
  const { persistence, close, folder } = await opened(t)
  const client = { id: 'c' }
  await persistence.addSubscriptions(client, [{ topic: 'a', qos: 1 }])
  await persistence.outgoingEnqueue({ clientId: 'c' }, publish(1))
  await persistence.incomingStorePacket(client, { ...publish(1), messageId: 5 })
  await persistence.cleanSubscriptions(client)
  await persistence.cleanIncoming(client)
  t.equal((await packets(persistence.outgoingStream(client))).length, 1, 'the queue is not part of either')
  await persistence.outgoingClearMessageId(client, publish(1))
  await persistence.addSubscriptions({ id: 'other' }, [{ topic: 'a', qos: 0 }])
  await close()
  const left = new FaultyDb()
  await left.open(folder)
  t.equal((await left.keys('S')).length, 2, 'the other client and its subscription')
  await left.db?.close()
})

t.test('a packet whose other fields are damaged is delivered with what is left, and reported', async t => {
  const folder = temporaryFolder(t)
  const store = await LevelStore.open({ folder })
  t.teardown(() => store.close())
  const damaged: StoredMessage = { ...message('t'), foreign: Buffer.from([99]) }
  store.putRetained({ ...damaged, retain: true })
  store.putWill({ clientId: 'c', message: damaged, delaySeconds: 0, dueAtMs: 0 })
  await store.commit()
  await store.close()
  const logged: object[] = []
  const logger = { error: (fields: object) => void logged.push(fields), warn: () => undefined }
  const persistence = new LevelPersistence({ folder, logger })
  await persistence.setup(BROKER)
  t.teardown(() => persistence.destroy())
  t.match(await packets(persistence.createRetainedStream('#')), [{ cmd: 'publish', topic: 't', payload: Buffer.from('payload') }])
  t.match(await persistence.getWill({ id: 'c' }), { topic: 't' })
  t.match(logged, [{ code: 'TRB_STORE_CORRUPT' }, { code: 'TRB_STORE_CORRUPT' }])
})

t.test('it works on a store somebody else has opened, and on what the engine wrote there', async t => {
  const folder = temporaryFolder(t)
  let store = await LevelStore.open({ folder })
  const key = putSession(store, 'c')
  store.enqueue(key, 1, store.message(message('engine')), 1, false, [], 0)
  await store.close()
  store = await LevelStore.open({ folder })
  t.teardown(() => store.close())
  const persistence = new LevelPersistence({ store })
  await persistence.setup(BROKER)
  t.match(await packets(persistence.outgoingStream({ id: 'c' })), [{ cmd: 'publish', topic: 'engine', qos: 1 }])
  await persistence.destroy()
  await t.rejects(persistence.destroy(), /twice/)
  t.equal((await store.readQueue(key, 0, 9)).length, 1, 'destroy leaves the store open')
})

async function startAedes(t: Test, folder: string) {
  const persistence = new LevelPersistence({ folder })
  const aedes = await Aedes.createBroker({ persistence })
  const server = createServer(aedes.handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  let stopped = false
  const stop = async () => {
    if (stopped) return
    stopped = true
    await new Promise<void>(resolve => aedes.close(() => resolve()))
    await new Promise(resolve => server.close(resolve))
    await persistence.destroy()
  }
  t.teardown(stop)
  const { port } = server.address() as AddressInfo
  /** Not connected yet when this returns, so that no message can arrive before somebody listens. */
  const connect = (options: IClientOptions) => mqtt.connect(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, ...options })
  return { stop, connect }
}

/** Resolves with the payloads of the next `count` messages. */
function receive(client: MqttClient, count: number): Promise<string[]> {
  const found: string[] = []
  return new Promise(resolve => {
    client.on('message', (_topic, payload) => {
      found.push(payload.toString())
      if (found.length === count) resolve(found)
    })
  })
}

t.test('stock Aedes keeps a session on it: queued messages arrive in order after a restart', async t => {
  const folder = temporaryFolder(t)
  let broker = await startAedes(t, folder)
  let device = broker.connect({ clientId: 'device', clean: false })
  await device.subscribeAsync('cmd/#', { qos: 1 })
  await device.endAsync()
  const backend = broker.connect({ clientId: 'backend' })
  for (let i = 1; i <= 20; i++) await backend.publishAsync('cmd/device', String(i), { qos: 1 })
  await backend.publishAsync('state', 'kept', { qos: 1, retain: true })
  await backend.endAsync()
  await broker.stop()

  broker = await startAedes(t, folder)
  device = broker.connect({ clientId: 'device', clean: false })
  t.same(
    await receive(device, 20),
    Array.from({ length: 20 }, (_, i) => String(i + 1))
  )
  const kept = receive(device, 1)
  await device.subscribeAsync('state', { qos: 1 })
  t.same(await kept, ['kept'])
  await device.endAsync()
  await broker.stop()
})
