/** The part of JSON Schema that zod makes of our schemas, and a walk down it along a path of the YAML file. */
export interface JsonSchema {
  type?: string | string[]
  description?: string
  default?: unknown
  examples?: unknown[]
  enum?: unknown[]
  const?: unknown
  pattern?: string
  minimum?: number
  maximum?: number
  properties?: Record<string, JsonSchema>
  required?: string[]
  additionalProperties?: JsonSchema | boolean
  items?: JsonSchema
  oneOf?: JsonSchema[]
  anyOf?: JsonSchema[]
}

/** The schema that describes the value at `path` of `root`, as far as the path is known. */
export function schemaAt(schema: JsonSchema, root: unknown, path: readonly (string | number)[]): JsonSchema | undefined {
  let at: JsonSchema | undefined = chooseBranch(schema, root)
  let value = root
  for (const part of path) {
    value = childOf(value, part)
    at = at && childSchema(at, part)
    at = at && chooseBranch(at, value)
  }
  return at
}

/** Names of the keys a map of this schema may have; empty for maps with free names. */
export function knownKeys(schema: JsonSchema | undefined): string[] {
  return Object.keys(schema?.properties ?? {})
}

/** All the shapes a schema allows: itself, or the members of its union. */
export function branchesOf(schema: JsonSchema): JsonSchema[] {
  return schema.oneOf ?? schema.anyOf ?? [schema]
}

function childSchema(schema: JsonSchema, part: string | number): JsonSchema | undefined {
  if (typeof part === 'number') return schema.items
  const { properties, additionalProperties } = schema
  if (properties !== undefined && Object.hasOwn(properties, part)) return properties[part]
  return typeof additionalProperties === 'object' ? additionalProperties : undefined
}

function childOf(value: unknown, part: string | number): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
  return (value as Record<string | number, unknown>)[part]
}

/** Of a union, the member whose `type` key says what the value's does; else the first one that is a map, if the value is one. */
function chooseBranch(schema: JsonSchema, value: unknown): JsonSchema {
  const branches = branchesOf(schema)
  const type = childOf(value, 'type')
  const named = branches.find(branch => type !== undefined && branch.properties?.type?.const === type)
  if (named !== undefined) return withDescription(named, schema)
  const isList = Array.isArray(value)
  const fitting = branches.find(branch => (isList ? branch.items !== undefined : branch.properties !== undefined))
  return branches.length > 1 && typeof value === 'object' && fitting !== undefined ? withDescription(fitting, schema) : schema
}

function withDescription(branch: JsonSchema, { description }: JsonSchema): JsonSchema {
  return description === undefined ? branch : { ...branch, description }
}
