import { join } from 'node:path'
import mqtt, { type IClientOptions, MqttClient } from 'mqtt'
import { t } from 'tap'
import { setPassword } from '../../lib/access/password-file-edit.ts'
import { hashPassword } from '../../lib/access/password-hash.ts'
import { formatScramVerifier, scramVerifier } from '../../lib/access/scram-verifier.ts'
import { parseConfig } from '../../lib/config/load.ts'
import { Server } from '../../lib/server.ts'
import { ScramClient } from '../support/scram-client.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

/** MQTT.js against the whole server: SCRAM-SHA-256 with the password file, and a method from a hooks module. */

type Answer = (data: Buffer | undefined) => Buffer

async function start(t: { teardown(fn: () => unknown): unknown }, folder: string, access: string): Promise<Server> {
  const yaml = `data: data\nadmin: false\nlisteners: [{ type: tcp, port: 0 }, { type: ws, port: 0 }]\naccess: ${access}\n`
  const server = await Server.start(parseConfig(yaml, join(folder, 'tributary.yaml')))
  t.teardown(() => server.close())
  return server
}

/** Connects with MQTT.js, which hands AUTH packets to `handleAuth` and sends what that gives back. */
function connect(url: string, method: string, first: Buffer, answer: Answer, options: IClientOptions = {}) {
  const client = mqtt.connect(url, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    manualConnect: true,
    clientId: 'pump-7',
    ...options,
    properties: { authenticationMethod: method, authenticationData: first }
  })
  const reauthenticated = new Promise<Buffer | undefined>(resolve => {
    client.handleAuth = (packet, callback) => {
      const data = packet.properties?.authenticationData
      if (packet.reasonCode === 0) {
        resolve(data)
        return callback()
      }
      callback(undefined, {
        cmd: 'auth',
        reasonCode: 0x18,
        properties: { authenticationMethod: method, authenticationData: answer(data) }
      })
    }
  })
  const connack = new Promise<Buffer | undefined>((resolve, reject) => {
    client.once('connect', packet => resolve(packet.properties?.authenticationData))
    client.once('error', reject)
  })
  client.connect()
  return { client, connack, reauthenticated }
}

async function withUsers(folder: string): Promise<void> {
  for (const username of ['alice', 'a=b,c']) {
    const scram = { verifier: formatScramVerifier(await scramVerifier('pencil')), add: true }
    await setPassword(join(folder, 'passwords'), { username, hash: await hashPassword('pencil'), roles: ['device'], scram })
  }
}

const acl = "roles: { device: { allow: [{ all: 'devices/{username}/#' }] } }\n"

t.test('MQTT.js proves a password by SCRAM-SHA-256 over TCP and WebSocket, and the broker proves that it knows it', async t => {
  const folder = temporaryFolder(t, { 'acl.yaml': acl })
  await withUsers(folder)
  const server = await start(t, folder, '{ anonymous: false, passwordFile: passwords, aclFile: acl.yaml, scram: true }')
  for (const { url } of server.addresses) {
    const scram = new ScramClient('alice', 'pencil')
    const { client, connack } = connect(url, 'SCRAM-SHA-256', scram.first(), data => scram.final(data))
    t.teardown(() => client.end(true))
    t.ok(scram.trusts(await connack), url)
    await client.publishAsync('devices/alice/a', 'x', { qos: 1 })
    await t.rejects(client.publishAsync('devices/bob/a', 'x', { qos: 1 }), { code: 0x87 })
    t.match(server.broker.describeClients(), [{ clientId: 'pump-7', username: 'alice' }])
    await client.endAsync()
  }
  const odd = new ScramClient('a=b,c', 'pencil')
  const { client, connack } = connect(server.addresses[0]!.url, 'SCRAM-SHA-256', odd.first(), data => odd.final(data))
  t.teardown(() => client.end(true))
  t.ok(odd.trusts(await connack))
})

t.test('MQTT.js authenticates again on a live connection', async t => {
  const folder = temporaryFolder(t, { 'acl.yaml': acl })
  await withUsers(folder)
  const server = await start(t, folder, '{ anonymous: false, passwordFile: passwords, aclFile: acl.yaml }')
  let scram = new ScramClient('alice', 'pencil')
  const { client, connack, reauthenticated } = connect(server.addresses[0]!.url, 'SCRAM-SHA-256', scram.first(), data =>
    scram.final(data)
  )
  t.teardown(() => client.end(true))
  t.ok(scram.trusts(await connack))
  scram = new ScramClient('alice', 'pencil')
  t.ok(client instanceof MqttClient)
  // MQTT.js has no method for it: the packet is written as its own are.
  const auth = {
    cmd: 'auth',
    reasonCode: 0x19,
    properties: { authenticationMethod: 'SCRAM-SHA-256', authenticationData: scram.first() }
  }
  ;(client as unknown as { _sendPacket(packet: object): void })._sendPacket(auth)
  t.ok(scram.trusts(await reauthenticated))
  await client.publishAsync('devices/alice/a', 'x', { qos: 1 })
})

t.test('MQTT.js is told 0x86 for a wrong password and for a name nobody has, 0x8C for another method', async t => {
  const folder = temporaryFolder(t)
  await withUsers(folder)
  const server = await start(t, folder, '{ anonymous: false, passwordFile: passwords }')
  const { url } = server.addresses[0]!
  for (const [name, password] of [
    ['alice', 'pen'],
    ['nobody', 'pencil']
  ] as const) {
    const scram = new ScramClient(name, password)
    await t.rejects(connect(url, 'SCRAM-SHA-256', scram.first(), data => scram.final(data)).connack, { code: 0x86 }, name)
  }
  const scram = new ScramClient('alice', 'pencil')
  await t.rejects(connect(url, 'SCRAM-SHA-1', scram.first(), data => scram.final(data)).connack, { code: 0x8c })
})

t.test('without a password file there is no SCRAM', async t => {
  const server = await start(t, temporaryFolder(t), '{}')
  const { connack } = connect(server.addresses[0]!.url, 'SCRAM-SHA-256', Buffer.from('n,,n=alice,r=x'), () => Buffer.alloc(0))
  await t.rejects(connack, { code: 0x8c })
})

t.test('a hooks module brings a method of its own', async t => {
  const hooks = `
    export function authenticateEnhanced(client, { method, clientId }) {
      if (method !== 'REVERSE') return undefined
      return {
        async step(data) {
          if (data === undefined || data.length === 0) return { type: 'continue', data: Buffer.from(clientId) }
          if (String(data) === [...clientId].reverse().join('')) return { type: 'granted', identity: { username: clientId } }
          return { type: 'refused', reason: 'not-authorized', message: 'not reversed' }
        }
      }
    }\n`
  const server = await start(t, temporaryFolder(t, { 'hooks.mjs': hooks }), '{ anonymous: false, hooks: ./hooks.mjs }')
  const { url } = server.addresses[0]!
  const answering = (answer: Answer) => connect(url, 'REVERSE', Buffer.alloc(0), answer)
  const { client, connack } = answering(data => Buffer.from([...String(data)].reverse().join('')))
  t.teardown(() => client.end(true))
  await connack
  t.match(server.broker.describeClients(), [{ clientId: 'pump-7', username: 'pump-7' }])
  await t.rejects(answering(data => data ?? Buffer.alloc(0)).connack, { code: 0x87 })
})
