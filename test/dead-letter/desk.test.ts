import { t } from 'tap'
import { openAdminServer } from '../../lib/admin/server.ts'
import type { BrokerLimits } from '../../lib/broker/limits.ts'
import { DeadLetterDesk } from '../../lib/dead-letter/dead-letter-desk.ts'
import { adminSources } from '../admin/sources.ts'
import { Terminal } from '../cli/terminal.ts'
import { ManualClock, TestBroker, type TestBrokerOptions } from '../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../support/raw-client.ts'

type Teardown = { teardown(fn: () => unknown): unknown }

const forAnHour = { clean: false, properties: { sessionExpiryInterval: 3600 } }

/** A broker that has kept three letters for `reader`, whose session is there and empty: topics a/0, a/1, b/2 with a minute between. */
async function open(t: Teardown, options: TestBrokerOptions & { limits?: Partial<BrokerLimits> } = {}) {
  const clock = new ManualClock()
  const broker = await TestBroker.start(t, { letters: {}, clock, limits: { maxQueuedMessagesPerSession: 1 }, ...options })
  const connect = async (clientId: string, more: object = {}) =>
    (await RawClient.connect(broker.port, { version: 5, clientId, ...more })).client
  const reader = await connect('reader', forAnHour)
  await reader.subscribe('#', 1)
  await reader.disconnect()
  const writer = await connect('writer')
  await writer.publish('a/kept', 'kept', 1)
  for (const [i, topic] of ['a/0', 'a/1', 'b/2'].entries()) {
    await writer.publish(topic, `payload ${i}`, 1, { properties: { userProperties: { n: String(i) } } })
    clock.advance(60_000)
  }
  return { broker, clock, connect, writer, ...deskOn(broker, clock) }
}

function deskOn(broker: TestBroker, clock: ManualClock) {
  const audit: object[] = []
  const logger = { info: (details: object) => audit.push(details) }
  const redriver = broker.broker.redriver!
  const log = broker.deadLetters!
  return { audit, desk: new DeadLetterDesk({ log, redriver, redrivePerSecond: 100_000, now: () => clock.now(), logger }) }
}

const ids = async (desk: DeadLetterDesk, selection: object) => (await desk.list(selection, 100)).letters.map(({ id }) => id)

t.test('letters are found by id, reason, client, topic filter, time and state', async t => {
  const { desk, clock } = await open(t)
  t.same(await ids(desk, {}), [0, 1, 2])
  t.same(await ids(desk, { ids: [2, 0, 2, 99] }), [0, 2])
  t.same(await ids(desk, { reason: 'queue-full' }), [0, 1, 2])
  t.same(await ids(desk, { reason: 'session-expired' }), [])
  t.same(await ids(desk, { client: 'reader' }), [0, 1, 2])
  t.same(await ids(desk, { client: 'read' }), [])
  t.same(await ids(desk, { filter: 'a/#' }), [0, 1])
  t.same(await ids(desk, { fromMs: clock.nowMs - 120_000 }), [1, 2])
  t.same(await ids(desk, { toMs: clock.nowMs - 120_000 }), [0])
  await desk.discard({ ids: [1] })
  t.same(await ids(desk, { state: 'open' }), [0, 2])
  t.same(await ids(desk, { state: 'discarded' }), [1])
  const page = await desk.list({}, 2)
  t.same([page.matched, page.letters.map(({ id }) => id)], [3, [1, 2]], 'the last ones')
  t.equal(await desk.get(3), undefined)
  t.match(desk.stats(), { letters: 3, open: 2, dropped: 0 })
})

