import { join } from 'node:path'
import { t } from 'tap'
import type { RecordJson } from '../../lib/admin/record-json.ts'
import { openAdminServer } from '../../lib/admin/server.ts'
import { RecordPrinter } from '../../lib/cli/record-text.ts'
import { senderTest } from '../../lib/cli/stream-selection.ts'
import { Streams } from '../../lib/stream/streams.ts'
import { adminSources } from '../admin/sources.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { Terminal } from './terminal.ts'

const START_MS = Date.UTC(2024, 4, 1, 12)
const keys = ['pump-1', 'pump-2', 'pump-3']

/** Nine records of three devices, a second apart, behind an admin listener and in the files of a folder. */
async function open(t: { testdir(): string; teardown(fn: () => unknown): unknown }, key: 'clientId' | 'topic' = 'clientId') {
  const folder = temporaryFolder(t)
  const declaration = {
    ...{ name: 'telemetry', filter: '#', key, partitions: 4, ack: 'synced' as const },
    retention: { ageMs: 0, bytes: 0 }
  }
  const streams = await Streams.open({ folder: join(folder, 'streams'), declarations: [declaration] })
  const stream = streams.get('telemetry')!
  for (let i = 0; i < 9; i++) {
    const bytes = Buffer.from(String(i))
    const source = stream.source(`devices/${i % 2}`, keys[i % 3]!)
    stream.append(source, 1, false, START_MS + i * 1000, 0, Buffer.alloc(0), bytes, 0, bytes.length)
  }
  await stream.sync()
  const server = await openAdminServer({
    host: '127.0.0.1',
    port: 0,
    sources: adminSources(streams.all(), { declaration: () => declaration })
  })
  t.teardown(async () => {
    await server.close()
    await streams.close()
  })
  const ways: Record<string, string[]> = { broker: ['--admin', server.url], files: ['--data', folder] }
  /** Payloads that `stream read` prints with these options. */
  const read = async (way: string, ...args: string[]) => {
    const terminal = new Terminal()
    const code = await terminal.run('stream', 'read', 'telemetry', '--json', ...args, ...ways[way]!)
    if (code !== 0) throw new Error(terminal.err.text)
    const lines = terminal.out.text.split('\n').slice(0, -1)
    return lines.map(line => (JSON.parse(line) as RecordJson).payload).join('')
  }
  const partition = keys.map(clientId => stream.source('x', clientId).partition)
  return { ways, read, partition, stream }
}

t.test('--to, --partition, --key, --filter and --limit select the same from a broker and from its files', async t => {
  const { ways, read, partition } = await open(t)
  const inPartition = [...'012345678'].filter(i => partition[Number(i) % 3] === partition[0]).join('')
  const cases: [args: string[], expected: string][] = [
    [['--to', '3'], '012'],
    [['--from', '2', '--to', '4'], '23'],
    [['--from', '4', '--to', '2'], ''],
    [['--to', '100'], '012345678'],
    [['--to', '2024-05-01T12:00:02Z'], '01'],
    [['--from', '2024-05-01T12:00:02Z', '--to', `@${START_MS + 4001}`], '234'],
    [['--key', 'pump-2'], '147'],
    [['--key', 'pump-2', '--limit', '2'], '14'],
    [['--key', 'pump-2', '--filter', 'devices/1'], '17'],
    [['--key', 'absent'], ''],
    [['--partition', String(partition[0])], inPartition],
    [['--filter', 'devices/0', '--from', '1', '--limit', '2', '--to', '8'], '24']
  ]
  for (const way of Object.keys(ways)) {
    for (const [args, expected] of cases) t.equal(await read(way, ...args), expected, `${way}: ${args.join(' ')}`)
  }
})

t.test('in a stream keyed by topic --key is a topic', async t => {
  const { read } = await open(t, 'topic')
  for (const way of ['broker', 'files']) t.equal(await read(way, '--key', 'devices/1'), '1357', way)
})

