import { join } from 'node:path'
import { t } from 'tap'
import { z } from 'zod'
import { jsonAnswer } from '../../lib/admin/answer.ts'
import { type AdminApp, createApp } from '../../lib/admin/app.ts'
import { addGuard } from '../../lib/admin/guard.ts'
import { AdminTokens, addToken } from '../../lib/admin/token-file.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

type T = { teardown(fn: () => unknown): unknown; testdir(): string }

/** An app with one endpoint of each kind. Without `tokens` there is no token file. */
async function open(t: T, { host = '127.0.0.1', tokens = true } = {}) {
  const file = join(temporaryFolder(t), 'admin-tokens')
  const reader = await addToken(file, 'prometheus', 'read')
  const writer = await addToken(file, 'alice', 'write')
  const lines: object[] = []
  const log = { warn: () => {}, info: (fields: object) => lines.push(fields) }
  const app = createApp(log)
  addGuard(app, { host, tokens: tokens ? await AdminTokens.load(file) : undefined, log })
  addEndpoints(app)
  t.teardown(() => app.close())
  const ask = async (method: 'GET' | 'POST' | 'DELETE', url: string, headers: Record<string, string> = {}, body?: string) => {
    const asked = { method, url, headers: { host: 'localhost', ...headers } }
    const {
      statusCode: status,
      headers: answered,
      body: text
    } = await app.inject(body === undefined ? asked : { ...asked, payload: body })
    return { status, headers: answered, json: text === '' ? undefined : JSON.parse(text) }
  }
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
  return { ask, lines, asReader: bearer(reader), asWriter: bearer(writer), bearer }
}

function addEndpoints(app: AdminApp): void {
  const response = { 200: jsonAnswer('Done.', z.object({ done: z.boolean() })) }
  app.get('/open', { config: { access: 'open' }, schema: { response } }, async () => ({ done: true }))
  app.get('/things', { schema: { response } }, async () => ({ done: true }))
  app.post('/look', { config: { access: 'read' }, schema: { response } }, async () => ({ done: true }))
  app.post('/poll', { config: { audited: false }, schema: { response } }, async () => ({ done: true }))
  app.delete('/things', { schema: { operationId: 'deleteThings', response } }, async request => {
    request.auditDetail = { things: 3 }
    return { done: true }
  })
  app.post('/things', { schema: { body: z.strictObject({ size: z.number().max(9) }), response } }, async () => ({ done: true }))
}

t.test('with a token file a request needs a token, whatever it asks for', async t => {
  const { ask, asReader, bearer } = await open(t)
  for (const url of ['/things', '/nothing', '/']) {
    const { status, headers, json } = await ask('GET', url)
    t.match({ status, ...json }, { status: 401, error: 'unauthorized', message: /--token-file FILE or TRIBUTARY_ADMIN_TOKEN/ })
    t.equal(headers['www-authenticate'], 'Bearer realm="tributary"')
  }
  t.match(await ask('GET', '/things', bearer('guessed')), {
    status: 401,
    json: { message: /not one of those in the token file/ }
  })
  t.match(await ask('GET', '/things', { authorization: 'Basic YTpi' }), { status: 401 })
  t.match(await ask('GET', '/things', asReader), { status: 200 })
  t.match(await ask('GET', '/nothing', asReader), { status: 404 })
})

t.test('endpoints that are open ask for no token', async t => {
  const { ask } = await open(t)
  t.match(await ask('GET', '/open'), { status: 200 })
})

t.test('a token to read may not write, and one to write may read', async t => {
  const { ask, asReader, asWriter } = await open(t)
  t.match(await ask('DELETE', '/things', asReader), {
    status: 403,
    json: { error: 'read-only-token', message: /prometheus may only read/ }
  })
  t.match(await ask('POST', '/look', asReader), { status: 200 })
  t.match(await ask('DELETE', '/things', asWriter), { status: 200 })
  t.match(await ask('GET', '/things', asWriter), { status: 200 })
})

