import t from 'tap'
import { compactionDefaults } from '../../../lib/stream/stream-log-options.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

type Teardown = { teardown(fn: () => unknown): unknown }

/** A broker whose stream keeps the last record of each topic, and sixty records of five topics in it. */
async function start(t: Teardown) {
  const broker = await TestBroker.start(t)
  const declared = broker.streams.declaration('telemetry')!
  const compaction = { ...compactionDefaults, minDirtyRatio: 0, bytesPerSecond: 1e12 }
  broker.streams.change({ ...declared, key: 'topic', cleanup: 'compact', compaction, segmentBytesMax: 2048 })
  const device = await connect(broker, 'device')
  for (let i = 0; i < 60; i++) await device.publish(`devices/${i % 5}`, `${i} ${'x'.repeat(150)}`, 1)
  return { broker, device, stream: broker.streams.get('telemetry')! }
}

async function connect(broker: TestBroker, clientId: string): Promise<RawClient> {
  return (await RawClient.connect(broker.port, { version: 5, clientId })).client
}

async function takeUntil(client: RawClient, last: string): Promise<AnyPacket[]> {
  const packets: AnyPacket[] = []
  do {
    const packet = await client.expect('publish')
    client.send({ cmd: 'puback', messageId: packet.messageId })
    packets.push(packet)
  } while (String(packets.at(-1)!.payload) !== last)
  return packets
}

const offsets = (packets: readonly AnyPacket[]): number[] =>
  packets.map(({ properties }) => Number((properties as { userProperties: Record<string, string> }).userProperties.offset))

const tellsGap = ({ properties }: AnyPacket): boolean =>
  (properties as { userProperties: Record<string, string> }).userProperties.gap !== undefined

t.test('a compacted stream is read over MQTT from any offset, alone and in a group, and its holes are no gaps', async t => {
  const { broker, device, stream } = await start(t)
  const stats = await stream.compact()
  t.ok(stats!.removedRecords > 20)
  const left = (await broker.records()).map(({ offset }) => offset)
  await device.publish('devices/0', 'last', 1)
  const filters = ['$stream/telemetry/earliest', '$stream/telemetry/1', '$share/group/$stream/telemetry/earliest']
  for (const filter of filters) {
    const reader = await connect(broker, 'reader')
    await reader.subscribe(filter, 1)
    const packets = await takeUntil(reader, 'last')
    t.same(offsets(packets), [...left, 60], filter)
    t.notOk(packets.some(tellsGap), filter)
  }
})

t.test('a reader goes on where it was while what it reads is compacted', async t => {
  const { broker, device, stream } = await start(t)
  const reader = await connect(broker, 'reader')
  await reader.subscribe('$stream/telemetry/earliest', 1)
  const first = await reader.expect('publish')
  await stream.compact()
  await device.publish('devices/0', 'last', 1)
  reader.send({ cmd: 'puback', messageId: first.messageId })
  const packets = [first, ...(await takeUntil(reader, 'last'))]
  const seen = offsets(packets)
  t.ok(seen.every((offset, i) => i === 0 || offset > seen[i - 1]!))
  const left = (await broker.records()).map(({ offset }) => offset)
  t.same(
    left.filter(offset => !seen.includes(offset)),
    []
  )
  t.notOk(packets.some(tellsGap))
})
