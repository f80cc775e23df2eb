import fc from 'fast-check'
import { t } from 'tap'
import { incompatibilities } from '../../lib/schema/compatibility.ts'
import { compileJsonSchema, type JsonSchema } from '../../lib/schema/json-schema.ts'

/** ajv is the judge: what the checker calls compatible must be so for every value. Names and numbers are few, so that values hit. */

const names = ['a', 'b', 'ab'] as const
const small = fc.integer({ min: -2, max: 4 })
const count = fc.integer({ min: 0, max: 3 })
const scalar = fc.oneof(small, fc.constantFrom<unknown>('', 'a', 'ab', 'abc', null, true, false, 0.5, 1.5))

const { value } = fc.letrec(tie => ({
  value: fc.oneof(
    { maxDepth: 2, depthIdentifier: 'value' },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...names), tie('value'), { maxKeys: 3, noNullPrototype: true })
  )
}))

const typeName = fc.constantFrom('null', 'boolean', 'object', 'array', 'string', 'integer', 'number')
const name = fc.constantFrom(...names)
const optional = { requiredKeys: [] as never[] }

const { schema } = fc.letrec<{ schema: JsonSchema }>(tie => {
  const inner = tie('schema')
  const listOfSchemas = fc.array(inner, { minLength: 1, maxLength: 2 })
  const numbers = fc.record(
    { minimum: small, exclusiveMinimum: small, maximum: small, exclusiveMaximum: small, multipleOf: fc.constantFrom(1, 2, 0.5) },
    optional
  )
  const strings = fc.record({ minLength: count, maxLength: count, pattern: fc.constantFrom('^a', 'b$') }, optional)
  const objects = fc.record(
    {
      properties: fc.dictionary(name, inner, { maxKeys: 2 }),
      patternProperties: fc.dictionary(fc.constantFrom('^a', 'b$'), inner, { maxKeys: 1 }),
      additionalProperties: inner,
      required: fc.uniqueArray(name, { maxLength: 2 }),
      minProperties: count,
      maxProperties: count,
      propertyNames: strings,
      dependentRequired: fc.dictionary(name, fc.uniqueArray(name, { maxLength: 1 }), { maxKeys: 1 }),
      dependentSchemas: fc.dictionary(name, inner, { maxKeys: 1 })
    },
    optional
  )
  const arrays = fc
    .record(
      {
        prefixItems: listOfSchemas,
        items: inner,
        minItems: count,
        maxItems: count,
        uniqueItems: fc.boolean(),
        contains: inner
      },
      optional
    )
    .map(withoutContainsBesidePrefix)
  const combined = fc.oneof(
    fc.record({ allOf: listOfSchemas }),
    fc.record({ anyOf: listOfSchemas }),
    fc.record({ oneOf: listOfSchemas }),
    fc.record({ not: inner }),
    fc.tuple(inner, inner, inner).map(([condition, yes, no]) => ({ if: condition, else: no, ...outcome(yes) })),
    fc.constant({ $ref: '#/$defs/it' }),
    fc.record({ unevaluatedProperties: fc.boolean(), allOf: listOfSchemas })
  )
  const typed = fc.record({ type: fc.oneof(typeName, fc.uniqueArray(typeName, { minLength: 1, maxLength: 3 })) }, optional)
  const mixed = (other: fc.Arbitrary<object>) => fc.tuple(typed, other).map(([type, rest]): JsonSchema => ({ ...type, ...rest }))
  return {
    schema: fc.oneof(
      { maxDepth: 2, depthIdentifier: 'schema', withCrossShrink: true },
      typed as fc.Arbitrary<JsonSchema>,
      fc.boolean() as fc.Arbitrary<JsonSchema>,
      fc.record({ const: scalar }) as fc.Arbitrary<JsonSchema>,
      fc.record({ enum: fc.uniqueArray(scalar, { minLength: 1, maxLength: 3 }) }) as fc.Arbitrary<JsonSchema>,
      mixed(numbers),
      mixed(strings),
      mixed(objects),
      mixed(arrays),
      mixed(combined)
    )
  }
})

/** ajv 8 forgets `contains` for arrays that are shorter than `prefixItems`, and is no judge of that. */
function withoutContainsBesidePrefix({ contains, ...rest }: { contains?: unknown; prefixItems?: unknown }): object {
  return rest.prefixItems === undefined && contains !== undefined ? { ...rest, contains } : rest
}

