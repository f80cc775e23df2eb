import { t } from 'tap'
import { saslPrepared } from '../../lib/access/saslprep.ts'
import { formatScramVerifier, parseScramVerifier, scramVerifier } from '../../lib/access/scram-verifier.ts'

const text = formatScramVerifier(await scramVerifier('pencil', { iterations: 4096, salt: Buffer.alloc(16, 7) }))

t.test('a verifier comes back from its text as it was', async t => {
  t.match(text, /^\$scram-sha-256\$i=4096\$BwcHBwcHBwcHBwcHBwcHBw\$[^:$,=]{43}\$[^:$,=]{43}$/)
  const read = parseScramVerifier(text)
  t.same(read, await scramVerifier('pencil', { iterations: 4096, salt: Buffer.alloc(16, 7) }))
  t.equal(read?.storedKey.length, 32)
  t.equal(read?.serverKey.length, 32)
})

t.test('each verifier has a salt of its own and iterations enough', async t => {
  const [one, two] = await Promise.all([scramVerifier('pencil'), scramVerifier('pencil')])
  t.not(one.salt.toString('hex'), two.salt.toString('hex'))
  t.notSame(one.storedKey, two.storedKey)
  t.ok(one.iterations >= 4096)
})

t.test('fewer iterations than RFC 7677 allows, or a number nobody waits for, are refused', async t => {
  for (const iterations of [0, 4095, 4096.5, 10_000_001, Number.NaN]) {
    await t.rejects(scramVerifier('pencil', { iterations }), RangeError, String(iterations))
  }
})

t.test('any other text is no verifier', async t => {
  const [, , rounds = '', salt = '', stored = '', server = ''] = text.split('$')
  for (const other of [
    '',
    'pencil',
    text.slice(1),
    `${text}$`,
    `${text}=`,
    text.replace('scram-sha-256', 'scram-sha-1'),
    text.replace(rounds, 'i=4095'),
    text.replace(rounds, 'i=04096'),
    text.replace(rounds, 'i=10000001'),
    text.replace(`$${salt}$`, '$$'),
    text.replace(`$${salt}$`, '$A$'),
    text.replace(stored, stored.slice(1)),
    // The last of 43 characters stands for four bits: its others must be zero.
    `${text.slice(0, -1)}${server.endsWith('B') ? 'C' : 'B'}`
  ]) {
    t.equal(parseScramVerifier(other), undefined, other)
  }
})

t.test('RFC 4013: passwords mean the same whatever they are typed with', async t => {
  t.equal(saslPrepared('I\u00adX'), 'IX', 'a soft hyphen goes')
  t.equal(saslPrepared('user'), 'user')
  t.equal(saslPrepared('USER'), 'USER', 'letters keep their case')
  t.equal(saslPrepared('\u00aa'), 'a')
  t.equal(saslPrepared('\u2168'), 'IX')
  t.equal(saslPrepared('a\u00a0b\u3000c'), 'a b c')
  t.equal(saslPrepared('e\u0301'), '\u00e9')
  t.equal(saslPrepared('\u0007'), '\u0007', 'what is prohibited stays as it is')
  t.equal(saslPrepared('\u00aa\u0007'), '\u00aa\u0007')
  const salt = Buffer.alloc(16)
  t.same(await scramVerifier('\u2168', { salt }), await scramVerifier('IX', { salt }))
})
