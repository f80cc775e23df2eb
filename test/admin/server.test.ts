import { once } from 'node:events'
import { createServer, get, request } from 'node:http'
import { t } from 'tap'
import type { AdminSources } from '../../lib/admin/contract.ts'
import { openAdminServer } from '../../lib/admin/server.ts'
import { MemoryStream } from './memory-stream.ts'
import { adminSources, clientJson, groupJson } from './sources.ts'

const clients = [clientJson('device-1'), clientJson('a/b c', { connected: false })]

async function open(t: { teardown(fn: () => unknown): unknown }, overrides: Partial<AdminSources> = {}, host = '127.0.0.1') {
  const stream = new MemoryStream('telemetry')
  const problems: string[] = []
  const sources = adminSources([stream], {
    problems: () => problems,
    renderMetrics: async () => '# HELP tributary_connections now\ntributary_connections 3\n',
    clients: () => clients,
    groups: () => [groupJson('workers')],
    ...overrides
  })
  const server = await openAdminServer({ host, port: 0, sources })
  t.teardown(() => server.close())
  return { server, stream, problems, url: host === '0.0.0.0' ? `http://127.0.0.1:${server.port}` : server.url }
}

const json = async (url: string) => (await fetch(url)).json()

t.test('/healthz answers 200, /readyz 503 with the reasons as long as there are any', async t => {
  const { url, problems } = await open(t)
  t.equal((await fetch(`${url}/healthz`)).status, 200)
  t.equal((await fetch(`${url}/readyz`)).status, 200)
  problems.push('stream telemetry: cannot be written: no space left on device')
  const response = await fetch(`${url}/readyz`)
  t.equal(response.status, 503)
  t.same(await response.json(), { status: 'not ready', problems })
  t.equal((await fetch(`${url}/healthz`)).status, 200)
})

t.test('/metrics is Prometheus text', async t => {
  const { url } = await open(t)
  const response = await fetch(`${url}/metrics`)
  t.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  t.match(await response.text(), /^tributary_connections 3$/m)
})

t.test('streams are listed with their size, offsets, age and declaration', async t => {
  const { url, stream } = await open(t)
  t.match(await json(`${url}/streams`), { streams: [{ name: 'telemetry', records: 0, oldest: null, newest: null }] })
  stream.add('devices/1/telemetry', '1234')
  stream.add('devices/1/telemetry', '5678')
  t.same(await json(`${url}/streams/telemetry`), {
    name: 'telemetry',
    filter: 'devices/#',
    key: 'clientId',
    partitions: 2,
    ack: 'synced',
    retention: { ageMs: 0, bytes: 5000 },
    cleanup: 'compact',
    records: 2,
    bytes: 8,
    segments: 1,
    earliestOffset: 0,
    nextOffset: 2,
    oldest: '2024-05-01T12:00:00.000Z',
    newest: '2024-05-01T12:00:01.000Z'
  })
})

t.test('clients are listed and found by a client id of any characters', async t => {
  const { url } = await open(t)
  t.same(await json(`${url}/clients`), { clients })
  t.same(await json(`${url}/clients/a%2Fb%20c`), clients[1])
  t.same(await json(`${url}/groups`), { groups: [groupJson('workers')] })
  const response = await fetch(`${url}/clients/constructor`)
  t.equal(response.status, 404)
  t.match(await response.json(), { error: 'not-found', message: /no client "constructor"/ })
})

t.test('/ lists the endpoints', async t => {
  const { url } = await open(t)
  t.match(await json(url), { name: 'tributary', endpoints: { '/streams/:name/records': /NDJSON/ } })
})

t.test('what is not there, not allowed or misspelt is answered with what was expected', async t => {
  const { url } = await open(t)
  const cases: [path: string, status: number, message: RegExp, method?: string][] = [
    ['/nothing', 404, /nothing at \/nothing/],
    ['/streams/absent', 404, /no stream "absent" is declared/],
    ['/streams/absent/records', 404, /no stream "absent" is declared/],
    ['/clients/%ff', 400, /not percent-encoded/],
    ['/streams', 405, /POST is not something to do with \/streams: use GET, HEAD, PUT/, 'POST'],
    ['/streams?limit=3', 400, /unknown parameter "limit": expected none/]
  ]
  for (const [path, status, message, method] of cases) {
    const response = await fetch(url + path, { method: method ?? 'GET' })
    t.equal(response.status, status, path)
    t.match(await response.json(), { message }, path)
  }
  t.equal((await fetch(`${url}/streams`, { method: 'DELETE' })).headers.get('allow'), 'GET, HEAD, PUT')
})

t.test('HEAD is answered without a body', async t => {
  const { url } = await open(t)
  const response = await fetch(`${url}/streams/telemetry/records?follow=true`, { method: 'HEAD' })
  t.equal(response.status, 200)
  t.equal(await response.text(), '')
})

t.test('on loopback a request whose Host names another machine is refused', async t => {
  const { server, url } = await open(t)
  const status = async (host: string) => {
    const [response] = await once(get(`${url}/healthz`, { headers: { host } }), 'response')
    response.resume()
    return response.statusCode
  }
  t.equal(await status(`evil.example:${server.port}`), 403)
  t.equal(await status('127.0.0.1.evil.example'), 403)
  t.equal(await status(`localhost:${server.port}`), 200)
  t.equal(await status(`[::1]:${server.port}`), 200)
})

t.test('on a public address any Host is served', async t => {
  const { url } = await open(t, {}, '0.0.0.0')
  const [response] = await once(get(`${url}/healthz`, { headers: { host: 'broker.example' } }), 'response')
  response.resume()
  t.equal(response.statusCode, 200)
})

t.test('a fault behind an endpoint is answered with 500 and the next request is served', async t => {
  const { url } = await open(t, { renderMetrics: async () => Promise.reject(new Error('registry broken')) })
  const response = await fetch(`${url}/metrics`)
  t.equal(response.status, 500)
  t.same(await response.json(), { error: 'internal', message: 'registry broken' })
  t.equal((await fetch(`${url}/healthz`)).status, 200)
})

t.test('a port in use is reported with the setting to change', async t => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as { port: number }
  await t.rejects(openAdminServer({ host: '127.0.0.1', port, sources: {} as AdminSources }), {
    code: 'TRB_LISTENER_FAILED',
    message: `port ${port} on 127.0.0.1 is in use: stop the other program or set another port for admin`
  })
})

t.test('close ends a stream that is being followed', async t => {
  const { server, stream, url } = await open(t)
  const [response] = await once(request(`${url}/streams/telemetry/records?follow=true`).end(), 'response')
  response.on('error', () => {})
  const gone = new Promise(resolve => response.once('close', resolve))
  const readerGone = once(stream.events, 'reader gone')
  response.resume()
  await server.close()
  await Promise.all([gone, readerGone])
  t.equal(stream.readers, 0)
})
