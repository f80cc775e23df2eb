import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { openAdminServer } from '../../lib/admin/server.ts'
import { TributaryError } from '../../lib/errors.ts'
import { MemoryStream } from '../admin/memory-stream.ts'
import { adminSources, clientJson } from '../admin/sources.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { Terminal } from './terminal.ts'

const clients = [
  clientJson('pump-7', {
    address: '127.0.0.1:5',
    username: 'pump',
    protocolVersion: 5,
    subscriptions: ['a', 'b'],
    backlog: 1_200,
    inflight: 3
  }),
  clientJson('evil\u001b[2J', { connected: false })
]

async function open(t: { teardown(fn: () => unknown): unknown }) {
  const stream = new MemoryStream('telemetry')
  const server = await openAdminServer({
    host: '127.0.0.1',
    port: 0,
    sources: adminSources([stream], { clients: () => clients })
  })
  t.teardown(() => server.close())
  const terminal = new Terminal()
  const run = (...args: string[]) => terminal.run(...args, '--admin', server.url)
  return { stream, server, terminal, run }
}

t.test('stream ls is a table of what there is', async t => {
  const { stream, terminal, run } = await open(t)
  stream.add('devices/1', 'x'.repeat(2_000), { timestampMs: Date.now() - 3 * 86_400_000 })
  stream.add('devices/1', '', { timestampMs: Date.now() })
  t.equal(await run('stream', 'ls'), 0)
  t.equal(
    terminal.out.text,
    'STREAM     FILTER     RECORDS     SIZE  OLDEST   NEWEST\ntelemetry  devices/#        2  2.0 KiB  3 d ago  just now\n'
  )
})

t.test('stream ls --json is what the admin endpoint says', async t => {
  const { terminal, run } = await open(t)
  t.equal(await run('stream', 'ls', '--json'), 0)
  t.match(JSON.parse(terminal.out.text), [{ name: 'telemetry', records: 0, filter: 'devices/#' }])
})

t.test('stream read prints one line per record, wire bytes made harmless', async t => {
  const { stream, terminal, run } = await open(t)
  stream.add('devices/1', '{"t":21}\n\u001b]0;owned\u0007')
  stream.add('devices/\u009b2', Buffer.from([255, 0]))
  t.equal(await run('stream', 'read', 'telemetry'), 0)
  t.equal(
    terminal.out.text,
    '      0  2024-05-01T12:00:00.000Z  devices/1  {"t":21}\\n\\x1b]0;owned\\x07\n' +
      '      1  2024-05-01T12:00:01.000Z  devices/\\x9b2  <2 bytes> /wA=\n'
  )
})

t.test('stream read --from --limit --filter --format json select and shape', async t => {
  const { stream, terminal, run } = await open(t)
  for (let i = 0; i < 8; i++) stream.add(`devices/${i % 2}`, String(i))
  const args = ['--from', '2', '--limit', '2', '--filter', 'devices/1', '--format', 'json']
  t.equal(await run('stream', 'read', 'telemetry', ...args), 0)
  const records = terminal.out.text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  t.match(records, [
    { offset: 3, payload: '3' },
    { offset: 5, payload: '5' }
  ])
  t.equal(records.length, 2)
})

t.test('stream tail prints the last records and follows until Ctrl-C, which is not a failure', async t => {
  const { stream, terminal, run } = await open(t)
  for (let i = 0; i < 5; i++) stream.add('devices/1', `record ${i}`)
  const running = run('stream', 'tail', 'telemetry', '-n', '2')
  await terminal.out.shows(/record 4/)
  stream.add('devices/1', 'fresh')
  await terminal.out.shows(/fresh/)
  terminal.ctrlC()
  t.equal(await running, 0)
  t.same(terminal.out.text.match(/record \d|fresh/g), ['record 3', 'record 4', 'fresh'])
  t.equal(terminal.err.text, '')
})

t.test('stream tail --json prints JSON', async t => {
  const { stream, terminal, run } = await open(t)
  stream.add('devices/1', 'one')
  const running = run('stream', 'tail', 'telemetry', '--json')
  await terminal.out.shows(/\n/)
  terminal.ctrlC()
  t.equal(await running, 0)
  t.match(JSON.parse(terminal.out.text), { offset: 0, payload: 'one' })
})

