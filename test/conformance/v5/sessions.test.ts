import { once } from 'node:events'
import t from 'tap'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { RawClient, type RawConnectOptions } from '../../support/raw-client.ts'

const clock = new ManualClock()
const started = await TestBroker.start(t, { clock })
const { port, broker } = started
const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher', version: 5 })

/** Clean Start 0; `expiry` undefined leaves the Session Expiry Interval out. */
function options(clientId: string, expiry?: number, clean = false): RawConnectOptions {
  return { clientId, clean, version: 5, ...(expiry === undefined ? {} : { properties: { sessionExpiryInterval: expiry } }) }
}

function has(clientId: string): boolean {
  return broker.describeClients().some(client => client.clientId === clientId)
}

/** Cuts a connection and waits until the broker has noticed: its session's time begins then. */
async function cut(client: RawClient): Promise<void> {
  await Promise.all([once(broker, 'clientDisconnect'), client.cut()])
}

async function gone(clientId: string): Promise<void> {
  while (has(clientId)) await new Promise(resolve => setImmediate(resolve))
}

/** Connects, subscribes to a topic of the client's own name, leaves, and gets one message meanwhile. */
async function leaveBehind(clientId: string, expiry: number, disconnect: object = { cmd: 'disconnect' }): Promise<void> {
  const { client } = await RawClient.connect(port, options(clientId, expiry))
  await client.subscribe(clientId, 2)
  client.send(disconnect)
  await client.ended()
  await publisher.publish(clientId, 'queued', 1)
}

t.test('[MQTT-3.1.2-4] [MQTT-3.2.2-2] Clean Start 1 begins a new session, nothing of the old one is left', async t => {
  await leaveBehind('cleaned', 1000)
  const { client, connack } = await RawClient.connect(port, options('cleaned', 1000, true))
  t.match(connack, { sessionPresent: false, reasonCode: 0 })
  await publisher.publish('cleaned', 'live', 1)
  t.same(await client.ping(), [], 'neither the queue nor the subscription')
  await client.disconnect()
  const again = await RawClient.connect(port, options('cleaned', 1000))
  t.equal(again.connack.sessionPresent, true, 'the new one is kept')
  t.same(await again.client.ping(), [])
})

t.test('[MQTT-3.1.2-4] [MQTT-3.1.4-4] Clean Start 1 frees QoS 2 identifiers that were received', async t => {
  const publish = { cmd: 'publish', topic: 'twice', payload: 'x', qos: 2, messageId: 5, retain: false, dup: false }
  const { client: watcher } = await RawClient.connect(port, { version: 5 })
  await watcher.subscribe('twice', 2)
  const { client } = await RawClient.connect(port, options('half way', 1000))
  client.send(publish)
  await client.expect('pubrec')
  await client.cut()
  const { client: resumed } = await RawClient.connect(port, options('half way', 1000))
  resumed.send({ ...publish, dup: true })
  await resumed.expect('pubrec')
  await resumed.cut()
  t.equal((await watcher.ping()).length, 1, 'known in the resumed session')
  const { client: fresh } = await RawClient.connect(port, options('half way', 1000, true))
  fresh.send(publish)
  await fresh.expect('pubrec')
  t.equal((await watcher.ping()).length, 1, 'new in the new session')
})

t.test('[MQTT-3.1.2-5] [MQTT-3.2.2-3] Clean Start 0 goes on with subscriptions, queue and unfinished handshakes', async t => {
  const { client } = await RawClient.connect(port, options('resumed', 1000))
  await client.subscribe('resumed', 2)
  await publisher.publish('resumed', 'unacknowledged', 1)
  const first = await client.expect('publish')
  await publisher.publish('resumed', 'released', 2)
  const second = await client.expect('publish')
  client.send({ cmd: 'pubrec', messageId: second.messageId })
  await client.expect('pubrel')
  await client.cut()
  await publisher.publish('resumed', 'queued', 1)
  const { client: again, connack } = await RawClient.connect(port, options('resumed', 1000))
  t.match(connack, { sessionPresent: true, reasonCode: 0 })
  t.match(await again.next(), { cmd: 'publish', dup: true, messageId: first.messageId })
  t.match(await again.next(), { cmd: 'pubrel', messageId: second.messageId })
  t.equal(String((await again.expect('publish')).payload), 'queued')
  await publisher.publish('resumed', 'live', 1)
  t.equal(String((await again.expect('publish')).payload), 'live')
})

