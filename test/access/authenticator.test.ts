import { t } from 'tap'
import { BuiltInAuthenticator } from '../../lib/access/authenticator.ts'
import type { AuthenticationVerdict, Credentials, PeerIdentity } from '../../lib/access/contract.ts'
import { PasswordCheck } from '../../lib/access/password-check.ts'
import type { PasswordEntry } from '../../lib/access/password-file.ts'
import type { PasswordHasher } from '../../lib/access/password-hash.ts'

const peer: PeerIdentity = {
  listener: 'listeners[0]',
  address: '127.0.0.1',
  port: 50_000,
  transport: 'tcp',
  anonymousAllowed: true,
  certificate: undefined
}
const certificate = { commonName: 'd1', fingerprint256: 'AB:CD', subject: 'CN=d1' }
const withCertificate: PeerIdentity = { ...peer, transport: 'tls', certificate }

/** Counts what it is asked; `hash of X` is the hash of X. */
class WatchedHasher implements PasswordHasher {
  readonly asked: string[] = []
  gate: Promise<void> | undefined

  async hash(password: string | Uint8Array): Promise<string> {
    return `hash of ${Buffer.from(password).toString()}`
  }

  async verify(hashed: string, password: string | Uint8Array): Promise<boolean> {
    this.asked.push(hashed)
    await this.gate
    if (hashed === 'hash of broken') throw new Error('no such algorithm')
    return hashed === `hash of ${Buffer.from(password).toString()}`
  }
}

function users(passwords: Record<string, string>): Map<string, PasswordEntry> {
  return new Map(
    Object.entries(passwords).map(([username, word], index) => [
      username,
      { username, hash: `hash of ${word}`, roles: ['sensor'], line: index + 1 }
    ])
  )
}

const limits = { concurrency: 2, waitingMax: 2, rememberedMax: 2 }

function setUp(passwords: Record<string, string> = { alice: 'secret', bob: 'word' }, anonymous = true) {
  const hasher = new WatchedHasher()
  const check = new PasswordCheck(users(passwords), 'hash of decoy', hasher, limits)
  return { hasher, check, authenticator: new BuiltInAuthenticator({ anonymous, certificateIdentity: 'commonName' }, check) }
}

function credentials(username?: string, password?: string, from: PeerIdentity | undefined = peer): Credentials {
  return { clientId: 'c1', username, password: password === undefined ? undefined : Buffer.from(password), peer: from }
}

function isRefused(verdict: AuthenticationVerdict): boolean {
  return verdict.type === 'refused' && verdict.reason === 'bad-credentials'
}

t.test('the right password lets in, with the roles of the password file', async t => {
  const { authenticator } = setUp()
  t.same(await authenticator.authenticate(credentials('alice', 'secret')), {
    type: 'granted',
    identity: { clientId: 'c1', username: 'alice', roles: ['sensor'], by: 'password' }
  })
})

t.test('wrong, missing and unknown credentials are refused in the same words after the same work', async t => {
  const { authenticator, hasher } = setUp()
  const verdicts: AuthenticationVerdict[] = []
  for (const [username, password] of [
    ['alice', 'wrong'],
    ['nobody', 'secret'],
    ['alice'],
    ['', 'x'],
    ['constructor', 'x'],
    ['__proto__', 'x']
  ]) {
    const before = hasher.asked.length
    verdicts.push(await authenticator.authenticate(credentials(username, password)))
    t.equal(hasher.asked.length, before + 1, `${username} is verified once`)
  }
  t.ok(verdicts.every(isRefused))
  for (const verdict of verdicts) t.same(verdict, verdicts[0])
})

t.test('an unknown user is compared with a hash of the same parameters as the others have', async t => {
  const { authenticator, hasher } = setUp()
  t.ok(isRefused(await authenticator.authenticate(credentials('nobody', 'secret'))), 'also with the password of that hash')
  t.same(hasher.asked, ['hash of secret'])
  const empty = setUp({})
  t.ok(isRefused(await empty.authenticator.authenticate(credentials('nobody', 'decoy'))))
  t.same(empty.hasher.asked, ['hash of decoy'])
})

t.test('credentials that were right once are not hashed again, wrong ones are', async t => {
  const { authenticator, hasher } = setUp()
  await authenticator.authenticate(credentials('alice', 'secret'))
  const again = authenticator.authenticate(credentials('alice', 'secret'))
  t.notOk(again instanceof Promise, 'answered at once')
  t.match(again, { type: 'granted', identity: { username: 'alice' } })
  t.equal(hasher.asked.length, 1)
  await authenticator.authenticate(credentials('alice', 'wrong'))
  await authenticator.authenticate(credentials('alice', 'wrong'))
  t.equal(hasher.asked.length, 3)
})

t.test('as many credentials are remembered as the limit says, the least recently used go first', async t => {
  const { authenticator, hasher } = setUp({ a: '1', b: '2', c: '3' })
  for (const [username, password] of [
    ['a', '1'],
    ['b', '2'],
    ['a', '1'],
    ['c', '3']
  ]) {
    await authenticator.authenticate(credentials(username, password))
  }
  t.equal(hasher.asked.length, 3)
  t.notOk(authenticator.authenticate(credentials('a', '1')) instanceof Promise)
  t.notOk(authenticator.authenticate(credentials('c', '3')) instanceof Promise)
  await authenticator.authenticate(credentials('b', '2'))
  t.equal(hasher.asked.length, 4)
})

