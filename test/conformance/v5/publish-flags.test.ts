import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient, type RawConnectOptions } from '../../support/raw-client.ts'
import { publishBytes, recorded, violation } from './wire.ts'

const started = await TestBroker.start(t)
const { port } = started
const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher', version: 5 })

async function connect(options: RawConnectOptions = {}): Promise<RawClient> {
  return (await RawClient.connect(port, { version: 5, ...options })).client
}

async function subscriber(filter: string, options: object = {}): Promise<RawClient> {
  const client = await connect()
  await client.subscribe(filter, 2, options)
  return client
}

/** `payload retain` of what a new subscriber gets. */
async function retained(filter: string, options: object = {}): Promise<string[]> {
  return shown(await (await subscriber(filter, options)).ping())
}

function shown(packets: AnyPacket[]): string[] {
  return packets.map(packet => `${packet.payload} ${packet.retain}`).sort()
}

const retain = { retain: true }
const persistent = (clientId: string): RawConnectOptions => ({
  clientId,
  clean: false,
  properties: { sessionExpiryInterval: 1000 }
})

t.test('[MQTT-3.3.1-1] what is sent again has DUP, at QoS 1 and 2, what is sent for the first time has not', async t => {
  const client = await connect(persistent('again'))
  await client.subscribe('again', 2)
  for (const qos of [1, 2] as const) await publisher.publish('again', `sent ${qos}`, qos)
  t.same(
    [await client.expect('publish'), await client.expect('publish')].map(packet => packet.dup),
    [false, false]
  )
  await client.cut()
  await publisher.publish('again', 'queued', 1)
  const again = await connect(persistent('again'))
  const packets = [await again.expect('publish'), await again.expect('publish'), await again.expect('publish')]
  t.same(
    packets.map(packet => `${packet.payload} ${packet.dup}`),
    ['sent 1 true', 'sent 2 true', 'queued false']
  )
  await again.cut()
  const third = await connect(persistent('again'))
  const [first] = [await third.expect('publish')]
  t.match(first, { dup: true, messageId: packets[0]?.messageId })
})

t.test('[MQTT-3.3.1-2] DUP at QoS 0 is malformed', async t => {
  t.equal(await violation(port, publishBytes(8, 'a', [], 'x')), 0x81)
})

t.test(
  '[MQTT-3.3.1-2] [MQTT-3.3.1-3] the DUP of the publisher is not forwarded, at any QoS, live, queued or retained',
  async t => {
    const live = [await connect(), await connect(), await connect()]
    for (const [qos, client] of live.entries()) await client.subscribe('marked', qos as 0 | 1 | 2)
    const away = await connect(persistent('away'))
    await away.subscribe('marked', 2)
    await away.disconnect()
    for (const qos of [1, 2] as const) {
      await publisher.publish('marked', `qos ${qos}`, qos, { dup: true, retain: true })
      for (const client of live) t.equal((await client.expect('publish')).dup, false)
    }
    const back = await connect(persistent('away'))
    t.same([(await back.expect('publish')).dup, (await back.expect('publish')).dup], [false, false])
    t.equal((await (await subscriber('marked')).expect('publish')).dup, false)
  }
)

t.test('[MQTT-3.3.1-3] a PUBLISH without DUP that is sent again by the broker has it', async t => {
  const client = await connect(persistent('unmarked'))
  await client.subscribe('unmarked', 1)
  await publisher.publish('unmarked', 'x', 1, { dup: false })
  await client.expect('publish')
  await client.cut()
  t.equal((await (await connect(persistent('unmarked'))).expect('publish')).dup, true)
})

t.test('[MQTT-3.3.1-4] QoS 3 is malformed, whatever the other flags', async t => {
  for (const flags of [6, 7, 14, 15]) t.equal(await violation(port, publishBytes(flags, 'a', [], 'x', 1)), 0x81, `flags ${flags}`)
})

t.test(
  '[MQTT-3.3.1-5] the last retained message of a topic is kept, at its QoS and with its properties, over a restart',
  async t => {
    const own = await TestBroker.start(t)
    const { client } = await RawClient.connect(own.port, { version: 5 })
    for (const qos of [0, 1, 2] as const) {
      await client.publish(`kept/${qos}`, 'old', 2, { retain: true, properties: { contentType: 'old' } })
      await client.publish(`kept/${qos}`, 'new', qos, { retain: true, properties: { contentType: 'new' } })
    }
    await client.ping()
    const check = async (port: number) => {
      const { client: late } = await RawClient.connect(port, { version: 5 })
      await late.subscribe('kept/+', 2)
      const packets = (await late.ping()).sort((a, b) => Number(a.qos) - Number(b.qos))
      t.same(
        packets.map(packet => `${packet.topic} ${packet.payload} ${packet.qos} ${packet.retain}`),
        ['kept/0 new 0 true', 'kept/1 new 1 true', 'kept/2 new 2 true']
      )
      for (const packet of packets) t.match(packet.properties, { contentType: 'new' })
    }
    await check(own.port)
    await check((await own.restart(t)).port)
  }
)

t.test('[MQTT-3.3.1-5] topics with empty levels are topics of their own', async t => {
  for (const topic of ['levels', 'levels/', 'levels//', '/levels']) await publisher.publish(topic, topic, 1, retain)
  t.same(await retained('levels'), ['levels true'])
  t.same(await retained('levels/'), ['levels/ true'])
  t.same(await retained('levels/+'), ['levels/ true'])
  t.same(await retained('levels/#'), ['levels true', 'levels/ true', 'levels// true'])
  t.same(await retained('/levels'), ['/levels true'])
})

