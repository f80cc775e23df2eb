import { t } from 'tap'
import { compileJsonSchema } from '../../lib/schema/json-schema.ts'
import { Payload, type PayloadLimits } from '../../lib/schema/payload.ts'

const limits: PayloadLimits = { maxBytes: 1000, maxDepth: 4 }
const schema = {
  type: 'object',
  properties: { n: { type: 'number', maximum: 10 }, kind: { enum: ['a', 'b'] }, at: { type: 'string', format: 'date-time' } },
  required: ['n'],
  additionalProperties: false
}
const check = compileJsonSchema(schema, 'reading')

function problemOf(text: string | Buffer, changed: Partial<PayloadLimits> = {}) {
  const bytes = Buffer.concat([Buffer.from('..'), Buffer.from(text), Buffer.from('..')])
  return new Payload(bytes, 2, bytes.length - 2).check(check, { ...limits, ...changed })
}

t.test('valid JSON under the schema has no problem', async t => {
  t.equal(problemOf('{"n":1,"kind":"a","at":"2026-11-24T02:00:00Z"}'), undefined)
})

t.test('the first error is named with its JSON pointer', async t => {
  t.same(problemOf('{"n":11}'), { fault: 'invalid', text: '/n must be <= 10' })
  t.same(problemOf('{}'), { fault: 'invalid', text: "the document must have required property 'n'" })
  t.same(problemOf('{"n":1,"kind":"c"}'), {
    fault: 'invalid',
    text: '/kind must be equal to one of the allowed values ["a","b"]'
  })
  t.same(problemOf('{"n":1,"at":"yesterday"}'), { fault: 'invalid', text: '/at must match format "date-time"' })
  t.same(problemOf('7'), { fault: 'invalid', text: 'the document must be object' })
})

t.test('what a client chose fits into a Reason String', async t => {
  const { text } = problemOf('{"n":1,"\\u0000\\ud800":2}')!
  t.equal(text, 'the document must NOT have additional properties ("\\u0000\\ud800")')
  const long = problemOf(JSON.stringify({ n: 1, ['x'.repeat(600)]: 1 }))!
  t.ok(long.text.length <= 301)
})

t.test('what is no JSON is named as such', async t => {
  for (const text of ['', '{', 'NaN', '\ufeff{}', "{'n':1}"])
    t.same(problemOf(text), { fault: 'not-json', text: 'the payload is not JSON' })
  t.match(problemOf(Buffer.from([0x22, 0xff, 0x22])), { fault: 'not-json', text: /not UTF-8/ })
})

t.test('large payloads and deep ones are not looked at', async t => {
  t.match(problemOf('{"n":1}', { maxBytes: 6 }), { fault: 'too-large', text: /7 bytes, more than the 6/ })
  t.match(problemOf('[[[[[]]]]]'), { fault: 'too-deep' })
  t.match(problemOf('[[[[]]]]'), { fault: 'invalid' }, 'four levels are not deeper than four')
  t.match(problemOf('["[[[[[[[[[[[[\\"[[[[["]'), { fault: 'invalid' }, 'brackets in strings are none')
  const million = Buffer.alloc(1_000_000, '[')
  t.match(problemOf(million, { maxBytes: 2_000_000, maxDepth: 64 }), { fault: 'too-deep' })
})

t.test('a payload is parsed once for all schemas that ask', async t => {
  const bytes = Buffer.from('{"n":1}')
  const payload = new Payload(bytes, 0, bytes.length)
  t.equal(payload.check(check, limits), undefined)
  bytes.fill(0)
  t.match(payload.check(compileJsonSchema({ type: 'array' }, 'other'), limits), { fault: 'invalid' })
})
