import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { t } from 'tap'
import type { RecordJson } from '../../lib/admin/record-json.ts'
import { openAdminServer } from '../../lib/admin/server.ts'
import { TributaryError } from '../../lib/errors.ts'
import { MemoryStream } from './memory-stream.ts'
import { adminSources } from './sources.ts'

async function open(t: { teardown(fn: () => unknown): unknown }) {
  const stream = new MemoryStream('telemetry')
  const server = await openAdminServer({
    host: '127.0.0.1',
    port: 0,
    sources: adminSources([stream])
  })
  t.teardown(() => server.close())
  const url = `${server.url}/streams/telemetry/records`
  const offsets = async (query: string) => (await read(`${url}?${query}`)).map(record => record.offset)
  return { stream, url, offsets }
}

async function read(url: string): Promise<RecordJson[]> {
  const response = await fetch(url)
  const text = await response.text()
  if (response.status !== 200) throw new Error(text)
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}

async function begin(url: string): Promise<IncomingMessage> {
  const [response] = await once(get(url), 'response')
  response.on('error', () => {})
  return response
}

t.test('a record is one line of JSON with its MQTT 5 properties', async t => {
  const { stream, url } = await open(t)
  stream.add('devices/1/telemetry', '{"t":21.5}', {
    expiresAtMs: Date.UTC(2024, 5, 1),
    properties: {
      contentType: 'application/json',
      correlationData: Buffer.from([1, 255]),
      userProperties: [
        ['site', 'north'],
        ['site', 'roof']
      ]
    }
  })
  t.same(await read(url), [
    {
      offset: 0,
      partition: 1,
      timestamp: '2024-05-01T12:00:00.000Z',
      topic: 'devices/1/telemetry',
      clientId: 'device-1',
      qos: 1,
      retain: false,
      expiresAt: '2024-06-01T00:00:00.000Z',
      properties: {
        contentType: 'application/json',
        correlationData: 'Af8=',
        userProperties: [
          ['site', 'north'],
          ['site', 'roof']
        ]
      },
      payload: '{"t":21.5}'
    }
  ])
})

t.test('a payload that is not UTF-8 is base64 and says so', async t => {
  const { stream, url } = await open(t)
  stream.add('a', Buffer.from([0xff, 0xfe]))
  stream.add('a', 'grün')
  t.match(await read(url), [{ payload: '//4=', encoding: 'base64' }, { payload: 'grün' }])
  t.notOk('encoding' in (await read(url))[1]!)
})

t.test('reading starts at earliest, latest, an offset or a time, and ends at the limit', async t => {
  const { stream, offsets } = await open(t)
  for (let i = 0; i < 5; i++) stream.add('a', String(i))
  t.same(await offsets(''), [0, 1, 2, 3, 4])
  t.same(await offsets('from=earliest&limit=2'), [0, 1])
  t.same(await offsets('from=latest'), [])
  t.same(await offsets('from=3'), [3, 4])
  t.same(await offsets('from=5'), [])
  t.same(await offsets('from=2024-05-01T12:00:02Z'), [2, 3, 4])
  t.same(await offsets('from=2024-05-01T14:00:02.500%2B02:00'), [3, 4])
})

t.test('a filter selects by topic, and the limit counts what was selected', async t => {
  const { stream, offsets } = await open(t)
  for (let i = 0; i < 6; i++) stream.add(`devices/${i % 2}/telemetry`, '')
  t.same(await offsets('filter=devices/1/%2B'), [1, 3, 5])
  t.same(await offsets('filter=devices/1/%2B&limit=2'), [1, 3])
  t.equal(stream.readers, 0)
})

