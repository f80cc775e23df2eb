import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { openAdminServer } from '../../lib/admin/server.ts'
import { MemoryStream } from '../admin/memory-stream.ts'
import { adminSources } from '../admin/sources.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { Terminal } from './terminal.ts'

type T = { teardown(fn: () => unknown): unknown; testdir(): string }

async function open(t: T) {
  const folder = temporaryFolder(t)
  const file = join(folder, 'admin-tokens')
  const terminal = new Terminal()
  if ((await terminal.run('token', file, 'alice')) !== 0) throw new Error(terminal.err.text)
  const token = terminal.out.text.trim()
  const sources = adminSources([new MemoryStream('telemetry')])
  const server = await openAdminServer({ host: '127.0.0.1', port: 0, tokenFile: file, sources })
  t.teardown(() => server.close())
  return { folder, file, token, server, made: terminal }
}

t.test('token prints a token once and says what it is for', async t => {
  const { token, made } = await open(t)
  t.match(token, /^trb_\S+$/)
  t.match(made.err.text, /^alice may read; .*admin-tokens holds the hash/)
})

t.test('token --delete takes it away', async t => {
  const { file } = await open(t)
  t.equal(await new Terminal().run('token', file, 'alice', '--delete'), 0)
  const again = new Terminal()
  t.equal(await again.run('token', file, 'alice', '--delete'), 1)
  t.match(again.err.text, /has no token of "alice"/)
})

t.test('every command that asks a broker takes a token from a file or the environment', async t => {
  const { folder, token, server } = await open(t)
  const file = join(folder, 'alice.token')
  writeFileSync(file, `${token}\n`)
  for (const command of [
    ['stream', 'ls'],
    ['client', 'ls'],
    ['group', 'ls']
  ]) {
    const name = command.join(' ')
    t.equal(await new Terminal().run(...command, '--admin', server.url, '--token-file', file), 0, name)
    const inEnvironment = new Terminal()
    inEnvironment.env.TRIBUTARY_ADMIN_TOKEN = token
    t.equal(await inEnvironment.run(...command, '--admin', server.url), 0, name)
    const without = new Terminal()
    t.equal(await without.run(...command, '--admin', server.url), 1, name)
    t.match(without.err.text, /a token is needed: .*--token-file FILE or TRIBUTARY_ADMIN_TOKEN/, name)
  }
})

t.test('a token is never shown', async t => {
  const { token, server } = await open(t)
  await server.close()
  const terminal = new Terminal()
  terminal.env.TRIBUTARY_ADMIN_TOKEN = token
  t.equal(await terminal.run('stream', 'ls', '--admin', server.url), 1)
  t.match(terminal.err.text, /no broker answers at http:/)
  t.notMatch(terminal.err.text, token)
})

t.test('a token file that holds no token is refused', async t => {
  const { folder, file } = await open(t)
  const empty = join(folder, 'empty')
  writeFileSync(empty, '\n')
  for (const [path, message] of [
    [empty, /expected a token and nothing else/],
    [join(folder, 'absent'), /cannot be read/]
  ] as const) {
    const terminal = new Terminal()
    t.equal(await terminal.run('stream', 'ls', '--token-file', path), 2)
    t.match(terminal.err.text, message)
  }
  mkdirSync(join(folder, 'streams'))
  t.equal(await new Terminal().run('stream', 'ls', '--token-file', file, '--data', folder), 0, 'with --data nobody is asked')
})
