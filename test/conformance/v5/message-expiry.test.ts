import t from 'tap'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient, type RawConnectOptions } from '../../support/raw-client.ts'
import { recorded } from './wire.ts'

const clock = new ManualClock()
/** Publishes to these topics wait until the test lets them go on. */
const held: (() => void)[] = []
const { port, broker } = await TestBroker.start(t, {
  clock,
  authorizePublish: (_client, packet, done) => {
    if (packet.topic.startsWith('held/')) held.push(() => done(null))
    else done(null)
  }
})

const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher', version: 5 })

async function connect(options: RawConnectOptions = {}): Promise<RawClient> {
  return (await RawClient.connect(port, { version: 5, ...options })).client
}

function publish(topic: string, payload: string, qos: 0 | 1 | 2, seconds: number, options: object = {}): Promise<void> {
  return publisher.publish(topic, payload, qos, { properties: { messageExpiryInterval: seconds }, ...options })
}

/** `payload seconds` of each packet. */
function left(packets: (AnyPacket | undefined)[]): string[] {
  return packets.map(packet => {
    const { messageExpiryInterval } = (packet?.properties ?? {}) as { messageExpiryInterval?: number }
    return `${packet?.payload} ${messageExpiryInterval}`
  })
}

function expired(): number {
  return broker.counters.dropped.get('message-expired') ?? 0
}

const persistent = (clientId: string): RawConnectOptions => ({
  clientId,
  clean: false,
  properties: { sessionExpiryInterval: 100_000 }
})

t.test('[MQTT-3.3.2-6] a message that does not wait keeps its whole interval', async t => {
  for (const qos of [0, 1, 2] as const) {
    const client = await connect()
    await client.subscribe('live', qos)
    for (const seconds of [0, 1, 4_294_967_295]) {
      await publish('live', String(seconds), 2, seconds)
      t.same(left([await client.expect('publish')]), [`${seconds} ${seconds}`], `QoS ${qos}`)
    }
  }
})

t.test('[MQTT-3.3.2-6] a message without an interval is forwarded without one, however long it waits', async t => {
  const client = await connect(persistent('timeless'))
  await client.subscribe('timeless', 1)
  await client.disconnect()
  await publisher.publish('timeless', 'x', 1, { retain: true })
  clock.advance(50_000_000)
  const back = await connect(persistent('timeless'))
  t.same(left([await back.expect('publish')]), ['x undefined'])
  const late = await connect()
  await late.subscribe('timeless', 1)
  t.same(left([await late.expect('publish')]), ['x undefined'])
})

t.test(
  '[MQTT-3.3.2-5] [MQTT-3.3.2-6] in the queue of a session that is away messages expire, or lose the time they waited',
  async t => {
    const client = await connect(persistent('away'))
    await client.subscribe('away', 2)
    await client.disconnect()
    for (const qos of [1, 2] as const) {
      await publish('away', `short ${qos}`, qos, 20)
      await publish('away', `long ${qos}`, qos, 60)
    }
    const before = expired()
    clock.advance(20_000)
    const back = await connect(persistent('away'))
    t.same(left([await back.expect('publish'), await back.expect('publish')]), ['long 1 40', 'long 2 40'])
    t.same(await back.ping(), [])
    t.equal(expired() - before, 2, 'those that expired are counted')
  }
)

t.test('[MQTT-3.3.2-5] [MQTT-3.3.2-6] so do they while they wait for the window of a client that is there', async t => {
  for (const options of [{ clientId: 'unstored' }, persistent('stored')]) {
    const properties = { ...options.properties, receiveMaximum: 1 }
    const client = await connect({ ...options, properties })
    await client.subscribe('narrow', 1)
    await publish('narrow', 'first', 1, 60)
    await publish('narrow', 'short', 1, 20)
    await publish('narrow', 'long', 1, 60)
    const first = await client.expect('publish')
    const before = expired()
    clock.advance(20_000)
    client.send({ cmd: 'puback', messageId: first.messageId })
    const second = await client.expect('publish')
    t.same(left([first, second]), ['first 60', 'long 40'], String(options.clientId))
    t.equal(expired() - before, 1)
    await client.cut()
  }
})

t.test('[MQTT-3.3.2-6] what is sent again has lost the time it waited', async t => {
  const client = await connect(persistent('again'))
  await client.subscribe('again', 1)
  await publish('again', 'x', 1, 60)
  t.same(left([await client.expect('publish')]), ['x 60'])
  await client.cut()
  clock.advance(20_000)
  const back = await connect(persistent('again'))
  const packet = await back.expect('publish')
  t.equal(packet.dup, true)
  t.same(left([packet]), ['x 40'])
})

t.test('[MQTT-3.3.2-5] [MQTT-3.3.2-6] retained messages expire, or lose the time they waited, at each QoS', async t => {
  for (const qos of [0, 1, 2] as const) {
    const topic = `retained/${qos}`
    await publish(topic, 'x', 2, 60, { retain: true })
    for (const filter of [topic, 'retained/+']) {
      for (const options of [{}, persistent(`${topic} ${filter}`)]) {
        clock.advance(5_000)
        const client = await connect(options)
        await client.subscribe(filter, qos)
        t.match(await client.expect('publish'), { topic, qos })
        await client.cut()
      }
    }
    const late = await connect()
    await late.subscribe(topic, qos)
    t.same(left([await late.expect('publish')]), ['x 40'], `QoS ${qos}`)
    clock.advance(40_000)
    for (const filter of [topic, 'retained/+']) {
      const client = await connect()
      await client.subscribe(filter, qos)
      t.same(await client.ping(), [], `over for ${filter}`)
    }
  }
})

t.test('[MQTT-3.3.2-5] [MQTT-3.3.2-6] a publish hook that takes its time takes it from the interval', async t => {
  for (const qos of [0, 1, 2] as const) {
    const client = await connect()
    await client.subscribe(`held/${qos}`, qos)
    for (const seconds of [10, 60]) {
      const done = publish(`held/${qos}`, 'x', 2, seconds)
      while (held.length === 0) await new Promise(resolve => setImmediate(resolve))
      clock.advance(20_000)
      held.shift()?.()
      await done
    }
    t.same(left(await client.ping()), ['x 40'], `QoS ${qos}`)
  }
})

t.test('a subscriber of 3.1.1 gets no properties, and nothing that has expired', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'older', clean: false })
  await client.subscribe('older', 1)
  await client.disconnect()
  await publish('older', 'short', 1, 10)
  await publish('older', 'long', 1, 60)
  clock.advance(20_000)
  const back = await RawClient.open(port, 4)
  const bytes = recorded(back)
  back.sendConnect({ clientId: 'older', clean: false })
  await back.expect('connack')
  t.equal(String((await back.expect('publish')).payload), 'long')
  t.same(await back.ping(), [])
  t.notOk(bytes().includes('short'))
})
