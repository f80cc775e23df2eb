import { Ajv2020 } from 'ajv/dist/2020.js'
import { t } from 'tap'
import { openAdminServer } from '../../lib/admin/server.ts'
import { MemoryStream } from './memory-stream.ts'
import { adminSources, clientJson, groupJson } from './sources.ts'

interface Document {
  components: { schemas: Record<string, object> }
  paths: Record<string, Record<string, { responses: Record<string, { content?: Record<string, { schema: object }> }> }>>
}

async function open(t: { teardown(fn: () => unknown): unknown }) {
  const stream = new MemoryStream('telemetry')
  stream.add('devices/1', '{"t":21.5}', { properties: { contentType: 'application/json', userProperties: [['a', 'b']] } })
  stream.add('devices/1', Buffer.from([255]), { expiresAtMs: Date.UTC(2030, 1) })
  const sources = adminSources([stream], {
    problems: () => ['the broker is closing'],
    clients: () => [clientJson('device-1', { username: 'pump', subscriptions: ['a/#'] })],
    groups: () => [groupJson('workers', { partitions: [{ partition: 0, position: 1, lag: 0, inFlight: 0 }] })]
  })
  const server = await openAdminServer({ host: '127.0.0.1', port: 0, sources })
  t.teardown(() => server.close())
  const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as Document
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema(document, 'document')
  /** What is wrong with a value that an endpoint answered; '' when it is as the document says. */
  const faults = (path: string, status: number, type: string, value: unknown): string => {
    const pointer = ['paths', path, 'get', 'responses', status, 'content', type, 'schema']
    const validate = ajv.compile({
      $ref: `document#/${pointer.map(part => encodeURIComponent(String(part).replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`
    })
    return validate(value) ? '' : `${path}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`
  }
  return { server, stream, document, faults }
}

t.test('what the endpoints answer is what the document says', async t => {
  const { server, document, faults } = await open(t)
  const names: Record<string, string> = { name: 'telemetry', id: 'device-1' }
  const asked: string[] = []
  for (const [path, { get }] of Object.entries(document.paths)) {
    if (get === undefined || path === '/openapi.json' || path.startsWith('/dead-letters')) continue
    const response = await fetch(server.url + path.replace(/\{(\w+)\}/g, (_all, name: string) => names[name] ?? '0'))
    const type = response.headers.get('content-type')?.split(';')[0] ?? ''
    const text = await response.text()
    const values = type === 'application/x-ndjson' ? text.trimEnd().split('\n') : [text]
    for (const value of values)
      t.equal(faults(path, response.status, type, type === 'text/plain' ? value : JSON.parse(value)), '')
    asked.push(path)
  }
  t.ok(asked.length >= 9, asked.join(' '))
})

t.test('errors and gaps are what the document says', async t => {
  const { server, stream, faults } = await open(t)
  stream.earliestOffset = 1
  const records = '/streams/{name}/records'
  for (const [query, status] of [
    ['from=x', 400],
    ['from=9', 416]
  ] as const) {
    const response = await fetch(`${server.url}/streams/telemetry/records?${query}`)
    t.equal(response.status, status)
    t.equal(faults(records, status, 'application/json', await response.json()), '')
  }
  const text = await (await fetch(`${server.url}/streams/telemetry/records?from=0&out-of-range=earliest`)).text()
  const [gap = ''] = text.split('\n')
  t.match(JSON.parse(gap), { gap: { reason: 'removed' } })
  t.equal(faults(records, 200, 'application/x-ndjson', JSON.parse(gap)), '')
  t.not(faults(records, 200, 'application/x-ndjson', { nonsense: true }), '', 'the check can fail')
})
