import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { t } from 'tap'
import { addToken } from '../../lib/admin/token-file.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const bin = fileURLToPath(new URL('../../bin/tributary.js', import.meta.url))

t.test('a broker that runs as a service asks for tokens, and takes new ones at SIGHUP', async t => {
  const folder = temporaryFolder(t)
  const tokens = join(folder, 'admin-tokens')
  const alice = await addToken(tokens, 'alice', 'read')
  writeFileSync(
    join(folder, 'tributary.yaml'),
    'data: data\nlisteners: [{ type: tcp, port: 0 }]\nadmin: { port: 0, tokenFile: admin-tokens }\nlog: { format: json }\n'
  )
  const broker = spawn(process.execPath, [bin, 'start', '-c', join(folder, 'tributary.yaml')], {
    stdio: ['ignore', 'pipe', 'pipe']
  })
  t.teardown(() => broker.kill('SIGKILL'))
  let output = ''
  for (const stream of [broker.stdout, broker.stderr]) {
    stream.setEncoding('utf8').on('data', text => {
      output += text
      broker.emit('said')
    })
  }
  const says = async (pattern: RegExp) => {
    while (!pattern.test(output)) await once(broker, 'said', { signal: AbortSignal.timeout(60_000) })
    return pattern.exec(output)!
  }
  const [, url] = await says(/Admin +(http:\S+)/)
  const ask = async (token: string) => (await fetch(`${url}/streams`, { headers: { authorization: `Bearer ${token}` } })).status
  t.equal((await fetch(`${url}/healthz`)).status, 200)
  t.equal((await fetch(`${url}/streams`)).status, 401)
  t.equal(await ask(alice), 200)

  const bob = await addToken(tokens, 'bob', 'read')
  t.equal(await ask(bob), 401)
  broker.kill('SIGHUP')
  await says(/were read again/)
  t.equal(await ask(bob), 200)

  writeFileSync(tokens, 'no tokens\n')
  broker.kill('SIGHUP')
  await says(/not everything could be read again/)
  t.equal(await ask(bob), 200, 'what is not valid changes nothing')

  broker.kill('SIGTERM')
  t.same(await once(broker, 'exit'), [0, null])
})
