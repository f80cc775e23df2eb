import { isDeepStrictEqual } from 'node:util'
import { childOf, negation, type SchemaNode } from './schema-document.ts'

/** The kinds of JSON values; `fraction` are the numbers that are no integers. */
export const kinds = ['null', 'boolean', 'object', 'array', 'string', 'integer', 'fraction'] as const
export type Kind = (typeof kinds)[number]

/** An object schema of a conjunction. */
export interface Conjunct extends SchemaNode {
  readonly schema: { readonly [keyword: string]: unknown }
}

/** How deep properties are looked into for whether they can exist at all. */
const IMPOSSIBLE_DEPTH_MAX = 4

/** Everything known of a value: schemas that all hold, with what stands behind `allOf` and `$ref`. */
export class Facts {
  readonly conjuncts: Conjunct[] = []
  /** Schemas that do not hold; as they stand, not negated. */
  readonly excluded: SchemaNode[] = []
  /** What was given, for a comparison that knows more. */
  readonly given: readonly SchemaNode[]
  #never = false
  #kinds: ReadonlySet<Kind> | undefined
  #values: { found: unknown[] | undefined } | undefined
  readonly #depth: number

  constructor(given: readonly SchemaNode[], depth = 0) {
    this.given = given
    this.#depth = depth
    for (const node of given) this.#add(node)
  }

  /** No value can be like this. False also when that is only not seen. */
  get impossible(): boolean {
    return this.#never || this.kinds.size === 0 || this.values()?.length === 0
  }

  get kinds(): ReadonlySet<Kind> {
    this.#kinds ??= this.#possibleKinds()
    return this.#kinds
  }

  /** Values of one keyword over all conjuncts that have it. */
  all(keyword: string): unknown[] {
    return this.conjuncts.flatMap(({ schema }) => (keyword in schema ? [schema[keyword]] : []))
  }

  numbers(keyword: string): number[] {
    return this.all(keyword).filter(value => typeof value === 'number')
  }

  /** Every value there can be, when they are few and can be told. */
  values(): unknown[] | undefined {
    this.#values ??= { found: this.#possibleValues() }
    return this.#values.found
  }

