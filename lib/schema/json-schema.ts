import { Ajv, type ErrorObject, type Options } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { TributaryError } from '../errors.ts'

/** A JSON Schema as JSON.parse gives it. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown }

export type Draft = '2020-12' | 'draft-07'

/** Larger schemas are refused: TRB_SCHEMA_INVALID. Bytes of UTF-8. */
export const SCHEMA_BYTES_MAX = 256 * 1024

const drafts: ReadonlyMap<string, Draft> = new Map([
  ['json-schema.org/draft/2020-12/schema', '2020-12'],
  ['json-schema.org/draft-07/schema', 'draft-07']
])

/**
 * Reads the text of a JSON Schema file. Nothing is compiled yet.
 * @throws TributaryError TRB_SCHEMA_INVALID when it is no JSON, too large, or neither an object nor a boolean; `name` is how the
 * message calls it.
 */
export function parseJsonSchema(text: string, name: string): JsonSchema {
  if (Buffer.byteLength(text) > SCHEMA_BYTES_MAX) {
    throw invalid(name, `expected at most ${SCHEMA_BYTES_MAX} bytes, got ${Buffer.byteLength(text)}`)
  }
  let value: unknown
  try {
    value = JSON.parse(text, demandFinite)
  } catch (cause) {
    throw invalid(name, `expected JSON, got: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
  }
  return demandSchema(value, name)
}

/** A value that was parsed elsewhere, as a schema. */
export function demandSchema(value: unknown, name: string): JsonSchema {
  if (typeof value === 'boolean') return value
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonSchema
  throw invalid(
    name,
    `expected a JSON Schema, which is an object or a boolean, got ${Array.isArray(value) ? 'a list' : typeof value}`
  )
}

/** Which draft `$schema` asks for; 2020-12 when it is left out. */
export function draftOf(schema: JsonSchema, name: string): Draft {
  if (typeof schema === 'boolean' || schema.$schema === undefined) return '2020-12'
  const id = String(schema.$schema)
    .replace(/^https?:\/\//, '')
    .replace(/#$/, '')
  const draft = drafts.get(id)
  if (draft !== undefined) return draft
  const known = 'https://json-schema.org/draft/2020-12/schema or http://json-schema.org/draft-07/schema#'
  throw invalid(name, `$schema: expected ${known}, got ${JSON.stringify(schema.$schema)}`)
}

/** What is wrong with a value, in one line; undefined when it is valid. */
export type Check = (value: unknown) => string | undefined

/**
 * Compiles a schema to a function that says of a value what is wrong with it first. `format` is asserted. Keywords nobody knows are
 * refused, since a misspelt one would check nothing; those that begin with `x-` are annotations.
 * @throws TributaryError TRB_SCHEMA_INVALID
 */
export function compileJsonSchema(schema: JsonSchema, name: string): Check {
  demandDraft(schema, name)
  const ajv = newAjv(schema, name)
  try {
    const validate = ajv.compile(schema)
    return value => {
      // A schema with $async would answer with a promise; ajv compiles none, because strict mode does not know the keyword.
      return validate(value) ? undefined : explain(validate.errors?.[0])
    }
  } catch (cause) {
    throw invalid(name, cause instanceof Error ? cause.message : String(cause), cause)
  }
}

/** An ajv of its own for each schema: `$id`s of two versions may be equal and never meet. Does not check against the draft. */
export function newAjv(schema: JsonSchema, name: string): Ajv {
  const ajv = draftOf(schema, name) === '2020-12' ? new Ajv2020(options) : new Ajv(options)
  formats.default(ajv)
  for (const keyword of annotations(schema)) ajv.addKeyword(keyword)
  return ajv
}

/** Compiled once per process, when first needed: it takes far longer than compiling a usual schema. */
const drafted = new Map<Draft, Ajv>()

function demandDraft(schema: JsonSchema, name: string): void {
  const draft = draftOf(schema, name)
  let ajv = drafted.get(draft)
  if (ajv === undefined) {
    ajv = draft === '2020-12' ? new Ajv2020({ logger: false }) : new Ajv({ logger: false })
    drafted.set(draft, ajv)
  }
  if (ajv.validateSchema(schema) !== true) throw invalid(name, ajv.errorsText(ajv.errors, { dataVar: 'schema' }))
}

const options: Options = {
  meta: false,
  validateSchema: false,
  strict: true,
  strictTypes: false,
  strictTuples: false,
  strictRequired: false,
  allowUnionTypes: true,
  // Messages name the first error only: to look for all of them would let one payload cost any amount of work.
  allErrors: false,
  addUsedSchema: false,
  logger: false
}

/** Keywords that begin with x-, wherever they stand. */
function annotations(schema: unknown, found = new Set<string>()): Set<string> {
  if (typeof schema !== 'object' || schema === null) return found
  for (const [key, value] of Object.entries(schema)) {
    if (/^x-[A-Za-z0-9_$:-]+$/.test(key)) found.add(key)
    annotations(value, found)
  }
  return found
}

/** Long values of a payload are not repeated in full. Characters. */
const EXPLANATION_MAX = 300

function explain(error: ErrorObject | undefined): string {
  if (error === undefined) return 'not valid'
  const { instancePath, message = 'not valid', params, keyword } = error
  const where = instancePath === '' ? 'the document' : instancePath
  return printable(`${where} ${message}${detail(keyword, params)}`)
}

function detail(keyword: string, params: Record<string, unknown>): string {
  if (keyword === 'additionalProperties') return ` (${JSON.stringify(params.additionalProperty)})`
  if (keyword === 'unevaluatedProperties') return ` (${JSON.stringify(params.unevaluatedProperty)})`
  if (keyword === 'propertyNames') return ` (${JSON.stringify(params.propertyName)})`
  if (keyword === 'enum') return ` ${JSON.stringify(params.allowedValues)}`
  if (keyword === 'const') return ` ${JSON.stringify(params.allowedValue)}`
  return ''
}

/** Fit for a Reason String: no control characters [MQTT-1.5.4-2], no lone surrogates [MQTT-1.5.4-1], not long. */
export function printable(text: string): string {
  const clean = text.replace(/\p{Cc}|\p{Cs}/gu, '?')
  return clean.length <= EXPLANATION_MAX ? clean : `${clean.slice(0, EXPLANATION_MAX).replace(/\p{Cs}$/u, '')}…`
}

/** 1e999 is JSON and no number of ours: written back it would be null. */
function demandFinite(key: string, value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(`the number at "${key}" is too large`)
  return value
}

function invalid(name: string, problem: string, cause?: unknown): TributaryError {
  return new TributaryError('TRB_SCHEMA_INVALID', `${name}: ${problem}`, { cause })
}
