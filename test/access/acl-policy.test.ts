import { t } from 'tap'
import { parseAcl } from '../../lib/access/acl-file.ts'
import { AclPolicy } from '../../lib/access/acl-policy.ts'
import type { CompiledPolicy, Identity } from '../../lib/access/contract.ts'

const acl = `
roles:
  sensor:
    allow:
      - publish: 'devices/{clientId}/#'
      - subscribe: ['devices/{clientId}/cmd/#', firmware/+]
    deny:
      - publish: 'devices/{clientId}/admin/#'
  operator:
    allow:
      - all: '#'
      - subscribe: ['$SYS/#', '$stream/telemetry/#']
    deny:
      - publish: 'devices/+/admin/#'
      - subscribe: secret/#
  viewer:
    allow:
      - subscribe: 'devices/#'
      - receive: 'devices/+/public/#'
  owner:
    allow:
      - all: 'homes/{username}/#'
  guest:
    allow:
      - subscribe: news/#
users:
  alice: [operator]
  viktor: [viewer]
default: [sensor, owner]
anonymous: [guest]
`

function compile(identity: Partial<Identity> = {}, text = acl): CompiledPolicy {
  const complete: Identity = { clientId: 'd1', username: 'dev', roles: [], by: 'password', ...identity }
  return new AclPolicy(parseAcl(text, 'acl.yaml')).compile(complete)
}

t.test('what no rule allows is refused', async t => {
  const policy = compile()
  t.ok(policy.canPublish('devices/d1/telemetry'))
  t.ok(policy.canPublish('devices/d1'))
  t.notOk(policy.canPublish('devices/d10/telemetry'))
  t.notOk(policy.canPublish('devices'))
  t.notOk(policy.canPublish('other'))
  t.ok(policy.canSubscribe('devices/d1/cmd/#'))
  t.notOk(policy.canSubscribe('devices/d1/#'))
  t.notOk(policy.canSubscribe('#'))
  t.equal(policy.permitsAll, false)
})

t.test('an identity without any role may do nothing', async t => {
  const policy = compile({}, 'roles: {}')
  t.notOk(policy.canPublish('a'))
  t.notOk(policy.canSubscribe('a'))
  t.notOk(policy.canReceive('a'))
})

t.test('deny wins over allow, whichever role it comes from', async t => {
  t.notOk(compile().canPublish('devices/d1/admin/reset'))
  const alice = compile({ username: 'alice', clientId: 'd1' })
  t.ok(alice.canPublish('devices/d2/telemetry'))
  t.notOk(alice.canPublish('devices/d2/admin/reset'))
})

t.test('a subscription is granted when one allow filter covers all of it', async t => {
  const policy = compile()
  t.ok(policy.canSubscribe('firmware/v1'))
  t.ok(policy.canSubscribe('firmware/+'))
  t.notOk(policy.canSubscribe('firmware/#'))
  t.notOk(policy.canSubscribe('+/+'))
})

t.test('a subscription that is denied in part is granted, and delivery keeps that part back', async t => {
  const alice = compile({ username: 'alice' })
  t.ok(alice.canSubscribe('#'))
  t.ok(alice.canReceive('devices/d2/telemetry'))
  t.notOk(alice.canReceive('secret/key'))
  t.notOk(alice.canSubscribe('secret/#'), 'denied as a whole')
  t.notOk(alice.canSubscribe('secret/key'))
})

t.test('whoever may subscribe may receive, unless the role says what may be received', async t => {
  t.ok(compile().canReceive('firmware/v1'))
  const viktor = compile({ username: 'viktor' })
  t.ok(viktor.canSubscribe('devices/#'))
  t.ok(viktor.canReceive('devices/d7/public/x'))
  t.notOk(viktor.canReceive('devices/d7/private/x'))
})

t.test('a shared subscription is checked by its filter', async t => {
  const policy = compile()
  t.ok(policy.canSubscribe('$share/group/firmware/+'))
  t.notOk(policy.canSubscribe('$share/group/#'))
  t.notOk(policy.canSubscribe('$share/group'))
  t.notOk(policy.canSubscribe('$share'))
  t.notOk(compile({ username: 'alice' }).canSubscribe('$share/group/secret/#'))
})

t.test('topics that start with $ need a rule that says so, and nobody publishes to the broker’s own', async t => {
  const alice = compile({ username: 'alice' })
  t.ok(alice.canSubscribe('$SYS/#'))
  t.ok(alice.canReceive('$SYS/broker/uptime'))
  t.ok(alice.canSubscribe('$stream/telemetry'))
  t.ok(alice.canSubscribe('$stream/telemetry/earliest/devices/#'))
  t.ok(alice.canSubscribe('$share/group/$stream/telemetry'))
  t.notOk(alice.canSubscribe('$stream/other/earliest'))
  t.notOk(alice.canSubscribe('$stream/#'))
  const all = compile({}, "roles: { r: { allow: [{ all: ['#', '$SYS/#', '$stream/#', '$own/#'] }] } }\ndefault: [r]")
  for (const topic of ['$SYS/x', '$SYS', '$stream/telemetry', '$share/g/x']) t.notOk(all.canPublish(topic), topic)
  t.ok(all.canPublish('$own/x'))
  const plain = compile({}, "roles: { r: { allow: [{ all: '#' }] } }\ndefault: [r]")
  for (const topic of ['$SYS/x', '$own/x']) t.notOk(plain.canReceive(topic) || plain.canPublish(topic), topic)
})

