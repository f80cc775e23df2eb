import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import t from 'tap'
import { Broker } from '../../../lib/broker/broker.ts'
import { Streams } from '../../../lib/stream/streams.ts'
import { LevelStore } from '../../../persistence/level-store.ts'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { connect, description, join, publish, take, text } from './group-world.ts'

const workers = { stream: 'telemetry', group: 'workers' }

t.test('a dry run says what a reset would mean, partition by partition, and changes nothing', async t => {
  const broker = await TestBroker.start(t)
  const { groups } = broker.broker
  await publish(broker, 'a', 1, 6)
  const consumer = await join(broker)
  const [, , , fourth] = await take(consumer, 6)
  const { partition } = fourth!
  await consumer.commit()
  await consumer.close()
  const before = description(groups).partitions
  const plan = await groups.reset(workers, { to: '2', partition, dryRun: true })
  t.same(plan, {
    partitions: [{ partition, from: 6, to: 2, skipped: 0, again: 4 }],
    members: [],
    exact: true,
    note: undefined
  })
  t.same(description(groups).partitions, before)
  await groups.reset(workers, { to: 'earliest' })
  const skip = await groups.reset(workers, { to: 'latest', dryRun: true })
  t.match(skip.partitions[partition], { from: 0, to: 6, skipped: 6, again: 0 })
  t.equal(
    skip.partitions.reduce((sum, part) => sum + part.skipped, 0),
    6,
    'records of the partition alone are counted'
  )
})

t.test('members that are connected go on from the new position, and what they had counts for nothing', async t => {
  const broker = await TestBroker.start(t)
  const { groups } = broker.broker
  await publish(broker, 'a', 1, 4)
  const client = await connect(broker, 'member')
  await client.subscribe('$share/workers/$stream/telemetry/earliest', 1)
  const had = [await client.expect('publish'), await client.expect('publish')]
  await client.expect('publish')
  await client.expect('publish')
  t.same((await groups.reset(workers, { to: { offset: 2 } })).members, ['member'])
  t.same([(await client.expect('publish')).payload, (await client.expect('publish')).payload].map(String), ['3', '4'])
  for (const { messageId } of had) client.send({ cmd: 'puback', messageId })
  await client.ping()
  t.match(description(groups), { committed: 0, lag: 2 })
})

t.test('a reset is on disk when it resolves, and what it cannot do it says', async t => {
  const clock = new ManualClock()
  let broker = await TestBroker.start(t, { clock })
  await publish(broker, 'a', 1, 2)
  clock.advance(60_000)
  const at = new Date(clock.nowMs).toISOString()
  await publish(broker, 'a', 3, 4)
  await (await join(broker, { from: 'latest' })).close()
  const { groups } = broker.broker
  await t.rejects(groups.reset(workers, { to: '99' }), { code: 'TRB_OFFSET_OUT_OF_RANGE' })
  await t.rejects(groups.reset(workers, { to: 'soon' }), /to: expected earliest/)
  await t.rejects(groups.reset(workers, { to: 'latest', partition: 9 }), /has the partitions 0 to 3, not 9/)
  await t.rejects(groups.reset({ ...workers, group: 'nobody' }, { to: 'latest' }), { code: 'TRB_GROUP_UNKNOWN' })
  t.match(await groups.reset(workers, { to: '2999-01-01', dryRun: true }), { note: /no record is as late/ })
  await groups.reset(workers, { to: at })
  broker = await broker.restart(t)
  t.same((await take(await join(broker), 2)).map(text), ['a 3', 'a 4'])
})

