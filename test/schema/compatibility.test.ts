import { t } from 'tap'
import { type Compatibility, explainIncompatibility, incompatibilities } from '../../lib/schema/compatibility.ts'
import type { JsonSchema } from '../../lib/schema/json-schema.ts'

type Case = [name: string, old: JsonSchema, next: JsonSchema]

const closed = (properties: object, required: string[] = []) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false
})
const text = { type: 'string' }
const number = { type: 'number' }

const compatible: Case[] = [
  ['the same again, with another title', { ...closed({ a: text }), title: 'A' }, { ...closed({ a: text }), title: 'B' }],
  ['a type is widened', { type: 'integer' }, number],
  ['a type is added', text, { type: ['string', 'null'] }],
  ['integer to a list of numbers and strings', { type: 'integer' }, { type: ['number', 'string'] }],
  ['an optional property of a closed object', closed({ a: text }), closed({ a: text, b: number })],
  ['a property is no longer required', closed({ a: text }, ['a']), closed({ a: text })],
  ['a closed object is opened', closed({ a: text }), { type: 'object', properties: { a: text } }],
  ['an open object stays open and forgets a property', { type: 'object', properties: { a: text } }, { type: 'object' }],
  ['a value is added to an enumeration', { enum: ['a', 'b'] }, { enum: ['a', 'b', 'c'] }],
  ['an enumeration becomes its type', { enum: ['a', 'b'] }, { type: 'string', maxLength: 1 }],
  ['a constant becomes an enumeration', { const: 1 }, { enum: [1, 2] }],
  ['boolean in other words', { type: 'boolean' }, { enum: [false, true] }],
  ['numeric limits are moved apart', { type: 'number', minimum: 0, maximum: 10 }, { minimum: -1, exclusiveMaximum: 11 }],
  ['above 0 is at least 1 for integers', { type: 'integer', exclusiveMinimum: 0 }, { type: 'integer', minimum: 1 }],
  ['a multiple of 6 is a multiple of 3', { type: 'integer', multipleOf: 6 }, { multipleOf: 3 }],
  ['a multiple of 5 is an integer', { type: 'number', multipleOf: 5 }, { type: 'integer' }],
  ['lengths are moved apart', { type: 'string', minLength: 2, maxLength: 4 }, { type: 'string', minLength: 1, maxLength: 5 }],
  ['a pattern is dropped', { type: 'string', pattern: '^a' }, text],
  ['items are widened', { type: 'array', items: { type: 'integer' } }, { type: 'array', items: number }],
  ['a tuple becomes a list', { type: 'array', prefixItems: [text, text], items: false }, { type: 'array', items: text }],
  ['a closed tuple is never long', { type: 'array', prefixItems: [text], items: false }, { type: 'array', maxItems: 1 }],
  ['an alternative is added', { anyOf: [text, number] }, { anyOf: [number, text, { type: 'null' }] }],
  ['types become alternatives', { type: ['string', 'number'] }, { anyOf: [text, number] }],
  ['alternatives become types', { anyOf: [text, number] }, { type: ['string', 'number'] }],
  [
    'an alternative is added that a constant tells apart',
    { oneOf: [closed({ kind: { const: 'a' } }, ['kind'])] },
    { oneOf: [closed({ kind: { const: 'a' } }, ['kind']), closed({ kind: { const: 'b' }, n: number }, ['kind'])] }
  ],
  ['a reference in place of what it leads to', closed({ a: text }), { $ref: '#/$defs/it', $defs: { it: closed({ a: text }) } }],
  ['an anchor', { $ref: '#it', $defs: { it: { $anchor: 'it', type: 'integer' } } }, number],
  [
    'a list that refers to itself gets an optional property',
    { $defs: { n: closed({ next: { $ref: '#/$defs/n' } }) }, $ref: '#/$defs/n' },
    { $defs: { m: closed({ next: { $ref: '#/$defs/m' }, v: number }) }, $ref: '#/$defs/m' }
  ],
  ['allOf is the same as one schema', { allOf: [{ type: 'object' }, { required: ['a'] }] }, { type: 'object', required: ['a'] }],
  ['not is left as it was', { type: 'string', not: { minLength: 3 } }, { not: { minLength: 3 } }],
  ['less is excluded', { type: 'string', not: { minLength: 2 } }, { type: 'string', not: { minLength: 3 } }],
  ['contains is left as it was', { type: 'array', contains: text, maxItems: 3 }, { type: 'array', contains: text }],
  ['a property asked for anyway', closed({ a: text, b: text }, ['b']), { dependentRequired: { a: ['b'] } }],
  [
    'a condition becomes its outcome',
    JSON.parse('{ "if": { "type": "string" }, "then": { "maxLength": 3 } }'),
    { anyOf: [{ maxLength: 3 }] }
  ],
  ['names of a closed object', closed({ ab: text }), { type: 'object', propertyNames: { maxLength: 2 } }],
  [
    'a pattern for names in place of single ones',
    closed({ x1: text, x2: text }),
    { type: 'object', patternProperties: { '^x': text }, additionalProperties: false }
  ],
  [
    'unevaluatedProperties is left as it was',
    { allOf: [{ properties: { a: text } }], unevaluatedProperties: false },
    {
      allOf: [{ properties: { a: text } }],
      unevaluatedProperties: false,
      title: 'the same'
    }
  ],
  ['nothing was accepted', false, text],
  ['everything is accepted', { type: 'string', pattern: 'x' }, true]
]