t.test('[MQTT-3.1.2-6] [MQTT-3.2.2-3] Clean Start 0 without a session begins one', async t => {
  const first = await RawClient.connect(port, options('begun', 1000))
  t.match(first.connack, { sessionPresent: false, reasonCode: 0 })
  await first.client.disconnect()
  const second = await RawClient.connect(port, options('begun', 1000))
  t.match(second.connack, { sessionPresent: true, reasonCode: 0 }, 'a session without subscriptions is a session')
})

t.test('Clean Start 0 without a Session Expiry Interval is a session that ends with its connection', async t => {
  const { client, connack } = await RawClient.connect(port, options('short'))
  t.equal(connack.sessionPresent, false)
  await client.subscribe('short', 1)
  await client.cut()
  await gone('short')
  t.equal((await RawClient.connect(port, options('short'))).connack.sessionPresent, false)
})

t.test('Clean Start 0 without a Session Expiry Interval resumes a session, which then ends with the connection', async t => {
  await leaveBehind('resumed once', 1000)
  const { client, connack } = await RawClient.connect(port, options('resumed once'))
  t.equal(connack.sessionPresent, true)
  t.equal(String((await client.expect('publish')).payload), 'queued')
  await client.cut()
  await gone('resumed once')
  t.equal((await RawClient.connect(port, options('resumed once'))).connack.sessionPresent, false)
})

t.test('[MQTT-3.1.2-23] a session is kept for its Session Expiry Interval, counted from the end of the connection', async t => {
  const { client } = await RawClient.connect(port, options('timed', 60))
  await client.subscribe('timed', 1)
  clock.advance(100_000)
  await cut(client)
  await publisher.publish('timed', 'queued', 1)
  clock.advance(59_000)
  const second = await RawClient.connect(port, options('timed', 60))
  t.equal(second.connack.sessionPresent, true)
  t.equal(String((await second.client.expect('publish')).payload), 'queued')
  await cut(second.client)
  clock.advance(60_001)
  await gone('timed')
  t.equal((await RawClient.connect(port, options('timed', 60))).connack.sessionPresent, false)
})

t.test('[MQTT-3.1.2-23] a session that ended in time is not resumed before the broker has looked', async t => {
  await leaveBehind('over', 60)
  clock.advance(60_001)
  // No turn of the event loop is given to the sweep between the advance and the CONNECT.
  t.equal((await RawClient.connect(port, options('over', 60))).connack.sessionPresent, false)
})

t.test('[MQTT-3.1.2-23] 0xFFFFFFFF never ends', async t => {
  await leaveBehind('forever', 0xffffffff)
  clock.advance(200 * 365 * 24 * 3600 * 1000)
  for (let i = 0; i < 3; i++) await publisher.ping()
  t.equal((await RawClient.connect(port, options('forever', 0xffffffff))).connack.sessionPresent, true)
})

t.test('[MQTT-3.1.2-23] DISCONNECT may change the Session Expiry Interval', async t => {
  const disconnect = (sessionExpiryInterval: number) => ({
    cmd: 'disconnect',
    reasonCode: 0,
    properties: { sessionExpiryInterval }
  })
  await leaveBehind('longer', 10, disconnect(1000))
  clock.advance(500_000)
  t.equal((await RawClient.connect(port, options('longer', 10))).connack.sessionPresent, true, 'longer')
  await leaveBehind('shorter', 1000, disconnect(10))
  clock.advance(10_001)
  await gone('shorter')
  t.equal((await RawClient.connect(port, options('shorter', 10))).connack.sessionPresent, false, 'shorter')
  const { client } = await RawClient.connect(port, options('at once', 1000))
  client.send(disconnect(0))
  await client.ended()
  await gone('at once')
  t.equal((await RawClient.connect(port, options('at once', 10))).connack.sessionPresent, false, 'at once')
})

