import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { defaultConfig, parseConfig } from '../../lib/config/load.ts'
import { makeAuthority, opensslMissing } from '../listener/certificates.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { Terminal } from './terminal.ts'

t.test('the embedded default is valid and says what it is', async t => {
  const terminal = new Terminal()
  t.equal(await terminal.run('check'), 0)
  t.match(terminal.out.text, /^valid: the embedded default: 2 listeners, 1 stream, admin on 127\.0\.0\.1:9883, data in .*data\n$/)
})

t.test('check --print shows every default as a file that means the same', async t => {
  const terminal = new Terminal()
  t.equal(await terminal.run('check', '--print'), 0)
  t.match(terminal.out.text, /^data: /m)
  t.match(terminal.out.text, /maxPacketBytes:/)
  t.same(parseConfig(terminal.out.text, 'printed.yaml'), defaultConfig())
})

t.test('what is wrong is named with file, line and what was expected, and the exit code is 1', async t => {
  const file = join(temporaryFolder(t), 'broken.yaml')
  writeFileSync(file, 'listeners:\n  - type: tcp\n    port: eighteen\nlimit: 3\n')
  const terminal = new Terminal()
  t.equal(await terminal.run('check', '--config', file), 1)
  t.match(terminal.err.text, /broken\.yaml:3: listeners\[0\]\.port: expected /)
  t.match(terminal.err.text, /broken\.yaml:4: /)
  t.equal(terminal.out.text, '')
})

t.test('a file that is not there is an error', async t => {
  const terminal = new Terminal()
  t.equal(await terminal.run('check', '--config', join(temporaryFolder(t), 'absent.yaml')), 1)
  t.match(terminal.err.text, /absent\.yaml.*TRB_CONFIG_INVALID/s)
})

t.test('the password and ACL files are checked too', async t => {
  const folder = temporaryFolder(t, {
    passwords: 'pump-7:plain\n',
    'c.yaml': 'access: { anonymous: false, passwordFile: passwords }\n'
  })
  const terminal = new Terminal()
  t.equal(await terminal.run('check', '--config', join(folder, 'c.yaml')), 1)
  t.match(terminal.err.text, /passwords:1: .*TRB_ACCESS_FILE_INVALID/s)
})

t.test('SCRAM that nobody could use is a mistake: without password file, or without a verifier in it', async t => {
  const hash = '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b/dWRWJTmaaJObGRdescudvJCs'
  const folder = temporaryFolder(t, {
    passwords: `pump-7:${hash}\n`,
    'none.yaml': 'access:\n  scram: true\n',
    'nobody.yaml': 'access: { scram: true, passwordFile: passwords }\n'
  })
  const none = new Terminal()
  t.equal(await none.run('check', '--config', join(folder, 'none.yaml')), 1)
  t.match(none.err.text, /none\.yaml:2: access\.scram: expected a passwordFile.*TRB_CONFIG_INVALID/s)
  const nobody = new Terminal()
  t.equal(await nobody.run('check', '--config', join(folder, 'nobody.yaml')), 1)
  t.match(nobody.err.text, /passwords: expected a user with a SCRAM verifier.*TRB_ACCESS_FILE_INVALID/s)
})

t.test('certificates and keys are checked too', { skip: opensslMissing() }, async t => {
  const folder = temporaryFolder(t)
  const authority = makeAuthority(folder)
  const server = authority.issue('server')
  const other = authority.issue('other')
  const config = (key: string) => {
    const file = join(folder, 'c.yaml')
    writeFileSync(file, `listeners:\n  - { type: tls, port: 8883, cert: ${server.certFile}, key: ${key} }\n`)
    return file
  }
  t.equal(await new Terminal().run('check', '--config', config(server.keyFile)), 0)
  const terminal = new Terminal()
  t.equal(await terminal.run('check', '--config', config(other.keyFile)), 1)
  t.match(terminal.err.text, /listeners\[0\]\.key: .* is no private key that belongs to/)
})
