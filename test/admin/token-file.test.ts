import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { AdminTokens, addToken, parseTokens, removeToken } from '../../lib/admin/token-file.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const hash = 'a'.repeat(64)

t.test('a token is found by itself alone, and the file does not hold it', async t => {
  const file = join(temporaryFolder(t), 'tokens')
  const token = await addToken(file, 'alice', 'write')
  t.match(token, /^trb_[\w-]{43}$/)
  t.notMatch(readFileSync(file, 'utf8'), token)
  t.equal(statSync(file).mode & 0o777, 0o600)
  const tokens = await AdminTokens.load(file)
  t.match(tokens.find(token), { name: 'alice', role: 'write' })
  t.equal(tokens.find(`${token}x`), undefined)
  t.equal(tokens.find(''), undefined)
})

t.test('a new token takes the place of the old one; comments and the order stay', async t => {
  const file = join(temporaryFolder(t, { tokens: `# who may come in\nzoe:read:${hash}\n\n` }), 'tokens')
  const first = await addToken(file, 'alice', 'read')
  const second = await addToken(file, 'alice', 'write')
  t.match(readFileSync(file, 'utf8'), /^# who may come in\nzoe:read:a{64}\n\nalice:write:[0-9a-f]{64}\n$/)
  const tokens = await AdminTokens.load(file)
  t.equal(tokens.find(first), undefined)
  t.match(tokens.find(second), { name: 'alice' })
  t.equal(await removeToken(file, 'alice'), true)
  t.equal(await removeToken(file, 'alice'), false)
  t.equal(readFileSync(file, 'utf8'), `# who may come in\nzoe:read:${hash}\n\n`)
})

t.test('a reload takes a valid file, and keeps the old tokens when it is not', async t => {
  const file = join(temporaryFolder(t), 'tokens')
  const first = await addToken(file, 'alice', 'read')
  const tokens = await AdminTokens.load(file)
  const second = await addToken(file, 'bob', 'read')
  t.equal(tokens.find(second), undefined)
  await tokens.reload()
  t.match(tokens.find(second), { name: 'bob' })
  writeFileSync(file, 'alice\n')
  await t.rejects(tokens.reload(), { code: 'TRB_ACCESS_FILE_INVALID' })
  t.match(tokens.find(first), { name: 'alice' })
})

t.test('lines that are no tokens are refused with line and what was expected, and are not shown', async t => {
  const cases: [line: string, message: RegExp][] = [
    ['alice', /^f:2: expected name:role:sha256/],
    ['alice:read:trb_secret', /^f:2: expected a SHA-256 hash in 64 hexadecimal digits/],
    [`alice:admin:${hash}`, /^f:2: expected the role read or write, got "admin"/],
    [`:read:${hash}`, /^f:2: expected letters, digits/],
    [`zoe:read:${hash}`, /^f:2: expected every name once, got zoe again/]
  ]
  for (const [line, message] of cases) {
    t.throws(() => parseTokens(`zoe:read:${hash}\n${line}\n`, 'f'), { code: 'TRB_ACCESS_FILE_INVALID', message }, line)
  }
  t.throws(() => parseTokens('alice:read:trb_secret', 'f'), { message: /^(?!.*secret)/s })
  await t.rejects(AdminTokens.load(join(temporaryFolder(t), 'absent')), { message: /`tributary token` makes one/ })
  await t.rejects(addToken(join(temporaryFolder(t), 'tokens'), 'a b', 'read'), { message: /cannot be used/ })
})
