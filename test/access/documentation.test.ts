import { readFileSync } from 'node:fs'
import { t } from 'tap'
import { parseAcl } from '../../lib/access/acl-file.ts'
import { AclPolicy } from '../../lib/access/acl-policy.ts'
import { hookNames } from '../../lib/access/hooks.ts'

const page = readFileSync(new URL('../../../docs/access.md', import.meta.url), 'utf8')

t.test('the ACL file in docs/access.md does what the text beside it says', async t => {
  const [, text = ''] = /```yaml\n(.*?)```/s.exec(page) ?? []
  const policy = new AclPolicy(parseAcl(text, 'docs/access.md'))
  const alice = policy.compile({ clientId: 'desk', username: 'alice', roles: [], by: 'password' })
  t.ok(alice.canSubscribe('#'))
  t.notOk(alice.canReceive('secret/x'))
  t.notOk(alice.canSubscribe('secret/#'))
  t.ok(alice.canSubscribe('$stream/telemetry/earliest'))
  const dash = policy.compile({ clientId: 'dash', username: 'dash', roles: [], by: 'password' })
  t.ok(dash.canSubscribe('devices/#'))
  t.ok(dash.canReceive('devices/d1/telemetry'))
  t.notOk(dash.canReceive('devices/d1/cmd/reset'))
  t.notOk(policy.compile({ clientId: 'x', username: undefined, roles: [], by: 'anonymous' }).canPublish('devices/x/telemetry'))
})

t.test('docs/access.md names every hook', async t => {
  for (const name of hookNames) t.ok(page.includes(`\`${name}\``), name)
})