t.test('bad parameters are refused with what was expected', async t => {
  const { url } = await open(t)
  const cases: [query: string, message: RegExp][] = [
    ['from=yesterday', /expected earliest, latest, an offset/],
    ['from=-1', /expected earliest, latest, an offset/],
    ['from=99999999999999999999', /expected earliest, latest, an offset/],
    ['from=2024-13-45', /expected earliest, latest, an offset/],
    ['limit=0', /expected a whole number above 0/],
    ['limit=ten', /expected a whole number above 0/],
    ['follow=yes', /expected true or false/],
    ['filter=a/%23/b', /expected an MQTT topic filter/],
    ['form=earliest', /unknown parameter "form": expected one of from, to, limit, follow, filter, partition/],
    ['limit=1&limit=2', /given more than once/]
  ]
  for (const [query, message] of cases) {
    const response = await fetch(`${url}?${query}`)
    t.equal(response.status, 400, query)
    t.match(await response.json(), { error: 'bad-request', message }, query)
  }
})

t.test('an offset that is not there is refused with the ones that are', async t => {
  const { stream, url } = await open(t)
  for (let i = 0; i < 5; i++) stream.add('a', '')
  stream.earliestOffset = 2
  for (const from of [1, 6]) {
    const response = await fetch(`${url}?from=${from}`)
    t.equal(response.status, 416)
    t.same(await response.json(), {
      error: 'TRB_OFFSET_OUT_OF_RANGE',
      message: `stream telemetry has no offset ${from}: it holds 2 to 4`
    })
  }
})

t.test('following sends headers at once and records as they come, until the client leaves', async t => {
  const { stream, url } = await open(t)
  const response = await begin(`${url}?from=latest&follow=true`)
  t.equal(response.statusCode, 200)
  const lines = createInterface({ input: response })[Symbol.asyncIterator]()
  for (const payload of ['one', 'two']) {
    stream.add('a', payload)
    t.equal(JSON.parse((await lines.next()).value).payload, payload)
  }
  const gone = once(stream.events, 'reader gone')
  response.destroy()
  await gone
  t.equal(stream.readers, 0)
})

t.test('records are read no faster than the client takes them', async t => {
  const { stream, url } = await open(t)
  const payload = 'x'.repeat(10_000)
  for (let i = 0; i < 3_000; i++) stream.add('a', payload)
  const response = await begin(url)
  response.pause()
  // The kernel's buffers fill up; then the read stands still for as long as anybody looks.
  let before = -1
  for (let turnsAlike = 0; turnsAlike < 200; turnsAlike++) {
    if (stream.yielded !== before) turnsAlike = 0
    before = stream.yielded
    await new Promise(resolve => setImmediate(resolve))
  }
  t.ok(stream.yielded < 3_000, `${stream.yielded} of 3000 records were read for a client that takes none`)
  const gone = once(stream.events, 'reader gone')
  response.destroy()
  await gone
  t.equal(stream.readers, 0)
})

t.test('a fault at the first record is answered with its code', async t => {
  const { stream, url } = await open(t)
  stream.add('a', '')
  stream.fault = { offset: 0, error: new TributaryError('TRB_STREAM_CORRUPT', 'segment 0 is damaged') }
  const response = await fetch(url)
  t.equal(response.status, 500)
  t.same(await response.json(), { error: 'TRB_STREAM_CORRUPT', message: 'segment 0 is damaged' })
})

t.test('a fault later on is the last line of a response that does not end properly', async t => {
  const { stream, url } = await open(t)
  for (let i = 0; i < 5_000; i++) stream.add('a', 'x'.repeat(100))
  stream.fault = { offset: 4_000, error: new TributaryError('TRB_STREAM_CORRUPT', 'segment 0 is damaged') }
  const response = await begin(url)
  let text = ''
  response.on('data', chunk => (text += chunk))
  const [error] = await once(response, 'error')
  t.equal(error.code, 'ECONNRESET')
  const lines = text.trimEnd().split('\n')
  t.equal(lines.length, 4_001)
  t.same(JSON.parse(lines.at(-1)!), { error: 'TRB_STREAM_CORRUPT', message: 'segment 0 is damaged' })
})