t.test('a Session Expiry Interval that was zero cannot be raised by DISCONNECT: 0x82', async t => {
  for (const expiry of [undefined, 0]) {
    const { client } = await RawClient.connect(port, options('raised', expiry))
    client.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 10 } })
    t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x82 }])
    await gone('raised')
  }
})

t.test('[MQTT-3.1.3-2] the Client Identifier, and nothing like it, is what a session is known by', async t => {
  await leaveBehind('Device', 1000)
  for (const clientId of ['device', 'Device ', 'Device/', '\ufeffDevice']) {
    t.equal((await RawClient.connect(port, options(clientId, 1000))).connack.sessionPresent, false, JSON.stringify(clientId))
  }
  // Neither the user nor the address has a part in it.
  t.equal((await RawClient.connect(port, { ...options('Device', 1000), username: 'somebody' })).connack.sessionPresent, true)
})

t.test('[MQTT-3.1.4-3] an older connection is told 0x8E and closed, and the newer one has the session', async t => {
  const { client: first } = await RawClient.connect(port, options('taken', 1000))
  await first.subscribe('taken', 1)
  await publisher.publish('taken', 'unacknowledged', 1)
  await first.expect('publish')
  const { client: second, connack } = await RawClient.connect(port, options('taken', 1000))
  t.match(await first.ended(), [{ cmd: 'disconnect', reasonCode: 0x8e }])
  t.equal(connack.sessionPresent, true)
  t.match(await second.expect('publish'), { dup: true })
  const { client: third, connack: clean } = await RawClient.connect(port, options('taken', 1000, true))
  t.match(await second.ended(), [{ cmd: 'disconnect', reasonCode: 0x8e }])
  t.equal(clean.sessionPresent, false)
  t.same(await third.ping(), [])
})

t.test('[MQTT-3.1.4-3] many connections at once with one identifier leave one', async t => {
  const clients = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const client = await RawClient.open(port, 5)
      client.sendConnect(options('popular', 1000))
      return client
    })
  )
  const finished = clients.map(client => client.ended())
  let open = clients.length
  for (const ended of finished) void ended.then(() => open--)
  while (open > 1) await new Promise(resolve => setImmediate(resolve))
  t.equal(broker.describeClients().filter(client => client.clientId === 'popular').length, 1)
  t.equal([...broker.connections].filter(connection => connection.id === 'popular').length, 1)
})

t.test('[MQTT-3.1.2-23] [MQTT-3.1.2-5] a session outlives the broker, with what is left of its interval', async t => {
  await leaveBehind('lasting', 100)
  await leaveBehind('passing', 50)
  const { client: connected } = await RawClient.connect(port, options('connected', 30))
  await connected.subscribe('connected', 1)
  await started.stop()
  clock.advance(60_000)
  const next = await started.restart(t)
  const lasting = await RawClient.connect(next.port, options('lasting', 100))
  t.equal(lasting.connack.sessionPresent, true)
  t.equal(String((await lasting.client.expect('publish')).payload), 'queued')
  t.equal((await RawClient.connect(next.port, options('passing', 100))).connack.sessionPresent, false)
})

t.test('a Session Expiry Interval above the limit is lowered, and CONNACK says to what; others are not mentioned', async t => {
  const limited = await TestBroker.start(t, { clock, limits: { sessionExpirySecondsMax: 100 } })
  const answer = async (clientId: string, expiry?: number) => {
    const { client, connack } = await RawClient.connect(limited.port, options(clientId, expiry))
    await client.cut()
    return (connack.properties as { sessionExpiryInterval?: number }).sessionExpiryInterval
  }
  t.same([await answer('a', 101), await answer('b', 0xffffffff)], [100, 100])
  t.same([await answer('c', 100), await answer('d', 0), await answer('e')], [undefined, undefined, undefined])
  const { client } = await RawClient.connect(limited.port, options('f', 50))
  client.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 1000 } })
  await client.ended()
  clock.advance(100_001)
  t.equal((await RawClient.connect(limited.port, options('f', 50))).connack.sessionPresent, false, 'DISCONNECT is limited too')
})
