import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { Access } from '../../lib/access/access.ts'
import type { Identity } from '../../lib/access/contract.ts'
import { setPassword } from '../../lib/access/password-file-edit.ts'
import { hashPassword } from '../../lib/access/password-hash.ts'
import type { AccessConfig } from '../../lib/config/config.ts'

const settings: AccessConfig = { anonymous: false, certificateIdentity: 'commonName' }
const alice = { clientId: 'c', username: 'alice', peer: undefined }
const identity: Identity = { clientId: 'c', username: 'alice', roles: ['sensor'], by: 'password' }

t.test('without files everybody who is let in may do everything', async t => {
  const access = await Access.load({ ...settings, anonymous: true })
  t.equal(access.policy, undefined)
  t.equal(access.hooks, undefined)
  await access.reload()
})

t.test('password and ACL file come into force together, at load and at reload', async t => {
  const folder = t.testdir({ 'acl.yaml': "roles: { sensor: { allow: [{ publish: 'a/#' }] } }" })
  const passwordFile = join(folder, 'passwords')
  const aclFile = join(folder, 'acl.yaml')
  await setPassword(passwordFile, { username: 'alice', hash: await hashPassword('one'), roles: ['sensor'] })
  const access = await Access.load({ ...settings, passwordFile, aclFile })
  const signIn = async (word: string) => (await access.authenticator.authenticate({ ...alice, password: Buffer.from(word) })).type
  t.equal(await signIn('one'), 'granted')
  t.equal(access.policy?.compile(identity).canPublish('a/b'), true)
  const generation = access.policy?.generation

  await setPassword(passwordFile, { username: 'alice', hash: await hashPassword('two') })
  t.equal(await signIn('one'), 'granted', 'nothing changes before the reload')
  writeFileSync(aclFile, 'roles: { sensr: {} }')
  await t.rejects(access.reload(), {
    code: 'TRB_ACCESS_FILE_INVALID',
    message: /passwords:1: alice: expected a role of the ACL file, got "sensor"/
  })
  t.equal(await signIn('one'), 'granted', 'with one file wrong both stay as they were')
  t.equal(access.policy?.generation, generation)

  writeFileSync(aclFile, 'roles: { sensor: {} }')
  await access.reload()
  t.equal(await signIn('one'), 'refused')
  t.equal(await signIn('two'), 'granted')
  t.not(access.policy?.generation, generation)
  t.equal(access.policy?.compile(identity).canPublish('a/b'), false)
})

t.test('files that are missing or wrong stop the start', async t => {
  const folder = t.testdir({ 'acl.yaml': 'rols: {}' })
  await t.rejects(Access.load({ ...settings, passwordFile: join(folder, 'none') }), { code: 'TRB_ACCESS_FILE_INVALID' })
  await t.rejects(Access.load({ ...settings, aclFile: join(folder, 'acl.yaml') }), {
    message: /acl.yaml:1: rols: expected a known key/
  })
  await t.rejects(Access.load({ ...settings, hooks: join(folder, 'hooks.js') }), {
    message: /hooks.js: expected a JavaScript module/
  })
})
