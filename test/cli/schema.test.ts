import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { parseConfig } from '../../lib/config/load.ts'
import { Server } from '../../lib/server.ts'
import { RawClient } from '../support/raw-client.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { Terminal } from './terminal.ts'

const schema = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'], additionalProperties: false }
const narrower = { ...schema, properties: { n: { type: 'integer' } } }
const wider = { ...schema, properties: { ...schema.properties, unit: { type: 'string' } } }

interface Test {
  teardown(fn: () => unknown): unknown
}

async function run(...args: string[]) {
  const terminal = new Terminal()
  const code = await terminal.run(...args)
  return { code, out: terminal.out.text, err: terminal.err.text }
}

function write(folder: string, name: string, content: unknown): string {
  const file = join(folder, name)
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

function config(folder: string, streams: string) {
  const text = `data: data\nlisteners: [{ type: tcp, port: 0 }]\nadmin: { host: 127.0.0.1, port: 0 }\nstreams: ${streams}\n`
  return parseConfig(text, join(folder, 'tributary.yaml'))
}

async function start(t: Test, folder: string, streams: string): Promise<Server> {
  const server = await Server.start(config(folder, streams))
  t.teardown(() => server.close())
  return server
}

const portOf = (server: Server) => Number(new URL(server.addresses[0]!.url).port)

t.test('schemas are added, checked, listed, shown and removed in a data folder', async t => {
  const folder = temporaryFolder(t)
  const data = ['--data', join(folder, 'data')]
  const files = [schema, narrower, wider].map((content, i) => write(folder, `${i}.json`, content))
  t.match(await run('schema', 'ls', ...data), { code: 0, out: /no schemas: add one/ })
  t.match(await run('schema', 'check', 'reading', files[0]!, ...data), {
    code: 0,
    out: 'could be added as reading@1 (promises backward compatibility)\n'
  })
  t.match(await run('schema', 'add', 'reading', files[0]!, ...data), {
    code: 0,
    out: 'added reading@1 (promises backward compatibility)\n'
  })
  t.match(await run('schema', 'add', 'reading', files[0]!, ...data), { code: 0, out: 'reading@1 is this schema already\n' })
  const refused = await run('schema', 'check', 'reading', files[1]!, ...data)
  t.equal(refused.code, 1)
  t.match(
    refused.err,
    /backward: \/properties\/n\/type: a number with a fraction is not accepted any more \(old: "number"; new: "integer"\)/
  )
  t.match(await run('schema', 'add', 'reading', files[2]!, ...data), {
    code: 0,
    out: 'added reading@2 (backward compatibility checked)\n'
  })
  t.match(await run('schema', 'ls', ...data), { code: 0, out: /reading +2 +backward/ })
  t.same(JSON.parse((await run('schema', 'show', 'reading', ...data)).out), wider)
  t.same(JSON.parse((await run('schema', 'show', 'reading@1', ...data)).out), schema)
  t.match(JSON.parse((await run('schema', 'show', 'reading@1', '--json', ...data)).out), { version: 1, checkedFor: 'backward' })
  t.match(await run('schema', 'show', 'reading@3', ...data), { code: 1, err: /has no version 3; the latest is 2/ })
  t.match(await run('schema', 'rm', 'reading', ...data), { code: 0, out: 'removed reading\n' })
  t.match(await run('schema', 'show', 'reading', ...data), { code: 1, err: /no schema is called "reading".*TRB_SCHEMA_UNKNOWN/ })
})

t.test('what cannot be used is told with the reason', async t => {
  const folder = temporaryFolder(t)
  const data = ['--data', join(folder, 'data')]
  t.match(await run('schema', 'add', 'r', join(folder, 'none.json'), ...data), {
    code: 1,
    err: /none\.json: expected a file .*ENOENT/
  })
  t.match(await run('schema', 'add', 'r', write(folder, 'a.json', '{'), ...data), { code: 1, err: /a\.json: expected JSON/ })
  t.match(await run('schema', 'add', 'r', write(folder, 'b.json', { typ: 1 }), ...data), {
    code: 1,
    err: /b\.json: .*unknown keyword: "typ"/
  })
  t.match(await run('schema', 'ls', '--admin', 'http://127.0.0.1:1', ...data), { code: 2, err: /exclude each other/ })
})

t.test('a running broker keeps schemas for its streams: the same commands, its HTTP and its metrics', async t => {
  const folder = temporaryFolder(t)
  const file = write(folder, 'reading.json', schema)
  t.equal((await run('schema', 'add', 'reading', file, '--data', join(folder, 'data'))).code, 0)
  const server = await start(t, folder, "{ telemetry: { filter: 'devices/#', schema: { subject: reading }, deduplicate: {} } }")
  const admin = ['--admin', server.adminUrl!]
  t.match(await run('schema', 'ls', ...admin), { code: 0, out: /reading +1 +backward .*telemetry/ })
  t.match(await run('schema', 'add', 'reading', file, '--data', join(folder, 'data')), { code: 1, err: /TRB_DATA_LOCKED/ })

  const { client } = await RawClient.connect(portOf(server), { version: 5, clientId: 'sensor' })
  const publish = async (payload: string, messageId: number) => {
    client.send({
      cmd: 'publish',
      topic: 'devices/1',
      payload,
      qos: 1,
      messageId,
      properties: { userProperties: { 'message-id': payload } }
    })
    return (await client.expect('puback')).reasonCode
  }
  t.equal(await publish('{"n":1,"unit":"m"}', 1), 0x99)
  t.match(await run('schema', 'add', 'reading', write(folder, 'wider.json', wider), ...admin), {
    code: 0,
    out: /added reading@2/
  })
  t.equal(await publish('{"n":1,"unit":"m"}', 2), 0)
  t.equal(await publish('{"n":1,"unit":"m"}', 3), 0, 'the same again')
  t.match(await run('schema', 'check', 'reading', write(folder, 'narrower.json', narrower), ...admin), {
    code: 1,
    err: /not backward compatible with version 2/
  })
  t.match(await run('schema', 'rm', 'reading', ...admin), { code: 1, err: /messages of telemetry are checked with reading/ })
  t.match(await run('schema', 'add', 'other', file, '--compatibility', 'full', ...admin), { code: 0 })
  t.match(await run('schema', 'rm', 'other', ...admin), { code: 0 })

  const get = async (path: string) => {
    const response = await fetch(`${server.adminUrl}${path}`)
    return { status: response.status, body: (await response.json()) as unknown }
  }
  t.match(await get('/schemas/reading/versions/latest'), { status: 200, body: { version: 2, schema: wider } })
  t.match(await get('/schemas/reading/versions/7'), { status: 404, body: { error: 'not-found', message: /no version 7/ } })
  t.match(await get('/schemas/none/versions'), { status: 404 })
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text()
  t.match(metrics, /tributary_schema_validated_total\{stream="telemetry",result="rejected"\} 1\n/)
  t.match(metrics, /tributary_schema_validated_total\{stream="telemetry",result="valid"\} 1\n/)
  t.match(metrics, /tributary_schema_failures_total\{stream="telemetry",fault="invalid"\} 1\n/)
  t.match(metrics, /tributary_stream_duplicates_total\{stream="telemetry",by="message-id"\} 1\n/)
  t.match(metrics, /tributary_stream_remembered_messages\{stream="telemetry"\} 1\n/)
  await client.disconnect()
})

t.test('a stream may name a file instead', async t => {
  const folder = temporaryFolder(t)
  write(folder, 'reading.json', schema)
  const server = await start(
    t,
    folder,
    "{ telemetry: { filter: 'devices/#', schema: { file: ./reading.json, onInvalid: reject } } }"
  )
  const { client } = await RawClient.connect(portOf(server), { version: 5 })
  client.send({ cmd: 'publish', topic: 'devices/1', payload: '[]', qos: 1, messageId: 1 })
  t.match(await client.expect('puback'), { reasonCode: 0x99 })
  await client.disconnect()
})

t.test('a schema that is not there keeps the broker from starting, and the message says how to mend it', async t => {
  const folder = temporaryFolder(t)
  const streams = "{ telemetry: { filter: 'devices/#', schema: { subject: reading } } }"
  await t.rejects(Server.start(config(folder, streams)), {
    code: 'TRB_SCHEMA_UNKNOWN',
    message: /streams\.telemetry\.schema: no schema is called "reading".*tributary schema add reading FILE/
  })
  const missing = "{ telemetry: { filter: 'devices/#', schema: { file: none.json } } }"
  await t.rejects(Server.start(config(folder, missing)), {
    code: 'TRB_SCHEMA_INVALID',
    message: /streams\.telemetry\.schema\.file: .*ENOENT/
  })
  const file = write(folder, 'reading.json', schema)
  t.equal((await run('schema', 'add', 'reading', file, '--data', join(folder, 'data'))).code, 0, 'nothing was left behind')
  const server = await Server.start(config(folder, streams))
  await server.close()
  rmSync(join(folder, 'data/schemas/reading.json'))
  writeFileSync(join(folder, 'data/schemas/reading.json'), '{}')
  await t.rejects(Server.start(config(folder, streams)), { code: 'TRB_SCHEMA_CORRUPT', message: /reading\.json/ })
})

t.test('streams that are applied may have schemas; one that is not there is refused, nothing is done', async t => {
  const folder = temporaryFolder(t)
  const server = await start(t, folder, '{}')
  const admin = ['--admin', server.adminUrl!]
  const file = write(
    folder,
    'streams.yaml',
    "streams:\n  orders: { filter: 'orders/#', schema: { subject: order }, deduplicate: { window: 1m } }\n"
  )
  t.match(await run('apply', file, ...admin), { code: 1, out: /no schema is called "order"/ })
  t.equal((await run('schema', 'add', 'order', write(folder, 'order.json', schema), ...admin)).code, 0)
  t.match(await run('apply', file, ...admin), { code: 0, out: /Applied/ })
  t.match(await run('apply', file, ...admin), { code: 0, out: /(?!Applied)/ }, 'and the same again changes nothing')
  const { client } = await RawClient.connect(portOf(server), { version: 5 })
  client.send({ cmd: 'publish', topic: 'orders/1', payload: '{}', qos: 1, messageId: 1 })
  t.match(await client.expect('puback'), { reasonCode: 0x99 })
  await client.disconnect()
  await server.close()
  const again = await start(t, folder, '{}')
  t.match(await run('schema', 'ls', '--admin', again.adminUrl!), { code: 0, out: /order .*orders/ }, 'after a restart, too')
})