t.test('after a reload nothing is remembered and only the new passwords count', async t => {
  const { authenticator, check } = setUp()
  await authenticator.authenticate(credentials('alice', 'secret'))
  check.replace(users({ alice: 'changed' }))
  t.ok(isRefused(await authenticator.authenticate(credentials('alice', 'secret'))))
  t.match(await authenticator.authenticate(credentials('alice', 'changed')), { type: 'granted' })
})

t.test('a password that is changed or removed while it is being verified does not let in', async t => {
  const { authenticator, check, hasher } = setUp()
  let open = () => {}
  hasher.gate = new Promise<void>(resolve => {
    open = resolve
  })
  const alice = authenticator.authenticate(credentials('alice', 'secret'))
  const bob = authenticator.authenticate(credentials('bob', 'word'))
  check.replace(users({ alice: 'changed' }))
  open()
  t.ok(isRefused(await alice))
  t.ok(isRefused(await bob))
  t.ok(isRefused(await authenticator.authenticate(credentials('alice', 'secret'))), 'and is not remembered')
})

t.test('when too many checks wait the answer is unavailable, which is no refusal', async t => {
  const { authenticator, hasher } = setUp()
  let open = () => {}
  hasher.gate = new Promise<void>(resolve => {
    open = resolve
  })
  const taken = Array.from({ length: 4 }, () => authenticator.authenticate(credentials('alice', 'secret')))
  t.match(authenticator.authenticate(credentials('alice', 'secret')), { type: 'unavailable', cause: Error })
  t.equal(hasher.asked.length, 2, 'no more than the limit run at the same time')
  open()
  for (const verdict of await Promise.all(taken)) t.equal(verdict.type, 'granted')
  t.match(await authenticator.authenticate(credentials('bob', 'word')), { type: 'granted' })
})

t.test('a check that fails is unavailable, and its place in the queue is free again', async t => {
  const { authenticator } = setUp({ alice: 'broken', bob: 'word' })
  for (let i = 0; i < 5; i++) {
    t.match(await authenticator.authenticate(credentials('alice', 'x')), {
      type: 'unavailable',
      cause: { message: 'no such algorithm' }
    })
  }
  t.match(await authenticator.authenticate(credentials('bob', 'word')), { type: 'granted' })
})

t.test('anonymous clients come in only where the settings and the listener both say so', async t => {
  const open = setUp().authenticator
  t.same(open.authenticate(credentials()), {
    type: 'granted',
    identity: { clientId: 'c1', username: undefined, roles: [], by: 'anonymous' }
  })
  const refusal = { type: 'refused', reason: 'not-authorized' }
  t.match(open.authenticate(credentials(undefined, undefined, { ...peer, anonymousAllowed: false })), refusal)
  t.match(open.authenticate({ ...credentials(), peer: undefined }), refusal, 'nobody vouches for the listener')
  t.match(setUp({}, false).authenticator.authenticate(credentials()), refusal)
})

t.test('credentials that nothing can check make nobody', async t => {
  const authenticator = new BuiltInAuthenticator({ anonymous: true, certificateIdentity: 'commonName' }, undefined)
  t.match(authenticator.authenticate(credentials('alice', 'secret')), {
    type: 'granted',
    identity: { username: undefined, by: 'anonymous' }
  })
  const closed = new BuiltInAuthenticator({ anonymous: false, certificateIdentity: 'commonName' }, undefined)
  t.match(closed.authenticate(credentials('alice', 'secret')), { type: 'refused' })
})

t.test('a password without a username is wrong where passwords are checked', async t => {
  t.ok(isRefused(await setUp().authenticator.authenticate(credentials(undefined, 'secret'))))
})

t.test('a verified client certificate is an identity', async t => {
  const { authenticator, hasher } = setUp({ alice: 'secret' }, false)
  const identity = { clientId: 'c1', username: 'd1', roles: ['certificate'], by: 'certificate' }
  t.same(authenticator.authenticate(credentials(undefined, undefined, withCertificate)), { type: 'granted', identity })
  t.same(
    authenticator.authenticate(credentials('d1', undefined, withCertificate)),
    { type: 'granted', identity },
    'also when the username repeats it'
  )
  t.equal(hasher.asked.length, 0)
  t.ok(
    isRefused(await authenticator.authenticate(credentials('alice', undefined, withCertificate))),
    'it does not vouch for other names'
  )
  t.match(await authenticator.authenticate(credentials('alice', 'secret', withCertificate)), {
    identity: { username: 'alice', by: 'password' }
  })
})

t.test('without a password file the username may only repeat the certificate', async t => {
  const authenticator = new BuiltInAuthenticator({ anonymous: true, certificateIdentity: 'commonName' }, undefined)
  t.match(authenticator.authenticate(credentials('d1', 'x', withCertificate)), {
    identity: { username: 'd1', by: 'certificate' }
  })
  t.match(authenticator.authenticate(credentials('alice', 'x', withCertificate)), { type: 'refused', reason: 'not-authorized' })
})

t.test('the fingerprint is the identity where the settings say so, and a certificate without a name is none', async t => {
  const byFingerprint = new BuiltInAuthenticator({ anonymous: false, certificateIdentity: 'fingerprint' }, undefined)
  t.match(byFingerprint.authenticate(credentials(undefined, undefined, withCertificate)), { identity: { username: 'AB:CD' } })
  const nameless = { ...withCertificate, certificate: { ...certificate, commonName: '' } }
  t.match(setUp().authenticator.authenticate(credentials(undefined, undefined, nameless)), {
    type: 'refused',
    reason: 'not-authorized'
  })
})
