import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { parseConfig } from '../../lib/config/load.ts'
import { Server } from '../../lib/server.ts'
import { RawClient } from '../support/raw-client.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { Terminal } from './terminal.ts'

type Test = { teardown(fn: () => unknown): unknown; testdir(): string }

/** A whole broker, and a file of streams beside it. */
async function open(t: Test, yaml = '') {
  const folder = temporaryFolder(t)
  const text = `data: data\nlisteners: [{ type: tcp, port: 0 }]\nadmin: { port: 0 }\n${yaml}\n`
  const start = () => Server.start(parseConfig(text, join(folder, 'tributary.yaml')))
  const server = await start()
  t.teardown(() => server.close())
  const terminal = new Terminal()
  const file = join(folder, 'streams.yaml')
  return {
    ...{ server, start, terminal, file, data: join(folder, 'data') },
    write: (...lines: string[]) => writeFileSync(file, `streams:\n${lines.map(line => `  ${line}\n`).join('')}`),
    /** Runs a command to its end; what it printed is all there is. */
    run: async (...args: string[]) => {
      terminal.out.text = ''
      terminal.err.text = ''
      const code = await terminal.run(...args, '--admin', server.adminUrl!)
      return { code, out: terminal.out.text, err: terminal.err.text }
    },
    connect: async (clientId: string) => {
      const port = Number(new URL(server.addresses[0]!.url).port)
      const { client } = await RawClient.connect(port, { version: 5, clientId })
      t.teardown(() => client.socket.destroy())
      return client
    }
  }
}

t.test('apply creates a stream of a running broker, and the very next publish is in it', async t => {
  const { server, write, run, file, connect } = await open(t)
  const client = await connect('shop')
  await client.publish('shop/1/orders', 'too early', 1)
  write("orders: { filter: 'shop/+/orders', retention: { age: 90d } }")
  const first = await run('apply', file)
  t.match(first, { code: 0, err: '' })
  t.match(first.out, /^\+ create: orders\n {4}filter: shop\/\+\/orders\n/)
  t.match(first.out, /retention.age: 90d\n/)
  t.match(first.out, /1 to create, 0 to change, 0 to remove, 0 unchanged\nApplied.\n$/)
  await client.publish('shop/1/orders', 'kept', 1)
  const read = await run('stream', 'read', 'orders')
  t.match(read.out, /kept/)
  t.notMatch(read.out, /too early/)
  t.strictSame(await run('apply', file), { code: 0, err: '', out: 'nothing to change (1 as wanted already)\n' })
  t.equal(server.streams.declaration('orders')?.retention.ageMs, 90 * 86_400_000)
})

