import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { t } from 'tap'
import { BrokerProcess } from '../support/broker-process.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { FakeBroker } from './mqtt-broker.ts'

const bin = fileURLToPath(new URL('../../bin/tributary.js', import.meta.url))

/** Runs the bin to its end. `drive` may look at the process while it runs. */
async function run(args: string[], drive: (child: ReturnType<typeof spawn>) => unknown = () => {}) {
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', chunk => (out += chunk))
  child.stderr.on('data', chunk => (err += chunk))
  drive(child)
  await once(child, 'close')
  return { code: child.exitCode, signal: child.signalCode, out, err }
}

/** Resolves when the process has printed what matches. */
function printed(child: ReturnType<typeof spawn>, pattern: RegExp): Promise<void> {
  let text = ''
  return new Promise(resolve => {
    child.stdout!.on('data', chunk => {
      text += chunk
      if (pattern.test(text)) resolve()
    })
  })
}

t.test('--version is the version of the package, --help shows examples and exit codes', async t => {
  const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
  t.match(await run(['--version']), { code: 0, out: `${manifest.version}\n` })
  const help = await run(['--help'])
  t.equal(help.code, 0)
  for (const word of ['start', 'check', 'demo', 'stream', 'client', 'passwd', 'Examples:', 'Exit codes:']) t.match(help.out, word)
  t.match(await run(['stream', 'tail', '--help']), { code: 0, out: /Examples:/ })
})

t.test('the bin starts with a shebang', async t => {
  t.match(readFileSync(bin, 'utf8'), /^#!\/usr\/bin\/env node\n/)
})

t.test('no command at all prints help and is a usage error', async t => {
  t.match(await run([]), { code: 2, err: /Usage: tributary/ })
})

t.test('start says where it listens and keeps its data; SIGINT and SIGTERM end it with 0', async t => {
  const folder = temporaryFolder(t, {
    'c.yaml': 'data: kept\nlisteners: [{ type: tcp, port: 0 }, { type: ws, port: 0 }]\nadmin: false\n'
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const result = await run(['start', '--config', join(folder, 'c.yaml')], async child => {
      await printed(child, /is running[\s\S]*Stream/)
      // Twice, as one Ctrl-C comes under npm: from the terminal and from npm.
      child.kill(signal)
      child.kill(signal)
    })
    t.equal(result.code, 0, signal)
    t.match(result.out, /MQTT +mqtt:\/\/127\.0\.0\.1:[1-9]\d*\n/)
    t.match(result.out, /WebSocket +ws:\/\/127\.0\.0\.1:[1-9]\d*\/mqtt\n/)
    t.match(result.out, `Data       ${join(folder, 'kept')}\n`)
    t.match(result.out, /Everything that was acknowledged is on disk/)
    t.equal(result.err, '')
  }
  t.match(await run(['stream', 'ls', '--data', join(folder, 'kept')]), { code: 0, out: /STREAM/ })
})

t.test('the port of another program ends start with 1 and what to change', async t => {
  const broker = await BrokerProcess.create()
  await broker.start()
  t.teardown(() => broker.kill())
  const config = `${temporaryFolder(t)}/second.yaml`
  writeFileSync(config, `data: ./data\nlisteners: [{ type: tcp, port: ${broker.port} }]\nadmin: false\n`)
  t.match(await run(['start', '--config', config]), {
    code: 1,
    err: `error: port ${broker.port} on 127.0.0.1 is in use: stop the other program or set another port for listeners[0] (TRB_LISTENER_FAILED)`
  })
  writeFileSync(config, `data: ${broker.dataFolder}\nlisteners: [{ type: tcp, port: 0 }]\nadmin: false\n`)
  t.match(await run(['start', '--config', config]), { code: 1, err: /TRB_DATA_LOCKED/ })
})

t.test('a reader that goes away (| head) ends a command quietly', async t => {
  const broker = await BrokerProcess.create()
  await broker.start()
  t.teardown(() => broker.kill())
  const url = `mqtt://127.0.0.1:${broker.port}`
  t.match(await run(['demo', '--devices', '5', '--rate', '200', '--seconds', '1', '--url', url]), { code: 0 })
  const admin = ['--admin', `http://127.0.0.1:${broker.adminPort}`]
  const result = await run(['stream', 'tail', 'telemetry', '-n', '5000', ...admin], child => {
    child.stdout!.once('data', () => child.stdout!.destroy())
  })
  t.match(result, { code: 0, signal: null, err: '' })
})

t.test('a second signal ends a command at once with 1', async t => {
  const broker = new FakeBroker()
  // It would wait for these acknowledgements, and then say how many are missing.
  const published = new Promise<void>(resolve => {
    broker.puback = () => {
      resolve()
      return undefined
    }
  })
  const port = await broker.listen()
  t.teardown(() => broker.close())
  const result = await run(['demo', '--url', `mqtt://127.0.0.1:${port}`], async child => {
    await published
    child.kill('SIGINT')
    child.kill('SIGTERM')
  })
  t.match(result, { code: 1, signal: null, err: '' })
})
