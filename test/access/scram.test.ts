import fc from 'fast-check'
import { t } from 'tap'
import type { EnhancedStart, EnhancedStep } from '../../lib/access/contract.ts'
import { ScramSha256, type ScramUser, type ScramUsers } from '../../lib/access/scram.ts'
import { parseClientFirst } from '../../lib/access/scram-messages.ts'
import { scramVerifier } from '../../lib/access/scram-verifier.ts'
import { ScramClient } from '../support/scram-client.ts'

/** RFC 7677 section 3. */
const vector = {
  clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  serverFirst: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  clientFinal: 'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='
}
const user: ScramUser = {
  verifier: await scramVerifier('pencil', { iterations: 4096, salt: Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64') }),
  roles: ['writer']
}
const odd: ScramUser = { verifier: await scramVerifier('pencil', { iterations: 4096 }), roles: [] }

class Users implements ScramUsers {
  readonly decoy = { secret: Buffer.from('secret'), iterations: 4096 }
  readonly known = new Map([
    ['user', user],
    ['a,b=c', odd]
  ])

  find(username: string): ScramUser | undefined {
    return this.known.get(username)
  }
}

const start: EnhancedStart = {
  method: 'SCRAM-SHA-256',
  clientId: 'c',
  username: undefined,
  password: undefined,
  peer: undefined,
  current: undefined
}

function begin(users: ScramUsers = new Users(), changes: Partial<EnhancedStart> = {}) {
  const exchange = new ScramSha256(users, () => vector.serverNonce).begin({ ...start, ...changes })
  return (text?: string | Buffer) => Promise.resolve(exchange.step(text === undefined ? undefined : Buffer.from(text)))
}

const textOf = (step: EnhancedStep) => ('data' in step && step.data ? Buffer.from(step.data).toString() : undefined)
const refused = { type: 'refused', reason: 'not-authorized' }
const wrong = { type: 'refused', reason: 'bad-credentials', message: 'username or password is wrong' }

t.test('the exchange of RFC 7677 comes out byte by byte', async t => {
  const step = begin()
  const challenge = await step(vector.clientFirst)
  t.equal(challenge.type, 'continue')
  t.equal(textOf(challenge), vector.serverFirst)
  const last = await step(vector.clientFinal)
  t.match(last, { type: 'granted', identity: { username: 'user', roles: ['writer'], by: 'password' } })
  t.equal(textOf(last), vector.serverFinal)
})

t.test("the tests' own client writes what RFC 7677 shows", async t => {
  const client = new ScramClient('user', 'pencil', { nonce: 'rOprNGfwEbeRWgbNEkqO' })
  t.equal(client.first().toString(), vector.clientFirst)
  t.equal(client.final(Buffer.from(vector.serverFirst)).toString(), vector.clientFinal)
  t.ok(client.trusts(Buffer.from(vector.serverFinal)))
  t.notOk(client.trusts(Buffer.from(vector.serverFinal.replace('6', '7'))))
})

t.test('a client that sends nothing is asked for its first message, once', async t => {
  const step = begin()
  t.same(await step(), { type: 'continue' })
  t.equal(textOf(await step(vector.clientFirst)), vector.serverFirst)
  const silent = begin()
  await silent()
  t.match(await silent(), refused)
})

t.test('commas and equals signs in names travel escaped', async t => {
  const client = new ScramClient('a,b=c', 'pencil')
  const step = begin()
  t.match(client.first().toString(), /n=a=2Cb=3Dc,/)
  const challenge = await step(client.first())
  t.match(await step(client.final(Buffer.from(textOf(challenge) ?? ''))), { type: 'granted', identity: { username: 'a,b=c' } })
})

t.test('a wrong password and a name nobody has are refused in the same words after the same steps', async t => {
  for (const [name, password] of [
    ['user', 'pencils'],
    ['nobody', 'pencil']
  ] as const) {
    const client = new ScramClient(name, password)
    const step = begin()
    const challenge = await step(client.first())
    t.match(textOf(challenge), /^r=.+,s=[A-Za-z0-9+/]{22}==,i=4096$/, name)
    t.same(await step(client.final(Buffer.from(textOf(challenge) ?? ''))), wrong, name)
  }
})

t.test('a name nobody has keeps its salt, and no two names share one', async t => {
  const saltOf = async (name: string) => /s=([^,]+)/.exec(textOf(await begin()(`n,,n=${name},r=x`)) ?? '')?.[1]
  t.equal(await saltOf('nobody'), await saltOf('nobody'))
  t.not(await saltOf('nobody'), await saltOf('nobody2'))
})

t.test('what is changed between the two messages counts: a new password, new roles, a user removed', async t => {
  const users = new Users()
  const half = async () => {
    const step = begin(users)
    await step(vector.clientFirst)
    return () => step(vector.clientFinal)
  }
  const afterRoles = await half()
  users.known.set('user', { ...user, roles: ['reader'] })
  t.match(await afterRoles(), { type: 'granted', identity: { roles: ['reader'] } })
  const afterPassword = await half()
  users.known.set('user', odd)
  t.same(await afterPassword(), wrong)
  users.known.set('user', user)
  const afterRemoval = await half()
  users.known.delete('user')
  t.same(await afterRemoval(), wrong)
})

t.test('users may come from a database that answers later', async t => {
  const known = new Users()
  const step = begin({ decoy: known.decoy, find: async name => known.find(name) })
  await step(vector.clientFirst)
  t.match(await step(vector.clientFinal), { type: 'granted' })
  const broken = begin({
    decoy: known.decoy,
    find: async () => {
      throw new Error('no database')
    }
  })
  await t.rejects(broken(vector.clientFirst), /no database/)
})

t.test('a client that supports channel binding is served without, one that demands it is not', async t => {
  const client = new ScramClient('user', 'pencil', { header: 'y,,' })
  const step = begin()
  const challenge = await step(client.first())
  t.match(await step(client.final(Buffer.from(textOf(challenge) ?? ''))), { type: 'granted' })
  t.match(await begin()('p=tls-unique,,n=user,r=x'), { ...refused, message: /channel binding/ })
})

t.test('nobody acts on behalf of somebody else', async t => {
  const own = new ScramClient('user', 'pencil', { header: 'n,a=user,' })
  const step = begin()
  const challenge = await step(own.first())
  t.match(await step(own.final(Buffer.from(textOf(challenge) ?? ''))), { type: 'granted' })
  t.match(await begin()('n,a=admin,n=user,r=x'), refused)
  t.match(await begin()('n,a=,n=user,r=x'), { type: 'continue' }, 'an empty one is nobody else')
})

t.test('a User Name in CONNECT must be the one that is proved', async t => {
  t.match(await begin(new Users(), { username: 'admin' })(vector.clientFirst), refused)
  t.match(await begin(new Users(), { username: 'user' })(vector.clientFirst), { type: 'continue' })
})

t.test('malformed client-first-messages are refused, whatever is wrong with them', async t => {
  for (const message of [
    '',
    'n',
    'n,,',
    'x,,n=user,r=x',
    'n,b=user,n=user,r=x',
    'n,a=a=b,n=user,r=x',
    'n,,m=x,n=user,r=x',
    'n,,n=,r=x',
    'n,,user,r=x',
    'n,,n=us=er,r=x',
    'n,,n=us=2cer,r=x',
    'n,,n=user',
    'n,,n=user,r=',
    'n,,n=user,r=x y',
    'n,,n=user,r=xé',
    'n,,n=user,r=x,',
    'n,,n=user,r=x,oops',
    'n,,n=us\0er,r=x',
    Buffer.from([0x6e, 0x2c, 0x2c, 0x6e, 0x3d, 0xff, 0x2c, 0x72, 0x3d, 0x78]),
    `n,,n=user,r=${'x'.repeat(4096)}`
  ]) {
    t.match(
      await begin()(message),
      { ...refused, message: /^the client-first-message / },
      JSON.stringify(message.toString().slice(0, 40))
    )
  }
  t.match(await begin()('n,,n=user,r=x,z=an extension nobody has to know'), { type: 'continue' })
})

t.test('malformed client-final-messages, and those of another exchange, are refused', async t => {
  const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
  const proof = 'p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ='
  for (const message of [
    undefined,
    '',
    proof,
    `c=biws,${proof}`,
    `r=${nonce},c=biws,${proof}`,
    `c=biws,r=${nonce}`,
    `c=biws,r=${nonce},p=`,
    `c=biws,r=${nonce},p=AAAA`,
    `c=biws,r=${nonce},${proof},z=after the proof`,
    `c=biws,r=${nonce},oops,${proof}`,
    `c=biw,r=${nonce},${proof}`,
    `c=eSws,r=${nonce},${proof}`,
    `c=biws,r=${nonce}x,${proof}`,
    `c=biws,r=rOprNGfwEbeRWgbNEkqO,${proof}`,
    vector.clientFinal.replace('AndVQ=', 'AndVR='),
    vector.clientFinal.slice(0, -1),
    `${vector.clientFinal}\n`
  ]) {
    const step = begin()
    await step(vector.clientFirst)
    t.match(await step(message), refused, message ?? 'nothing')
  }
})

t.test('whatever bytes a client sends, at whichever step, nobody is let in and nothing is thrown', async () => {
  const words = fc.constantFrom(
    'n,,',
    'y,',
    'a=',
    'n=',
    'r=',
    'c=biws',
    'p=',
    ',',
    '=2C',
    '=',
    'user',
    vector.clientFinal,
    '\0',
    'é'
  )
  const message = fc.oneof(
    fc.uint8Array({ maxLength: 80 }).map(bytes => Buffer.from(bytes)),
    fc.array(words, { maxLength: 12 }).map(parts => Buffer.from(parts.join('')))
  )
  await fc.assert(
    fc.asyncProperty(message, fc.boolean(), async (data, second) => {
      const step = begin()
      if (second) await step(vector.clientFirst)
      const answer = await step(data)
      const proved = second && data.equals(Buffer.from(vector.clientFinal))
      return proved ? answer.type === 'granted' : ['refused', second ? 'refused' : 'continue'].includes(answer.type)
    }),
    { numRuns: 500 }
  )
})

t.test('any name that can be said comes out of its message as it was', async () => {
  const name = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }).filter(text => !text.includes('\0'))
  fc.assert(
    fc.property(name, text => {
      const first = parseClientFirst(new ScramClient(text, 'x').first())
      return 'username' in first && first.username === text
    })
  )
})

t.test('each exchange has a nonce of its own', async t => {
  const scram = new ScramSha256(new Users())
  const nonces = new Set<string | undefined>()
  for (let i = 0; i < 20; i++) {
    nonces.add(textOf(await scram.begin(start).step(Buffer.from(vector.clientFirst)))?.split(',')[0])
  }
  t.equal(nonces.size, 20)
  for (const nonce of nonces) t.match(nonce, /^r=rOprNGfwEbeRWgbNEkqO[A-Za-z0-9+/]{24}$/)
})