/** Spelt like this because an object with a property of that name is taken for a promise by linters. */
function outcome(schema: JsonSchema): object {
  return Object.fromEntries([['then', schema]])
}

/** A document whose `#/$defs/it` exists; never a reference to itself alone, which has no meaning. */
const document = fc.tuple(schema, schema).map(([root, it]): JsonSchema => {
  const target = JSON.stringify(it).includes('$ref') ? { type: 'string' } : it
  return { ...(typeof root === 'boolean' ? (root ? {} : { not: {} }) : root), $defs: { it: target } }
})

/** One change at a random place: what somebody does who edits a schema. */
function changed(old: JsonSchema, place: number, kind: number, other: JsonSchema): JsonSchema {
  const copy = structuredClone(old)
  const objects: Record<string, unknown>[] = []
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    if (!Array.isArray(value)) objects.push(value as Record<string, unknown>)
    for (const child of Object.values(value)) walk(child)
  }
  walk(copy)
  const target = objects[place % objects.length]!
  const keywords = Object.keys(target).filter(keyword => keyword !== '$defs' && keyword !== 'it')
  const keyword = keywords[kind % Math.max(1, keywords.length)]
  if (keyword === undefined || kind % 5 === 4) Object.assign(target, other)
  else if (typeof target[keyword] === 'number') target[keyword] = (target[keyword] as number) + (kind % 2 === 0 ? 1 : -1)
  else if (Array.isArray(target[keyword]) && kind % 3 > 0) (target[keyword] as unknown[]).pop()
  else delete target[keyword]
  return copy
}

const edited = fc.tuple(document, fc.nat(), fc.nat(), schema).map(([old, place, kind, other]) => {
  return { old, next: changed(old, place, kind, other) }
})
const unrelated = fc.record({ old: document, next: document })

t.test('what the checker calls backward compatible accepts every value that was accepted before', async t => {
  const seen = { pairs: 0, compatible: 0, valid: 0, narrowed: 0 }
  const property = fc.property(fc.oneof(edited, unrelated), fc.array(value, { minLength: 20, maxLength: 40 }), (pair, values) => {
    const checks = judged(pair.old) && judged(pair.next) ? compileBoth(pair.old, pair.next) : undefined
    if (checks === undefined) return
    const problems = incompatibilities(pair.old, pair.next, 'backward')
    seen.pairs++
    const lost = values.filter(value => checks.old(value) === undefined && checks.next(value) !== undefined)
    if (problems.length > 0) {
      if (lost.length > 0) seen.narrowed++
      return
    }
    seen.compatible++
    seen.valid += values.filter(value => checks.old(value) === undefined).length
    if (lost.length > 0) throw new Error(`${JSON.stringify(lost[0])} was accepted, and the checker says nothing was lost`)
  })
  fc.assert(property, { numRuns: Number(process.env.SCHEMA_RUNS ?? 300), ...seedFrom(process.env.SCHEMA_SEED) })
  t.comment(JSON.stringify(seen))
  t.ok(seen.compatible > seen.pairs / 10, 'it says yes often enough to be put to the test')
  t.ok(seen.narrowed > seen.pairs / 50, 'and was right to say no')
  t.ok(seen.valid > seen.compatible, 'with values that count')
})

t.test('every schema is compatible with itself in other clothes', async t => {
  const property = fc.property(document, old => {
    if (compileBoth(old, old) === undefined || typeof old === 'boolean') return
    const dressed: JsonSchema = { title: 'the same', ...old, $comment: 'in other words' }
    const problems = incompatibilities(old, dressed, 'full')
    if (problems.length > 0) throw new Error(JSON.stringify(problems[0]))
  })
  fc.assert(property, { numRuns: 200 })
  t.pass('for all that were tried')
})

/** An edit may bring the two together as well. */
function judged(schema: JsonSchema): boolean {
  const text = JSON.stringify(schema)
  return !(text.includes('"prefixItems"') && text.includes('"contains"'))
}

function compileBoth(old: JsonSchema, next: JsonSchema) {
  try {
    return { old: compileJsonSchema(old, 'old'), next: compileJsonSchema(next, 'next') }
  } catch {
    // An edit may leave what is no schema.
    return undefined
  }
}

function seedFrom(text: string | undefined): { seed?: number } {
  return text === undefined ? {} : { seed: Number(text) }
}
