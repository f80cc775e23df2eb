import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { t } from 'tap'
import { parseConfig } from '../lib/config/load.ts'
import { Server } from '../lib/server.ts'
import { makeAuthority, opensslMissing } from './listener/certificates.ts'
import { RawClient } from './support/raw-client.ts'
import { temporaryFolder } from './support/temporary-folder.ts'

const listenersDefault = 'listeners: [{ type: tcp, port: 0 }, { type: ws, port: 0 }]'

function config(folder: string, yaml = '') {
  const listeners = yaml.includes('listeners:') ? '' : listenersDefault
  const admin = yaml.includes('admin:') ? '' : 'admin: { host: 127.0.0.1, port: 0 }'
  return parseConfig(`data: data\n${listeners}\n${admin}\n${yaml}\n`, join(folder, 'tributary.yaml'))
}

async function start(t: { teardown(fn: () => unknown): unknown }, folder: string, yaml = ''): Promise<Server> {
  const server = await Server.start(config(folder, yaml))
  t.teardown(() => server.close())
  return server
}

async function client(
  t: { teardown(fn: () => unknown): unknown },
  url: string,
  options: IClientOptions = {}
): Promise<MqttClient> {
  const client = mqtt.connect(url, { reconnectPeriod: 0, protocolVersion: 5, ...options })
  t.teardown(() => client.end(true))
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve())
    client.once('error', reject)
  })
  return client
}

const urlOf = (server: Server, transport: string) => server.addresses.find(address => address.transport === transport)!.url

t.test('what the configuration says about MQTT 5 is what clients are told', async t => {
  const yaml = `features: { retain: false }
limits: { maximumQos: 1, outboundTopicAliasMaximum: 1 }
responseTopicPrefix: 'answers/{clientId}/'
serverReference: b.example`
  const server = await start(t, temporaryFolder(t), yaml)
  const { client, connack } = await RawClient.connect(Number(new URL(urlOf(server, 'tcp')).port), {
    clientId: 'c1',
    version: 5,
    properties: { requestResponseInformation: true, topicAliasMaximum: 10 }
  })
  t.match(connack.properties, { retainAvailable: false, maximumQoS: 1, responseInformation: 'answers/c1/' })
  await client.subscribe('rooms/+', 0)
  for (const room of ['a', 'b']) client.send({ cmd: 'publish', topic: `rooms/${room}`, payload: '', qos: 0 })
  t.match(await client.ping(), [
    { topic: 'rooms/a', properties: { topicAlias: 1 } },
    { topic: 'rooms/b', properties: undefined }
  ])
  await server.close()
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x9c, properties: { serverReference: 'b.example' } }])
})

t.test('what is published over TCP arrives over WebSocket and in the stream', async t => {
  const server = await start(t, temporaryFolder(t))
  const dashboard = await client(t, urlOf(server, 'ws'))
  await dashboard.subscribeAsync('devices/+/telemetry', { qos: 1 })
  const arrived = new Promise<[string, Buffer]>(resolve =>
    dashboard.once('message', (...message) => resolve([message[0], message[1]]))
  )
  const device = await client(t, urlOf(server, 'tcp'), { clientId: 'pump-7' })
  await device.publishAsync('devices/pump-7/telemetry', '{"t":21}', {
    qos: 1,
    properties: { contentType: 'application/json', userProperties: { site: 'north' } }
  })
  const [topic, payload] = await arrived
  t.same([topic, String(payload)], ['devices/pump-7/telemetry', '{"t":21}'])

  const records = await (await fetch(`${server.adminUrl}/streams/telemetry/records`)).text()
  t.match(JSON.parse(records), {
    offset: 0,
    topic: 'devices/pump-7/telemetry',
    clientId: 'pump-7',
    payload: '{"t":21}',
    properties: { contentType: 'application/json', userProperties: [['site', 'north']] }
  })
  const found = await (await fetch(`${server.adminUrl}/clients/pump-7`)).json()
  t.match(found, { clientId: 'pump-7', connected: true, listener: 'listeners[0]', protocolVersion: 5 })
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text()
  t.match(metrics, /^tributary_connections 2$/m)
  t.match(metrics, /^tributary_stream_records\{stream="telemetry"\} 1$/m)
})

t.test('records are there again after a restart', async t => {
  const folder = temporaryFolder(t)
  const first = await start(t, folder)
  const device = await client(t, urlOf(first, 'tcp'))
  await device.publishAsync('devices/a', 'kept', { qos: 1 })
  await first.close()
  const second = await start(t, folder)
  t.match(await (await fetch(`${second.adminUrl}/streams/telemetry/records`)).text(), /"payload":"kept"/)
})

