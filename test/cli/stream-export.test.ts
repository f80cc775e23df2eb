import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { finished } from 'node:stream/promises'
import { parquetMetadata, parquetReadObjects, parquetSchema } from 'hyparquet'
import { t } from 'tap'
import type { RecordJson } from '../../lib/admin/record-json.ts'
import { progressLine } from '../../lib/cli/progress-bar.ts'
import { parseColumns } from '../../lib/cli/stream-columns.ts'
import { openParquetSink } from '../../lib/cli/stream-parquet.ts'
import type { Properties } from '../../lib/mqtt/packet.ts'
import { encodeMessageProperties } from '../../lib/mqtt/properties.ts'
import { StreamLog } from '../../lib/stream/stream-log.ts'
import { Streams } from '../../lib/stream/streams.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { Terminal } from './terminal.ts'

const START_MS = Date.UTC(2024, 4, 1, 12)

interface Message {
  topic?: string
  clientId?: string
  payload?: string | Buffer
  properties?: Properties
  retain?: boolean
  expiresAtMs?: number
}

/** A data folder with one stream that holds these messages, a second apart. */
async function dataFolder(
  t: { testdir(): string; teardown(fn: () => unknown): unknown },
  messages: readonly Message[],
  key: 'clientId' | 'topic' = 'clientId'
) {
  const folder = temporaryFolder(t)
  const streams = await Streams.open({
    folder: join(folder, 'streams'),
    declarations: [
      { name: 'telemetry', filter: '#', key, partitions: 4, retention: { ageMs: 0, bytes: 0 }, ack: 'synced' as const }
    ]
  })
  const stream = streams.get('telemetry')
  if (!(stream instanceof StreamLog)) throw new Error('the stream is not there')
  for (const [i, message] of messages.entries()) {
    const {
      topic = 'devices/1',
      clientId = 'device-1',
      payload = String(i),
      properties,
      retain = false,
      expiresAtMs = 0
    } = message
    const bytes = Buffer.from(payload)
    const source = stream.source(topic, clientId)
    const encoded = properties === undefined ? Buffer.alloc(0) : encodeMessageProperties(properties)
    stream.append(source, 1, retain, START_MS + i * 1000, expiresAtMs, encoded, bytes, 0, bytes.length)
    if (i % 10_000 === 0) await stream.sync()
  }
  await streams.close()
  const terminal = new Terminal()
  return {
    folder,
    terminal,
    run: (...args: string[]) => terminal.run('stream', ...args, '--data', folder),
    export: (...args: string[]) => terminal.run('stream', 'export', 'telemetry', ...args, '--data', folder)
  }
}

async function readParquet(file: string) {
  return parseParquet(readFileSync(file))
}

async function parseParquet(bytes: Buffer) {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
  // Bytes as bytes: by default the reader takes every byte array for text.
  const rows = await parquetReadObjects({ file: buffer, utf8: false })
  return { rows, metadata: parquetMetadata(buffer) }
}

