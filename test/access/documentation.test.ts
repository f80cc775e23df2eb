import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { parseAcl } from '../../lib/access/acl-file.ts'
import { AclPolicy } from '../../lib/access/acl-policy.ts'
import type { EnhancedExchange } from '../../lib/access/contract.ts'
import { checkedStep } from '../../lib/access/enhanced-step.ts'
import { hookNames, loadHooks } from '../../lib/access/hooks.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

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

t.test('the hooks module in docs/access.md lets in who answers its challenge, and nobody else', async t => {
  const [, source = ''] = /```js\n(.*?)```/s.exec(page) ?? []
  const { authenticateEnhanced } = await loadHooks(join(temporaryFolder(t, { 'hooks.mjs': source }), 'hooks.mjs'))
  const begin = authenticateEnhanced as unknown as (client: null, start: object) => EnhancedExchange | undefined
  t.equal(begin(null, { method: 'OTHER', clientId: 'pump-7' }), undefined)
  const answered = async (clientId: string, key: string) => {
    const exchange = begin(null, { method: 'HMAC-SHA-256', clientId })
    const challenge = await exchange?.step(undefined)
    const data = challenge?.type === 'continue' && challenge.data
    return checkedStep(
      await exchange?.step(
        createHmac('sha256', key)
          .update(data || '')
          .digest()
      )
    )
  }
  t.match(await answered('pump-7', 'blue'), { type: 'granted', identity: { username: 'pump-7', roles: ['device'] } })
  t.match(await answered('pump-7', 'red'), { type: 'refused', reason: 'bad-credentials' })
  t.match(await answered('pump-8', 'blue'), { type: 'refused', reason: 'bad-credentials' })
})

t.test('docs/access.md names every hook', async t => {
  for (const name of hookNames) t.ok(page.includes(`\`${name}\``), name)
})
