import { once } from 'node:events'
import t from 'tap'
import { field, join, properties } from '../../mqtt/packets/case.ts'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient, type RawConnectOptions } from '../../support/raw-client.ts'
import { connectBytes, recorded, userProperty } from './wire.ts'

const clock = new ManualClock()
const started = await TestBroker.start(t, { clock })
const { port, broker } = started

interface WillParts {
  payload?: string
  qos?: 0 | 1 | 2
  retain?: boolean
  properties?: object
}

/** A CONNECT with a will for a topic named after the client. */
function mortal(clientId: string, parts: WillParts = {}, sessionExpiryInterval = 0): RawConnectOptions {
  const { payload = 'bye', qos = 1, retain = false, properties = {} } = parts
  const will = { topic: `wills/${clientId}`, payload: Buffer.from(payload), qos, retain, properties }
  return { clientId, clean: false, version: 5, will, properties: { sessionExpiryInterval } }
}

async function connect(options: RawConnectOptions): Promise<RawClient> {
  return (await RawClient.connect(port, options)).client
}

async function cut(client: RawClient): Promise<void> {
  await Promise.all([once(broker, 'clientDisconnect'), client.cut()])
}

async function watch(clientId: string, options: object = {}): Promise<RawClient> {
  const { client } = await RawClient.connect(port, { version: 5 })
  await client.subscribe(`wills/${clientId}`, 2, options)
  return client
}

/** Lets time pass, as the broker's sweep would notice it at the latest. */
function pass(seconds: number): void {
  clock.advance(seconds * 1000)
  broker.engine.sweep(clock.now())
}

async function heard(watcher: RawClient): Promise<string[]> {
  return (await watcher.ping()).map(packet => String(packet.payload))
}

const disconnect = (reasonCode: number) => ({ cmd: 'disconnect', reasonCode })

t.test('[MQTT-3.1.2-8] the will is published when the network fails', async t => {
  const watcher = await watch('lost')
  await cut(await connect(mortal('lost')))
  t.match(await watcher.expect('publish'), { topic: 'wills/lost', qos: 1, retain: false, dup: false })
})

t.test('[MQTT-3.1.2-8] the will is published when the client closes without DISCONNECT', async () => {
  const watcher = await watch('silent')
  const client = await connect(mortal('silent'))
  client.socket.end()
  await watcher.expect('publish')
})

t.test('[MQTT-3.1.2-8] the will is published when the broker ends the connection over an error', async t => {
  const watcher = await watch('faulty')
  const client = await connect(mortal('faulty'))
  client.sendBytes(Buffer.from([0x36, 0]))
  await watcher.expect('publish')
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x81 }])
})

t.test('[MQTT-3.1.2-8] the will is published when another connection takes the identifier over', async t => {
  const watcher = await watch('taken')
  await connect(mortal('taken', {}, 100))
  await connect({ clientId: 'taken', clean: false, version: 5 })
  t.same(await heard(watcher), ['bye'])
})

t.test('[MQTT-3.1.2-8] any reason code of DISCONNECT but 0x00 publishes the will', async t => {
  const watcher = await watch('leaving')
  for (const reasonCode of [0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]) {
    const client = await connect(mortal('leaving', { payload: String(reasonCode) }))
    client.send(disconnect(reasonCode))
    t.equal(String((await watcher.expect('publish')).payload), String(reasonCode))
    await client.ended()
  }
})

t.test('[MQTT-3.1.2-8] [MQTT-3.1.2-10] DISCONNECT 0x00 deletes the will, with a delay too', async t => {
  const watcher = await watch('polite')
  for (const willDelayInterval of [0, 10]) {
    const client = await connect(mortal('polite', { properties: { willDelayInterval } }, 1000))
    client.send(disconnect(0))
    await client.ended()
    pass(1001)
    t.same(await heard(watcher), [])
  }
})

t.test('[MQTT-3.1.2-8] a delayed will is published when its delay is over, and not before', async t => {
  const watcher = await watch('delayed')
  await cut(await connect(mortal('delayed', { properties: { willDelayInterval: 10 } }, 1000)))
  pass(9.999)
  t.same(await heard(watcher), [])
  pass(0.001)
  t.same(await heard(watcher), ['bye'])
})

t.test('[MQTT-3.1.2-8] a delayed will is published when its session ends first', async t => {
  const watcher = await watch('ending')
  const delayed = { properties: { willDelayInterval: 1000 } }
  await cut(await connect(mortal('ending', delayed, 10)))
  pass(9.999)
  t.same(await heard(watcher), [])
  pass(0.001)
  t.same(await heard(watcher), ['bye'], 'by its expiry')
  await cut(await connect(mortal('ending', delayed, 0)))
  t.same(await heard(watcher), ['bye'], 'with the connection')
  await cut(await connect(mortal('ending', delayed, 1000)))
  t.same(await heard(watcher), [])
  await connect({ clientId: 'ending', clean: true, version: 5 })
  t.same(await heard(watcher), ['bye'], 'by Clean Start')
})

t.test('[MQTT-3.1.2-8] a delay that is over while the client comes back is over, whether the sweep came by or not', async t => {
  const watcher = await watch('late')
  await cut(await connect(mortal('late', { properties: { willDelayInterval: 10 } }, 1000)))
  clock.advance(10_000)
  await connect({ clientId: 'late', clean: false, version: 5 })
  t.same(await heard(watcher), ['bye'])
})

