import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { t } from 'tap'
import { BrokerProcess } from '../support/broker-process.ts'

/**
 * Eclipse Paho's interoperability suites against the built broker. They sleep most of their time, nearly three minutes, and are
 * not ours to ship: they run where PAHO_MQTT_TESTING names a checkout. test/conformance/paho.md says more.
 */

type Suite = 'client_test' | 'client_test5'

interface Outcome {
  name: string
  outcome: 'passed' | 'failed'
  error?: string
}

/** The sources, seen from build/test/interop. */
const folder = fileURLToPath(new URL('../../../test/interop/paho/', import.meta.url))
const checkout = process.env.PAHO_MQTT_TESTING
const skip = checkout ? false : 'PAHO_MQTT_TESTING names no checkout of eclipse-paho/paho.mqtt.testing'

const suites: [title: string, suite: Suite, tests: number][] = [
  ['the suite for MQTT 3.1.1', 'client_test', 11],
  ['the suite for MQTT 5', 'client_test5', 27]
]

t.setTimeout(380_000)
t.jobs = suites.length

for (const [title, suite, tests] of suites) {
  t.test(`${title} passes`, { skip, timeout: 360_000, buffered: true }, async t => {
    const outcomes = await run(await startBroker(t, suite), suite)
    t.same(
      outcomes.filter(({ outcome }) => outcome === 'failed').map(({ name, error }) => `${name}: ${error}`),
      []
    )
    t.equal(outcomes.filter(({ outcome }) => outcome === 'passed').length, tests)
  })
}

// When this fails, the suite was mended: then run.py needs no exception any more.
t.test('the suite for MQTT 5 as it is written takes 0x87 in a SUBACK for an error', { skip, buffered: true }, async t => {
  const outcomes = await run(
    await startBroker(t, 'client_test5'),
    'client_test5',
    '--as-written',
    '--only',
    'test_subscribe_failure'
  )
  t.match(outcomes, [{ name: 'test_subscribe_failure', outcome: 'failed' }])
})

async function startBroker(t: { teardown(fn: () => unknown): unknown }, suite: Suite): Promise<BrokerProcess> {
  const broker = await BrokerProcess.create(await readFile(join(folder, `${suite}.yaml`), 'utf8'))
  t.teardown(async () => {
    await broker.stop()
    await rm(broker.folder, { recursive: true, force: true })
  })
  await copyFile(join(folder, 'acl.yaml'), join(broker.folder, 'acl.yaml'))
  await broker.start()
  return broker
}

async function run(broker: BrokerProcess, suite: Suite, ...options: string[]): Promise<Outcome[]> {
  const args = [join(folder, 'run.py'), checkout!, suite, String(broker.port), ...options]
  const child = spawn('/usr/bin/python3', args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const [out] = await Promise.all([text(child.stdout), once(child, 'close')])
  return out.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line) as Outcome]))
}
