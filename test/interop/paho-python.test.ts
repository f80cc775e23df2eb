import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { t } from 'tap'
import { cannotUse, EveryTransport, transports } from './every-transport.ts'

/** Eclipse Paho's Python client, over every transport. What it tries is in paho-python.py. */

/** Debian's, which finds Debian's packages. */
const python = '/usr/bin/python3'
/** The source, seen from build/test/interop. */
const script = fileURLToPath(new URL('../../../test/interop/paho-python.py', import.meta.url))
const versions = { 3: 'MQTT 3.1', 4: 'MQTT 3.1.1', 5: 'MQTT 5' }
const missing = pahoMissing()

const broker = await EveryTransport.start(t)

for (const transport of transports) {
  for (const [version, name] of Object.entries(versions)) {
    if (version === '3' && transport !== 'tcp') continue
    t.test(`Paho's Python client over ${transport}, ${name}`, { skip: missing || cannotUse(transport) }, async t => {
      const secure = transport === 'tls' || transport === 'wss'
      const child = spawn(python, [
        script,
        transport,
        String(broker.port(transport)),
        version,
        ...(secure ? [broker.caFile] : [])
      ])
      t.teardown(() => child.kill('SIGKILL'))
      const [out, error] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
      const lines = out.split('\n').filter(line => line !== '')
      t.ok(lines.length >= 5, `claims were tried: ${error}`)
      for (const line of lines) {
        const { claim, error } = JSON.parse(line) as { claim: string; error?: string }
        t.equal(error, undefined, claim)
      }
    })
  }
}

function pahoMissing(): string | false {
  if (spawnSync(python, ['-c', 'import paho.mqtt.client']).status === 0) return false
  if (process.env.CI) throw new Error('python3-paho-mqtt is not installed: it is one of the clients this broker is tried with')
  return 'python3-paho-mqtt is not installed'
}
