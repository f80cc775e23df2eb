import type { ValidateFunction } from 'ajv'
import { type JsonSchema, newAjv } from './json-schema.ts'

/** One schema somewhere in a document. `negated`: what holds is that the schema does not. */
export interface SchemaNode {
  readonly schema: JsonSchema
  readonly document: SchemaDocument
  /** JSON pointer within the document. */
  readonly pointer: string
  readonly negated: boolean
}

const rootKey = 'document'

/** A whole JSON Schema whose parts are compared: knows where references lead, and asks ajv about single values. */
export class SchemaDocument {
  readonly root: SchemaNode
  readonly #schema: JsonSchema
  readonly #id: string | undefined
  readonly #anchors = new Map<string, string>()
  /** Schemas with an `$id` of their own inside change what references mean; those are not followed. */
  #embedded = false
  readonly #validators = new Map<string, ValidateFunction | undefined>()
  readonly #ajv: () => ReturnType<typeof newAjv>

  constructor(schema: JsonSchema) {
    this.#id = typeof schema === 'object' && typeof schema.$id === 'string' ? schema.$id.replace(/#$/, '') : undefined
    this.#schema = withoutId(schema)
    this.root = { schema: this.#schema, document: this, pointer: '', negated: false }
    this.#findNames(schema, '')
    let ajv: ReturnType<typeof newAjv> | undefined
    this.#ajv = () => {
      if (ajv !== undefined) return ajv
      ajv = newAjv(schema, 'schema')
      ajv.addSchema(this.#schema as Record<string, unknown>, rootKey)
      return ajv
    }
  }

  /** Where a `$ref` leads; undefined when it cannot be told. */
  resolve(reference: unknown): SchemaNode | undefined {
    if (typeof reference !== 'string' || this.#embedded) return undefined
    const local = this.#id !== undefined && reference.startsWith(`${this.#id}#`) ? reference.slice(this.#id.length) : reference
    if (!local.startsWith('#')) return undefined
    const fragment = decodeFragment(local.slice(1))
    if (fragment === undefined) return undefined
    const pointer = fragment === '' || fragment.startsWith('/') ? fragment : this.#anchors.get(fragment)
    return pointer === undefined ? undefined : this.#at(pointer)
  }

  /** Whether a value is valid under the schema at a place of this document; undefined when ajv cannot say. */
  accepts(node: SchemaNode, value: unknown): boolean | undefined {
    if (typeof node.schema === 'boolean') return node.schema !== node.negated
    try {
      let validate = this.#validators.get(node.pointer)
      if (validate === undefined) {
        const fragment = node.pointer.split('/').map(encodeURIComponent).join('/')
        validate = this.#ajv().compile({ $ref: `${rootKey}#${fragment}` })
        this.#validators.set(node.pointer, validate)
      }
      return (validate(value) as boolean) !== node.negated
    } catch {
      return undefined
    }
  }

  #at(pointer: string): SchemaNode | undefined {
    let value: unknown = this.#schema
    for (const part of pointer.split('/').slice(1)) {
      if (typeof value !== 'object' || value === null) return undefined
      value = (value as Record<string, unknown>)[part.replaceAll('~1', '/').replaceAll('~0', '~')]
    }
    if (typeof value !== 'boolean' && (typeof value !== 'object' || value === null || Array.isArray(value))) return undefined
    return { schema: value as JsonSchema, document: this, pointer, negated: false }
  }

  #findNames(value: unknown, pointer: string): void {
    if (typeof value !== 'object' || value === null) return
    for (const [key, inner] of Object.entries(value)) {
      if (key === '$anchor' && typeof inner === 'string') this.#anchors.set(inner, pointer)
      if (key === '$id' && typeof inner === 'string' && pointer !== '') {
        if (inner.startsWith('#')) this.#anchors.set(inner.slice(1), pointer)
        else this.#embedded = true
      }
      this.#findNames(inner, `${pointer}/${escapePointer(key)}`)
    }
  }
}

/** The schema below `node` at a path of keys. */
export function childOf(node: SchemaNode, ...path: readonly (string | number)[]): SchemaNode {
  let value: unknown = node.schema
  let pointer = node.pointer
  for (const part of path) {
    value = (value as Record<string, unknown>)[part]
    pointer += `/${escapePointer(String(part))}`
  }
  return { schema: value as JsonSchema, document: node.document, pointer, negated: false }
}

/** A schema that stands in no file, for what is known otherwise. */
export function fact(schema: JsonSchema): SchemaNode {
  return new SchemaDocument(schema).root
}

export function negation(node: SchemaNode): SchemaNode {
  return { ...node, negated: !node.negated }
}

function withoutId(schema: JsonSchema): JsonSchema {
  if (typeof schema === 'boolean') return schema
  const { $id: _, ...rest } = schema
  return rest
}

function escapePointer(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1')
}

function decodeFragment(fragment: string): string | undefined {
  try {
    return decodeURIComponent(fragment)
  } catch {
    return undefined
  }
}
