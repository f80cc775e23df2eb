import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { t } from 'tap'
import { parsePasswordFile, readPasswordFile } from '../../lib/access/password-file.ts'
import { removePassword, setPassword } from '../../lib/access/password-file-edit.ts'
import { argon2, hashPassword, isPasswordHash } from '../../lib/access/password-hash.ts'
import { formatScramVerifier, parseScramVerifier, scramVerifier } from '../../lib/access/scram-verifier.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const hash = '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b/dWRWJTmaaJObGRdescudvJCs'
const scram = formatScramVerifier(await scramVerifier('one', { iterations: 4096 }))
const otherScram = formatScramVerifier(await scramVerifier('two', { iterations: 4096 }))
const other = hash.replace('some', 'othe').replace('RWJT', 'TJWR')

t.test('a hash is argon2id and verifies its own password alone', async t => {
  const hashed = await hashPassword('correct horse')
  t.ok(isPasswordHash(hashed), hashed)
  t.equal(await argon2.verify(hashed, 'correct horse'), true)
  t.equal(await argon2.verify(hashed, Buffer.from('correct horse')), true)
  t.equal(await argon2.verify(hashed, 'correct horses'), false)
  t.not(await hashPassword('correct horse'), hashed, 'each hash has a salt of its own')
})

t.test('lines are users, comments or empty', async t => {
  const entries = parsePasswordFile(`# people\n\nalice:${hash}:operator,viewer\r\nbob:${hash}\n__proto__:${hash}:\n`, 'passwords')
  t.same([...entries.keys()], ['alice', 'bob', '__proto__'])
  t.same(entries.get('alice'), { username: 'alice', hash, roles: ['operator', 'viewer'], line: 3 })
  t.same(entries.get('__proto__')?.roles, [])
})

t.test('a SCRAM verifier may stand beside the hash, with or without roles', async t => {
  const entries = parsePasswordFile(`alice:${hash}:operator:${scram}\nbob:${hash}::${scram}\ncarol:${hash}\n`, 'passwords')
  t.same(entries.get('alice')?.scram, parseScramVerifier(scram))
  t.same(entries.get('alice')?.roles, ['operator'])
  t.same(entries.get('bob')?.roles, [])
  t.equal(entries.get('bob')?.scram?.iterations, 4096)
  t.equal(entries.get('carol')?.scram, undefined)
})

