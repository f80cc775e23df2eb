import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { t } from 'tap'
import type { AdminOptions } from '../../lib/admin/contract.ts'
import { openAdminServer } from '../../lib/admin/server.ts'
import { TributaryError } from '../../lib/errors.ts'
import { MemoryStream } from './memory-stream.ts'
import { adminSources } from './sources.ts'

type Teardown = { teardown(fn: () => unknown): unknown }

async function open(t: Teardown, limits: AdminOptions['limits'] = {}, records = 0) {
  const stream = new MemoryStream('telemetry')
  for (let i = 0; i < records; i++) stream.add(`devices/${i % 2}`, String(i), { partition: i % 2, clientId: `device-${i % 2}` })
  const server = await openAdminServer({ host: '127.0.0.1', port: 0, sources: adminSources([stream]), limits })
  t.teardown(() => server.close())
  const url = `${server.url}/streams/telemetry/records`
  const poll = async (query: string) => {
    const response = await fetch(`${url}?${query}`)
    const lines = (await response.text()).split('\n').filter(line => line !== '')
    return { status: response.status, headers: response.headers, lines: lines.map(line => JSON.parse(line)) }
  }
  return { stream, server, url, poll }
}

async function begin(t: Teardown, url: string, headers: Record<string, string> = {}) {
  const [response] = (await once(get(url, { headers }), 'response')) as [IncomingMessage]
  response.on('error', () => {})
  response.setEncoding('utf8')
  let text = ''
  response.on('data', chunk => (text += chunk))
  t.teardown(() => response.destroy())
  /** Resolves with all text so far once it matches. */
  const shows = async (pattern: RegExp) => {
    while (!pattern.test(text)) await once(response, 'data', { signal: AbortSignal.timeout(20_000) })
    return text
  }
  return { response, shows }
}

