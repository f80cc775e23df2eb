import { atLeast, atMost } from './compare-scalars.ts'
import { type Facts, isRecord, keysOf, matches } from './facts.ts'
import { type Narrowing, narrowing, undecided } from './problem.ts'
import { childOf, fact, type SchemaNode } from './schema-document.ts'
import type { Subset } from './subset.ts'

/** The keywords of the outer schema that look at objects. */
export function compareObjects(subset: Subset, facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
  if (!facts.kinds.has('object')) return []
  const schema = outer.schema as Record<string, unknown>
  const { required } = facts
  const problems: Narrowing[] = []
  for (const name of Array.isArray(schema.required) ? schema.required.map(String) : []) {
    if (required.has(name)) continue
    problems.push({ ...narrowing(outer, 'required', [...required], `objects without "${name}" were accepted`) })
  }
  problems.push(...atLeast(facts, outer, 'minProperties', required.size))
  problems.push(...atMost(facts, outer, 'maxProperties', closedNames(facts)?.length ?? Infinity))
  problems.push(...compareProperties(subset, facts, outer, depth))
  problems.push(...comparePatterns(subset, facts, outer, depth))
  problems.push(...compareAdditional(subset, facts, outer, depth))
  problems.push(...compareNames(subset, facts, outer, depth))
  problems.push(...compareDependencies(subset, facts, outer, depth))
  return problems
}

function compareProperties(subset: Subset, facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
  const { properties } = outer.schema as Record<string, unknown>
  return keysOf(properties).flatMap(name => {
    const known = facts.at(name)
    const problems = subset.within(known, childOf(outer, 'properties', name), depth + 1)
    if (known.length > 0 || problems.length === 0) return problems
    // The usual surprise: a new property of an open object.
    const reason = `an object could have "${name}" with any value, because additionalProperties was not false`
    return [narrowing(childOf(outer, 'properties', name), '', undefined, reason)]
  })
}

function comparePatterns(subset: Subset, facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
  const { patternProperties } = outer.schema as Record<string, unknown>
  return keysOf(patternProperties).flatMap(pattern => {
    const wanted = childOf(outer, 'patternProperties', pattern)
    const problems = listedNames(facts)
      .filter(name => matches(pattern, name) !== false)
      .flatMap(name => subset.within(facts.at(name), wanted, depth + 1))
    if (!unlistedWithin(subset, facts, wanted, depth, pattern, [])) {
      problems.push(undecided(outer, 'patternProperties', facts.all('patternProperties')[0], `names like ${pattern}`))
    }
    return problems
  })
}

function compareAdditional(subset: Subset, facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
  const { properties, patternProperties, additionalProperties } = outer.schema as Record<string, unknown>
  if (additionalProperties === undefined || additionalProperties === true) return []
  const wanted = childOf(outer, 'additionalProperties')
  const patterns = keysOf(patternProperties)
  const isAdditional = (name: string): boolean =>
    !(isRecord(properties) && Object.hasOwn(properties, name)) && patterns.every(pattern => matches(pattern, name) !== true)
  const problems = listedNames(facts)
    .filter(isAdditional)
    .flatMap(name =>
      subset.within(facts.at(name), wanted, depth + 1).map(({ pointer, inner, outer, decided }) => {
        return { pointer, inner, outer, decided, reason: `property "${name}" was accepted` }
      })
    )
  if (!unlistedWithin(subset, facts, wanted, depth, undefined, patterns)) {
    const before = facts.all('additionalProperties')[0]
    problems.push(narrowing(outer, 'additionalProperties', before, 'properties that are not listed were accepted'))
  }
  return problems
}

/**
 * Do all properties that no inner schema lists by name satisfy `wanted`? Those whose name matches `pattern`, or where that is
 * undefined those that match none of `others`. Which patterns a name matches besides is not known, so that one inner schema has to
 * say yes whichever it is.
 */
function unlistedWithin(
  subset: Subset,
  facts: Facts,
  wanted: SchemaNode,
  depth: number,
  pattern: string | undefined,
  others: readonly string[]
): boolean {
  const certain = facts.conjuncts.flatMap(node =>
    pattern !== undefined && keysOf(node.schema.patternProperties).includes(pattern)
      ? [childOf(node, 'patternProperties', pattern)]
      : []
  )
  if (subset.within(certain, wanted, depth + 1).length === 0) return true
  return facts.conjuncts.some(node => {
    const possible = keysOf(node.schema.patternProperties)
      .filter(one => one !== pattern && !others.includes(one))
      .map(one => childOf(node, 'patternProperties', one))
    // A name that matches a pattern of this schema for certain is not additional in it.
    const matched = pattern !== undefined && keysOf(node.schema.patternProperties).includes(pattern)
    if (!matched) possible.push(node.schema.additionalProperties === undefined ? anything : childOf(node, 'additionalProperties'))
    return possible.length > 0 && possible.every(one => subset.within([...certain, one], wanted, depth + 1).length === 0)
  })
}

const anything = fact(true)

function compareNames(subset: Subset, facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
  if ((outer.schema as Record<string, unknown>).propertyNames === undefined) return []
  const wanted = childOf(outer, 'propertyNames')
  const closed = closedNames(facts)
  const names = facts.conjuncts.filter(({ schema }) => schema.propertyNames !== undefined)
  const within =
    closed?.every(name => wanted.document.accepts(wanted, name) === true) ??
    subset.within([fact({ type: 'string' }), ...names.map(node => childOf(node, 'propertyNames'))], wanted, depth + 1).length ===
      0
  return within ? [] : [undecided(outer, 'propertyNames', facts.all('propertyNames')[0], 'other names may have been accepted')]
}

function compareDependencies(subset: Subset, facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
  const problems: Narrowing[] = []
  for (const keyword of ['dependentRequired', 'dependentSchemas', 'dependencies']) {
    const entries = (outer.schema as Record<string, unknown>)[keyword]
    for (const name of keysOf(entries)) {
      const needed = (entries as Record<string, unknown>)[name]
      // What holds when the property is there, what the inner schemas ask for in that case included.
      const given = [...facts.given, fact({ type: 'object', required: [name] }), ...dependentsOf(facts, name)]
      const wanted = Array.isArray(needed) ? fact({ required: needed }) : childOf(outer, keyword, name)
      const failed = subset.within(given, wanted, depth)
      if (failed.length > 0) problems.push(undecided(outer, keyword, facts.all(keyword)[0], `what "${name}" asks for`))
    }
  }
  return problems
}

function dependentsOf(facts: Facts, name: string): SchemaNode[] {
  return facts.conjuncts.flatMap(node =>
    ['dependentRequired', 'dependentSchemas', 'dependencies'].flatMap(keyword => {
      const entries = node.schema[keyword]
      if (!isRecord(entries) || !Object.hasOwn(entries, name)) return []
      const needed = entries[name]
      return [Array.isArray(needed) ? fact({ required: needed }) : childOf(node, keyword, name)]
    })
  )
}

function listedNames(facts: Facts): string[] {
  return [...new Set(facts.conjuncts.flatMap(({ schema }) => keysOf(schema.properties)))]
}

/** All names an object can have, when one schema lists them. */
function closedNames(facts: Facts): string[] | undefined {
  for (const { schema } of facts.conjuncts) {
    if (schema.additionalProperties === false && keysOf(schema.patternProperties).length === 0) return keysOf(schema.properties)
  }
  return undefined
}