t.test('[MQTT-3.3.1-6] [MQTT-3.3.1-7] an empty payload is delivered, removes what is retained and is not retained', async t => {
  const watcher = await subscriber('emptied', { rap: true })
  for (const qos of [0, 1, 2] as const) {
    await publisher.publish('emptied', 'x', 1, retain)
    t.same(await retained('emptied'), ['x true'])
    await watcher.expect('publish')
    await publisher.publish('emptied', '', qos, retain)
    t.match(await watcher.expect('publish'), { retain: true, qos })
    t.same(await retained('emptied'), [], `QoS ${qos}`)
  }
  await publisher.publish('never filled', '', 1, retain)
  t.same(await retained('never filled'), [])
})

t.test('[MQTT-3.3.1-8] a message with RETAIN 0 is not retained and leaves what is, be it empty or not', async t => {
  await publisher.publish('steady', 'kept', 1, retain)
  for (const qos of [0, 1, 2] as const) {
    await publisher.publish('steady', 'passing', qos)
    await publisher.publish('steady', '', qos)
    await publisher.publish('unsteady', 'passing', qos)
  }
  t.same(await retained('steady'), ['kept true'])
  t.same(await retained('unsteady'), [])
})

t.test('[MQTT-3.3.1-9] Retain Handling 0 sends all that is retained with each SUBSCRIBE', async t => {
  for (const topic of ['rh/a', 'rh/b', 'rh/a/c']) await publisher.publish(topic, topic, 1, retain)
  const client = await connect()
  for (let i = 0; i < 2; i++) {
    await client.subscribe('rh/+', 0, { rh: 0 })
    t.same(shown(await client.ping()), ['rh/a true', 'rh/b true'])
  }
  await client.subscribe('rh/#', 0, { rh: 0 })
  t.same(shown(await client.ping()), ['rh/a true', 'rh/a/c true', 'rh/b true'], 'those of an overlapping filter too')
})

t.test('[MQTT-3.3.1-10] Retain Handling 1 sends what is retained to a new subscription only', async t => {
  const client = await connect(persistent('once'))
  await client.subscribe('rh/a', 0, { rh: 1 })
  t.same(shown(await client.ping()), ['rh/a true'])
  await client.subscribe('rh/a', 1, { rh: 1, rap: true })
  t.same(await client.ping(), [], 'other options do not make it new')
  await client.cut()
  const again = await connect(persistent('once'))
  await again.subscribe('rh/a', 0, { rh: 1 })
  t.same(await again.ping(), [], 'nor does another connection')
  again.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['rh/a'] })
  await again.expect('unsuback')
  await again.subscribe('rh/a', 0, { rh: 1 })
  t.same(shown(await again.ping()), ['rh/a true'], 'after UNSUBSCRIBE it is new')
})

t.test('[MQTT-3.3.1-11] Retain Handling 2 sends nothing that is retained', async t => {
  const client = await connect()
  for (const filter of ['rh/a', 'rh/a', 'rh/#']) {
    await client.subscribe(filter, 0, { rh: 2 })
    t.same(await client.ping(), [])
  }
  await publisher.publish('rh/a', 'rh/a', 1, retain)
  t.equal((await client.ping()).length, 1, 'what is published later arrives')
})

t.test('[MQTT-3.3.1-12] [MQTT-3.3.1-13] RETAIN is forwarded with Retain As Published and cleared without', async t => {
  const without = await subscriber('flag')
  const withIt = await subscriber('flag', { rap: true })
  const away = { cleared: await connect(persistent('cleared')), kept: await connect(persistent('kept')) }
  await away.cleared.subscribe('flag', 1)
  await away.kept.subscribe('flag', 1, { rap: true })
  await away.cleared.disconnect()
  await away.kept.disconnect()
  for (const qos of [0, 1, 2] as const) {
    for (const flag of [true, false]) await publisher.publish('flag', `${qos} ${flag}`, qos, { retain: flag })
  }
  const live = ['0 true', '0 false', '1 true', '1 false', '2 true', '2 false']
  const flags = (packets: AnyPacket[]) => packets.map(packet => packet.retain)
  await publisher.ping()
  t.same(
    flags(await without.ping()),
    live.map(() => false)
  )
  t.same(flags(await withIt.ping()), [true, false, true, false, true, false])
  const cleared = await connect(persistent('cleared'))
  const kept = await connect(persistent('kept'))
  const four = async (client: RawClient) => [await client.next(), await client.next(), await client.next(), await client.next()]
  t.same(flags((await four(cleared)) as AnyPacket[]), [false, false, false, false], 'queued')
  t.same(flags((await four(kept)) as AnyPacket[]), [true, false, true, false], 'queued')
})

t.test('what is sent because of a SUBSCRIBE has RETAIN 1, with and without Retain As Published', async t => {
  await publisher.publish('stored', 'x', 1, retain)
  t.same(await retained('stored', { rap: false }), ['x true'])
  t.same(await retained('stored', { rap: true }), ['x true'])
})

t.test('[MQTT-3.3.1-2] QoS 0 goes out with first byte 0x30 or 0x31', async t => {
  const client = await connect()
  await client.subscribe('bare', 0, { rap: true })
  const bytes = recorded(client)
  await publisher.publish('bare', 'x', 0)
  await client.expect('publish')
  t.equal(bytes()[0], 0x30)
  const more = recorded(client)
  await publisher.publish('bare', 'x', 2, { dup: true, retain: true })
  await client.expect('publish')
  t.equal(more()[0], 0x31)
})
