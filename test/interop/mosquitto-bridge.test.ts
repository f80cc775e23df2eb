import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { t } from 'tap'
import { freePort } from '../support/broker-process.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { cannotUse, EveryTransport } from './every-transport.ts'
import { MqttJs } from './mqttjs-client.ts'

/** Mosquitto as a bridge: it is a client here, and passes on everything in both directions. */

const mosquitto = '/usr/sbin/mosquitto'
const missing = mosquittoMissing()

for (const transport of ['tcp', 'tls'] as const) {
  for (const version of ['mqttv311', 'mqttv50']) {
    const title = `a Mosquitto bridge over ${transport}, ${version}, carries each message once, and none in circles`
    t.test(title, { skip: missing || cannotUse(transport) }, async t => {
      const broker = await EveryTransport.start(t)
      const bridged = broker.subscribed('bridge')
      const port = await startBridge(t, broker, transport, version)
      await bridged
      const here = await MqttJs.connect(t, broker, 'tcp', { protocolVersion: 5, clientId: 'here' })
      const there = await MqttJs.open(t, `mqtt://127.0.0.1:${port}`, { protocolVersion: 5, clientId: 'there' })
      for (const { client } of [here, there]) await client.subscribeAsync('rooms/#', { qos: 2, rap: true })
      const sides = [
        ['here', here, there],
        ['there', there, here]
      ] as const
      for (const [side, from, to] of sides) {
        for (const qos of [0, 1, 2] as const) {
          const topic = `rooms/${side}/${qos}`
          await from.client.publishAsync(topic, `from ${side}`, { qos, retain: qos === 1 })
          t.match(await to.next(), { topic, qos, retain: qos === 1 }, topic)
          t.match(await from.next(), { topic, qos }, 'who published it has a subscription too')
        }
      }
      // A message that goes in circles would be there again by now.
      for (const [side, from] of sides) await from.client.publishAsync('rooms/end', `end ${side}`, { qos: 2 })
      const last = async (client: MqttJs) => [String((await client.next()).payload), String((await client.next()).payload)].sort()
      t.same(
        [await last(here), await last(there)],
        [
          ['end here', 'end there'],
          ['end here', 'end there']
        ]
      )
    })
  }
}

/** Starts a Mosquitto that bridges to `broker`; resolves with its own port when it listens. */
async function startBridge(
  t: { testdir(): string; teardown(fn: () => unknown): unknown },
  broker: EveryTransport,
  transport: 'tcp' | 'tls',
  version: string
): Promise<number> {
  const port = await freePort()
  const file = join(temporaryFolder(t), 'mosquitto.conf')
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'user root',
    'log_dest stderr',
    'log_type all',
    'connection tributary',
    `address 127.0.0.1:${broker.port(transport)}`,
    `bridge_protocol_version ${version}`,
    ...(transport === 'tls' ? [`bridge_cafile ${broker.caFile}`] : []),
    'remote_clientid bridge',
    'notifications false',
    'topic rooms/# both 2'
  ]
  await writeFile(file, `${lines.join('\n')}\n`)
  const child = spawn(mosquitto, ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(async () => {
    child.kill()
    if (child.exitCode === null) await once(child, 'exit')
  })
  const printed: string[] = []
  for await (const line of createInterface(child.stderr)) {
    printed.push(line)
    if (/mosquitto version .* running/.test(line)) {
      child.stderr.resume()
      return port
    }
  }
  throw new Error(`Mosquitto did not start:\n${printed.join('\n')}`)
}

function mosquittoMissing(): string | false {
  if (spawnSync(mosquitto, ['-h']).error === undefined) return false
  if (process.env.CI) throw new Error('mosquitto is not installed: it is one of the clients this broker is tried with')
  return 'mosquitto is not installed'
}