const incompatible: [...Case, pointer: string, decided: boolean][] = [
  ['a type is narrowed', number, { type: 'integer' }, '/type', true],
  ['a type is exchanged', text, number, '/type', true],
  ['a property is required from now on', closed({ a: text }), closed({ a: text }, ['a']), '/required', true],
  ['a property of a closed object goes', closed({ a: text, b: text }), closed({ a: text }), '/additionalProperties', true],
  ['an open object is closed', { type: 'object' }, closed({}), '/additionalProperties', true],
  ['a new property of an open object', { type: 'object' }, { type: 'object', properties: { a: text } }, '/properties/a', true],
  ['a property is narrowed', closed({ a: number }), closed({ a: { type: 'integer' } }), '/properties/a/type', true],
  ['a value is taken from an enumeration', { enum: ['a', 'b'] }, { enum: ['a'] }, '/enum', true],
  ['a type becomes an enumeration', text, { enum: ['a'] }, '/enum', true],
  ['a lower limit is raised', { type: 'number', minimum: 0 }, { type: 'number', minimum: 1 }, '/minimum', true],
  ['an upper limit is set', number, { type: 'number', maximum: 1e9 }, '/maximum', true],
  ['a limit is closed', { type: 'number', minimum: 0 }, { type: 'number', exclusiveMinimum: 0 }, '/exclusiveMinimum', true],
  ['a length is lowered', { type: 'string', maxLength: 9 }, { type: 'string', maxLength: 8 }, '/maxLength', true],
  ['a pattern is set', text, { type: 'string', pattern: '^a' }, '/pattern', true],
  ['a pattern is exchanged', { type: 'string', pattern: '^ab' }, { type: 'string', pattern: '^a' }, '/pattern', false],
  ['items are narrowed', { type: 'array', items: number }, { type: 'array', items: { type: 'integer' } }, '/items/type', true],
  ['items have to differ', { type: 'array' }, { type: 'array', uniqueItems: true }, '/uniqueItems', true],
  ['an alternative goes', { anyOf: [text, number] }, { anyOf: [text] }, '/anyOf', false],
  ['two alternatives accept the same', { oneOf: [text] }, { oneOf: [text, { minLength: 1 }] }, '/oneOf', false],
  ['something is excluded', text, { type: 'string', not: { const: 'a' } }, '/not', false],
  ['a name in the pointer is escaped', closed({ 'a/b~c': number }), closed({ 'a/b~c': text }), '/properties/a~1b~0c/type', true],
  ['a reference to somewhere else', text, { $ref: 'https://example.com/other.json' }, '/$ref', false],
  ['a multiple that is none', { type: 'integer', multipleOf: 3 }, { multipleOf: 2 }, '/multipleOf', true],
  ['nothing is accepted any more', text, false, '', true]
]

for (const [name, old, next] of compatible) {
  t.test(`backward compatible: ${name}`, async t => {
    t.same(incompatibilities(old, next, 'backward').map(explainIncompatibility), [])
    t.same(incompatibilities(next, old, 'forward').map(explainIncompatibility), [], 'and forward the other way round')
  })
}

for (const [name, old, next, pointer, decided] of incompatible) {
  t.test(`not backward compatible: ${name}`, async t => {
    const [first] = incompatibilities(old, next, 'backward')
    t.match(first, { direction: 'backward', pointer, decided })
    t.match(incompatibilities(next, old, 'forward')[0], { direction: 'forward', pointer, decided })
    t.same(incompatibilities(old, next, 'none'), [], 'none lets it pass')
  })
}

t.test('full asks for both directions and says which one fails', async t => {
  const old = closed({ a: text })
  const next = closed({ a: text, b: text })
  const directions = (mode: Compatibility) => incompatibilities(old, next, mode).map(({ direction }) => direction)
  t.same(directions('full'), ['forward'])
  t.same(directions('backward'), [])
  t.same(directions('forward'), ['forward'])
})

t.test('a reason shows the pointer and both sides', async t => {
  const found = incompatibilities(closed({ a: { maxLength: 9 } }), closed({ a: { maxLength: 8 } }), 'backward')
  t.same(found.map(explainIncompatibility), [
    'backward: /properties/a/maxLength: maxLength leaves out values that were accepted (old: 9; new: 8)'
  ])
})

t.test('a comparison that would take too long cannot be decided', async t => {
  const wide = (size: number) => ({
    allOf: Array.from({ length: size }, (_, i) => ({ anyOf: [{ minLength: i }, { type: 'null' }] }))
  })
  const [first] = incompatibilities(wide(40), wide(41), 'backward')
  t.equal(first?.decided, false)
})