t.test('Parquet has every record with its types, read back by another library', async t => {
  const properties = { contentType: 'application/json', userProperties: [['site', 'north']] as [string, string][] }
  const data = await dataFolder(t, [
    { payload: '{"t":21}', properties, retain: true, expiresAtMs: START_MS + 60_000 },
    { topic: 'devices/ü', clientId: 'gerät', payload: Buffer.from([255, 0, 1]) },
    { payload: '' }
  ])
  const file = join(data.folder, 'all.parquet')
  t.equal(await data.export('--format', 'parquet', '-o', file), 0)
  const { rows, metadata } = await readParquet(file)
  t.equal(metadata.num_rows, 3n)
  t.strictSame(rows, [
    {
      offset: 0n,
      partition: rows[0]?.partition,
      timestamp: new Date(START_MS),
      topic: 'devices/1',
      clientId: 'device-1',
      qos: 1,
      retain: true,
      expiresAt: new Date(START_MS + 60_000),
      contentType: 'application/json',
      properties: rows[0]?.properties,
      payload: new Uint8Array(Buffer.from('{"t":21}'))
    },
    {
      offset: 1n,
      partition: rows[1]?.partition,
      timestamp: new Date(START_MS + 1000),
      topic: 'devices/ü',
      clientId: 'gerät',
      qos: 1,
      retain: false,
      expiresAt: null,
      contentType: null,
      properties: null,
      payload: new Uint8Array([255, 0, 1])
    },
    {
      offset: 2n,
      partition: rows[0]?.partition,
      timestamp: new Date(START_MS + 2000),
      topic: 'devices/1',
      clientId: 'device-1',
      qos: 1,
      retain: false,
      expiresAt: null,
      contentType: null,
      properties: null,
      payload: new Uint8Array(0)
    }
  ])
  t.match(rows[0]?.properties, { contentType: 'application/json', userProperties: [['site', 'north']] })
  const leaves = parquetSchema(metadata).children.map(({ element }) => [element.name, element.converted_type])
  t.strictSame(Object.fromEntries(leaves), {
    offset: undefined,
    partition: undefined,
    timestamp: 'TIMESTAMP_MILLIS',
    topic: 'UTF8',
    clientId: 'UTF8',
    qos: undefined,
    retain: undefined,
    expiresAt: 'TIMESTAMP_MILLIS',
    contentType: 'UTF8',
    properties: 'JSON',
    payload: undefined
  })
  t.match(data.terminal.err.text, /^exported 3 records of telemetry to .*all\.parquet in \d+\.\d s\n$/)
  t.strictSame(readdirSync(data.folder).sort(), ['all.parquet', 'streams'])
})

/** Puts records into Parquet without a command around it: for claims about many of them. */
async function parquetOf(records: Iterable<RecordJson>, columns: string) {
  const parsed = parseColumns(columns)
  if (typeof parsed === 'string') throw new Error(parsed)
  const out = new PassThrough()
  const chunks: Buffer[] = []
  out.on('data', (chunk: Buffer) => chunks.push(chunk))
  const sink = await openParquetSink(out, { columns: parsed, payload: 'binary', signal: AbortSignal.timeout(60_000) })
  /** Offsets of the records behind which something was written. */
  const flushedAt: number[] = []
  for (const record of records) {
    const writing = sink.add(record)
    if (writing === undefined) continue
    await writing
    flushedAt.push(record.offset)
  }
  await sink.finish()
  out.end()
  await finished(out)
  return { flushedAt, misfits: sink.misfits, ...(await parseParquet(Buffer.concat(chunks))) }
}

function* recordsWith(count: number, payload: (offset: number) => string): Generator<RecordJson> {
  for (let offset = 0; offset < count; offset++) {
    const timestamp = new Date(START_MS + offset).toISOString()
    const sender = { topic: 'devices/1', clientId: `device-${offset % 7}`, partition: offset % 4 }
    yield { offset, timestamp, ...sender, qos: 1, retain: false, payload: payload(offset) }
  }
}

t.test('Parquet is written in row groups, so that a long export needs the memory of one', async t => {
  const { rows, metadata, flushedAt } = await parquetOf(recordsWith(120_000, String), 'offset,clientId,payload')
  const groups = metadata.row_groups.map(group => group.num_rows)
  t.strictSame(groups, [50_000n, 50_000n, 20_000n])
  t.strictSame(flushedAt, [49_999, 99_999], 'each leaves the memory when it is full')
  const isWrong = ({ offset, clientId, payload }: Record<string, unknown>, i: number) =>
    offset !== BigInt(i) || clientId !== `device-${i % 7}` || Buffer.from(payload as Uint8Array).toString() !== String(i)
  t.equal(rows.findIndex(isWrong), -1)
})

t.test('a row group also ends when its payloads are many bytes', async t => {
  const { flushedAt } = await parquetOf(
    recordsWith(33, () => 'x'.repeat(1024 * 1024)),
    'offset'
  )
  t.strictSame(flushedAt, [15, 31], 'after 16 MiB')
})