t.test('without a token file everybody may read, and write on loopback only', async t => {
  const near = await open(t, { tokens: false })
  t.match(await near.ask('GET', '/things'), { status: 200 })
  t.match(await near.ask('DELETE', '/things'), { status: 200 })
})

t.test('without a token file a listener that others can reach is read only, and says how to mend it', async t => {
  const { ask } = await open(t, { tokens: false, host: '0.0.0.0' })
  t.match(await ask('GET', '/things'), { status: 200 })
  t.match(await ask('DELETE', '/things'), { status: 403, json: { error: 'writes-need-token', message: /set admin\.tokenFile/ } })
})

t.test('pages of other sites may change nothing', async t => {
  const { ask, asWriter } = await open(t)
  const remove = async (headers: Record<string, string>) => (await ask('DELETE', '/things', { ...asWriter, ...headers })).status
  t.equal(await remove({ host: 'localhost:9883', origin: 'http://localhost:9883' }), 200)
  t.equal(await remove({ host: 'localhost:9883', origin: 'http://localhost:3000' }), 403)
  t.equal(await remove({ origin: 'https://evil.example' }), 403)
  t.equal(await remove({ origin: 'null' }), 403)
  t.equal(await remove({ 'sec-fetch-site': 'cross-site' }), 403)
  t.equal(await remove({ 'sec-fetch-site': 'same-origin', origin: 'http://localhost' }), 200)
  t.match(await ask('DELETE', '/things', { ...asWriter, origin: 'https://evil.example' }), {
    json: { error: 'forbidden-origin' }
  })
})

t.test('no answer allows pages of other sites to read it', async t => {
  const { ask } = await open(t)
  const { headers } = await ask('GET', '/open', { origin: 'https://dash.example' })
  t.same(
    Object.keys(headers).filter(name => name.startsWith('access-control')),
    []
  )
})

t.test('a body must be JSON, small enough and what the endpoint expects', async t => {
  const { ask, asWriter } = await open(t)
  const post = (body: string, type = 'application/json') => ask('POST', '/things', { ...asWriter, 'content-type': type }, body)
  t.match(await post('{"size":3}'), { status: 200 })
  const cases: [body: string, status: number, message: RegExp, type?: string][] = [
    ['{"size":3}', 415, /send content-type: application\/json/, 'text/plain'],
    ['size=3', 415, /send content-type: application\/json/, 'application/x-www-form-urlencoded'],
    ['', 400, /there is no body/],
    ['{"size":', 400, /the body is not valid JSON/],
    ['[]', 400, /^the body: expected object/],
    ['{"size":"3"}', 400, /^size: expected number/],
    ['{"size":10}', 400, /^size: Too big/],
    ['{"size":3,"colour":1}', 400, /unknown field "colour": expected one of size/],
    ['{"size":3,"__proto__":{}}', 400, /the body is not valid JSON/],
    [`{"size":${' '.repeat(1_100_000)}3}`, 413, /larger than the endpoint takes/]
  ]
  for (const [body, status, message, type] of cases) {
    t.match(await post(body, type), { status, json: { error: /./, message } }, body.slice(0, 30))
  }
})

t.test('every write leaves an audit line with who, what and the outcome, reads and polls leave none', async t => {
  const { ask, lines, asReader, asWriter } = await open(t)
  await ask('GET', '/things', asWriter)
  await ask('POST', '/poll', asWriter)
  await ask('POST', '/look', asReader)
  t.same(lines, [])
  await ask('DELETE', '/things', asWriter)
  await ask('DELETE', '/things', asReader)
  await ask('POST', '/things', {})
  t.match(lines, [
    { audit: true, operator: 'alice', method: 'DELETE', path: '/things', operation: 'deleteThings', status: 200, things: 3 },
    { operator: 'no token', method: 'DELETE', status: 403 },
    { operator: 'no token', method: 'POST', status: 401 }
  ])
  t.notMatch(JSON.stringify(lines), /trb_/, 'no token is logged')
})