t.test('apply changes a filter, tells what goes, and keeps what is not in the file until --prune', async t => {
  const { server, write, run, file, connect } = await open(t)
  const client = await connect('pump')
  write("a: { filter: 'a/#' }", "b: { filter: 'b/#' }")
  await run('apply', file)
  await client.publish('a/1', 'in a', 1)
  await client.publish('b/1', 'in b', 1)
  await client.publish('b/1', 'in b', 1)
  const reader = await connect('reader')
  await reader.subscribe('$share/billing/$stream/b/earliest', 1)
  write("a: { filter: 'other/#' }")
  const dry = await run('apply', file, '--dry-run', '--prune')
  t.match(dry.out, '~ change: a\n    filter: a/# -> other/#\n    note: counts from the next publish on')
  t.match(dry.out, /- remove: b\n {4}deletes 2 records \(\d+ B, from 20\S+Z to 20\S+Z\)\n/)
  t.match(dry.out, /group billing \(#\) has not read 2 of them\n/)
  t.match(dry.out, /0 to create, 1 to change, 1 to remove, 0 unchanged\n$/)
  t.equal(server.streams.all().length, 3, 'nothing was done')
  const kept = await run('apply', file)
  t.match(kept.out, /- remove \(needs --prune\): b\n {4}would delete 2 records/)
  t.match(kept.out, /Applied/)
  await client.publish('a/1', 'out', 1)
  await client.publish('other/1', 'in', 1)
  t.match((await run('stream', 'read', 'a')).out, /in a\n.*other\/1 +in\n$/)
  t.ok(server.streams.get('b'))
  t.match(await run('apply', file, '--prune'), { code: 0, out: /- remove: b/ })
  t.equal(server.streams.get('b'), undefined)
  t.match((await reader.ended()).at(-1), { cmd: 'disconnect', reasonCode: 0x98 })
  t.match(await run('stream', 'read', 'b'), { code: 1, err: /no stream "b" is declared/ })
})

t.test('applied streams are there after a restart', async t => {
  const { server, start, write, run, file } = await open(t)
  write("orders: { filter: 'shop/#', partitions: 3 }")
  await run('apply', file)
  await server.close()
  const again = await start()
  t.teardown(() => again.close())
  t.match(again.streams.declaration('orders'), { filter: 'shop/#', partitions: 3 })
})

t.test('a stream of the configuration file is not changed', async t => {
  const { server, write, run, file } = await open(t, "streams: { telemetry: { filter: 'devices/#' } }")
  write("telemetry: { filter: 'devices/#', partitions: 2 }", "orders: { filter: 'shop/#' }")
  const refused = await run('apply', file)
  t.match(refused, { code: 1, err: 'error: nothing was applied: telemetry\n' })
  t.match(refused.out, '! cannot be applied: telemetry\n    partitions: 8 -> 2\n    note: the configuration file declares it')
  t.equal(server.streams.get('orders'), undefined)
  const response = await fetch(`${server.adminUrl}/streams`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ streams: { telemetry: { filter: 'x' } } })
  })
  t.equal(response.status, 409)
  t.match(await response.json(), { error: 'TRB_APPLY_REFUSED', message: /the configuration file declares it/ })
  write("telemetry: { filter: 'devices/#' }", "orders: { filter: 'shop/#' }")
  t.match(await run('apply', file), { code: 0, out: /1 to create, 0 to change, 0 to remove, 1 unchanged/ })
})

t.test('what is wrong in the file is told with its line before anybody is asked', async t => {
  const { write, run, file } = await open(t)
  write("a: { filter: 'a/#', retention: { aeg: 1d } }", "b: { filter: 'a#', partitions: 0 }", "A: { filter: 'a' }")
  const { code, err } = await run('apply', file)
  t.equal(code, 1)
  t.match(err, /streams.yaml:2: streams.a.retention.aeg: expected a known key, got "aeg"\n {2}hint: did you mean `age`\?/)
  t.match(err, /streams.yaml:3: streams.b.filter: expected a topic filter/)
  t.match(err, /streams.yaml:3: streams.b.partitions: expected a whole number from 1 to 1024/)
  t.match(err, /TRB_CONFIG_INVALID/)
  writeFileSync(file, 'stream: {}\n')
  t.match(await run('apply', file), { code: 1, err: /did you mean `streams`/ })
  t.match(await run('apply', `${file}.absent`), { code: 1, err: /expected a file of streams that can be read/ })
})

