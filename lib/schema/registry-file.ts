import { createHash } from 'node:crypto'
import { TributaryError } from '../errors.ts'
import { type Compatibility, compatibilities } from './compatibility.ts'
import { demandSchema, type JsonSchema } from './json-schema.ts'

/** One version of a subject. Never changed once it was added. */
export interface SchemaVersion {
  /** From 1 on, without holes. */
  readonly version: number
  /** Epoch milliseconds. */
  readonly addedAtMs: number
  /** What it was checked for against the version before; 1 was checked for nothing. */
  readonly checkedFor: Compatibility
  readonly schema: JsonSchema
}

/** A name and the versions of its schema. */
export interface Subject {
  readonly name: string
  /** What a new version is checked for unless its `add` says otherwise. */
  readonly compatibility: Compatibility
  readonly versions: readonly SchemaVersion[]
}

/**
 * One subject is one file of JSON:
 *
 *     { "format": 1, "checksum": "sha256 in hex", "subject": NAME, "compatibility": MODE,
 *       "versions": [{ "version": 1, "addedAt": ISO time, "checkedFor": MODE, "schema": ... }, ...] }
 *
 * The checksum is over JSON.stringify of everything behind it, so that a file somebody edited is noticed: versions never change.
 */
const FORMAT = 1

export function writeSubject({ name, compatibility, versions }: Subject): string {
  const content = {
    subject: name,
    compatibility,
    versions: versions.map(({ version, addedAtMs, checkedFor, schema }) => {
      return { version, addedAt: new Date(addedAtMs).toISOString(), checkedFor, schema }
    })
  }
  return `${JSON.stringify({ format: FORMAT, checksum: checksum(content), ...content }, undefined, 2)}\n`
}

/** @throws TributaryError TRB_SCHEMA_CORRUPT that says what is wrong and how to mend it. */
export function readSubject(text: string, file: string): Subject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw corrupt(file, `it is no JSON (${cause instanceof Error ? cause.message : String(cause)})`)
  }
  if (typeof value !== 'object' || value === null) throw corrupt(file, 'expected an object')
  const { format, checksum: expected, ...content } = value as Record<string, unknown>
  if (format !== FORMAT) throw corrupt(file, `expected format ${FORMAT}, got ${JSON.stringify(format)}`)
  if (checksum(content) !== expected) throw corrupt(file, 'its checksum does not hold')
  const { subject, compatibility, versions } = content
  if (typeof subject !== 'string' || !isCompatibility(compatibility) || !Array.isArray(versions) || versions.length === 0) {
    throw corrupt(file, 'expected subject, compatibility and versions')
  }
  return { name: subject, compatibility, versions: versions.map((entry, i) => readVersion(entry, i + 1, file)) }
}

function readVersion(entry: unknown, expected: number, file: string): SchemaVersion {
  const { version, addedAt, checkedFor, schema } = (entry ?? {}) as Record<string, unknown>
  const addedAtMs = typeof addedAt === 'string' ? Date.parse(addedAt) : Number.NaN
  if (version !== expected || Number.isNaN(addedAtMs) || !isCompatibility(checkedFor)) {
    throw corrupt(file, `expected version ${expected} with addedAt and checkedFor`)
  }
  return { version: expected, addedAtMs, checkedFor, schema: demandSchema(schema, file) }
}

function isCompatibility(value: unknown): value is Compatibility {
  return compatibilities.includes(value as Compatibility)
}

function checksum(content: object): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex')
}

function corrupt(file: string, problem: string): TributaryError {
  const mend = 'restore the file from a backup, or move it away and add its schemas again with "tributary schema add"'
  return new TributaryError('TRB_SCHEMA_CORRUPT', `${file}: not what the schema registry wrote: ${problem}; ${mend}`)
}
