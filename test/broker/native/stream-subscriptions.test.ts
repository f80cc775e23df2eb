import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { CompiledPolicy, Policy } from '../../../lib/access/contract.ts'
import type { ReadOptions, Stream } from '../../../lib/stream/contract.ts'
import { ManualClock, TestBroker, type TestBrokerOptions } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient, type RawConnectOptions } from '../../support/raw-client.ts'

type Teardown = { teardown(fn: () => unknown): unknown }

const stored = { clean: false, properties: { sessionExpiryInterval: 3600 } }

async function start(t: Teardown, options: TestBrokerOptions = {}) {
  const broker = await TestBroker.start(t, options)
  return { broker, device: await connect(broker, 'device') }
}

async function connect(broker: TestBroker, clientId: string, options: RawConnectOptions = {}): Promise<RawClient> {
  return (await RawClient.connect(broker.port, { version: 5, clientId, ...options })).client
}

const numbers = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => String(first + i))
const payloads = (packets: AnyPacket[]) => packets.map(({ payload }) => String(payload))
const acknowledge = (client: RawClient, packet: AnyPacket) => client.send({ cmd: 'puback', messageId: packet.messageId })
const userProperties = (packet: AnyPacket) =>
  (packet.properties as { userProperties?: Record<string, string> } | undefined)?.userProperties

async function publish(client: RawClient, list: string[], topic = 'devices/1'): Promise<void> {
  for (const payload of list) await client.publish(topic, payload, 1)
}

async function take(client: RawClient, count: number, ack = true): Promise<AnyPacket[]> {
  const packets: AnyPacket[] = []
  while (packets.length < count) {
    const packet = await client.expect('publish')
    if (ack && packet.qos === 1) acknowledge(client, packet)
    packets.push(packet)
  }
  return packets
}

for (const version of [4, 5] as const) {
  for (const qos of [0, 1] as const) {
    t.test(`history comes first, then what is new, without gap or repeat (version ${version}, QoS ${qos})`, async t => {
      const { broker, device } = await start(t)
      await publish(device, numbers(1, 300))
      const reader = await connect(broker, 'reader', { version })
      const suback = await reader.subscribe('$stream/telemetry/earliest', qos)
      t.same(suback.granted, [qos])
      const live = publish(device, numbers(301, 400))
      t.same(payloads(await take(reader, 400)), numbers(1, 400))
      await live
      t.same(await reader.ping(), [])
    })
  }
}

t.test('a record comes under its original topic and says where it is in the stream', async t => {
  const clock = new ManualClock()
  const { broker, device } = await start(t, { clock })
  await device.publish('devices/7/temperature', '21', 1, { properties: { userProperties: { unit: 'C' }, contentType: 'text' } })
  const reader = await connect(broker, 'reader')
  await reader.subscribe('$stream/telemetry/0', 1, {}, { subscriptionIdentifier: 5 })
  const packet = await reader.expect('publish')
  t.match(packet, { topic: 'devices/7/temperature', qos: 1, retain: false, dup: false })
  t.match(packet.properties, { contentType: 'text', subscriptionIdentifier: 5 })
  const [record] = await broker.records()
  t.same(
    { ...userProperties(packet) },
    {
      unit: 'C',
      stream: 'telemetry',
      offset: '0',
      partition: String(record?.partition),
      timestamp: new Date(clock.nowMs).toISOString()
    }
  )
})

t.test('a read begins at an offset, at a time, or at the end', async t => {
  const clock = new ManualClock()
  const { broker, device } = await start(t, { clock })
  for (const payload of numbers(1, 5)) {
    await publish(device, [payload])
    clock.advance(1000)
  }
  const at = clock.nowMs - 2000
  const cases: [string, object | undefined, string][] = [
    ['$stream/telemetry/3', undefined, '4'],
    [`$stream/telemetry/@${at}`, undefined, '4'],
    [`$stream/telemetry/${new Date(at).toISOString()}`, undefined, '4'],
    ['$stream/telemetry/latest', undefined, 'new'],
    ['$stream/telemetry', undefined, 'new'],
    ['$stream/telemetry', { userProperties: { from: '4' } }, '5']
  ]
  for (const [index, [filter, properties, first]] of cases.entries()) {
    const reader = await connect(broker, `reader ${index}`)
    await reader.subscribe(filter, 1, {}, properties)
    if (first === 'new') await publish(device, ['new'])
    t.same(payloads(await take(reader, 1)), [first], filter)
  }
})