for (const clientId of ['+', '#', 'a/b', 'd1/#', '+/x', 'd1\0', '/', '']) {
  t.test(`client id ${JSON.stringify(clientId)} does not widen an allow rule`, async t => {
    const policy = compile({ clientId })
    for (const topic of [
      'devices/d2/telemetry',
      `devices/${clientId}/telemetry`,
      'devices/a/b/telemetry',
      'devices//telemetry'
    ]) {
      t.notOk(policy.canPublish(topic), topic)
    }
    t.notOk(policy.canSubscribe(`devices/${clientId}/cmd/#`))
    t.notOk(policy.canSubscribe('devices/+/cmd/#'))
  })
}

t.test('a client id cannot be chosen to get rid of a deny rule', async t => {
  const text = "roles: { r: { allow: [{ all: '#' }], deny: [{ publish: 'devices/{clientId}/admin' }] } }\ndefault: [r]"
  t.notOk(compile({ clientId: 'd1' }, text).canPublish('devices/d1/admin'))
  t.ok(compile({ clientId: 'd1' }, text).canPublish('devices/d1/telemetry'))
  const odd = compile({ clientId: 'a/b' }, text)
  t.notOk(odd.canPublish('devices/a/b/admin'))
  t.notOk(odd.canPublish('anything'), 'publishing is denied as a whole')
  t.ok(odd.canSubscribe('x/#'), 'other actions are not concerned')
})

t.test('a client id that starts with $ does not lead to the topics of the broker', async t => {
  const text = "roles: { r: { allow: [{ all: '{clientId}/#' }] } }\ndefault: [r]"
  const policy = compile({ clientId: '$SYS' }, text)
  t.notOk(policy.canReceive('$SYS/broker'))
  t.notOk(policy.canSubscribe('$SYS/#'))
  t.ok(compile({ clientId: 'd1' }, text).canSubscribe('d1/#'))
})

t.test('a value with the pattern characters of replace() is taken as it is', async t => {
  const policy = compile({ clientId: '$&' }, "roles: { r: { allow: [{ publish: 'd/{clientId}' }] } }\ndefault: [r]")
  t.ok(policy.canPublish('d/$&'))
  t.notOk(policy.canPublish('d/{clientId}'))
})

t.test('a rule with {username} says nothing about those who have none', async t => {
  t.ok(compile({ username: 'dora' }).canPublish('homes/dora/light'))
  const anonymous = compile({ username: undefined, by: 'anonymous' })
  t.notOk(anonymous.canPublish('homes//light'))
  t.notOk(anonymous.canPublish('homes/undefined/light'))
  t.ok(anonymous.canSubscribe('news/#'))
  t.notOk(anonymous.canPublish('devices/d1/telemetry'), 'the roles of authenticated clients are not theirs')
  const denied = compile(
    { username: undefined, by: 'hook', roles: ['r'] },
    "roles: { r: { allow: [{ all: '#' }], deny: [{ all: 'u/{username}' }] } }"
  )
  t.ok(denied.canPublish('x'))
})

t.test('roles come from the file, from the password file and from certificates', async t => {
  t.ok(compile({ roles: ['guest'] }).canSubscribe('news/today'))
  t.notOk(compile({ roles: ['nonsense', 'certificate', 'constructor', '__proto__'] }).canSubscribe('news/today'))
  const text = "roles: { certificate: { allow: [{ publish: 'c/#' }] } }"
  t.ok(compile({ roles: ['certificate'], by: 'certificate' }, text).canPublish('c/1'))
})

t.test('usernames that mean something to JavaScript objects are just names', async t => {
  for (const username of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    const policy = compile({ username, clientId: username })
    t.notOk(policy.canSubscribe('#'), username)
    t.ok(policy.canPublish(`devices/${username}/x`), username)
  }
  t.ok(
    compile({ username: 'constructor' }, "roles: { r: { allow: [{ all: '#' }] } }\nusers: { constructor: [r] }").canSubscribe('#')
  )
})

t.test('other rules come into force with another generation', async t => {
  const policy = new AclPolicy(parseAcl(acl, 'acl.yaml'))
  const identity: Identity = { clientId: 'd1', username: 'dev', roles: [], by: 'password' }
  const before = policy.generation
  t.ok(policy.compile(identity).canPublish('devices/d1/x'))
  policy.replace(parseAcl('roles: {}', 'acl.yaml'))
  t.not(policy.generation, before)
  t.notOk(policy.compile(identity).canPublish('devices/d1/x'))
})

t.test('answers stay the same when more topics are asked about than are remembered', async t => {
  const policy = compile()
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 1000; i++) {
      if (!policy.canPublish(`devices/d1/${i}`) || policy.canPublish(`devices/d2/${i}`)) t.fail(`topic ${i}`)
      if (!policy.canReceive(`firmware/${i}`) || policy.canReceive(`other/${i}`)) t.fail(`topic ${i}`)
    }
  }
  t.ok(policy.canPublish(`devices/d1/${'x'.repeat(60_000)}`))
})