t.test('while it drains /readyz says 503, and nobody is let in any more', async t => {
  const folder = temporaryFolder(t)
  const server = await start(t, folder)
  t.equal((await fetch(`${server.adminUrl}/readyz`)).status, 200)
  const device = await client(t, urlOf(server, 'tcp'))
  const goodbye = new Promise<number | undefined>(resolve => device.once('disconnect', packet => resolve(packet.reasonCode)))
  const closed = server.close()
  t.equal(server.problems()[0], 'the broker is closing')
  t.equal((await fetch(`${server.adminUrl}/readyz`)).status, 503)
  await closed
  t.equal(await goodbye, 0x8b, 'clients of MQTT 5 are told')
  const late = connectTcp(server.addresses[0]!.port, '127.0.0.1')
  t.equal((await once(late, 'error'))[0].code, 'ECONNREFUSED')
  t.equal(server.close(), server.close(), 'closing again is harmless')
})

t.test('a part that cannot be opened closes what was open and is the one error reported', async t => {
  const root = temporaryFolder(t, { other: {}, ours: {} })
  const folder = join(root, 'ours')
  const other = await start(t, join(root, 'other'))
  const { port } = other.addresses[0]!
  const bad = config(folder, `listeners: [{ type: tcp, port: 0 }, { type: tcp, port: ${port} }]`)
  await t.rejects(Server.start(bad), { code: 'TRB_LISTENER_FAILED', message: /for listeners\[1\]$/ })
  // The data folder is free again, and so is everything in it.
  const server = await start(t, folder)
  t.same(server.problems(), [])
})

t.test('a second broker on the same data folder is refused', async t => {
  const folder = temporaryFolder(t)
  await start(t, folder)
  await t.rejects(Server.start(config(folder)), { code: 'TRB_DATA_LOCKED' })
})

t.test('files of the access settings are checked at start', async t => {
  const folder = temporaryFolder(t, { passwords: 'nonsense\n' })
  const yaml = 'access: { anonymous: false, passwordFile: passwords }'
  await t.rejects(Server.start(config(folder, yaml)), { code: 'TRB_ACCESS_FILE_INVALID' })
})

t.test('more connections than allowed over all listeners are closed and counted', async t => {
  const server = await start(t, temporaryFolder(t), 'limits: { maxConnections: 1 }')
  await client(t, urlOf(server, 'tcp'))
  const second = connectTcp(server.addresses[0]!.port, '127.0.0.1')
  second.on('error', () => {})
  await new Promise(resolve => second.once('close', resolve))
  await t.rejects(client(t, urlOf(server, 'ws'), { connectTimeout: 2_000 }))
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text()
  t.match(metrics, /tributary_connections_closed_total\{reason="refused-limit"\} 1/)
  t.match(metrics, /tributary_connections_closed_total\{reason="connection-limit"\} 1/)
})

t.test('hooks of the access settings decide per device', async t => {
  const hooks = `export function authorizePublish(client, packet, done) {
    done(packet.topic.startsWith('devices/' + client.id + '/') ? null : new Error('not yours'))
  }\n`
  const folder = temporaryFolder(t, { 'hooks.mjs': hooks })
  const server = await start(t, folder, 'access: { hooks: ./hooks.mjs }')
  const device = await client(t, urlOf(server, 'tcp'), { clientId: 'pump-7' })
  await device.publishAsync('devices/pump-7/telemetry', 'mine', { qos: 1 })
  await t.rejects(device.publishAsync('devices/pump-8/telemetry', 'not mine', { qos: 1 }), { code: 0x87 })
})

t.test('reload takes new certificates and passwords into force', { skip: opensslMissing() }, async t => {
  const folder = temporaryFolder(t, { passwords: '' })
  const authority = makeAuthority(folder)
  const { certFile, keyFile } = authority.issue('server')
  const yaml =
    `listeners: [{ type: tls, port: 0, cert: ${certFile}, key: ${keyFile}, ca: ${authority.caFile}, clientCertificate: require }]\n` +
    'access: { anonymous: false, passwordFile: passwords }'
  const server = await start(t, folder, yaml)
  const files = authority.issue('pump-7')
  const tls = { ca: readFileSync(authority.caFile), cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) }
  await client(t, urlOf(server, 'tls'), { clientId: 'pump-7', ...tls })
  t.match(server.broker.describeClients(), [{ clientId: 'pump-7', username: 'pump-7' }])

  await server.reload()
  writeFileSync(certFile, 'broken')
  writeFileSync(join(folder, 'passwords'), 'broken')
  await t.rejects(server.reload(), /passwords:1[\s\S]*listeners\[0\]\.cert/)
  await client(t, urlOf(server, 'tls'), { clientId: 'pump-7', ...tls })
})
