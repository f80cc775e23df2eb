import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { Access } from '../../lib/access/access.ts'
import type { Identity } from '../../lib/access/contract.ts'
import { setPassword } from '../../lib/access/password-file-edit.ts'
import { hashPassword } from '../../lib/access/password-hash.ts'
import { formatScramVerifier, scramVerifier } from '../../lib/access/scram-verifier.ts'
import type { AccessConfig } from '../../lib/config/config.ts'
import { ScramClient } from '../support/scram-client.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

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
  const folder = temporaryFolder(t, { 'acl.yaml': "roles: { sensor: { allow: [{ publish: 'a/#' }] } }" })
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

t.test('SCRAM is there for the users who have a verifier, and follows a reload', async t => {
  const passwordFile = join(temporaryFolder(t), 'passwords')
  const user = async (username: string, word: string, withScram: boolean) => {
    const verifier = formatScramVerifier(await scramVerifier(word, { iterations: 4096 }))
    await setPassword(passwordFile, { username, hash: await hashPassword(word), scram: { verifier, add: withScram } })
  }
  const proves = async (access: Access, username: string, word: string) => {
    const start = { method: 'SCRAM-SHA-256', ...alice, username: undefined, password: undefined, current: undefined }
    const exchange = await access.enhanced.get('SCRAM-SHA-256')?.begin(start)
    if (exchange === undefined) return 'no such method'
    const client = new ScramClient(username, word)
    const challenge = await exchange.step(client.first())
    return (await exchange.step(client.final('data' in challenge ? challenge.data : undefined))).type
  }
  await user('bob', 'one', false)
  await t.rejects(Access.load({ ...settings, passwordFile, scram: true }), {
    code: 'TRB_ACCESS_FILE_INVALID',
    message: /passwords: expected a user with a SCRAM verifier.*hint: .*--scram/s
  })
  const access = await Access.load({ ...settings, passwordFile })
  t.equal(await proves(access, 'bob', 'one'), 'no such method', 'nobody can use it')
  await user('alice', 'one', true)
  await access.reload()
  t.equal(await proves(access, 'alice', 'one'), 'granted')
  t.equal(await proves(access, 'alice', 'two'), 'refused')
  t.equal(await proves(access, 'bob', 'one'), 'refused', 'bob has a password and no verifier')
  await user('alice', 'two', true)
  await access.reload()
  t.equal(await proves(access, 'alice', 'one'), 'refused')
  t.equal(await proves(access, 'alice', 'two'), 'granted')
  t.equal(await proves(await Access.load({ ...settings, passwordFile, scram: true }), 'alice', 'two'), 'granted')
  const off = await Access.load({ ...settings, passwordFile, scram: false })
  t.equal(await proves(off, 'alice', 'two'), 'no such method')
  t.equal((await Access.load(settings)).enhanced.size, 0)
})

t.test('what a name that is nobody is shown outlives a restart', async t => {
  const passwordFile = join(temporaryFolder(t), 'passwords')
  for (const username of ['alice', 'bob']) {
    const verifier = formatScramVerifier(await scramVerifier('one', { iterations: 5000 }))
    await setPassword(passwordFile, { username, hash: await hashPassword('one'), scram: { verifier, add: true } })
  }
  const shown = async (username: string) => {
    const access = await Access.load({ ...settings, passwordFile })
    const start = { method: 'SCRAM-SHA-256', ...alice, username: undefined, password: undefined, current: undefined }
    const exchange = await access.enhanced.get('SCRAM-SHA-256')?.begin(start)
    const challenge = await exchange?.step(new ScramClient(username, 'x').first())
    return Buffer.from((challenge?.type === 'continue' && challenge.data) || [])
      .toString()
      .replace(/^r=[^,]+/, '')
  }
  t.match(await shown('nobody'), /^,s=[A-Za-z0-9+/]{22}==,i=5000$/, 'as of a user')
  t.equal(await shown('nobody'), await shown('nobody'))
  t.equal(await shown('alice'), await shown('alice'))
  t.not(await shown('nobody'), await shown('somebody'))
})

t.test('files that are missing or wrong stop the start', async t => {
  const folder = temporaryFolder(t, { 'acl.yaml': 'rols: {}' })
  await t.rejects(Access.load({ ...settings, passwordFile: join(folder, 'none') }), { code: 'TRB_ACCESS_FILE_INVALID' })
  await t.rejects(Access.load({ ...settings, aclFile: join(folder, 'acl.yaml') }), {
    message: /acl.yaml:1: rols: expected a known key/
  })
  await t.rejects(Access.load({ ...settings, hooks: join(folder, 'hooks.js') }), {
    message: /hooks.js: expected a JavaScript module/
  })
})