t.test('a letter re-driven to its client comes once, however often it is asked for, over a restart too', async t => {
  const { broker, desk, connect, clock, audit } = await open(t, { limits: { maxQueuedMessagesPerSession: 2 } })
  // Two were kept, one is a letter.
  const reader = await connect('reader', forAnHour)
  t.same(texts(await take(reader, 2)), ['kept', 'payload 0'])
  await reader.disconnect()
  t.match(await desk.redrive({ client: 'reader' }, { to: 'client', by: 'alice' }), { matched: 2, done: 2, already: 0, failed: 0 })
  const again = await desk.redrive({ ids: [0, 1] }, { to: 'topic' })
  t.match(again, { matched: 2, done: 0, already: 2, notes: [{ id: 0, why: /^already re-driven at 2023-/ }, { id: 1 }] })
  t.match(audit, [
    { audit: true, by: 'alice', act: 'redriven-to-client', matched: 2, done: 2 },
    { act: 'redriven-to-topic', done: 0 }
  ])

  const restarted = await broker.restart(t)
  const { desk: other } = deskOn(restarted, clock)
  t.match(await other.redrive({ ids: [0] }, { to: 'client' }), { done: 0, already: 1 })
  const client = (await RawClient.connect(restarted.port, { version: 5, clientId: 'reader', ...forAnHour })).client
  const arrived = await take(client, 2)
  t.same(texts(arrived), ['payload 1', 'payload 2'])
  t.match(arrived[0], { topic: 'a/1', qos: 1, properties: { userProperties: { n: '1', 'dead-letter-id': '0' } } })
  t.equal((await restarted.letters()).length, 2)
})

t.test('a letter re-driven to its topic is published anew: into streams and to whoever subscribes now', async t => {
  const { broker, desk, connect } = await open(t, { streamFilter: 'a/#' })
  const before = (await broker.records()).length
  const other = await connect('other')
  await other.subscribe('a/1', 1)
  t.match(await desk.redrive({ filter: 'a/1' }, { to: 'topic' }), { done: 1 })
  t.same(texts(await take(other, 1)), ['payload 1'])
  const [record, ...rest] = (await broker.records()).slice(before)
  t.same(rest, [])
  t.match(record, { topic: 'a/1', clientId: 'writer', payload: Buffer.from('payload 1') })
  t.match(record!.properties.toString('latin1'), /dead-letter-id/)
  t.match(await desk.redrive({ ids: [1] }, { to: 'topic' }), { done: 0, already: 1 })
})

t.test('a re-drive says what it could not do, and those letters stay open', async t => {
  const { broker, desk, connect } = await open(t)
  // Its queue is full still.
  t.match(await desk.redrive({ ids: [0] }, { to: 'client' }), {
    failed: 1,
    notes: [{ id: 0, why: /queue of client reader is full/ }]
  })
  const reader = await connect('reader', { clean: true })
  await reader.disconnect()
  t.match(await desk.redrive({ ids: [0] }, { to: 'client' }), {
    failed: 1,
    notes: [{ why: /client reader has no session any more/ }]
  })
  t.same(await ids(desk, { state: 'open', reason: 'queue-full' }), [0, 1, 2])
  t.equal(broker.broker.counters.deadLetters.get('queue-full'), 3, 'it did not become a letter again')
})

t.test('an expiry that is over is left out of what is sent again, one that is not goes on', async t => {
  const { desk, clock, connect, writer } = await open(t)
  await writer.publish('a/long', 'long', 1, { properties: { messageExpiryInterval: 1000 } })
  await writer.publish('a/short', 'short', 1, { properties: { messageExpiryInterval: 1 } })
  clock.advance(100_000)
  const other = await connect('other')
  await other.subscribe('a/#', 1)
  await desk.redrive({ ids: [3, 4] }, { to: 'topic' })
  const arrived = await take(other, 2)
  t.same(texts(arrived), ['long', 'short'])
  t.equal((arrived[0]!.properties as Record<string, unknown>).messageExpiryInterval, 900)
  t.equal((arrived[1]!.properties as Record<string, unknown>).messageExpiryInterval, undefined)
})

t.test('a dry run does nothing; what is discarded is not sent; a limit stops; two at once share the letters', async t => {
  const { desk, connect } = await open(t)
  await release(connect)
  const other = await connect('other')
  await other.subscribe('#', 1)
  t.match(await desk.redrive({}, { to: 'topic', dryRun: true }), { dryRun: true, matched: 3, done: 3 })
  t.same(await take(other, 0), [])
  await desk.discard({ ids: [2] })
  t.match(await desk.redrive({}, { to: 'topic', limit: 1 }), { matched: 1, done: 1 })
  const [one, two] = await Promise.all([desk.redrive({}, { to: 'topic' }), desk.redrive({}, { to: 'topic' })])
  t.equal(one.done + two.done, 1)
  t.same(texts(await take(other, 2)), ['payload 0', 'payload 1'])
})