t.test('a topic filter behind the beginning picks topics', async t => {
  const { broker, device } = await start(t)
  await publish(device, ['a1'], 'devices/a/t')
  await publish(device, ['b1'], 'devices/b/t')
  await publish(device, ['a2'], 'devices/a/h')
  const reader = await connect(broker, 'reader')
  await reader.subscribe('$stream/telemetry/earliest/devices/a/#', 0)
  t.same(payloads(await take(reader, 2)), ['a1', 'a2'])
  await publish(device, ['b2'], 'devices/b/t')
  await publish(device, ['a3'], 'devices/a/t')
  t.same(payloads(await take(reader, 1)), ['a3'])
})

t.test('the receive maximum paces a read', async t => {
  const { broker, device } = await start(t)
  await publish(device, numbers(1, 50))
  const reader = await connect(broker, 'reader', { properties: { receiveMaximum: 3 } })
  await reader.subscribe('$stream/telemetry/earliest', 1)
  const first = await take(reader, 3, false)
  t.same(await reader.ping(), [], 'three and no more')
  for (const packet of first) acknowledge(reader, packet)
  t.same(payloads(await take(reader, 47)), numbers(4, 50))
})

t.test('a persistent session goes on where it acknowledged, over a restart too', async t => {
  let { broker, device } = await start(t)
  await publish(device, numbers(1, 20))
  const reader = await connect(broker, 'reader', stored)
  await reader.subscribe('$stream/telemetry/earliest', 1)
  const all = await take(reader, 20, false)
  for (const packet of all.slice(0, 12)) acknowledge(reader, packet)
  await reader.ping()
  await reader.disconnect()
  await publish(device, ['21'])
  broker = await broker.restart(t)
  const again = await connect(broker, 'reader', stored)
  t.same(payloads(await take(again, 9)), numbers(13, 21))
  t.same(await again.ping(), [])
})

t.test('[MQTT-4.4.0-1] what was not acknowledged comes again with DUP and its packet id, then the rest', async t => {
  const { broker, device } = await start(t)
  await publish(device, numbers(1, 10))
  const reader = await connect(broker, 'reader', { clean: false, properties: { sessionExpiryInterval: 60, receiveMaximum: 4 } })
  await reader.subscribe('$stream/telemetry/earliest', 1)
  const before = await take(reader, 4, false)
  acknowledge(reader, before[1]!)
  const fifth = await reader.expect('publish')
  await reader.cut()
  const again = await connect(broker, 'reader', stored)
  const packets = await take(again, 9)
  t.same(payloads(packets), ['1', '3', '4', '5', '6', '7', '8', '9', '10'])
  t.same(
    packets.map(({ dup }) => dup),
    [true, true, true, true, false, false, false, false, false]
  )
  t.same(
    packets.slice(0, 4).map(({ messageId }) => messageId),
    [before[0], before[2], before[3], fifth].map(packet => packet?.messageId)
  )
})

t.test('a filter that is not one to a stream of ours is refused', async t => {
  const { broker } = await start(t)
  const reader = await connect(broker, 'reader')
  for (const filter of [
    '$stream/',
    '$stream/other/earliest',
    '$stream/telemetry/yesterday',
    '$stream/telemetry/17',
    '$stream/+/earliest',
    '$stream/telemetry/earliest/a#',
    '$share/group/$stream/other'
  ]) {
    const { granted } = await reader.subscribe(filter, 1)
    t.same(granted, [0x8f], filter)
  }
  const { granted } = await reader.subscribe('$stream/telemetry', 1, {}, { userProperties: { from: 'soon' } })
  t.same(granted, [0x8f])
})

t.test('nobody publishes to $stream', async t => {
  const { device } = await start(t)
  device.send({ cmd: 'publish', topic: '$stream/telemetry', payload: 'x', qos: 1, messageId: 9, retain: false, dup: false })
  t.match(await device.next(), { cmd: 'puback', reasonCode: 0x87 })
})

t.test('a read needs the right to the stream, and shows no topic the client may not have', async t => {
  const policy: Policy = {
    generation: 0,
    compile: ({ clientId }): CompiledPolicy => ({
      canPublish: () => true,
      canSubscribe: filter => clientId !== 'stranger' || !filter.startsWith('$stream/'),
      canReceive: topic => topic !== 'devices/secret',
      permitsAll: false
    })
  }
  const { broker, device } = await start(t, { access: { policy } })
  await publish(device, ['hidden'], 'devices/secret')
  await publish(device, ['shown'], 'devices/open')
  const reader = await connect(broker, 'reader')
  await reader.subscribe('$stream/telemetry/earliest', 1)
  t.same(payloads(await take(reader, 1)), ['shown'])
  t.same(await reader.ping(), [])
  const stranger = await connect(broker, 'stranger')
  t.same((await stranger.subscribe('$stream/telemetry/earliest', 1)).granted, [0x87])
})