t.test('a group with members is removed only by force; then it begins anew', async t => {
  const broker = await TestBroker.start(t)
  const { groups } = broker.broker
  await publish(broker, 'a', 1, 1)
  const consumer = await join(broker)
  await take(consumer, 1)
  await consumer.commit()
  await t.rejects(groups.remove(workers), { code: 'TRB_GROUP_HAS_MEMBERS' })
  const told = t.rejects(take(consumer, 1), { code: 'TRB_GROUP_UNKNOWN' }, 'its consumers are told')
  await groups.remove(workers, { force: true })
  await told
  t.same(groups.describe(), [])
  t.same((await take(await join(broker), 1)).map(text), ['a 1'])
  const client = await connect(broker, 'member')
  await client.subscribe('$share/others/$stream/telemetry/earliest', 1)
  await client.expect('publish')
  await groups.remove({ ...workers, group: 'others' }, { force: true })
  await client.subscribe('$share/others/$stream/telemetry/earliest', 1)
  t.equal(String((await client.expect('publish')).payload), '1', 'an MQTT member comes back when it subscribes again')
})

t.test('retention says what a group loses before it removes it, and a reset is clamped to what is left', async t => {
  const folder = await mkdtemp(joinPath(tmpdir(), 'tributary-test-'))
  const store = await LevelStore.open({ folder: joinPath(folder, 'store') })
  const declaration = { name: 'telemetry', filter: 'devices/#', key: 'clientId', partitions: 2, ack: 'synced' } as const
  const retention = { ageMs: 0, bytes: 130_000 }
  const streams = await Streams.open({
    folder: joinPath(folder, 'streams'),
    declarations: [{ ...declaration, retention, segmentBytesMax: 65_536 }],
    retentionIntervalMs: 0
  })
  const warnings: { details: { records: number }; lost: number }[] = []
  const logger = {
    debug() {},
    info() {},
    error() {},
    warn: (details: object) => void warnings.push({ details: details as never, lost: 0 })
  }
  const broker = new Broker({ store, streams: streams.declared(), logger })
  await broker.listen()
  t.teardown(async () => {
    await new Promise<void>(resolve => broker.close(() => resolve()))
    await streams.close()
    await store.close()
    await rm(folder, { recursive: true, force: true })
  })
  const consumer = await broker.groups.join({ ...workers, from: 'earliest' })
  await consumer.close()
  const send = (n: number) =>
    new Promise<void>((resolve, reject) =>
      broker.publish(
        { cmd: 'publish', topic: `devices/${n}`, payload: Buffer.alloc(10_000), qos: 1, retain: false },
        (error?: Error) => (error ? reject(error) : resolve())
      )
    )
  for (let n = 0; n < 30; n++) await send(n)
  const stream = streams.get('telemetry')!
  await stream.retain()
  const { earliestOffset, nextOffset } = stream.stats()
  t.ok(earliestOffset > 0)
  t.same(
    warnings.map(({ details }) => details.records),
    [earliestOffset]
  )
  t.match(broker.groups.describe(), [{ lost: earliestOffset, lag: nextOffset - earliestOffset }])
  t.match(await broker.groups.reset(workers, { to: '0', dryRun: true }), {
    partitions: [{ to: earliestOffset }, { to: earliestOffset }],
    note: /retention has removed offset 0/
  })
  const gaps: object[] = []
  const late = await broker.groups.join({ ...workers, onGap: gap => gaps.push(gap) })
  t.equal((await take(late, 1))[0]?.offset, earliestOffset)
  t.same(gaps, [{ fromOffset: 0, toOffset: earliestOffset }], 'a consumer is told what it has missed')
})

t.test('lag is told in records and in the age of the oldest one that is not acknowledged', async t => {
  const clock = new ManualClock()
  const broker = await TestBroker.start(t, { clock })
  const { groups } = broker.broker
  await publish(broker, 'a', 1, 1)
  clock.advance(10_000)
  await publish(broker, 'a', 2, 3)
  clock.advance(5_000)
  const consumer = await join(broker)
  t.match(await groups.describeOne(workers), { lag: 3, lagSeconds: 15, end: 3 })
  const [first] = await take(consumer, 3)
  await consumer.commit(first!)
  t.match(await groups.describeOne(workers), { lag: 2, lagSeconds: 5 })
  await consumer.commit()
  const done = await groups.describeOne(workers)
  t.match(done, { lagSeconds: 0, committed: 3 })
  t.same(done.partitions.find(part => part.partition === first!.partition)?.lagSeconds, 0)
})
