import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { hashPassword } from '../../lib/access/password-hash.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { cannotUse, EveryTransport, transports } from './every-transport.ts'
import { MosquittoClients, mosquittoMissing } from './mosquitto-clients.ts'
import { MqttJs } from './mqttjs-client.ts'

/** Passwords, client certificates and rights as the usual clients bring and see them. */

const acl = `
roles:
  device:
    allow:
      - all: 'devices/{username}/#'
default: [device]
`

const folder = temporaryFolder(t)
writeFileSync(join(folder, 'acl.yaml'), acl)
writeFileSync(join(folder, 'passwords'), `pump:${await hashPassword('right')}\n`)
const access = `access: { anonymous: false, passwordFile: ${join(folder, 'passwords')}, aclFile: ${join(folder, 'acl.yaml')} }`
const broker = await EveryTransport.start(t, access, 'clientCertificate: request')

for (const transport of transports) {
  const secure = transport === 'tls' || transport === 'wss'
  for (const protocolVersion of [4, 5] as const) {
    const name = protocolVersion === 5 ? 'MQTT 5' : 'MQTT 3.1.1'
    t.test(`MQTT.js over ${transport}, ${name}`, { skip: cannotUse(transport) }, async t => {
      const connect = (options: object) =>
        MqttJs.connect(t, broker, transport, { protocolVersion, clientId: `${transport}-${protocolVersion}`, ...options })

      t.test('the right password is let in and has the rights of its user', async t => {
        const pump = await connect({ username: 'pump', password: 'right' })
        await pump.client.subscribeAsync('devices/pump/#', { qos: 1 })
        await pump.client.publishAsync('devices/pump/a', 'mine', { qos: 1 })
        t.match(await pump.next(), { topic: 'devices/pump/a' })
      })

      t.test('a wrong password and none are refused with the code that says so', async t => {
        await t.rejects(connect({ username: 'pump', password: 'wrong' }), { code: protocolVersion === 5 ? 0x86 : 4 })
        await t.rejects(connect({}), { code: protocolVersion === 5 ? 0x87 : 5 })
      })

      t.test("another one's topics are refused: MQTT 5 says so, 3.1.1 can only end the connection", async t => {
        const device = await connect({ username: 'pump', password: 'right' })
        const subscribed = device.client.subscribeAsync('devices/valve/#', { qos: 1 })
        await t.rejects(subscribed, 'a SUBACK with a failure code')
        const closed = device.event('close')
        const published = device.client.publishAsync('devices/valve/a', 'not mine', { qos: 1 })
        if (protocolVersion === 5) await t.rejects(published, { code: 0x87 })
        else {
          published.catch(() => {})
          await closed
          t.notOk(device.client.connected)
        }
      })

      if (!secure) return
      t.test('a client certificate is a login: its common name is the user', async t => {
        const { certFile, keyFile } = broker.authority!.issue('valve')
        const valve = await connect({ cert: readFileSync(certFile), key: readFileSync(keyFile) })
        await valve.client.subscribeAsync('devices/valve/#', { qos: 1 })
        await valve.client.publishAsync('devices/valve/a', 'mine', { qos: 1 })
        t.match(await valve.next(), { topic: 'devices/valve/a' })
      })
    })
  }
}

for (const transport of ['tcp', 'tls'] as const) {
  for (const version of ['mqttv311', 'mqttv5'] as const) {
    const skip = mosquittoMissing() || cannotUse(transport)
    t.test(`Mosquitto's clients over ${transport}, ${version}`, { skip }, async t => {
      const clients = new MosquittoClients(broker, transport, version)
      const login = (password: string) => ['-u', 'pump', '-P', password, '-q', '1', '-t', 'devices/pump/m', '-m', 'x']

      t.test('the right password is let in, a wrong one and none are told why they are not', async t => {
        await clients.publish(login('right'))
        await t.rejects(clients.publish(login('wrong')), /bad user name or password/i)
        await t.rejects(clients.publish(['-t', 'devices/pump/m', '-m', 'x']), /not authori[sz]ed/i)
      })

      if (transport === 'tcp') return
      t.test('a client certificate is a login', async () => {
        const { certFile, keyFile } = broker.authority!.issue('valve')
        await clients.publish(['--cert', certFile, '--key', keyFile, '-q', '1', '-t', 'devices/valve/m', '-m', 'x'])
      })
    })
  }
}
