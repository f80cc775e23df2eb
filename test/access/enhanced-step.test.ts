import { t } from 'tap'
import { checkedStep } from '../../lib/access/enhanced-step.ts'

const granted = (identity: unknown, data?: unknown) => ({ type: 'granted', identity, data })

t.test('answers of the contract pass as they are', async t => {
  for (const answer of [
    { type: 'continue' },
    { type: 'continue', data: new Uint8Array([1]) },
    granted({ username: 'alice', roles: ['writer'], by: 'password' }, Buffer.alloc(65_535)),
    granted({ username: undefined }),
    { type: 'refused', reason: 'banned', message: 'no' },
    { type: 'unavailable', cause: new Error('no database') }
  ]) {
    t.equal(checkedStep(answer), answer)
  }
})

t.test('anything else is an error that says what is wrong, never a way in', async t => {
  const wrong: [unknown, RegExp][] = [
    [undefined, /is no object/],
    [null, /is no object/],
    [true, /is no object/],
    [{}, /has a type/],
    [{ type: 'allow' }, /has a type/],
    [{ type: 'continue', data: 'text' }, /data that are no bytes/],
    [{ type: 'continue', data: Buffer.alloc(65_536) }, /more than 65535 bytes/],
    [granted(undefined), /without an identity/],
    [granted(null), /without an identity/],
    [granted('alice'), /without an identity/],
    [granted({ username: 1 }), /username that is no text/],
    [granted({ username: null }), /username that is no text/],
    [granted({ username: 'a', roles: 'writer' }), /roles that are no list/],
    [granted({ username: 'a', roles: [1] }), /roles that are no list/],
    [granted({ username: 'a', by: 'magic' }), /by unknown means/],
    [granted({ username: 'a' }, 'text'), /data that are no bytes/],
    [{ type: 'refused', message: 'no' }, /a reason that is none of/],
    [{ type: 'refused', reason: 'ugly', message: 'no' }, /a reason that is none of/],
    [{ type: 'refused', reason: 'banned' }, /has no message/]
  ]
  for (const [answer, message] of wrong) {
    t.throws(() => checkedStep(answer), { name: 'TypeError', message }, JSON.stringify(answer)?.slice(0, 60))
  }
})
