import t from 'tap'
import { createBroker } from '../../../lib/index.ts'
import { CrashableDisk } from '../../properties/crashable-disk.ts'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { connect, description, join, publish, take, text } from './group-world.ts'

const devices = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']

t.test('for await yields the records of a group in order; what is committed does not come again', async t => {
  let broker = await TestBroker.start(t)
  await publish(broker, 'a', 1, 5)
  const consumer = await join(broker)
  const got: string[] = []
  for await (const record of consumer) {
    got.push(text(record))
    await consumer.commit(record)
    if (got.length === 3) break
  }
  t.same(got, ['a 1', 'a 2', 'a 3'])
  t.match(description(broker.broker.groups), { committed: 3, lag: 2, members: [{ kind: 'node', inFlight: 0 }] })
  broker = await broker.restart(t)
  const next = await join(broker)
  t.same((await take(next, 2)).map(text), ['a 4', 'a 5'], 'over a restart of the broker')
  await next.close()
  t.same((await take(await join(broker), 2)).map(text), ['a 4', 'a 5'], 'what was not committed comes again')
})

t.test('a commit is on disk when it resolves: a crash right then does not take it back', async t => {
  const disk = new CrashableDisk()
  const broker = await TestBroker.start(t, { openDb: disk.open })
  await publish(broker, 'a', 1, 6)
  const consumer = await join(broker)
  const records = await take(consumer, 6)
  await consumer.commit(records.slice(0, 4))
  disk.dead = true
  void consumer.commit().catch(() => {})
  await broker.stop()
  disk.dead = false
  const again = await TestBroker.start(t, { folder: broker.folder })
  t.same((await take(await join(again), 2)).map(text), ['a 5', 'a 6'])
})

t.test('batches come as large as asked for, and commit() commits everything yielded', async t => {
  const broker = await TestBroker.start(t)
  for (const id of devices) await publish(broker, id, 1, 5)
  const consumer = await join(broker)
  const sizes: number[] = []
  let count = 0
  for await (const batch of consumer.batches({ max: 16 })) {
    sizes.push(batch.length)
    count += batch.length
    await consumer.commit()
    if (count === devices.length * 5) break
  }
  t.ok(sizes.every(size => size <= 16))
  t.match(description(broker.broker.groups), { lag: 0, committed: devices.length * 5 })
})

t.test('above maxInFlight nothing is yielded until something is committed', async t => {
  const broker = await TestBroker.start(t)
  await publish(broker, 'a', 1, 6)
  const consumer = await join(broker, { maxInFlight: 2 })
  const [first, second] = await take(consumer, 2)
  let more: string | undefined
  const waiting = take(consumer, 1).then(([record]) => {
    more = text(record!)
  })
  await new Promise(resolve => setImmediate(resolve))
  t.equal(more, undefined)
  t.equal(consumer.inFlight, 2)
  await consumer.commit(second!)
  await waiting
  t.equal(more, 'a 3', 'one place is free, whichever record was committed')
  await consumer.commit(first!)
  t.equal(
    description(broker.broker.groups).partitions.reduce((sum, part) => sum + part.inFlight, 0),
    1
  )
})

t.test('MQTT, HTTP and Node members share one group: each record goes to one of them', async t => {
  const broker = await TestBroker.start(t)
  const { groups } = broker.broker
  const node = await join(broker, { memberId: 'node' })
  const client = await connect(broker, 'mqtt')
  await client.subscribe('$share/workers/$stream/telemetry/earliest', 1)
  const poll = {
    stream: 'telemetry',
    group: 'workers',
    member: 'http',
    max: 100,
    maxBytes: 100_000,
    waitMs: 0,
    sessionTimeoutMs: 60_000
  }
  await groups.leases.poll(poll, new AbortController().signal)
  t.same(
    description(groups)
      .members.map(({ kind, partitions }) => `${kind} ${partitions > 0}`)
      .sort(),
    ['http true', 'mqtt true', 'node true']
  )
  for (const id of devices) await publish(broker, id, 1, 10)
  const got: string[] = []
  let left = devices.length * 10
  const enough = new AbortController()
  const count = (records: string[]) => {
    got.push(...records)
    left -= records.length
    if (left === 0) enough.abort()
  }
  const overNode = async () => {
    for await (const batch of node.batches()) {
      count(batch.map(text))
      await node.commit(batch)
    }
  }
  const overHttp = async () => {
    while (left > 0) {
      const { records } = await groups.leases.poll({ ...poll, waitMs: 60_000 }, enough.signal)
      count(records.map(({ record }) => text(record)))
      await groups.leases.commit({ ...poll, records: records.map(({ record }) => record) })
    }
  }
  const overMqtt = async () => {
    for (let packet = await client.next(); packet !== undefined; packet = await client.next()) {
      if (packet.cmd !== 'publish') continue
      client.send({ cmd: 'puback', messageId: packet.messageId })
      count([`${String(packet.topic).split('/')[1]} ${packet.payload}`])
    }
  }
  const reading = [overNode(), overHttp(), overMqtt()]
  await reading[1]
  // Behind its acknowledgements.
  client.send({ cmd: 'disconnect' })
  await reading[2]
  await node.close()
  await Promise.all(reading)
  t.same(got.sort(), devices.flatMap(id => Array.from({ length: 10 }, (_, i) => `${id} ${i + 1}`)).sort())
  t.match(description(groups), { lag: 0, redelivered: 0 })
})