t.test('Parquet of nothing is a file with columns and no rows', async t => {
  const data = await dataFolder(t, [])
  const file = join(data.folder, 'none.parquet')
  t.equal(await data.export('--format', 'parquet', '-o', file), 0)
  const { metadata } = await readParquet(file)
  t.equal(metadata.num_rows, 0n)
  t.equal(parquetSchema(metadata).children.length, 11)
})

t.test('Parquet with --payload text has strings, base64 where a payload is not UTF-8', async t => {
  const data = await dataFolder(t, [{ payload: 'grüße' }, { payload: Buffer.from([255]) }])
  const file = join(data.folder, 'text.parquet')
  t.equal(await data.export('--format', 'parquet', '--payload', 'text', '-o', file), 0)
  const { rows } = await readParquet(file)
  t.match(rows, [
    { encoding: 'utf8', payload: 'grüße' },
    { encoding: 'base64', payload: '/w==' }
  ])
})

t.test('a column payload.FIELD is that field of a JSON payload, in every format', async t => {
  const data = await dataFolder(t, [
    { payload: '{"t":21.5,"unit":"C","at":{"room":"a"}}' },
    { payload: '{"t":-3,"constructor":1}' },
    { payload: 'no JSON' },
    { payload: '{"t":"hot","at":null}' }
  ])
  const columns = ['--columns', 'offset, payload.t,payload.unit,payload.at.room,payload.constructor']
  const parquet = join(data.folder, 'fields.parquet')
  // Two row groups: the type comes from the first.
  t.equal(await data.export('--format', 'parquet', '-o', parquet, '--limit', '2', ...columns), 0)
  t.strictSame((await readParquet(parquet)).rows, [
    { offset: 0n, 'payload.t': 21.5, 'payload.unit': 'C', 'payload.at.room': 'a', 'payload.constructor': null },
    { offset: 1n, 'payload.t': -3, 'payload.unit': null, 'payload.at.room': null, 'payload.constructor': 1 }
  ])
  t.equal(await data.export('--format', 'csv', ...columns), 0)
  t.equal(
    data.terminal.out.text,
    'offset,payload.t,payload.unit,payload.at.room,payload.constructor\r\n0,21.5,C,a,\r\n1,-3,,,1\r\n2,,,,\r\n3,hot,,,\r\n'
  )
  data.terminal.out.text = ''
  t.equal(await data.export('--limit', '1', ...columns), 0)
  t.strictSame(JSON.parse(data.terminal.out.text), { offset: 0, 'payload.t': 21.5, 'payload.unit': 'C', 'payload.at.room': 'a' })
})

t.test('a field that has another type later is left empty in Parquet, and counted', async t => {
  const { rows, misfits } = await parquetOf(
    recordsWith(50_002, offset => (offset < 50_000 ? '{"t":1}' : '{"t":"hot"}')),
    'payload.t'
  )
  t.strictSame([rows[49_999], rows[50_000]], [{ 'payload.t': 1 }, { 'payload.t': null }])
  t.strictSame([...misfits], [['payload.t', 2]])
})

t.test('without the optional package the message says what to install and what goes without', async t => {
  const missing = Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
  const options = { columns: undefined, payload: 'binary' as const, signal: new AbortController().signal }
  await t.rejects(
    openParquetSink(new PassThrough(), options, () => Promise.reject(missing)),
    { message: /npm install hyparquet-writer.*--format csv and ndjson/ }
  )
  const other = new SyntaxError('broken')
  await t.rejects(
    openParquetSink(new PassThrough(), options, () => Promise.reject(other)),
    other
  )
})

