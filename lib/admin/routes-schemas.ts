import { z } from 'zod'
import { TributaryError } from '../errors.ts'
import { compatibilities } from '../schema/compatibility.ts'
import { demandSchema, type JsonSchema } from '../schema/json-schema.ts'
import type { Addition, AddOptions } from '../schema/registry.ts'
import type { SchemaVersion, Subject } from '../schema/registry-file.ts'
import { badRequest, errorAnswer, jsonAnswer, notFound, Refusal } from './answer.ts'
import type { AdminApp } from './app.ts'
import { flag } from './check-input.ts'
import type { AdminSources } from './contract.ts'

/** The schema registry; what the admin server asks of it. */
export interface SchemaSource {
  list(): Subject[]
  subject(name: string): Subject
  version(name: string, version: number | 'latest'): SchemaVersion
  check(name: string, schema: JsonSchema, options: AddOptions): Addition
  add(name: string, schema: JsonSchema, options: AddOptions): Promise<Addition>
  remove(name: string): Promise<void>
  /** Streams whose messages are checked with the subject. */
  users(name: string): string[]
}

const subjectParams = z.strictObject({
  subject: z.string().meta({ description: 'Name of the schema.', examples: ['reading'] })
})
const mode = z.enum(compatibilities)

const versionSchema = z
  .object({
    version: z.number(),
    addedAt: z.string().meta({ description: 'ISO 8601.' }),
    checkedFor: mode.meta({ description: 'Compatibility with the version before that it was checked for.' }),
    schema: z.unknown().meta({ description: 'The JSON Schema.' })
  })
  .meta({ id: 'SchemaVersion', description: 'One version of a schema.' })

const subjectSchema = z
  .object({
    name: z.string().meta({ examples: ['reading'] }),
    compatibility: mode.meta({ description: 'What a new version is checked for unless it says otherwise.' }),
    latest: z.number().meta({ description: 'The latest version.' }),
    changed: z.string().meta({ description: 'When it was added, ISO 8601.' }),
    streams: z.array(z.string()).meta({ description: 'Streams whose messages are checked with it.' })
  })
  .meta({ id: 'SchemaSubject', description: 'A schema and where it is used.' })

const additionSchema = z
  .object({
    subject: z.string(),
    version: z.number(),
    checkedFor: mode,
    outcome: z.enum(['added', 'unchanged']).meta({ description: '`unchanged`: the latest version is this schema already.' })
  })
  .meta({ id: 'SchemaAddition', description: 'What adding a schema did, or would do.' })

export type SubjectJson = z.output<typeof subjectSchema>
export type VersionJson = z.output<typeof versionSchema>

export function schemaRoutes(app: AdminApp, { schemas }: Pick<AdminSources, 'schemas'>): void {
  if (schemas === undefined) return
  const tags = ['schemas']

  app.route({
    method: 'GET',
    url: '/schemas',
    schema: {
      operationId: 'listSchemas',
      tags,
      summary: 'JSON Schemas of messages by name',
      response: { 200: jsonAnswer('All schemas.', z.object({ schemas: z.array(subjectSchema) })) }
    },
    handler: async () => ({ schemas: schemas.list().map(subject => subjectJson(subject, schemas.users(subject.name))) })
  })

  app.route({
    method: 'GET',
    url: '/schemas/:subject/versions',
    schema: {
      operationId: 'listSchemaVersions',
      tags,
      summary: 'all versions of a schema',
      params: subjectParams,
      response: { 200: jsonAnswer('The versions.', z.object({ versions: z.array(versionSchema) })) }
    },
    handler: ({ params }) => refusing(() => ({ versions: schemas.subject(params.subject).versions.map(versionJson) }))
  })

  app.route({
    method: 'GET',
    url: '/schemas/:subject/versions/:version',
    schema: {
      operationId: 'getSchemaVersion',
      tags,
      summary: 'one version of a schema; its number or latest',
      params: subjectParams.extend({
        version: z.string().regex(/^([1-9]\d{0,8}|latest)$/, { error: 'expected a number or latest' })
      }),
      response: { 200: jsonAnswer('The version.', versionSchema) }
    },
    handler: ({ params: { subject, version } }) =>
      refusing(() => versionJson(schemas.version(subject, version === 'latest' ? version : Number(version))))
  })

  app.route({
    method: 'POST',
    url: '/schemas/:subject/versions',
    schema: {
      operationId: 'addSchemaVersion',
      tags,
      summary: 'add a version of a schema, or a new schema: ?dryRun=true only says what would happen',
      params: subjectParams,
      querystring: z.strictObject({ dryRun: flag().default(false).meta({ description: 'Only say what would happen.' }) }),
      body: z.strictObject({
        schema: z.unknown().meta({ description: 'The JSON Schema, 2020-12 or draft-07.', examples: [{ type: 'object' }] }),
        compatibility: mode
          .optional()
          .meta({ description: 'What it is checked for; of a new schema: what it promises from now on.' })
      }),
      response: {
        200: jsonAnswer('The version.', additionSchema),
        409: errorAnswer('It breaks what the schema promises; the message lists why.')
      }
    },
    handler: ({ body: { schema, compatibility }, params, query }) =>
      refusing(() => {
        const wanted = demandSchema(schema, params.subject)
        const act = query.dryRun ? schemas.check.bind(schemas) : schemas.add.bind(schemas)
        return act(params.subject, wanted, { compatibility })
      })
  })

  app.route({
    method: 'DELETE',
    url: '/schemas/:subject',
    schema: {
      operationId: 'removeSchema',
      tags,
      summary: 'remove a schema with all its versions',
      params: subjectParams,
      response: {
        200: jsonAnswer('It is gone.', z.object({ removed: z.string() })),
        409: errorAnswer('A stream uses it.')
      }
    },
    handler: ({ params: { subject } }) =>
      refusing(async () => {
        const users = schemas.users(subject)
        if (users.length > 0) {
          throw new Refusal(
            409,
            'schema-in-use',
            `messages of ${users.join(', ')} are checked with ${subject}: take it out there first`
          )
        }
        await schemas.remove(subject)
        return { removed: subject }
      })
  })
}

export function subjectJson({ name, compatibility, versions }: Subject, streams: string[]): SubjectJson {
  const latest = versions.at(-1)!
  return { name, compatibility, latest: latest.version, changed: new Date(latest.addedAtMs).toISOString(), streams }
}

export function versionJson({ version, addedAtMs, checkedFor, schema }: SchemaVersion): VersionJson {
  return { version, addedAt: new Date(addedAtMs).toISOString(), checkedFor, schema }
}

/** What the caller can mend is told as such. */
async function refusing<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof TributaryError)) throw error
    if (error.code === 'TRB_SCHEMA_UNKNOWN') throw notFound(error.message)
    if (error.code === 'TRB_SCHEMA_INVALID') throw badRequest(error.message)
    if (error.code === 'TRB_SCHEMA_INCOMPATIBLE') throw new Refusal(409, error.code, error.message)
    throw error
  }
}
