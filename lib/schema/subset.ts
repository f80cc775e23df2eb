import { compareArrays } from './compare-arrays.ts'
import { compareObjects } from './compare-objects.ts'
import { compareScalars } from './compare-scalars.ts'
import { Facts, kinds, kindsOf } from './facts.ts'
import { type Narrowing, narrowing, undecided } from './problem.ts'
import { sameSchema } from './same-schema.ts'
import { childOf, fact, negation, type SchemaNode } from './schema-document.ts'

/**
 * Is every value that one schema accepts accepted by another one?
 *
 * The answer is careful: none of the problems found means yes, for certain. Problems may also mean that it cannot be told, which
 * they then say. The walk goes over the keywords of the schema that should accept (`outer`), and asks of each whether it follows
 * from what is known of the value (`inner`, schemas that all hold). Where that is not enough it looks at the alternatives of the
 * inner schema one by one. Enumerations are decided by ajv, value by value.
 */
export class Subset {
  #steps = 0
  /** Comparisons under way, with how deep in the value they began: a schema that refers to itself comes back to them. */
  readonly #active = new Map<string, number>()
  readonly #names = new Map<SchemaNode['document'], number>()

  /** `depth` counts the levels of the value, `split` names alternatives that were taken apart before. */
  within(inner: readonly SchemaNode[], outer: SchemaNode, depth: number, split: ReadonlySet<string> = none): Narrowing[] {
    if (outer.schema === true) return []
    const facts = new Facts(inner)
    if (facts.impossible) return []
    if (outer.schema === false) return [narrowing(outer, '', describe(facts), 'no value is accepted here any more')]
    if (++this.#steps > STEPS_MAX) return [undecided(outer, '', describe(facts), `it takes more than ${STEPS_MAX} steps`)]
    const values = facts.values()
    if (values !== undefined) return compareValues(values, outer)
    if (facts.conjuncts.some(node => sameSchema(node, outer))) return []
    const key = [...inner.map(node => this.#nameOf(node)).sort(), '>', this.#nameOf(outer), ...[...split].sort()].join(' ')
    const since = this.#active.get(key)
    if (since !== undefined) {
      // Below, in a smaller value: whatever breaks the rule there breaks it for the first time somewhere else.
      return depth > since ? [] : [undecided(outer, '', describe(facts), 'the schema refers to itself without an end')]
    }
    if (this.#active.size >= NESTING_MAX) return [undecided(outer, '', describe(facts), 'schemas refer to each other too deeply')]
    this.#active.set(key, depth)
    try {
      const problems = this.#keywords(facts, outer, depth)
      return problems.length === 0 ? [] : this.#branches(facts, outer, depth, split, problems)
    } finally {
      this.#active.delete(key)
    }
  }

  /** For certain there is no value that both accept. */
  disjoint(facts: Facts, other: SchemaNode, depth: number): boolean {
    if (new Facts([...facts.given, other]).impossible) return true
    return facts.excluded.some(excluded => this.within([other], excluded, depth).length === 0)
  }

  #keywords(facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
    const problems: Narrowing[] = []
    const { given } = facts
    for (const [keyword, value] of Object.entries(outer.schema)) {
      if (silentKeywords.has(keyword) || keyword.startsWith('x-')) continue
      if (keyword === '$ref') {
        const target = outer.document.resolve(value)
        if (target === undefined) problems.push(undecided(outer, keyword, describe(facts), 'the reference cannot be followed'))
        else problems.push(...this.within(given, target, depth))
      } else if (keyword === 'allOf') {
        for (const [i] of listOf(value).entries()) problems.push(...this.within(given, childOf(outer, keyword, i), depth))
      } else if (keyword === 'anyOf') problems.push(...this.#anyOf(facts, outer, depth))
      else if (keyword === 'oneOf') problems.push(...this.#oneOf(facts, outer, depth))
      else if (keyword === 'not') problems.push(...this.#not(facts, outer, depth))
      else if (keyword === 'if') problems.push(...this.#conditional(facts, outer, depth))
      else if (!compared.has(keyword)) problems.push(undecided(outer, keyword, describe(facts), `${keyword} is not compared`))
    }
    problems.push(...compareScalars(facts, outer))
    problems.push(...compareObjects(this, facts, outer, depth))
    problems.push(...compareArrays(this, facts, outer, depth))
    return problems
  }

  #anyOf(facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
    const { anyOf } = outer.schema as Record<string, unknown>
    const failed = listOf(anyOf).map((_, i) => this.within(facts.given, childOf(outer, 'anyOf', i), depth))
    if (failed.some(problems => problems.length === 0)) return []
    return [undecided(outer, 'anyOf', describe(facts), 'no alternative alone accepts all of it')]
  }

  #oneOf(facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
    const alternatives = listOf((outer.schema as Record<string, unknown>).oneOf).map((_, i) => childOf(outer, 'oneOf', i))
    const taken = alternatives.findIndex(alternative => this.within(facts.given, alternative, depth).length === 0)
    if (taken < 0) return [undecided(outer, 'oneOf', describe(facts), 'no alternative alone accepts all of it')]
    const also = alternatives.findIndex((alternative, i) => i !== taken && !this.disjoint(facts, alternative, depth))
    if (also < 0) return []
    return [undecided(outer, 'oneOf', describe(facts), `alternatives ${taken} and ${also} may both accept it`)]
  }

  #not(facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
    if (this.disjoint(facts, childOf(outer, 'not'), depth)) return []
    return [undecided(outer, 'not', describe(facts), 'it may be what is excluded')]
  }

  #conditional(facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
    const schema = outer.schema as Record<string, unknown>
    const condition = childOf(outer, 'if')
    const problems: Narrowing[] = []
    if (schema.then !== undefined) problems.push(...this.within([...facts.given, condition], childOf(outer, 'then'), depth))
    if (schema.else !== undefined) {
      problems.push(...this.within([...facts.given, negation(condition)], childOf(outer, 'else'), depth))
    }
    return problems
  }

  /** The alternatives of the inner schema one by one, where all of it at once was too much to say yes to. */
  #branches(facts: Facts, outer: SchemaNode, depth: number, split: ReadonlySet<string>, problems: Narrowing[]): Narrowing[] {
    const [name, branches] = this.#split(facts, outer, split)
    if (name === undefined) return problems
    const done = new Set(split).add(name)
    for (const branch of branches) {
      const failed = this.within([...facts.given, ...branch], outer, depth, done)
      if (failed.length > 0) return failed
    }
    return []
  }

  #split(facts: Facts, outer: SchemaNode, split: ReadonlySet<string>): [name: string | undefined, branches: SchemaNode[][]] {
    for (const node of facts.conjuncts) {
      const { anyOf, oneOf, if: condition, then, else: otherwise } = node.schema
      const name = this.#nameOf(node)
      if (Array.isArray(anyOf) && !split.has(`${name} anyOf`)) {
        return [`${name} anyOf`, anyOf.map((_, i) => [childOf(node, 'anyOf', i)])]
      }
      if (Array.isArray(oneOf) && !split.has(`${name} oneOf`)) {
        const nodes = oneOf.map((_, i) => childOf(node, 'oneOf', i))
        return [`${name} oneOf`, nodes.map(one => nodes.map(other => (other === one ? one : negation(other))))]
      }
      if (condition !== undefined && !split.has(`${name} if`)) {
        const yes = [childOf(node, 'if'), ...(then === undefined ? [] : [childOf(node, 'then')])]
        const no = [negation(childOf(node, 'if')), ...(otherwise === undefined ? [] : [childOf(node, 'else')])]
        return [`${name} if`, [yes, no]]
      }
    }
    const alternatives = ['anyOf', 'oneOf', 'if', '$ref', 'allOf'].some(keyword => keyword in (outer.schema as object))
    if (!alternatives || facts.kinds.size < 2 || split.has('kinds')) return [undefined, []]
    return ['kinds', [...facts.kinds].map(kind => [...kindFacts.get(kind)!])]
  }

  #nameOf({ document, pointer, negated }: SchemaNode): string {
    let number = this.#names.get(document)
    if (number === undefined) this.#names.set(document, (number = this.#names.size))
    return `${negated ? '!' : ''}${number}#${encodeURIComponent(pointer)}`
  }
}

