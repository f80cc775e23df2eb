import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { Terminal } from './terminal.ts'

t.test('a password from standard input is stored as a hash that only the owner can read', async t => {
  const file = join(temporaryFolder(t), 'passwords')
  const terminal = new Terminal()
  terminal.in.end('correct horse\nignored\n')
  t.equal(await terminal.run('passwd', file, 'pump-7', '--role', 'sensor', '--role', 'night'), 0)
  t.match(readFileSync(file, 'utf8'), /^pump-7:\$argon2id\$.*:sensor,night\n$/)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(terminal.out.text, `added pump-7 in ${file}\n`)

  const again = new Terminal()
  again.in.end('battery staple')
  t.equal(await again.run('passwd', file, 'pump-7'), 0)
  t.match(readFileSync(file, 'utf8'), /:sensor,night\n$/, 'roles are kept')
  t.match(again.out.text, /^replaced pump-7/)
})

t.test('--scram adds a verifier, a new password renews it, --no-scram removes it', async t => {
  const file = join(temporaryFolder(t), 'passwords')
  const verifierAfter = async (...flags: string[]) => {
    const terminal = new Terminal()
    terminal.in.end('secret\n')
    t.equal(await terminal.run('passwd', file, 'pump-7', ...flags), 0)
    const [, hash, roles, verifier] = readFileSync(file, 'utf8').trimEnd().split(':')
    t.match(hash, /^\$argon2id\$/)
    return { roles, verifier }
  }
  t.same(await verifierAfter(), { roles: undefined, verifier: undefined })
  const { roles, verifier } = await verifierAfter('--scram')
  t.equal(roles, '')
  t.match(verifier, /^\$scram-sha-256\$i=15000\$/)
  const renewed = await verifierAfter('--role', 'sensor')
  t.equal(renewed.roles, 'sensor')
  t.match(renewed.verifier, /^\$scram-sha-256\$/)
  t.not(renewed.verifier, verifier)
  t.same(await verifierAfter('--no-scram'), { roles: 'sensor', verifier: undefined })
})

t.test('on a terminal the password is asked for twice and not echoed', async t => {
  const file = join(temporaryFolder(t), 'passwords')
  const terminal = new Terminal()
  terminal.in.isTTY = true
  const running = terminal.run('passwd', file, 'pump-7')
  await terminal.err.shows(/Password for pump-7: /)
  t.equal(terminal.raw, true)
  terminal.in.write('secrex\u007ft\r')
  await terminal.err.shows(/Once more: /)
  terminal.in.write('secret\r')
  t.equal(await running, 0)
  t.equal(terminal.raw, false)
  t.notMatch(terminal.err.text + terminal.out.text, /secre/)
  t.ok(existsSync(file))
})

t.test('two different passwords, none, or Ctrl-C change nothing', async t => {
  const file = join(temporaryFolder(t), 'passwords')
  const type = async (keys: string, isTTY = true) => {
    const terminal = new Terminal()
    terminal.in.isTTY = isTTY
    terminal.in.end(keys)
    return { code: await terminal.run('passwd', file, 'pump-7'), text: terminal.err.text }
  }
  t.match(await type('one\rtwo\r'), { code: 1, text: /the two passwords differ/ })
  t.match(await type('\r'), { code: 1, text: /the password is empty/ })
  t.match(await type('\n', false), { code: 1, text: /the password is empty/ })
  t.match(await type('half\u0003'), { code: 130 })
  t.notOk(existsSync(file))
})

t.test('--delete removes a user and fails when there is none', async t => {
  const file = join(temporaryFolder(t), 'passwords')
  const terminal = new Terminal()
  terminal.in.end('secret\n')
  await terminal.run('passwd', file, 'pump-7')
  t.equal(await terminal.run('passwd', file, 'pump-7', '--delete'), 0)
  t.equal(readFileSync(file, 'utf8').trim(), '')
  t.equal(await terminal.run('passwd', file, 'pump-7', '--delete'), 1)
  t.match(terminal.err.text, /has no user "pump-7"/)
})

t.test('a username or file that cannot be used is refused with the reason', async t => {
  const folder = temporaryFolder(t)
  const terminal = new Terminal()
  terminal.in.end('secret\n')
  t.equal(await terminal.run('passwd', join(folder, 'passwords'), 'a:b'), 1)
  t.match(terminal.err.text, /it holds a colon.*TRB_ACCESS_FILE_INVALID/)
  writeFileSync(join(folder, 'other'), 'not a password file\n')
  const second = new Terminal()
  second.in.end('secret\n')
  t.equal(await second.run('passwd', join(folder, 'other'), 'pump-7'), 1)
  t.match(second.err.text, /other:1: /)
})
