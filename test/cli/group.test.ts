import t from 'tap'
import { openAdminServer } from '../../lib/admin/server.ts'
import { adminSources } from '../admin/sources.ts'
import { join, publish, take } from '../broker/native/group-world.ts'
import { ManualClock, TestBroker } from '../support/native-broker.ts'
import { Terminal } from './terminal.ts'

/** A broker with a group `workers` of which six records are committed, behind its admin server. */
async function open(t: { teardown(fn: () => unknown): unknown }) {
  const clock = new ManualClock()
  const broker = await TestBroker.start(t, { clock })
  const { groups } = broker.broker
  await publish(broker, 'a', 1, 6)
  const consumer = await join(broker, { memberId: 'worker-1' })
  const records = await take(consumer, 6)
  const { partition } = records[0]!
  await consumer.commit()
  await publish(broker, 'a', 7, 8)
  clock.advance(90_000)
  const sources = adminSources(broker.streams.all(), {
    groups: async () => {
      await groups.measureAges()
      return groups.describe()
    },
    groupControl: groups
  })
  const server = await openAdminServer({ host: '127.0.0.1', port: 0, sources })
  t.teardown(() => server.close())
  const run = async (...args: string[]) => {
    const terminal = new Terminal()
    const code = await terminal.run('group', ...args, '--admin', server.url)
    return { code, out: terminal.out.text, err: terminal.err.text }
  }
  return { broker, groups, consumer, partition, run, url: server.url }
}

t.test('group ls is a table of groups, with lag and age', async t => {
  const { run, partition } = await open(t)
  const { code, out } = await run('ls')
  t.equal(code, 0)
  t.equal(out, 'STREAM     GROUP    FILTER  MEMBERS  LAG    AGE\ntelemetry  workers  #             1    2  1 min\n')
  t.match((await run('ls', '--partitions')).out, new RegExp(`telemetry  workers  #\\s+${partition}\\s+6  worker-1`))
})

t.test('group lag has position, end, member and age of each partition', async t => {
  const { run, partition } = await open(t)
  const { out } = await run('lag', 'workers')
  t.match(out, /PARTITION {2}POSITION {2}END {2}LAG {2}IN FLIGHT {4}AGE {2}MEMBER/)
  t.match(out, new RegExp(`\\s${partition}\\s+6    8    2\\s+0  1 min  worker-1`))
  t.match((await run('lag')).err, /say which group/)
  t.match(await run('lag', 'nobody'), { code: 1, err: /there is no consumer group "nobody"/ })
})

t.test('group reset --dry-run shows what it would mean; without it, it does it', async t => {
  const { run, partition, groups, consumer } = await open(t)
  const dry = await run('reset', 'workers', '--to', 'earliest', '--partition', String(partition), '--dry-run')
  t.equal(dry.code, 0)
  t.match(dry.out, new RegExp(`PARTITION  FROM  TO  SKIPPED  AGAIN\n\\s+${partition}     6   0        0      6\n`))
  t.match(dry.out, /1 connected member would go on from there\nnothing was changed/)
  t.equal(groups.describe()[0]?.partitions[partition]?.position, 6)
  t.equal((await run('reset', 'workers', '--to', 'earliest')).code, 0)
  t.equal((await take(consumer, 8)).length, 8)
  t.match(await run('reset', 'workers', '--to', '99'), { code: 1, err: /offset 99 does not exist yet/ })
  t.match(await run('reset', 'workers', '--to', 'soon'), { code: 2 })
})

t.test('group rm refuses a group with members, unless forced', async t => {
  const { run, groups } = await open(t)
  t.match(await run('rm', 'workers'), { code: 1, err: /has 1 member/ })
  t.match(await run('rm', 'workers', '--force'), { code: 0, out: 'removed group workers of stream telemetry\n' })
  t.same(groups.describe(), [])
})

t.test('members over HTTP poll, commit and leave', async t => {
  const { url, consumer } = await open(t)
  await consumer.close()
  const post = async (path: string, body: object) => {
    const response = await fetch(`${url}/streams/telemetry/groups/workers/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
    return { status: response.status, body: (await response.json()) as { records: { partition: number; offset: number }[] } }
  }
  const polled = await post('poll', { member: 'http-1', waitMs: 5000 })
  t.match(polled, {
    status: 200,
    body: { records: [{ payload: '7', attempt: 1 }, { payload: '8' }], partitions: [0, 1, 2, 3], gaps: [] }
  })
  const offsets = polled.body.records.slice(0, 1).map(({ partition, offset }) => ({ partition, offset }))
  t.match(await post('commit', { member: 'http-1', offsets }), { status: 200, body: { inFlight: 1 } })
  t.match(await post('commit', { member: 'http-2', offsets }), { status: 409, body: { error: 'TRB_GROUP_NOT_OWNED' } })
  t.match(await post('poll', { member: 'http-1', max: 0 }), { status: 400 })
  t.match(await post('reset', { to: '99' }), { status: 416, body: { error: 'TRB_OFFSET_OUT_OF_RANGE' } })
  const group = `${url}/streams/telemetry/groups/workers`
  t.match(await (await fetch(group)).json(), { lag: 1, members: [{ id: 'http-1', kind: 'http', inFlight: 1 }] })
  t.equal((await fetch(group, { method: 'DELETE' })).status, 409)
  t.same(await (await fetch(`${group}/members/http-1`, { method: 'DELETE' })).json(), { left: true })
  t.same(await (await fetch(group, { method: 'DELETE' })).json(), { removed: true })
  t.equal((await fetch(group)).status, 404)
})