t.test('when a consumer closes, what it did not commit goes to the others', async t => {
  const broker = await TestBroker.start(t)
  for (const id of devices) await publish(broker, id, 1, 3)
  const leaving = await join(broker, { memberId: 'leaving' })
  const records = await take(leaving, devices.length * 3)
  await leaving.commit(records.filter(({ payload }) => String(payload) === '1'))
  const staying = await join(broker, { memberId: 'staying' })
  t.same(staying.partitions, [], 'partitions are not handed over while records of theirs are not committed')
  await leaving.close()
  t.same(staying.partitions, [0, 1, 2, 3])
  const rest = await take(staying, devices.length * 2)
  t.same(rest.map(text).sort(), devices.flatMap(id => [`${id} 2`, `${id} 3`]).sort())
  t.ok(staying.attempt(rest[0]!) > 1)
  await t.rejects(leaving.commit(records), { code: 'TRB_GROUP_NOT_OWNED' })
  t.same(await take(leaving, 1), [], 'its loop has ended')
})

t.test('a group joined at a time begins with the first record since then', async t => {
  const clock = new ManualClock()
  const broker = await TestBroker.start(t, { clock })
  await publish(broker, 'a', 1, 2)
  clock.advance(60_000)
  const from = new Date(clock.nowMs).toISOString()
  await publish(broker, 'a', 3, 4)
  t.same((await take(await join(broker, { from }), 2)).map(text), ['a 3', 'a 4'])
})

t.test('with a filter it is a group of its own that gets these topics', async t => {
  const broker = await TestBroker.start(t)
  await publish(broker, 'a', 1, 2)
  await publish(broker, 'b', 1, 2)
  t.same((await take(await join(broker, { filter: 'devices/b' }), 2)).map(text), ['b 1', 'b 2'])
  t.same(
    broker.broker.groups.describe().map(({ filter }) => filter),
    ['devices/b']
  )
})

t.test('closing the broker ends the loop; joining then is refused', async t => {
  const broker = await TestBroker.start(t)
  const consumer = await join(broker)
  const loop = take(consumer, 1)
  await broker.stop()
  t.same(await loop, [])
  await t.rejects(join(broker), { code: 'TRB_CLOSED' })
})

t.test('what means nothing is refused, and says what was expected', async t => {
  const broker = await TestBroker.start(t, { limits: { maxStreamGroups: 1 } })
  await t.rejects(join(broker, { stream: 'nothing' }), { code: 'TRB_STREAM_UNKNOWN' })
  await t.rejects(join(broker, { group: 'a/b' }), /group: expected a name without/)
  await t.rejects(join(broker, { group: '' }), TypeError)
  await t.rejects(join(broker, { from: 'tomorrow' }), /from: expected earliest/)
  await t.rejects(join(broker, { from: { offset: 5 } }), { code: 'TRB_OFFSET_OUT_OF_RANGE' })
  await t.rejects(join(broker, { maxInFlight: 0 }), TypeError)
  t.same(broker.broker.groups.describe(), [], 'and makes no group')
  await join(broker)
  await t.rejects(join(broker, { group: 'another' }), { code: 'TRB_GROUP_LIMIT' })
  const without = await createBroker()
  t.throws(() => without.groups, TypeError)
  await new Promise<void>(resolve => without.close(() => resolve()))
})