  #possibleValues(): unknown[] | undefined {
    let candidates: unknown[] | undefined
    for (const { schema } of this.conjuncts) {
      const listed = 'const' in schema ? [schema.const] : Array.isArray(schema.enum) ? schema.enum : undefined
      if (listed !== undefined && (candidates === undefined || listed.length < candidates.length)) candidates = listed
    }
    if (candidates === undefined) {
      if ([...this.kinds].some(kind => kind !== 'null' && kind !== 'boolean')) return undefined
      candidates = [...this.kinds].flatMap(kind => (kind === 'null' ? [null] : [true, false]))
    }
    const values: unknown[] = []
    for (const value of candidates) {
      const verdicts = this.given.map(node => node.document.accepts(node, value))
      if (verdicts.includes(false)) continue
      if (verdicts.includes(undefined)) return undefined
      if (!values.some(known => isDeepStrictEqual(known, value))) values.push(value)
    }
    return values
  }

  /** What is known of the value of one property, if it is there. */
  at(name: string): SchemaNode[] {
    return this.conjuncts.flatMap(node => {
      const { properties, patternProperties } = node.schema
      const found: SchemaNode[] = []
      if (isRecord(properties) && Object.hasOwn(properties, name)) found.push(childOf(node, 'properties', name))
      for (const pattern of keysOf(patternProperties)) {
        if (matches(pattern, name) !== false) {
          // A pattern that cannot be tried may match or not: then nothing is known.
          if (matches(pattern, name) === undefined) return found
          found.push(childOf(node, 'patternProperties', pattern))
        }
      }
      if (found.length === 0 && node.schema.additionalProperties !== undefined) found.push(childOf(node, 'additionalProperties'))
      return found
    })
  }

  /** What is known of the item at one index, if it is there. */
  item(index: number): SchemaNode[] {
    return this.conjuncts.flatMap(node => {
      const { list, rest } = itemsOf(node)
      const here = list[index] ?? rest
      return here === undefined ? [] : [here]
    })
  }

  get required(): Set<string> {
    return new Set(this.all('required').flatMap(names => (Array.isArray(names) ? names.map(String) : [])))
  }

  #add(node: SchemaNode, seen = new Set<unknown>()): void {
    if (typeof node.schema === 'boolean') {
      if (node.schema === node.negated) this.#never = true
      return
    }
    if (node.negated) {
      this.excluded.push(negation(node))
      return
    }
    if (seen.has(node.schema)) return
    seen.add(node.schema)
    const { schema } = node
    this.conjuncts.push(node as Conjunct)
    if ('$ref' in schema) {
      const target = node.document.resolve(schema.$ref)
      if (target !== undefined) this.#add(target, seen)
    }
    const parts = Array.isArray(schema.allOf) ? schema.allOf : []
    for (const i of parts.keys()) this.#add(childOf(node, 'allOf', i), seen)
    if (schema.not !== undefined) this.excluded.push(childOf(node, 'not'))
  }

  #possibleKinds(): ReadonlySet<Kind> {
    const possible = new Set<Kind>(kinds)
    for (const { schema } of this.conjuncts) {
      const allowed = kindsOf(schema)
      if (allowed !== undefined) for (const kind of possible) if (!allowed.has(kind)) possible.delete(kind)
    }
    if (this.numbers('multipleOf').some(Number.isInteger)) possible.delete('fraction')
    for (const { schema } of this.excluded) {
      // "not of this type", and nothing else said.
      const keywords = typeof schema === 'object' ? Object.keys(schema) : []
      const excluded = keywords.length === 1 && keywords[0] === 'type' ? kindsOf(schema as Conjunct['schema']) : undefined
      for (const kind of excluded ?? []) possible.delete(kind)
    }
    if (this.#conflict('minLength', 'maxLength')) possible.delete('string')
    if (this.#conflict('minItems', 'maxItems')) possible.delete('array')
    if (this.#conflict('minProperties', 'maxProperties')) possible.delete('object')
    if (possible.has('object') && this.#depth < IMPOSSIBLE_DEPTH_MAX && this.#missesRequired()) possible.delete('object')
    return possible
  }

  #conflict(min: string, max: string): boolean {
    return Math.max(0, ...this.numbers(min)) > Math.min(Infinity, ...this.numbers(max))
  }

  #missesRequired(): boolean {
    for (const name of this.required) if (new Facts(this.at(name), this.#depth + 1).impossible) return true
    return false
  }
}

/** The items of a schema in the words of both drafts: those at the beginning, and all that follow. */
export function itemsOf(node: SchemaNode): { list: SchemaNode[]; rest: SchemaNode | undefined } {
  if (typeof node.schema === 'boolean') return { list: [], rest: undefined }
  const { prefixItems, items, additionalItems } = node.schema
  const each = (key: string, list: readonly unknown[]) => list.map((_, i) => childOf(node, key, i))
  if (Array.isArray(items)) {
    return { list: each('items', items), rest: additionalItems === undefined ? undefined : childOf(node, 'additionalItems') }
  }
  const rest = items === undefined ? undefined : childOf(node, 'items')
  return { list: Array.isArray(prefixItems) ? each('prefixItems', prefixItems) : [], rest }
}

export function kindsOf({ type, nullable }: { readonly [keyword: string]: unknown }): Set<Kind> | undefined {
  if (type === undefined) return undefined
  const names: unknown[] = Array.isArray(type) ? [...type] : [type]
  if (nullable === true) names.push('null')
  return new Set(names.flatMap(name => (name === 'number' ? ['integer', 'fraction'] : [name])) as Kind[])
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function keysOf(value: unknown): string[] {
  return isRecord(value) ? Object.keys(value) : []
}

/** Whether a pattern of a schema is found in a text; undefined when it is no regular expression that runs here. */
export function matches(pattern: string, text: string): boolean | undefined {
  try {
    return new RegExp(pattern, 'u').test(text)
  } catch {
    return undefined
  }
}
