import { isDeepStrictEqual } from 'node:util'
import { isRecord, keysOf } from './facts.ts'
import { childOf, type SchemaNode } from './schema-document.ts'

const one = new Set(['not', 'if', 'then', 'else', 'additionalProperties', 'propertyNames', 'contains', 'additionalItems'])
const several = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems'])
const named = new Set(['properties', 'patternProperties', 'dependentSchemas'])
const unevaluated = new Set(['unevaluatedProperties', 'unevaluatedItems'])
const ignored = new Set(['$schema', '$id', '$anchor', '$comment', '$defs', 'definitions', 'title', 'description', 'default'])
for (const keyword of ['examples', 'deprecated', 'readOnly', 'writeOnly']) ignored.add(keyword)
const dynamic = ['$dynamicRef', '$recursiveRef', '$dynamicAnchor', '$recursiveAnchor']

/** Comparisons that follow references, each pair once. */
const PAIRS_MAX = 500

/**
 * Do two schemas say the same in the same words, annotations aside? References are followed. What cannot be compared by its parts
 * (`not`, `contains`, `unevaluatedProperties` ...) is still accepted when nothing about it has changed.
 */
export function sameSchema(a: SchemaNode, b: SchemaNode, pairs = new Set<string>()): boolean {
  if (typeof a.schema === 'boolean' || typeof b.schema === 'boolean') return a.schema === b.schema
  const pair = `${a.pointer} ${b.pointer}`
  // Under way already: equal unless something else differs.
  if (pairs.has(pair)) return true
  if (pairs.size >= PAIRS_MAX) return false
  pairs.add(pair)
  const keywords = significant(a.schema)
  if (!isDeepStrictEqual(keywords, significant(b.schema)) || keywords.some(keyword => dynamic.includes(keyword))) return false
  const schemas: readonly [typeof a.schema, typeof b.schema] = [a.schema, b.schema]
  return keywords.every(keyword => sameValue(keyword, schemas[0][keyword], schemas[1][keyword], a, b, pairs))
}

function sameValue(keyword: string, x: unknown, y: unknown, a: SchemaNode, b: SchemaNode, pairs: Set<string>): boolean {
  const same = (...path: (string | number)[]): boolean => sameSchema(childOf(a, ...path), childOf(b, ...path), pairs)
  if (keyword === '$ref') {
    const target = a.document.resolve(x)
    const other = b.document.resolve(y)
    return target !== undefined && other !== undefined && sameSchema(target, other, pairs)
  }
  if (one.has(keyword) || unevaluated.has(keyword) || (keyword === 'items' && !Array.isArray(x))) return same(keyword)
  if (several.has(keyword) || keyword === 'items') {
    return Array.isArray(x) && Array.isArray(y) && x.length === y.length && x.every((_, i) => same(keyword, i))
  }
  if (named.has(keyword)) {
    if (!isDeepStrictEqual(keysOf(x).sort(), keysOf(y).sort())) return false
    return keysOf(x).every(name => same(keyword, name))
  }
  if (keyword === 'dependencies') return isRecord(x) && !JSON.stringify(x).includes('$ref') && isDeepStrictEqual(x, y)
  return isDeepStrictEqual(x, y)
}

function significant(schema: { readonly [keyword: string]: unknown }): string[] {
  return Object.keys(schema)
    .filter(keyword => !ignored.has(keyword) && !keyword.startsWith('x-'))
    .sort()
}