t.test('a subscription made anew begins anew [MQTT-3.8.4-3]', async t => {
  const { broker, device } = await start(t)
  await publish(device, numbers(1, 3))
  const reader = await connect(broker, 'reader')
  await reader.subscribe('$stream/telemetry/earliest', 1)
  t.same(payloads(await take(reader, 3)), numbers(1, 3))
  await reader.subscribe('$stream/telemetry/earliest', 0)
  t.same(payloads(await take(reader, 3)), numbers(1, 3))
  t.same(await reader.ping(), [])
})

t.test('a client that stops reading at QoS 0 loses nothing of a stream', async t => {
  const { broker, device } = await start(t, { limits: { maxOutboundBufferBytes: 64 * 1024 } })
  const big = 'x'.repeat(20_000)
  for (let i = 0; i < 500; i++) await device.publish('devices/1', `${i} ${big}`, 1)
  const reader = await connect(broker, 'reader')
  reader.socket.pause()
  reader.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '$stream/telemetry/earliest', qos: 0 }] })
  // The device's own round trips show that the broker had time to fill every buffer on the way.
  for (let i = 0; i < 20; i++) await device.ping()
  reader.socket.resume()
  await reader.expect('suback')
  const seen = payloads(await take(reader, 500)).map(payload => payload.split(' ')[0])
  t.same(seen, numbers(0, 499))
  t.equal(broker.broker.counters.dropped.get('outbound-buffer-full'), undefined)
})

t.test('a reader that retention has overtaken is told which offsets it lost', async t => {
  // As if offsets 0 to 4 had been removed.
  const behind = (options: ReadOptions, stream: Stream) => {
    const { from, onRemoved } = options
    if (typeof from !== 'object' || !('offset' in from) || from.offset >= 5) return stream.readBatches(options)
    onRemoved?.({ fromOffset: from.offset, toOffset: 5 })
    return stream.readBatches({ ...options, from: { offset: 5 } })
  }
  const wrapStream = (stream: Stream): Stream =>
    new Proxy(stream, {
      get(target, name) {
        if (name === 'readBatches') return (options: ReadOptions) => behind(options, target)
        const value = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      }
    })
  const { broker, device } = await start(t, { wrapStream })
  await publish(device, numbers(0, 9))
  const reader = await connect(broker, 'reader')
  await reader.subscribe('$stream/telemetry/2', 1)
  const packets = await take(reader, 5)
  t.same(payloads(packets), numbers(5, 9))
  t.same(
    packets.map(packet => userProperties(packet)?.gap),
    ['2-4', undefined, undefined, undefined, undefined]
  )
})

t.test('rights that change while a reader waits for its window count for what it has not got yet', async t => {
  const policy = {
    generation: 0,
    hidden: '',
    compile(): CompiledPolicy {
      const { hidden } = this
      return { canPublish: () => true, canSubscribe: () => true, canReceive: topic => topic !== hidden, permitsAll: false }
    }
  }
  const { broker, device } = await start(t, { access: { policy } })
  for (const n of numbers(1, 9)) await publish(device, [n], Number(n) % 2 === 0 ? 'devices/even' : 'devices/odd')
  const reader = await connect(broker, 'reader', { properties: { receiveMaximum: 3 } })
  await reader.subscribe('$stream/telemetry/earliest', 1)
  const first = await take(reader, 3, false)
  t.same(payloads(first), ['1', '2', '3'])
  policy.hidden = 'devices/even'
  policy.generation++
  broker.broker.refreshPolicies()
  for (const packet of first) acknowledge(reader, packet)
  t.same(payloads(await take(reader, 3)), ['5', '7', '9'])
  t.same(await reader.ping(), [])
})

t.test('a read from a time yet to come stays one over a restart', async t => {
  const clock = new ManualClock()
  let { broker, device } = await start(t, { clock })
  await publish(device, ['before'])
  const reader = await connect(broker, 'reader', stored)
  await reader.subscribe(`$stream/telemetry/@${clock.nowMs + 5000}`, 1)
  t.same(await reader.ping(), [])
  await reader.disconnect()
  await device.disconnect()
  broker = await broker.restart(t)
  const again = await connect(broker, 'reader', stored)
  clock.advance(5000)
  device = await connect(broker, 'device')
  await publish(device, ['after'])
  t.same(payloads(await take(again, 1)), ['after'])
})

t.test('a reader whose stream was taken away from the folder reads what comes into the new one', async t => {
  let { broker, device } = await start(t)
  await publish(device, numbers(1, 5))
  const reader = await connect(broker, 'reader', stored)
  await reader.subscribe('$stream/telemetry/earliest', 1)
  await take(reader, 5)
  await reader.ping()
  await broker.stop()
  await rm(join(broker.folder, 'streams', 'telemetry'), { recursive: true })
  broker = await broker.restart(t)
  device = await connect(broker, 'device')
  await publish(device, ['new'])
  const again = await connect(broker, 'reader', stored)
  t.same(payloads(await take(again, 1)), ['new'])
})
