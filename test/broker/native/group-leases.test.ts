import t from 'tap'
import type { CommitRequest, PollRequest } from '../../../lib/stream/groups/leases.ts'
import { ManualClock, TestBroker, type TestBrokerOptions } from '../../support/native-broker.ts'
import { description, join, publish, take, text } from './group-world.ts'

class World {
  readonly clock = new ManualClock()
  broker!: TestBroker

  static async start(t: { teardown(fn: () => unknown): unknown }, options: TestBrokerOptions = {}): Promise<World> {
    const world = new World()
    world.broker = await TestBroker.start(t, { clock: world.clock, ...options })
    return world
  }

  get #leases() {
    return this.broker.broker.groups.leases
  }

  async poll(member: string, options: Partial<PollRequest> = {}, signal = new AbortController().signal) {
    const request = { stream: 'telemetry', group: 'workers', from: 'earliest', max: 100, maxBytes: 1_000_000, waitMs: 0 }
    return this.#leases.poll({ ...request, member, sessionTimeoutMs: 10_000, ...options }, signal)
  }

  commit(member: string, what: Pick<CommitRequest, 'offsets' | 'records' | 'refused'>) {
    return this.#leases.commit({ stream: 'telemetry', group: 'workers', member, ...what })
  }

  leave(member: string): boolean {
    return this.#leases.leave({ stream: 'telemetry', group: 'workers', member })
  }

  pass(seconds: number): void {
    this.clock.advance(seconds * 1000)
    this.broker.broker.engine.sweep(this.clock.nowMs)
  }
}

const payloads = ({ records }: { records: { record: { payload: Buffer } }[] }) =>
  records.map(({ record }) => String(record.payload))

t.test('a poll gives records of its partitions; offsets commit everything up to them', async t => {
  const world = await World.start(t)
  await publish(world.broker, 'a', 1, 5)
  const { records, partitions } = await world.poll('one')
  t.same(payloads({ records }), ['1', '2', '3', '4', '5'])
  t.same(partitions, [0, 1, 2, 3])
  const { partition, offset } = records[2]!.record
  t.same(await world.commit('one', { offsets: [{ partition, offset }] }), { inFlight: 2 })
  t.same(payloads(await world.poll('one')), [], 'what it has does not come twice')
  world.broker = await world.broker.restart(t)
  t.same(payloads(await world.poll('one')), ['4', '5'], 'the commit was on disk')
})

t.test('max and maxBytes bound a poll, though one record always fits', async t => {
  const world = await World.start(t)
  await publish(world.broker, 'a', 1, 4)
  t.same(payloads(await world.poll('one', { max: 1 })), ['1'])
  t.same(payloads(await world.poll('one', { maxBytes: 1 })), ['2'])
  t.same(payloads(await world.poll('one', { maxBytes: 1000 })), ['3', '4'])
})

t.test('a poll that waits is answered when a record comes, or when the caller goes', async t => {
  const world = await World.start(t)
  const waiting = world.poll('one', { waitMs: 60_000 })
  await publish(world.broker, 'a', 1, 1)
  t.same(payloads(await waiting), ['1'])
  const caller = new AbortController()
  const gone = world.poll('one', { waitMs: 60_000 }, caller.signal)
  await t.rejects(world.poll('one'), { code: 'TRB_GROUP_BUSY' }, 'one poll of a member at a time')
  caller.abort()
  t.same(payloads(await gone), [])
  t.same(payloads(await world.poll('one', { waitMs: 1 })), [], 'or when the time is over')
})

t.test('a member that is not heard of loses its partitions, and its commit is refused', async t => {
  const world = await World.start(t)
  await publish(world.broker, 'a', 1, 3)
  const { records } = await world.poll('one', { max: 2 })
  world.pass(9)
  await world.commit('one', { records: [records[0]!.record] })
  world.pass(9)
  t.equal(description(world.broker.broker.groups).members.length, 1, 'a commit keeps it for another while')
  world.pass(1)
  t.equal(description(world.broker.broker.groups).members.length, 0)
  t.same(payloads(await world.poll('two')), ['2', '3'], 'what it did not commit goes to the next one')
  await t.rejects(world.commit('one', { records: [records[1]!.record] }), {
    code: 'TRB_GROUP_NOT_OWNED',
    message: /member one is not in group workers/
  })
  t.equal(description(world.broker.broker.groups).committed, 1)
})

t.test('a commit in a partition that went to somebody else is refused as a whole', async t => {
  const world = await World.start(t)
  const { broker } = world
  for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) await publish(broker, id, 1, 2)
  const { records } = await world.poll('one', { sessionTimeoutMs: 5000 })
  const other = await join(broker, { memberId: 'other' })
  world.pass(6)
  t.same(other.partitions, [0, 1, 2, 3])
  t.same((await take(other, 12)).map(text).length, 12)
  await world.poll('one')
  await t.rejects(world.commit('one', { records: records.map(({ record }) => record) }), {
    code: 'TRB_GROUP_NOT_OWNED',
    message: /member other has it now/
  })
  t.equal(description(broker.broker.groups).committed, 0)
  await other.close()
})

t.test('what a member neither commits nor refuses within its session timeout is handed out again', async t => {
  const world = await World.start(t)
  await publish(world.broker, 'a', 1, 2)
  await world.poll('one')
  world.pass(5)
  t.same(payloads(await world.poll('one')), [])
  world.pass(5)
  const again = await world.poll('one')
  t.same(
    again.records.map(({ record, attempt }) => `${record.payload} ${attempt}`),
    ['1 2', '2 2'],
    'also to a member that goes on polling: its process may be another one'
  )
})

t.test('refused records come again after the delay', async t => {
  const world = await World.start(t, { groups: { retryDelayMs: 2000 } })
  await publish(world.broker, 'a', 1, 3)
  const { records } = await world.poll('one', { max: 2 })
  const [one, two] = records.map(({ record }) => record)
  await world.commit('one', { records: [two!], refused: [{ partition: one!.partition, offset: one!.offset, error: 'no' }] })
  t.same(payloads(await world.poll('one')), [])
  world.pass(2)
  t.same(payloads(await world.poll('one')), ['1'])
  await world.commit('one', { records: [one!] })
  t.same(payloads(await world.poll('one')), ['3'])
})

t.test('a member that leaves hands its partitions on at once', async t => {
  const world = await World.start(t)
  await publish(world.broker, 'a', 1, 2)
  await world.poll('one')
  t.equal(world.leave('one'), true)
  t.equal(world.leave('one'), false)
  t.same(payloads(await world.poll('two')), ['1', '2'])
})

t.test('to commit what was not handed out is refused', async t => {
  const world = await World.start(t)
  await publish(world.broker, 'a', 1, 2)
  const { records } = await world.poll('one', { max: 1 })
  const { partition } = records[0]!.record
  await t.rejects(
    world.commit('one', { offsets: [{ partition, offset: 1 }] }),
    /offset 1 of partition \d has not been handed out/
  )
})