t.test('the rate holds: letters leave in pieces with pauses, and an abort ends it with what was sent marked', async t => {
  const { desk, connect } = await open(t)
  await release(connect)
  const abort = new AbortController()
  const acting = desk.redrive({}, { to: 'topic', rate: 1, signal: abort.signal })
  while (desk.stats().open === 3) await new Promise(resolve => setImmediate(resolve))
  abort.abort()
  await t.rejects(acting)
  t.equal(desk.stats().open, 2)
  t.match(await desk.redrive({}, { to: 'topic' }), { done: 2, already: 1 })
})

t.test('retention removes letters and what was noted about them, and counts those nobody had dealt with', async t => {
  const { broker, desk } = await open(t)
  await desk.discard({ ids: [0, 1] })
  const stream = broker.deadLetters!.stream
  const stats = stream.stats.bind(stream)
  // The first two letters, and then the third, are gone.
  stream.stats = () => ({ ...stats(), earliestOffset: 2 })
  t.match(desk.stats(), { letters: 1, open: 1, dropped: 0 })
  stream.stats = () => ({ ...stats(), earliestOffset: 3 })
  t.match(desk.stats(), { letters: 0, open: 0, dropped: 1 })
})

t.test('over HTTP: list, show, re-drive and discard', async t => {
  const { desk, connect } = await open(t)
  await release(connect)
  const { url } = await serve(t, desk)
  const get = async (path: string) => (await fetch(url + path)).json()
  const post = async (path: string, body: object) => {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
    return { status: response.status, body: await response.json() }
  }
  t.match(await get('/dead-letters?filter=a/%23&limit=1'), { letters: [{ id: 1, topic: 'a/1' }], matched: 2, kept: 3, open: 3 })
  t.match(await get('/dead-letters?from=2023-11-14T22:14:00Z&to=2023-11-14T22:15:00Z'), { letters: [{ id: 1 }], matched: 1 })
  t.match(await get('/dead-letters/2'), {
    id: 2,
    reason: 'queue-full',
    state: 'open',
    clientId: 'reader',
    filter: '#',
    topic: 'b/2',
    publisher: 'writer',
    payload: 'payload 2',
    properties: { userProperties: [['n', '2']] }
  })
  t.match(await get('/dead-letters/77'), { error: 'not-found', message: /no dead letter 77/ })
  t.match(await get('/dead-letters?reason=bad-luck'), { error: 'bad-request', message: /reason/ })
  t.match(await post('/dead-letters/redrive', { to: 'topic' }), { status: 400, body: { message: /expected ids, reason/ } })
  const other = await connect('other')
  await other.subscribe('b/#', 1)
  t.match(await post('/dead-letters/redrive', { select: { ids: [2] }, to: 'topic', by: 'me' }), {
    status: 200,
    body: { done: 1 }
  })
  t.same(texts(await take(other, 1)), ['payload 2'])
  t.match(await post('/dead-letters/redrive', { select: { ids: [2] }, to: 'topic' }), {
    body: { done: 0, already: 1, notes: [{ id: 2 }] }
  })
  t.match(await post('/dead-letters/discard', { all: true }), { body: { act: 'discard', done: 2, already: 1 } })
  t.match(await get('/dead-letters?state=open'), { letters: [], matched: 0, kept: 3, open: 0 })
  const { url: without } = await serve(t, undefined)
  t.match(await (await fetch(`${without}/dead-letters`)).json(), { error: 'not-kept', message: /deadLetter: false/ })
})

