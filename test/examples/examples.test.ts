import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { t } from 'tap'
import { setPassword } from '../../lib/access/password-file-edit.ts'
import { hashPassword } from '../../lib/access/password-hash.ts'
import { formatScramVerifier, scramVerifier } from '../../lib/access/scram-verifier.ts'
import { loadConfig, parseConfig } from '../../lib/config/load.ts'
import { Server } from '../../lib/server.ts'
import { makeAuthority, opensslMissing } from '../listener/certificates.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { inRepository, Program } from './program.ts'

async function start(t: { testdir(): string; teardown(fn: () => unknown): unknown }, yaml: string): Promise<Server> {
  const server = await Server.start(
    parseConfig(`data: data\nadmin: { port: 0 }\n${yaml}`, join(temporaryFolder(t), 'tributary.yaml'))
  )
  t.teardown(() => server.close())
  return server
}

async function payloads(server: Server): Promise<string[]> {
  const found: string[] = []
  for await (const { topic, payload } of server.streams.get('telemetry')!.read({ from: 'earliest' }))
    found.push(`${topic} ${payload}`)
  return found
}

t.test('device-tls: a device with a certificate publishes as itself', { skip: opensslMissing() }, async t => {
  const folder = temporaryFolder(t)
  const authority = makeAuthority(folder)
  const { certFile, keyFile } = authority.issue('server')
  const device = authority.issue('pump-7')
  const tls = `cert: ${certFile}, key: ${keyFile}, ca: ${authority.caFile}, clientCertificate: require`
  const server = await Server.start(
    parseConfig(`data: data\nadmin: false\nlisteners: [{ type: tls, port: 0, ${tls} }]\n`, join(folder, 'tributary.yaml'))
  )
  t.teardown(() => server.close())

  const identity = ['--ca', authority.caFile, '--cert', device.certFile, '--key', device.keyFile]
  const program = new Program('device-tls.js', server.addresses[0]!.url, ...identity, '--readings', '3', '--interval', '1')
  t.equal(await program.ended(), 0, program.err)
  t.match(program.out, /^connected as pump-7\n(acknowledged \{.*\}\n){3}$/)
  const records = await payloads(server)
  t.equal(records.length, 3)
  t.match(records[0], /^devices\/pump-7\/telemetry \{"seq":1,/)
  t.match(server.broker.describeClients(), [{ clientId: 'pump-7', connected: false }], 'its session is kept')
})

t.test('device-scram: a device proves its password without sending it, and knows its broker', async t => {
  const folder = temporaryFolder(t)
  const yaml =
    'data: data\nadmin: false\nlisteners: [{ type: tcp, port: 0 }]\naccess: { anonymous: false, passwordFile: passwords }\n'
  const user = async (username: string, password: string) => {
    const scram = { verifier: formatScramVerifier(await scramVerifier(password)), add: true }
    await setPassword(join(folder, 'passwords'), { username, hash: await hashPassword(password), scram })
  }
  await user('pump-7', 'blue')
  await user('pump-8', 'red')
  const server = await Server.start(parseConfig(yaml, join(folder, 'tributary.yaml')))
  t.teardown(() => server.close())
  const { url } = server.addresses[0]!
  const program = new Program('device-scram.js', url, 'pump-7', '--readings', '3', '--interval', '1')
  t.equal(await program.ended(), 0, program.err)
  t.match(program.out, /^the broker knows us, and we know the broker\n(acknowledged \{.*\}\n){3}$/)
  t.equal((await payloads(server)).length, 3)
  const wrong = new Program('device-scram.js', url, 'pump-8')
  t.equal(await wrong.ended(), 1)
  t.match(wrong.err, /Connection refused: Bad User Name or Password/i)
})

t.test('stream-reader: it goes on after the last record it finished', async t => {
  const server = await start(t, 'listeners: [{ type: tcp, port: 0 }]\n')
  const offsetFile = join(t.testdirName, 'reader.offset')
  const run = async () => {
    const program = new Program(
      'stream-reader.js',
      'telemetry',
      '--admin',
      server.adminUrl!,
      '--offset-file',
      offsetFile,
      '--once'
    )
    t.equal(await program.ended(), 0, program.err)
    return program.out.trimEnd().split('\n')
  }
  const device = await connectAsync(server.addresses[0]!.url)
  t.teardown(() => device.end(true))
  await device.publishAsync('devices/a', 'one', { qos: 1 })
  await device.publishAsync('devices/a', 'two', { qos: 1 })
  t.match(await run(), [/^0 .* devices\/a one$/, /^1 .* devices\/a two$/])
  t.equal(readFileSync(offsetFile, 'utf8'), '2')
  await device.publishAsync('devices/b', 'three', { qos: 1 })
  const again = await run()
  t.match(again, [/^2 .* devices\/b three$/])
  t.equal(again.length, 1)
})

t.test('stream-reader: without --once it waits for more', async t => {
  const server = await start(t, 'listeners: [{ type: tcp, port: 0 }]\n')
  const program = new Program(
    'stream-reader.js',
    '--admin',
    server.adminUrl!,
    '--offset-file',
    join(t.testdirName, 'reader.offset')
  )
  t.teardown(() => program.stop())
  const device = await connectAsync(server.addresses[0]!.url)
  t.teardown(() => device.end(true))
  await device.publishAsync('devices/a', 'live', { qos: 1 })
  t.ok(await program.printed(/^0 .* devices\/a live$/m))
})

t.test('acl-hook: the registry decides who comes in and where it may publish', async t => {
  const config = loadConfig({
    file: inRepository('examples/acl-hook/tributary.yaml'),
    dataFolder: join(temporaryFolder(t), 'data')
  })
  const listeners = config.listeners.map(listener => ({ ...listener, port: 0 }))
  const server = await Server.start({ ...config, listeners, admin: false })
  t.teardown(() => server.close())
  const { url } = server.addresses[0]!
  const login = async (id: string, password: string, clientId = id) => {
    const client = await connectAsync(url, { clientId, username: id, password, protocolVersion: 5, reconnectPeriod: 0 }, false)
    t.teardown(() => client.end(true))
    return client
  }

  const pump = await login('pump-7', 'blue')
  await pump.publishAsync('devices/pump-7/telemetry', '{"t":21}', { qos: 1 })
  await t.rejects(pump.publishAsync('devices/pump-8/telemetry', '{}', { qos: 1 }), { code: 0x87 })
  await t.rejects(pump.subscribeAsync('devices/#', { qos: 1 }))
  await pump.subscribeAsync('devices/pump-7/commands', { qos: 1 })
  t.same(await payloads(server), ['devices/pump-7/telemetry {"t":21}'])

  await t.rejects(login('pump-7', 'wrong'), { code: 0x87 })
  await t.rejects(login('pump-7', 'blue', 'pump-8'), { code: 0x87 }, 'nor under the name of another device')
  await t.rejects(login('pump-9', 'green'), { code: 0x87 }, 'out of service')
  await t.rejects(login('constructor', ''), { code: 0x87 })
})