t.test('server-sent events: retry first, then records with their offset as id, live', async t => {
  const { stream, url } = await open(t, {}, 2)
  const { response, shows } = await begin(t, url, { accept: 'text/event-stream' })
  t.equal(response.headers['content-type'], 'text/event-stream; charset=utf-8')
  const text = await shows(/id: 1\n.*\n\n$/)
  const [retry, ...events] = text.trimEnd().split('\n\n')
  t.equal(retry, 'retry: 3000')
  t.match(
    events.map(event => event.split('\n')),
    [
      ['id: 0', /^data: \{"offset":0/],
      ['id: 1', /^data: \{"offset":1/]
    ]
  )
  stream.add('a', 'live')
  t.match(await shows(/id: 2/), /"payload":"live"/)
})

t.test('Last-Event-ID resumes behind the last event, whatever from says', async t => {
  const { url } = await open(t, {}, 5)
  const { shows } = await begin(t, `${url}?format=sse&from=latest`, { 'last-event-id': '2' })
  const ids = (await shows(/id: 4\n/)).match(/^id: \d+/gm)
  t.same(ids, ['id: 3', 'id: 4'])
  const wrong = await fetch(`${url}?format=sse`, { headers: { 'last-event-id': 'x' } })
  t.equal(wrong.status, 400)
  t.match(await wrong.json(), { message: /last-event-id: expected the offset/ })
})

t.test('an event stream that has nothing to say sends comments', async t => {
  const { url } = await open(t, { keepAliveMs: 5 })
  const { shows } = await begin(t, `${url}?format=sse`)
  t.match(await shows(/keep-alive\n\n[\s\S]*keep-alive/), /^retry: 3000\n\n: keep-alive\n\n/)
})

t.test('events that do not follow end with the event "end"', async t => {
  const { url } = await open(t, {}, 1)
  const text = await (await fetch(`${url}?format=sse&follow=false`)).text()
  t.match(text, /\nevent: end\ndata: \{\}\n\n$/)
})

t.test('a fault among events is the event "fault"', async t => {
  const { stream, url } = await open(t, {}, 3)
  stream.fault = { offset: 2, error: new TributaryError('TRB_STREAM_CORRUPT', 'segment 0 is damaged') }
  const { shows } = await begin(t, `${url}?format=sse`)
  t.match(await shows(/fault/), /event: fault\ndata: \{"error":"TRB_STREAM_CORRUPT","message":"segment 0 is damaged"\}\n\n$/)
})

t.test('a long poll answers what is there, and says where the next one begins', async t => {
  const { poll, stream } = await open(t, {}, 5)
  const first = await poll('from=1&waitMs=0&limit=3')
  t.same(
    first.lines.map(line => line.offset),
    [1, 2, 3]
  )
  t.equal(first.headers.get('next-offset'), '4')
  t.equal(first.headers.get('earliest-offset'), '0')
  t.equal(first.headers.get('latest-offset'), '5')
  t.match((await poll('from=4&waitMs=60000')).lines, [{ offset: 4 }])
  for (const query of ['from=5&waitMs=0', 'from=latest&waitMs=1', 'from=2099-01-01&waitMs=1']) {
    const { status, headers, lines } = await poll(query)
    t.same([status, headers.get('next-offset'), lines], [200, '5', []], query)
  }
  t.equal(stream.readers, 0)
})

t.test('a long poll waits for the first record', async t => {
  const { stream, poll } = await open(t)
  const answer = poll('from=latest&waitMs=60000')
  while (stream.readers === 0 || stream.events.listenerCount('added') === 0) await new Promise(resolve => setImmediate(resolve))
  stream.add('a', 'at last')
  t.match(await answer, { status: 200, lines: [{ offset: 0, payload: 'at last' }] })
  t.equal((await answer).headers.get('next-offset'), '1')
  t.equal(stream.readers, 0)
})

t.test('a long poll whose client leaves ends its read', async t => {
  const { stream, url } = await open(t)
  const request = get(`${url}?waitMs=60000&from=latest`)
  request.on('error', () => {})
  while (stream.events.listenerCount('added') === 0) await new Promise(resolve => setImmediate(resolve))
  const gone = once(stream.events, 'reader gone')
  request.destroy()
  await gone
  t.equal(stream.readers, 0)
})

t.test('a long poll stops at its limit of bytes, behind the record that reaches it', async t => {
  const { stream, poll } = await open(t, { pollBytesMax: 1_000 })
  for (let i = 0; i < 10; i++) stream.add('a', 'x'.repeat(400))
  const { lines, headers } = await poll('waitMs=0')
  t.equal(lines.length, 2)
  t.equal(headers.get('next-offset'), '2')
})

t.test('reading ends before an offset or a time, following or not', async t => {
  const { poll } = await open(t, {}, 6)
  const offsets = async (query: string) => (await poll(query)).lines.map(line => line.offset)
  t.same(await offsets('to=2'), [0, 1])
  t.same(await offsets('from=1&to=4&follow=true'), [1, 2, 3])
  t.same(await offsets('to=2024-05-01T12:00:03Z&follow=true'), [0, 1, 2])
  t.same(await offsets('from=4&to=4&follow=true'), [])
  t.same(await offsets('to=5&filter=devices/1'), [1, 3])
  t.equal((await poll('to=3&waitMs=0')).headers.get('next-offset'), '3')
})

t.test('partition and key select, and the limit counts what was selected', async t => {
  const { poll, url } = await open(t, {}, 6)
  const offsets = async (query: string) => (await poll(query)).lines.map(line => line.offset)
  t.same(await offsets('partition=1'), [1, 3, 5])
  t.same(await offsets('key=device-0&limit=2'), [0, 2])
  t.same(await offsets('key=device-0&partition=1'), [])
  const refused = await fetch(`${url}?partition=2`)
  t.equal(refused.status, 400)
  t.match(await refused.json(), { message: 'partition: expected 0 to 1, which is what the stream has' })
})

t.test('where the stream is keyed by topic, key is a topic', async t => {
  const stream = new MemoryStream('telemetry')
  for (let i = 0; i < 4; i++) stream.add(`devices/${i % 2}`, '')
  const declaration = () => ({ filter: '#', key: 'topic', partitions: 2, retention: { ageMs: 0, bytes: 0 }, ack: 'synced' })
  const server = await openAdminServer({ host: '127.0.0.1', port: 0, sources: adminSources([stream], { declaration }) })
  t.teardown(() => server.close())
  const text = await (await fetch(`${server.url}/streams/telemetry/records?key=devices/1`)).text()
  t.same(
    text
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line).offset),
    [1, 3]
  )
})