t.test('tail --to ends when it comes there', async t => {
  const { ways, stream } = await open(t)
  for (const way of Object.values(ways)) {
    const terminal = new Terminal()
    const to = stream.nextOffset + 1
    const running = terminal.run('stream', 'tail', 'telemetry', '-n', '1', '--to', String(to), ...way)
    await terminal.out.shows(/\n/)
    for (let i = 0; i < 2; i++) stream.append(stream.source('devices/0', 'pump-1'), 0, false, START_MS, 0, none, none, 0, 0)
    await stream.sync()
    t.equal(await running, 0)
    t.equal(terminal.out.text.split('\n').length - 1, 2)
  }
})

t.test('two reads, one up to a time and one from it, have every record once, though clocks were set back', async t => {
  const { ways, read, stream } = await open(t)
  for (const seconds of [3, 12, 5, 20]) {
    stream.append(stream.source('t', 'c'), 0, false, START_MS + seconds * 1000, 0, none, none, 0, 0)
  }
  await stream.sync()
  for (const way of Object.keys(ways)) {
    for (const seconds of [0, 4, 6, 13, 30]) {
      const at = `@${START_MS + seconds * 1000}`
      const count = (await read(way, '--to', at)).length + (await read(way, '--from', at)).length
      t.equal(count, 9, `${way}: ${at}`)
    }
  }
})

t.test('an end that is none is refused', async t => {
  const terminal = new Terminal()
  t.equal(await terminal.run('stream', 'read', 'telemetry', '--to', 'latest'), 2)
  t.match(terminal.err.text, /expected an offset or a time/)
})

t.test('nothing asked for is no test at all, so that a plain read costs nothing more', async t => {
  t.equal(senderTest({}), undefined)
  t.equal(senderTest({ partition: 0 })?.({ topic: 't', clientId: 'c', partition: 0 }), true)
})

const record: RecordJson = {
  ...{ offset: 7, partition: 3, timestamp: '2024-05-01T12:00:00.250Z', topic: 'devices/7', clientId: 'pump-7' },
  ...{ qos: 1, retain: false, payload: '{"t":21}' }
}

t.test('a terminal shows the day once, aligned columns, and as much of a payload as fits', async t => {
  const printer = new RecordPrinter({ format: 'text' }, (_style, text) => text, 80)
  t.equal(printer.print(record), '2024-05-01 UTC\n      7  12:00:00.250  devices/7  {"t":21}')
  t.equal(
    printer.print({ ...record, offset: 8, topic: 'd', retain: true }),
    '      8  12:00:00.250  d          retained {"t":21}'
  )
  t.equal(
    printer.print({ ...record, payload: Buffer.from([0, 255, 16]).toString('base64'), encoding: 'base64' }),
    '      7  12:00:00.250  devices/7  00 ff 10'
  )
  t.equal(printer.print({ ...record, payload: '' }), '      7  12:00:00.250  devices/7  (empty)')
  const long = printer.print({ ...record, payload: 'x'.repeat(5000) })
  t.equal(long.length, 80)
  t.match(long, /x … 4\.9 KiB$/)
  t.match(printer.print({ ...record, timestamp: '2024-05-02T00:00:00.000Z' }), /^2024-05-02 UTC\n/)
})

t.test('--verbose adds what else is known of a record', async t => {
  const printer = new RecordPrinter({ format: 'text', verbose: true }, (_style, text) => text, undefined)
  const expiresAt = '2024-05-01T13:00:00.000Z'
  const full = { ...record, retain: true, expiresAt, properties: { contentType: 'a\u001b' } }
  t.equal(
    printer.print(full),
    `      7  2024-05-01T12:00:00.250Z  devices/7  {"t":21}\n         client pump-7  partition 3  QoS 1  retain  expires ${expiresAt}  {"contentType":"a\\u001b"}`
  )
  t.equal(printer.print(record).split('\n')[1], '         client pump-7  partition 3  QoS 1')
})

const none = Buffer.alloc(0)
