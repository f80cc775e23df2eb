import { type Facts, type Kind, kindsOf } from './facts.ts'
import { type Narrowing, narrowing, undecided } from './problem.ts'
import type { SchemaNode } from './schema-document.ts'

/** Formats of ajv-formats that are about numbers; all others are about strings. */
const numberFormats = new Set(['int32', 'int64', 'float', 'double'])

/** The keywords of the outer schema that look at a value as a whole, at numbers and at strings. */
export function compareScalars(facts: Facts, outer: SchemaNode): Narrowing[] {
  const schema = outer.schema as Record<string, unknown>
  const problems = [...compareTypes(facts, outer, schema)]
  const numeric = facts.kinds.has('integer') || facts.kinds.has('fraction')
  if (numeric) problems.push(...compareNumbers(facts, outer, schema))
  if (facts.kinds.has('string')) {
    problems.push(...atLeast(facts, outer, 'minLength', 0), ...atMost(facts, outer, 'maxLength', Infinity))
    problems.push(...equal(facts, outer, 'pattern', 'two patterns are not compared'))
  }
  const { format } = schema
  if (typeof format === 'string' && (numberFormats.has(format) ? numeric : facts.kinds.has('string'))) {
    problems.push(...equal(facts, outer, 'format', 'two formats are not compared'))
  }
  return problems
}

function compareTypes(facts: Facts, outer: SchemaNode, schema: Record<string, unknown>): Narrowing[] {
  const problems: Narrowing[] = []
  const allowed = kindsOf(schema)
  const lost = allowed === undefined ? [] : [...facts.kinds].filter(kind => !allowed.has(kind))
  if (lost.length > 0) {
    const before = facts.all('type')[0]
    problems.push(narrowing(outer, 'type', before, `${words(lost)} ${lost.length === 1 ? 'is' : 'are'} not accepted any more`))
  }
  // Enumerations on the inner side have been decided value by value.
  for (const keyword of ['enum', 'const']) {
    if (keyword in schema) problems.push(narrowing(outer, keyword, facts.all('type')[0], 'only these values are accepted'))
  }
  return problems
}

function words(lost: readonly Kind[]): string {
  return lost.length === 7 ? 'some types' : lost.map(kind => (kind === 'fraction' ? 'a number with a fraction' : kind)).join(', ')
}

function compareNumbers(facts: Facts, outer: SchemaNode, schema: Record<string, unknown>): Narrowing[] {
  const problems: Narrowing[] = []
  const integers = !facts.kinds.has('fraction')
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum, multipleOf } = schema
  const low = lowest(facts, integers)
  const high = highest(facts, integers)
  if (typeof minimum === 'number' && low.value < minimum) problems.push(raised(facts, outer, 'minimum'))
  if (typeof exclusiveMinimum === 'number' && !(low.value > exclusiveMinimum || (low.open && low.value === exclusiveMinimum))) {
    problems.push(raised(facts, outer, 'exclusiveMinimum'))
  }
  if (typeof maximum === 'number' && high.value > maximum) problems.push(raised(facts, outer, 'maximum'))
  if (
    typeof exclusiveMaximum === 'number' &&
    !(high.value < exclusiveMaximum || (high.open && high.value === exclusiveMaximum))
  ) {
    problems.push(raised(facts, outer, 'exclusiveMaximum'))
  }
  if (typeof multipleOf === 'number' && !multiple(facts, multipleOf, integers)) problems.push(raised(facts, outer, 'multipleOf'))
  return problems
}

interface Bound {
  value: number
  /** The value itself is outside. */
  open: boolean
}

function lowest(facts: Facts, integers: boolean): Bound {
  const value = Math.max(-Infinity, ...facts.numbers('minimum'))
  const above = Math.max(-Infinity, ...facts.numbers('exclusiveMinimum'))
  const bound = above >= value ? { value: above, open: above !== -Infinity } : { value, open: false }
  if (!integers || !Number.isFinite(bound.value)) return bound
  return { value: bound.open ? Math.floor(bound.value) + 1 : Math.ceil(bound.value), open: false }
}

function highest(facts: Facts, integers: boolean): Bound {
  const value = Math.min(Infinity, ...facts.numbers('maximum'))
  const below = Math.min(Infinity, ...facts.numbers('exclusiveMaximum'))
  const bound = below <= value ? { value: below, open: below !== Infinity } : { value, open: false }
  if (!integers || !Number.isFinite(bound.value)) return bound
  return { value: bound.open ? Math.ceil(bound.value) - 1 : Math.floor(bound.value), open: false }
}

/** Only whole numbers are divided: with fractions the remainder is a matter of rounding. */
function multiple(facts: Facts, divisor: number, integers: boolean): boolean {
  if (divisor === 1 && integers) return true
  return facts.numbers('multipleOf').some(inner => {
    if (inner === divisor) return true
    return Number.isInteger(inner) && Number.isInteger(divisor) && inner % divisor === 0
  })
}

function raised(facts: Facts, outer: SchemaNode, keyword: string): Narrowing {
  return narrowing(outer, keyword, facts.all(keyword)[0], `${keyword} leaves out values that were accepted`)
}

/** A lower limit on a count: what is known of it must be at least as high. */
export function atLeast(facts: Facts, outer: SchemaNode, keyword: string, known: number): Narrowing[] {
  const limit = (outer.schema as Record<string, unknown>)[keyword]
  const inner = Math.max(known, ...facts.numbers(keyword))
  if (typeof limit !== 'number' || inner >= limit) return []
  return [narrowing(outer, keyword, inner === 0 ? undefined : inner, `${keyword} leaves out values that were accepted`)]
}

export function atMost(facts: Facts, outer: SchemaNode, keyword: string, known: number): Narrowing[] {
  const limit = (outer.schema as Record<string, unknown>)[keyword]
  const inner = Math.min(known, ...facts.numbers(keyword))
  if (typeof limit !== 'number' || inner <= limit) return []
  return [narrowing(outer, keyword, inner === Infinity ? undefined : inner, `${keyword} leaves out values that were accepted`)]
}

/** A keyword that follows only from itself. */
function equal(facts: Facts, outer: SchemaNode, keyword: string, why: string): Narrowing[] {
  const value = (outer.schema as Record<string, unknown>)[keyword]
  const inner = facts.all(keyword)
  if (value === undefined || inner.includes(value)) return []
  if (inner.length === 0) return [narrowing(outer, keyword, undefined, `${keyword} leaves out values that were accepted`)]
  return [undecided(outer, keyword, inner[0], why)]
}