t.test('an offset that is not there is 416 with the ones that are, or a gap and the records behind it', async t => {
  const { stream, url, poll } = await open(t, {}, 5)
  stream.earliestOffset = 2
  const refused = await fetch(`${url}?from=0`)
  t.same([refused.status, refused.headers.get('earliest-offset'), refused.headers.get('latest-offset')], [416, '2', '5'])

  const removed = { gap: { fromOffset: 0, toOffset: 2, reason: 'removed' } }
  t.match((await poll('from=0&out-of-range=earliest')).lines, [removed, { offset: 2 }, { offset: 3 }, { offset: 4 }])
  t.match((await poll('from=0&out-of-range=earliest&waitMs=0&limit=1')).lines, [removed, { offset: 2 }])
  t.same((await poll('from=0&out-of-range=latest')).lines, [{ gap: { fromOffset: 0, toOffset: 5, reason: 'removed' } }])
  t.match((await poll('from=9&out-of-range=earliest')).lines[0], { gap: { fromOffset: 9, toOffset: 2, reason: 'not-written' } })

  const { shows } = await begin(t, `${url}?format=sse&from=0&out-of-range=latest`)
  t.match(await shows(/gap/), /event: gap\nid: 4\ndata: \{"fromOffset":0,"toOffset":5,"reason":"removed"\}\n\n$/)
})

t.test('only so many read at the same time, and an ended read makes room', async t => {
  const { stream, url } = await open(t, { readersMax: 1 })
  const { response } = await begin(t, `${url}?follow=true`)
  const refused = await fetch(url)
  t.equal(refused.status, 503)
  t.equal(refused.headers.get('retry-after'), '1')
  t.match(await refused.json(), { error: 'too-many-readers', message: /admin\.maxReaders/ })
  const gone = once(stream.events, 'reader gone')
  response.destroy()
  await gone
  while ((await fetch(url)).status !== 200) await new Promise(resolve => setImmediate(resolve))
})

t.test('a reader that takes nothing is cut off after a while', async t => {
  const { stream, url } = await open(t, { stalledMs: 50 })
  for (let i = 0; i < 3_000; i++) stream.add('a', 'x'.repeat(10_000))
  const gone = once(stream.events, 'reader gone')
  const [response] = (await once(get(url), 'response')) as [IncomingMessage]
  response.on('error', () => {})
  response.pause()
  await gone
  t.ok(stream.yielded < 3_000)
  response.destroy()
})

t.test('parameters that contradict each other are refused', async t => {
  const { url } = await open(t)
  const cases: [query: string, message: RegExp][] = [
    ['waitMs=1&follow=true', /leave out follow, or waitMs/],
    ['waitMs=1&format=sse', /events are not polled/],
    ['waitMs=1&limit=10001', /expected 10000 or less with waitMs/],
    ['waitMs=60001', /expected a whole number from 0 to 60000/],
    ['to=latest', /expected an offset or a time/],
    ['out-of-range=skip', /expected fail, earliest or latest/],
    ['format=xml', /expected ndjson or sse/],
    ['partition=-1', /expected a whole number/]
  ]
  for (const [query, message] of cases) {
    const response = await fetch(`${url}?${query}`)
    t.match({ status: response.status, ...((await response.json()) as object) }, { status: 400, message }, query)
  }
})

t.test('HEAD says where the stream begins and ends, and reads nothing', async t => {
  const { stream, url } = await open(t, {}, 3)
  const response = await fetch(`${url}?follow=true`, { method: 'HEAD' })
  t.same([response.status, response.headers.get('earliest-offset'), response.headers.get('latest-offset')], [200, '0', '3'])
  t.equal(stream.yielded, 0)
})