t.test('stream export writes NDJSON or CSV and says how much on stderr', async t => {
  const { stream, terminal, run } = await open(t)
  const folder = temporaryFolder(t)
  stream.add('devices/1', 'a,"b"\nc', { properties: { contentType: 'text/plain' } })
  stream.add('devices/2', Buffer.from([255]))
  t.equal(await run('stream', 'export', 'telemetry', '--output', join(folder, 'all.ndjson')), 0)
  const lines = readFileSync(join(folder, 'all.ndjson'), 'utf8').trimEnd().split('\n')
  t.match(
    lines.map(line => JSON.parse(line)),
    [{ offset: 0 }, { offset: 1, encoding: 'base64' }]
  )
  t.match(terminal.err.text, /^exported 2 records of telemetry to .*all\.ndjson in \d+\.\d s\n$/)
  t.equal(terminal.out.text, '')

  t.equal(await run('stream', 'export', 'telemetry', '--format', 'csv', '--output', join(folder, 'all.csv')), 0)
  t.equal(
    readFileSync(join(folder, 'all.csv'), 'utf8'),
    'offset,partition,timestamp,topic,clientId,qos,retain,expiresAt,properties,encoding,payload\r\n' +
      '0,1,2024-05-01T12:00:00.000Z,devices/1,device-1,1,false,,"{""contentType"":""text/plain""}",utf8,"a,""b""\nc"\r\n' +
      '1,1,2024-05-01T12:00:01.000Z,devices/2,device-1,1,false,,,base64,/w==\r\n'
  )
  t.same(readdirSync(folder).sort(), ['all.csv', 'all.ndjson'])
})

t.test('an export that breaks off leaves no file and fails', async t => {
  const { stream, terminal, run } = await open(t)
  const folder = temporaryFolder(t, { 'old.ndjson': 'old\n' })
  for (let i = 0; i < 3_000; i++) stream.add('devices/1', 'x'.repeat(100))
  stream.fault = { offset: 2_500, error: new TributaryError('TRB_STREAM_CORRUPT', 'segment 0 is damaged') }
  const output = join(folder, 'old.ndjson')
  t.equal(await run('stream', 'export', 'telemetry', '--output', output), 1)
  t.match(terminal.err.text, /segment 0 is damaged/)
  t.equal(readFileSync(output, 'utf8'), 'old\n', 'what was there is still there')
  t.same(readdirSync(folder), ['old.ndjson'])
})

t.test('a stream that does not exist is an error and makes no file', async t => {
  const { terminal, run } = await open(t)
  const output = join(temporaryFolder(t), 'x.ndjson')
  for (const command of [
    ['tail', 'absent'],
    ['read', 'absent'],
    ['export', 'absent', '--output', output]
  ]) {
    t.equal(await run('stream', ...command), 1)
    t.match(terminal.err.text, /error: no stream "absent" is declared/)
  }
  t.notOk(existsSync(output))
})

t.test('when no broker answers, the message names both ways out', async t => {
  const { server } = await open(t)
  await server.close()
  const terminal = new Terminal()
  t.equal(await terminal.run('stream', 'ls', '--admin', server.url), 1)
  t.match(
    terminal.err.text,
    /no broker answers at http:.*start it with "tributary start".*--admin URL.*--data DIR.*\(TRB_ADMIN_UNREACHABLE\)/
  )
})

t.test('wrong arguments are refused with 2 and what was expected', async t => {
  const cases: [args: string[], message: RegExp][] = [
    [['stream', 'read', 'telemetry', '--from', 'yesterday'], /expected earliest, latest, an offset or an ISO time/],
    [['stream', 'read', 'telemetry', '--limit', '0'], /whole number above 0/],
    [['stream', 'read', 'telemetry', '--filter', 'a/#/b'], /MQTT topic filter/],
    [['stream', 'read', 'telemetry', '--format', 'xml'], /Allowed choices are text, json/],
    [['stream', 'tail'], /missing required argument 'name'/],
    [['stream', 'ls', '--admin', 'ftp://x'], /expected a URL such as http/],
    [['stream', 'ls', '--admin', 'http://127.0.0.1:1', '--data', '.'], /exclude each other/],
    [['strem'], /Did you mean stream/]
  ]
  for (const [args, message] of cases) {
    const terminal = new Terminal()
    t.equal(await terminal.run(...args), 2, args.join(' '))
    t.match(terminal.err.text, message, args.join(' '))
  }
})

t.test('client ls is a table, and JSON on request', async t => {
  const { terminal, run } = await open(t)
  t.equal(await run('client', 'ls'), 0)
  t.equal(
    terminal.out.text,
    'CLIENT       STATE      FROM         USER  MQTT   SUBSCRIPTIONS  QUEUED  INFLIGHT\n' +
      'pump-7       connected  127.0.0.1:5  pump  5                  2   1,200         3\n' +
      'evil\\x1b[2J  away       -            -     3.1.1              0       0         0\n'
  )
  const json = new Terminal()
  t.equal(await json.run('client', 'ls', '--json', '--admin', (await open(t)).server.url), 0)
  t.match(JSON.parse(json.out.text), [{ clientId: 'pump-7' }, {}])
})
