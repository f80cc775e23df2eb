import type { SchemaNode } from './schema-document.ts'

/** One thing that keeps a schema from accepting everything another one accepts. */
export interface Narrowing {
  /** JSON pointer in the schema that should accept more. */
  pointer: string
  /** What the value is like in the schema whose values should be accepted, and in the other one; for people. */
  inner: string
  outer: string
  reason: string
  /** False: nothing was found to be wrong, it cannot be decided. */
  decided: boolean
}

export function narrowing(outer: SchemaNode, keyword: string, inner: unknown, reason: string): Narrowing {
  return {
    pointer: pointerOf(outer, keyword),
    inner: short(inner),
    outer: short(valueAt(outer, keyword)),
    reason,
    decided: true
  }
}

export function undecided(outer: SchemaNode, keyword: string, inner: unknown, reason: string): Narrowing {
  return { ...narrowing(outer, keyword, inner, reason), decided: false }
}

function pointerOf({ pointer }: SchemaNode, keyword: string): string {
  return keyword === '' ? pointer : `${pointer}/${keyword}`
}

function valueAt({ schema }: SchemaNode, keyword: string): unknown {
  return keyword === '' || typeof schema === 'boolean' ? schema : schema[keyword]
}

/** Characters of a value that are shown. */
const SHOWN_MAX = 80

function short(value: unknown): string {
  const text = value === undefined ? 'nothing said' : (JSON.stringify(value) ?? String(value))
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}…`
}
