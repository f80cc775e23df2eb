import swagger from '@fastify/swagger'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { version } from '../version.ts'
import { jsonAnswer } from './answer.ts'
import type { AdminApp } from './app.ts'

/** What the endpoints are about, in the order of the document. */
const tags = [
  { name: 'health', description: 'Whether the broker works.' },
  { name: 'streams', description: 'Retained logs of messages, and their records.' },
  { name: 'groups', description: 'Consumer groups that share the work on a stream.' },
  { name: 'clients', description: 'Connected clients and kept sessions.' },
  { name: 'dead letters', description: 'Messages that were owed and could not be delivered.' },
  { name: 'schemas', description: 'JSON Schemas of messages, in versions.' },
  { name: 'api', description: 'This API itself.' }
]

/** Describes every route added afterwards in an OpenAPI 3.1 document at `/openapi.json`, from the schemas that check the requests. */
export function addOpenApi(app: AdminApp): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Tributary admin API',
        description: 'For operators and their programs: health, metrics, streams and their records, consumer groups, clients.',
        version: version(),
        license: { name: 'MIT', identifier: 'MIT' }
      },
      tags,
      components: {
        securitySchemes: {
          token: {
            type: 'http',
            scheme: 'bearer',
            description:
              'Needed where a token file is set: one to read, or one to read and write, as `x-access` says. `tributary token` makes them.'
          }
        }
      }
    },
    transform: jsonSchemaTransform,
    transformObject: source => {
      const document = jsonSchemaTransformObject(source)
      dropUnused(document)
      return document
    }
  })
}

/** Each named schema comes in two forms, of what goes in and of what comes out; most are used in one. */
function dropUnused(document: object): void {
  const { components } = document as { components?: { schemas?: Record<string, unknown> } }
  const text = JSON.stringify(document)
  for (const name of Object.keys(components?.schemas ?? {})) {
    if (!text.includes(`"#/components/schemas/${name}"`)) delete components?.schemas?.[name]
  }
}

export function openApiRoute(app: AdminApp): void {
  app.route({
    method: 'GET',
    url: '/openapi.json',
    schema: {
      operationId: 'describeApi',
      tags: ['api'],
      summary: 'this API as an OpenAPI 3.1 document',
      response: { 200: jsonAnswer('The document.', z.looseObject({})) }
    },
    handler: async () => ({ ...app.swagger() })
  })
}