/** Comparisons of two schemas; beyond that it cannot be decided. */
const STEPS_MAX = 5_000

/** Comparisons inside each other; beyond that it cannot be decided. */
const NESTING_MAX = 200

const none: ReadonlySet<string> = new Set()

const kindFacts: ReadonlyMap<string, readonly SchemaNode[]> = new Map(
  kinds.map(kind => [
    kind,
    kind === 'fraction' ? [fact({ type: 'number' }), negation(fact({ type: 'integer' }))] : [fact({ type: kind })]
  ])
)

/** Keywords that restrict nothing, or that are looked at with another one. */
const silentKeywords = new Set([
  ...['$schema', '$id', '$anchor', '$comment', '$defs', 'definitions', 'title', 'description', 'default', 'examples'],
  ...['deprecated', 'readOnly', 'writeOnly', 'contentEncoding', 'contentMediaType', 'contentSchema', 'nullable'],
  ...['then', 'else']
])

/** What the comparisons of scalars, objects and arrays look at. */
const compared = new Set([
  ...['type', 'enum', 'const', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ...['minLength', 'maxLength', 'pattern', 'format', 'required', 'properties', 'patternProperties', 'additionalProperties'],
  ...['propertyNames', 'minProperties', 'maxProperties', 'dependentRequired', 'dependentSchemas', 'dependencies'],
  ...['items', 'prefixItems', 'additionalItems', 'minItems', 'maxItems', 'uniqueItems', 'contains', 'minContains', 'maxContains']
])

function compareValues(values: readonly unknown[], outer: SchemaNode): Narrowing[] {
  for (const value of values) {
    const accepted = outer.document.accepts(outer, value)
    if (accepted === undefined) return [undecided(outer, '', value, 'the schema cannot be tried on this value')]
    if (!accepted) return [narrowing(outer, blamed(outer, value), value, 'this value is not accepted any more')]
  }
  return []
}

/** The keyword that a value fails, where it is easily told. */
function blamed(outer: SchemaNode, value: unknown): string {
  const { schema } = outer
  if (typeof schema === 'boolean') return ''
  return (
    ['type', 'enum', 'const'].find(keyword => {
      if (!(keyword in schema)) return false
      return fact({ [keyword]: schema[keyword] }).document.accepts(fact({ [keyword]: schema[keyword] }), value) === false
    }) ?? ''
  )
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

/** What is known of the value, shortly. */
function describe(facts: Facts): unknown {
  const schemas = facts.given.filter(({ negated }) => !negated).map(({ schema }) => schema)
  const own = schemas.at(-1)
  if (own === undefined) return undefined
  return typeof own === 'object' && kindsOf(own) !== undefined && Object.keys(own).length > 3 ? { type: own.type } : own
}