t.test('a verifier that is none is told by line, and is not shown', async t => {
  const broken = scram.replace('i=4096', 'i=1000')
  const text = `a:${hash}:r:${scram}\nb:${hash}::${broken}\nc:${hash}::\nd:${hash}::${scram}:x\n`
  const told =
    /^passwords:2: b: expected a SCRAM verifier.*got something else\n {2}hint: .*--scram`\npasswords:3: c: .*got nothing after the last colon\n.*\npasswords:4: d: .*got more than four parts/
  t.throws(() => parsePasswordFile(text, 'passwords'), { code: 'TRB_ACCESS_FILE_INVALID', message: told })
  t.throws(() => parsePasswordFile(text, 'passwords'), {
    message: /^[^$]*(\$scram-sha-256\$i=iterations\$salt\$stored-key\$server-key[^$]*)*$/
  })
})

t.test('a new password never leaves the verifier of the old one', async t => {
  const file = join(temporaryFolder(t), 'passwords')
  const line = () => readFileSync(file, 'utf8')
  await setPassword(file, { username: 'alice', hash, roles: ['operator'], scram: { verifier: scram, add: false } })
  t.equal(line(), `alice:${hash}:operator\n`, 'nobody asked for one')
  await setPassword(file, { username: 'alice', hash, scram: { verifier: scram, add: true } })
  t.equal(line(), `alice:${hash}:operator:${scram}\n`)
  await setPassword(file, { username: 'alice', hash: other, roles: [], scram: { verifier: otherScram, add: false } })
  t.equal(line(), `alice:${other}::${otherScram}\n`, 'who has one gets the new one')
  await setPassword(file, { username: 'alice', hash })
  t.equal(line(), `alice:${hash}\n`)
})

t.test('wrong lines are told by number, without what might be a secret', async t => {
  const text = `alice:plainpassword\nbob\n:${hash}\nalice:${hash}:a b\ndora:${hash}\ndora:${hash}\n eve:${hash}\nmd:$2b$10$abcdefg:x:y\n`
  try {
    parsePasswordFile(text, 'passwords')
    t.fail('should have been refused')
  } catch (error) {
    const { code, message } = error as Error & { code: string }
    t.equal(code, 'TRB_ACCESS_FILE_INVALID')
    for (const line of [1, 2, 3, 4, 6, 7, 8]) t.match(message, new RegExp(`^passwords:${line}: `, 'm'))
    t.notMatch(message, /passwords:5/)
    t.notMatch(message, /plainpassword|argon2id\$|2b\$10/)
  }
})

t.test('a file that cannot be read says what makes one', async t => {
  const file = join(temporaryFolder(t), 'none')
  await t.rejects(readPasswordFile(file), { code: 'TRB_ACCESS_FILE_INVALID', message: /ENOENT.*tributary passwd/s })
})

t.test('users are added, replaced and removed; comments, order and roles stay', async t => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'passwords')
  t.equal(await setPassword(file, { username: 'alice', hash, roles: ['operator'] }), 'added')
  t.equal(statSync(file).mode & 0o777, 0o600)
  writeFileSync(file, `# people\n${readFileSync(file, 'utf8')}\n# devices\n`)
  t.equal(await setPassword(file, { username: 'd1', hash }), 'added')
  t.equal(await setPassword(file, { username: 'alice', hash: other }), 'replaced')
  t.equal(readFileSync(file, 'utf8'), `# people\nalice:${other}:operator\n\n# devices\nd1:${hash}\n`)
  await setPassword(file, { username: 'alice', hash, roles: [] })
  t.equal((await readPasswordFile(file)).get('alice')?.roles.length, 0)
  t.equal(await removePassword(file, 'alice'), true)
  t.equal(await removePassword(file, 'alice'), false)
  t.equal(readFileSync(file, 'utf8'), `# people\n\n# devices\nd1:${hash}\n`)
  t.same(await readdir(folder), ['passwords'], 'no temporary file is left')
})

t.test('a file others can read is closed to them by the next change', async t => {
  const file = join(temporaryFolder(t, { passwords: `a:${hash}\n` }), 'passwords')
  await setPassword(file, { username: 'b', hash })
  t.equal(statSync(file).mode & 0o777, 0o600)
})

t.test('a symbolic link stays one', async t => {
  const folder = temporaryFolder(t, { real: `a:${hash}\n` })
  symlinkSync(join(folder, 'real'), join(folder, 'link'))
  await setPassword(join(folder, 'link'), { username: 'b', hash })
  t.equal(readFileSync(join(folder, 'real'), 'utf8'), `a:${hash}\nb:${hash}\n`)
})

t.test('a name that would break the file is refused', async t => {
  const file = join(temporaryFolder(t), 'passwords')
  for (const username of ['', '#x', 'a:b', 'a\nb:x', ' a', 'a ', 'a\0']) {
    await t.rejects(setPassword(file, { username, hash }), { code: 'TRB_ACCESS_FILE_INVALID' }, JSON.stringify(username))
  }
  await t.rejects(setPassword(file, { username: 'a', hash, roles: ['x,y'] }), { code: 'TRB_ACCESS_FILE_INVALID' })
})

t.test('a file with a mistake in it is not touched', async t => {
  const file = join(temporaryFolder(t, { passwords: 'broken\n' }), 'passwords')
  await t.rejects(setPassword(file, { username: 'a', hash }), { code: 'TRB_ACCESS_FILE_INVALID', message: /passwords:1/ })
  t.equal(readFileSync(file, 'utf8'), 'broken\n')
})