t.test('on the command line: a table, everything about one, what was done, and exit codes', async t => {
  const { desk, writer } = await open(t)
  await writer.publish('a/\u001b[2J', Buffer.from([0, 1, 255]), 1)
  const { url } = await serve(t, desk)
  const terminal = new Terminal()
  terminal.env.USER = 'alice'
  const run = async (...args: string[]) => {
    terminal.out.text = ''
    terminal.err.text = ''
    return terminal.run('dead-letter', ...args, '--admin', url)
  }
  t.equal(await run('ls', '--limit', '2'), 0)
  const error = 'the queue of the client is full, it holds 1 (limits.maxQueuedMessagesPerSession)'
  t.equal(
    terminal.out.text,
    `TIME                  ID  REASON      CLIENT  TOPIC      SIZE  ERROR
2023-11-14 22:15:20Z   2  queue-full  reader  b/2         9 B  ${error}
2023-11-14 22:16:20Z   3  queue-full  reader  a/\\x1b[2J   3 B  ${error}
`
  )
  t.equal(terminal.err.text, 'the last 2 of 4 open dead letters\n')
  t.equal(await run('show', '3'), 0)
  t.match(terminal.out.text, /topic +a\/\\x1b\[2J/)
  t.match(terminal.out.text, /00000000 {2}00 01 ff +\.\.\./)
  t.equal(await run('show', '1'), 0)
  t.match(terminal.out.text, /user property n +1\n.*payload, 9 B, text:\npayload 1\n/s)
  t.equal(await run('show', '1', '--json'), 0)
  t.match(JSON.parse(terminal.out.text), { id: 1, payload: 'payload 1' })
  t.equal(await run('show', '99'), 1)
  t.match(terminal.err.text, /no dead letter 99/)

  t.equal(await run('redrive', '--to', 'topic'), 2)
  t.match(terminal.err.text, /or --all for all that are open/)
  t.equal(await run('redrive', '--all', '--to', 'topic', '--dry-run'), 0)
  t.equal(terminal.out.text, '4 would be re-driven\n')
  t.equal(await run('redrive', '1', '--to', 'topic', '--rate', '50/s'), 0)
  t.equal(terminal.out.text, '1 re-driven\n')
  // Published again it found the reader's queue full, which made letter 4.
  await desk.discard({ ids: [4] })
  t.equal(await run('redrive', '1', '2', '--to', 'client'), 1)
  t.match(terminal.out.text, /1 {2}already re-driven at 2023/)
  t.match(terminal.out.text, /2 {2}the queue of client reader is full/)
  t.match(terminal.err.text, /1 of 2 stay open/)
  t.equal(await run('discard', '--filter', 'a/0'), 0)
  t.equal(terminal.out.text, '1 discarded\n')
  t.equal(await run('discard', '77'), 1)
  t.match(terminal.err.text, /1 of these ids are no dead letters/)
  t.equal(await run('ls', '--state', 'all', '--before', '2023-11-14T22:15:00Z'), 0)
  t.match(terminal.out.text, /0 {2}queue-full {2}discarded/)
  t.match(terminal.out.text, /1 {2}queue-full {2}redriven/)
  t.equal(await run('ls', '--json'), 0)
  t.same(
    JSON.parse(terminal.out.text).map(({ id }: { id: number }) => id),
    [2, 3]
  )
})

async function serve(t: Teardown, desk: DeadLetterDesk | undefined) {
  const server = await openAdminServer({ host: '127.0.0.1', port: 0, sources: adminSources([], { deadLetters: desk }) })
  t.teardown(() => server.close())
  return server
}

/** The reader takes what was kept for it and unsubscribes: what is published again finds no full queue. */
async function release(connect: (clientId: string, more?: object) => Promise<RawClient>): Promise<void> {
  const reader = await connect('reader', forAnHour)
  await take(reader, 1)
  reader.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['#'] })
  await reader.expect('unsuback')
  await reader.disconnect()
}

/** Takes and acknowledges `count` messages; the answer holds more if more came. */
async function take(client: RawClient, count: number): Promise<AnyPacket[]> {
  const taken: AnyPacket[] = []
  while (taken.length < count) {
    const packet = await client.expect('publish')
    taken.push(packet)
    client.send({ cmd: 'puback', messageId: packet.messageId })
  }
  return [...taken, ...(await client.ping())]
}

function texts(packets: readonly AnyPacket[]): string[] {
  return packets.map(({ payload }) => String(payload))
}