t.test('[MQTT-3.1.3-9] a client that is back before the delay is over keeps its will back', async t => {
  const watcher = await watch('back')
  const delayed = mortal('back', { properties: { willDelayInterval: 10 } }, 1000)
  await cut(await connect(delayed))
  pass(9)
  const client = await connect(delayed)
  pass(100)
  t.same(await heard(watcher), [], 'while it is connected')
  await cut(client)
  pass(9)
  t.same(await heard(watcher), [], 'the delay begins anew')
  const { clientId } = delayed
  await connect({ clientId: clientId!, clean: false, version: 5, properties: { sessionExpiryInterval: 1000 } })
  pass(10_000)
  t.same(await heard(watcher), [], 'a connection without a will keeps the earlier one back too')
})

t.test('[MQTT-3.1.3-9] a will with a delay is kept back when its connection is taken over', async t => {
  const watcher = await watch('moving')
  const delayed = mortal('moving', { properties: { willDelayInterval: 10 } }, 1000)
  const first = await connect(delayed)
  const second = await connect(delayed)
  await first.ended()
  pass(100)
  t.same(await heard(watcher), [])
  await cut(second)
  pass(10)
  t.same(await heard(watcher), ['bye'])
})

t.test('[MQTT-3.1.2-10] a will is published once', async t => {
  const watcher = await watch('once')
  const options = mortal('once', {}, 1000)
  await cut(await connect(options))
  t.same(await heard(watcher), ['bye'])
  await cut(await connect({ clientId: 'once', clean: false, version: 5 }))
  pass(10_000)
  t.same(await heard(watcher), [], 'the next connection has none')
})

t.test('no Will Flag, no will: nothing is published', async t => {
  const watcher = await watch('#')
  await cut(await connect({ clientId: 'immortal', version: 5 }))
  t.same(await heard(watcher), [])
})

t.test('[MQTT-3.1.2-12] a will is published at its QoS', async t => {
  for (const qos of [0, 1, 2] as const) {
    const watcher = await watch(`qos${qos}`)
    await cut(await connect(mortal(`qos${qos}`, { qos })))
    t.equal((await watcher.expect('publish')).qos, qos)
  }
})

/** What a subscriber that comes late gets. */
async function retained(clientId: string): Promise<string[]> {
  return heard(await watch(clientId))
}

t.test('[MQTT-3.1.2-14] a will with Will Retain 0 is not retained, and leaves what is', async t => {
  const watcher = await watch('plain', { rap: true })
  await watcher.publish('wills/plain', 'kept', 0, { retain: true })
  await watcher.ping()
  await cut(await connect(mortal('plain', { retain: false })))
  t.match(await watcher.expect('publish'), { retain: false })
  t.same(await retained('plain'), ['kept'])
})

t.test('[MQTT-3.1.2-15] a will with Will Retain 1 is retained, an empty one removes what is', async t => {
  const watcher = await watch('kept', { rap: true })
  await cut(await connect(mortal('kept', { retain: true })))
  t.match(await watcher.expect('publish'), { retain: true })
  t.same(await retained('kept'), ['bye'])
  await cut(await connect(mortal('kept', { retain: true, payload: '' })))
  t.same(await retained('kept'), [])
})

t.test('[MQTT-3.1.3-10] User Properties of a will keep their order, names that come again included', async t => {
  const watcher = await watch('ordered')
  const bytes = recorded(watcher)
  const pairs = ['b=1', 'a=2', 'b=3', 'c=4', 'a=2', 'b=1'].map(pair => userProperty(pair[0]!, pair[2]!))
  const payload = [field('ordered'), properties(...pairs), field('wills/ordered'), field('bye')]
  const client = await RawClient.open(port, 5)
  client.sendBytes(connectBytes({ flags: 0x06, payload }))
  await client.expect('connack')
  await cut(client)
  await watcher.expect('publish')
  t.ok(bytes().includes(join(pairs)))
})

t.test('a published will has the properties it came with, but not its delay', async t => {
  const watcher = await watch('dressed')
  const own = {
    payloadFormatIndicator: true,
    contentType: 'text/plain',
    responseTopic: 'answers',
    correlationData: Buffer.from([0, 1, 2])
  }
  const dressed = { ...own, willDelayInterval: 10, messageExpiryInterval: 100 }
  await cut(await connect(mortal('dressed', { retain: true, properties: dressed }, 1000)))
  pass(10)
  const check = (packet: AnyPacket) => {
    t.match(packet.properties, own)
    t.notOk('willDelayInterval' in (packet.properties as object))
  }
  const live = await watcher.expect('publish')
  check(live)
  t.match(live.properties, { messageExpiryInterval: 100 }, 'its expiry begins when it is published')
  pass(60)
  const late = await (await watch('dressed')).expect('publish')
  check(late)
  t.match(late.properties, { messageExpiryInterval: 40 })
})

t.test('[MQTT-3.1.2-7] a will is stored: it is published by the broker that comes after', async t => {
  await cut(await connect(mortal('stored', { properties: { willDelayInterval: 100 } }, 1000)))
  await cut(await connect(mortal('due meanwhile', { properties: { willDelayInterval: 10 } }, 1000)))
  const polite = await connect(mortal('forgotten', { properties: { willDelayInterval: 10 } }, 1000))
  polite.send(disconnect(0))
  await polite.ended()
  await started.stop()
  clock.advance(60_000)
  const next = await started.restart(t)
  const { client: watcher } = await RawClient.connect(next.port, { version: 5 })
  await watcher.subscribe('wills/#', 1)
  next.broker.engine.sweep(clock.now())
  t.same(
    (await watcher.ping()).filter(packet => packet.retain === false).map(packet => packet.topic),
    ['wills/due meanwhile']
  )
  clock.advance(40_000)
  next.broker.engine.sweep(clock.now())
  t.same(
    (await watcher.ping()).map(packet => packet.topic),
    ['wills/stored']
  )
})