t.test('CSV keeps every field as it was published, and --spreadsheet takes the formulas out', async t => {
  const payloads = ['=HYPERLINK("x")', '+1+1', '-5.25', '-2e3', '@SUM(A1)', '\tx', 'a=b', '-']
  const data = await dataFolder(
    t,
    payloads.map(payload => ({ payload }))
  )
  const fields = async (...args: string[]) => {
    data.terminal.out.text = ''
    t.equal(await data.export('--format', 'csv', '--columns', 'payload', '--quiet', ...args), 0)
    return data.terminal.out.text.split('\r\n').slice(1, -1)
  }
  t.strictSame(await fields(), ['"=HYPERLINK(""x"")"', ...payloads.slice(1)])
  t.strictSame(await fields('--spreadsheet'), [
    '"\'=HYPERLINK(""x"")"',
    "'+1+1",
    '-5.25',
    '-2e3',
    "'@SUM(A1)",
    "'\tx",
    'a=b',
    "'-"
  ])
  t.equal(data.terminal.err.text, '', '--quiet says nothing')
})

t.test('an export that is interrupted leaves what was there and no half file', async t => {
  for (const format of ['ndjson', 'csv', 'parquet']) {
    const data = await dataFolder(
      t,
      Array.from({ length: 20_000 }, () => ({ payload: 'x'.repeat(50) }))
    )
    const file = join(data.folder, 'out')
    writeFileSync(file, 'old')
    data.terminal.err.isTTY = true
    const exporting = data.export('--format', format, '-o', file)
    await data.terminal.err.shows(/records/)
    data.terminal.ctrlC()
    t.equal(await exporting, 130, format)
    t.match(data.terminal.err.text, /interrupted: nothing was exported/)
    t.equal(readFileSync(file, 'utf8'), 'old')
    t.strictSame(readdirSync(data.folder).sort(), ['out', 'streams'])
  }
})

t.test('a disk that is full ends the export, and says so', { skip: !existsSync('/dev/full') }, async t => {
  const data = await dataFolder(
    t,
    Array.from({ length: 20_000 }, () => ({ payload: 'x'.repeat(50) }))
  )
  t.equal(await data.export('-o', '/dev/full'), 1)
  t.match(data.terminal.err.text, /cannot write \/dev\/full: ENOSPC/)
})

t.test('Parquet does not go to a terminal', async t => {
  const data = await dataFolder(t, [{}])
  data.terminal.out.isTTY = true
  t.equal(await data.export('--format', 'parquet'), 2)
  t.match(data.terminal.err.text, /name a file with --output/)
})

t.test('a terminal sees how far it is; a pipe and --quiet do not', async t => {
  const data = await dataFolder(
    t,
    Array.from({ length: 100 }, () => ({}))
  )
  data.terminal.err.isTTY = true
  t.equal(await data.export('-o', join(data.folder, 'a')), 0)
  const drawn = data.terminal.err.text.split('\r\u001b[K')
  t.match(drawn[1], /^0 records {2}0\/s/)
  t.match(drawn.at(-1), /^exported 100 records/, 'the last word stands where the bar was')
  data.terminal.err.text = ''
  t.equal(await data.export('-o', join(data.folder, 'a'), '--quiet'), 0)
  t.equal(data.terminal.err.text, '')
})

t.test('the progress line has records, rate, percent and what is left of the time', async t => {
  t.equal(progressLine({ records: 0, fraction: undefined, elapsedMs: 0 }), '0 records  0/s')
  t.equal(
    progressLine({ records: 1_200_000, fraction: 0.5, elapsedMs: 10_000 }),
    '━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌  50 %  1,200,000 records  120,000/s  0:10 left'
  )
  t.match(progressLine({ records: 1, fraction: 0.001, elapsedMs: 10_000 }), / 0 % .* 2:46:30 left$/)
  t.match(progressLine({ records: 1, fraction: 7, elapsedMs: 1 }), / 99 % /, 'more than all is not done yet')
})

t.test('wrong columns are refused with those that there are', async t => {
  const data = await dataFolder(t, [{}])
  for (const [columns, message] of [
    ['offset,colour', /expected names out of offset, .* or payload\.FIELD, not "colour"/],
    ['offset,offset', /offset is there twice/],
    ['payload.a..b', /not "payload\.a\.\.b"/]
  ] as const) {
    t.equal(await data.export('--columns', columns), 2)
    t.match(data.terminal.err.text, message)
  }
})