t.test('over HTTP the body is checked like the file', async t => {
  const { server } = await open(t)
  const put = async (body: unknown) => {
    const response = await fetch(`${server.adminUrl}/streams`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
    return [response.status, ((await response.json()) as { message: string }).message]
  }
  t.match(await put({}), [400, /streams/])
  t.match(await put({ streams: { 'a/b': { filter: 'x' } } }), [400, /stream name/])
  t.match(await put({ streams: { a: { filter: 'x', retention: { age: 5 } } } }), [
    400,
    /streams.a.retention.age: expected a duration/
  ])
  t.match(await put({ streams: { a: { filter: 'x' } }, prune: true }), [400, /unknown field "prune"/])
})

t.test('stream plan says what a change would delete, and who has not read it', async t => {
  const { server, run, connect, data } = await open(
    t,
    "streams: { telemetry: { filter: 'devices/#', segmentBytes: 4KiB, retention: { age: 0, bytes: 0 } } }"
  )
  const client = await connect('pump')
  const reader = await connect('reader')
  await reader.subscribe('$share/billing/$stream/telemetry/earliest', 1)
  for (let i = 0; i < 20; i++) await client.publish('devices/1', Buffer.alloc(1000, 'x'), 1)
  const stream = server.streams.get('telemetry')!
  const { segments, earliestOffset } = stream.stats()
  const plan = await run('stream', 'plan', 'telemetry', '--retention-bytes', '8KiB')
  t.match(plan.out, /^~ change: telemetry\n {4}retention.bytes: 0 -> 8KiB\n {4}deletes (\d+) records \(/)
  t.match(plan.out, /group billing \(#\) has not read (\d+) of them\n/)
  t.match(plan.out, /the configuration file declares it: change it there/)
  const foreseen = Number(/deletes (\d+) records/.exec(plan.out)?.[1])
  t.ok(foreseen > 0 && foreseen < 20)
  t.equal(Number(/not read (\d+) of them/.exec(plan.out)?.[1]), foreseen)
  t.match(stream.stats(), { segments, earliestOffset }, 'nothing was deleted')
  const offline = await run('stream', 'plan', 'telemetry', '--retention-age', '0', '--json')
  t.strictSame(offline, { code: 0, err: '', out: 'null\n' }, 'it has that already')
  t.match(await run('stream', 'plan', 'nothing', '--retention-age', '1d'), { code: 1, err: /there is no stream "nothing"/ })
  t.match(await run('stream', 'plan', 'telemetry', '--retention-age', '1day'), {
    code: 1,
    err: /retention.age: expected a duration/
  })
  t.match(await run('stream', 'plan', 'telemetry'), { code: 2, err: /nothing to plan/ })
  const terminal = new Terminal()
  t.equal(await terminal.run('stream', 'plan', 'telemetry', '--retention-bytes', '8KiB', '--data', data), 0)
  t.match(terminal.out.text, `deletes ${foreseen} records`)
  t.match(terminal.out.text, /settings are in a configuration file that was not read/)
})

t.test('stream plan with a file is what apply would do', async t => {
  const { server, write, run, file, data } = await open(t)
  write("orders: { filter: 'shop/#' }")
  t.match(await run('stream', 'plan', file), { code: 0, out: /\+ create: orders/ })
  t.equal(server.streams.get('orders'), undefined)
  await run('apply', file)
  write("orders: { filter: 'shop/orders' }")
  const terminal = new Terminal()
  t.equal(await terminal.run('stream', 'plan', file, '--data', data), 0)
  t.match(terminal.out.text, /~ change: orders\n {4}filter: shop\/# -> shop\/orders/)
  t.equal(await terminal.run('stream', 'plan', file, '--retention-age', '1d', '--data', data), 2)
  t.equal(await terminal.run('stream', 'plan', 'orders', '--ack', 'received', '--data', join(data, 'absent')), 1)
  t.match(terminal.err.text, /is not a data folder/)
})

t.test('apply --json prints the plan, and whether it was carried out', async t => {
  const { write, run, file } = await open(t)
  write("orders: { filter: 'shop/#' }")
  const dry = JSON.parse((await run('apply', file, '--dry-run', '--json')).out)
  t.match(dry, { applied: false, revision: 0, changes: [{ stream: 'orders', action: 'create' }] })
  t.match(JSON.parse((await run('apply', file, '--json')).out), { applied: true, revision: 1 })
})

t.test('a full disk shows in /readyz and in the metrics', async t => {
  // More than any disk has.
  const { server, connect } = await open(t, 'storage: { minFreeBytes: 1000TiB }')
  const response = await fetch(`${server.adminUrl}/readyz`)
  t.equal(response.status, 503)
  t.match(await response.json(), { problems: [/read-only: only .* MiB are free on the disk/] })
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text()
  t.match(metrics, /^tributary_storage_read_only 1$/m)
  t.match(metrics, /^tributary_storage_free_bytes \d+$/m)
  t.match(metrics, /^tributary_storage_used_bytes \d+$/m)
  const client = await connect('pump')
  client.send({ cmd: 'publish', topic: 'devices/1', payload: 'x', qos: 1, messageId: 1, retain: false, dup: false })
  t.match(await client.expect('puback'), { reasonCode: 0x97 })
})
