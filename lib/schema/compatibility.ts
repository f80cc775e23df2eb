import { isDeepStrictEqual } from 'node:util'
import type { JsonSchema } from './json-schema.ts'
import { SchemaDocument } from './schema-document.ts'
import { Subset } from './subset.ts'

/**
 * What a new version of a schema owes to the one before. `backward`: everything valid under the old version is valid under the new
 * one, so that readers with the new schema can read old data. `forward`: the opposite. `full`: both. `none`: nothing.
 */
export const compatibilities = ['backward', 'forward', 'full', 'none'] as const
export type Compatibility = (typeof compatibilities)[number]

/** One reason why two versions are not compatible. */
export interface Incompatibility {
  direction: 'backward' | 'forward'
  /** JSON pointer in the schema that accepts too little: the new one for `backward`, the old one for `forward`. */
  pointer: string
  /** What stands there in the old and the new version; shortened JSON. */
  old: string
  new: string
  reason: string
  /** False: nothing was found to be wrong, but it cannot be decided; `none` lets it pass. */
  decided: boolean
}

/** Reasons are listed up to this number. */
const REASONS_MAX = 20

/** Why `next` may not follow `previous`; empty when it may. */
export function incompatibilities(previous: JsonSchema, next: JsonSchema, mode: Compatibility): Incompatibility[] {
  if (mode === 'none' || isDeepStrictEqual(previous, next)) return []
  const [old, young] = [new SchemaDocument(previous).root, new SchemaDocument(next).root]
  const found: Incompatibility[] = []
  if (mode !== 'forward') {
    for (const { inner, outer, ...rest } of new Subset().within([old], young, 0)) {
      found.push({ direction: 'backward', old: inner, new: outer, ...rest })
    }
  }
  if (mode !== 'backward') {
    for (const { inner, outer, ...rest } of new Subset().within([young], old, 0)) {
      found.push({ direction: 'forward', old: outer, new: inner, ...rest })
    }
  }
  return found.slice(0, REASONS_MAX)
}

/** One line of text for people. */
export function explainIncompatibility({ direction, pointer, old, new: young, reason, decided }: Incompatibility): string {
  const where = pointer === '' ? 'the whole schema' : pointer
  const doubt = decided ? '' : 'cannot be decided: '
  return `${direction}: ${where}: ${doubt}${reason} (old: ${old}; new: ${young})`
}
