import { z } from 'zod'
import { jsonAnswer } from './answer.ts'
import type { AdminApp } from './app.ts'
import type { AdminSources } from './contract.ts'
import type { AdminLimits } from './limits.ts'
import { applyRoutes } from './routes-apply.ts'
import { clientRoutes } from './routes-clients.ts'
import { deadLetterRoutes } from './routes-dead-letters.ts'
import { groupRoutes } from './routes-groups.ts'
import { healthRoutes } from './routes-health.ts'
import { recordRoutes } from './routes-records.ts'
import { schemaRoutes } from './routes-schemas.ts'
import { streamRoutes } from './routes-streams.ts'

/** Adds every endpoint there is, in the order of the index. A room that has endpoints adds its family here. */
export function addRoutes(app: AdminApp, sources: AdminSources, limits: AdminLimits): void {
  const endpoints: Record<string, string> = {}
  app.addHook('onRoute', ({ method, url, schema }) => {
    if (method === 'HEAD' || schema?.hide) return
    endpoints[method === 'GET' ? url : `${method} ${url}`] = schema?.summary ?? ''
  })
  indexRoute(app, endpoints)
  healthRoutes(app, sources)
  streamRoutes(app, sources)
  applyRoutes(app, sources)
  recordRoutes(app, sources, limits)
  groupRoutes(app, sources)
  clientRoutes(app, sources)
  deadLetterRoutes(app, sources)
  schemaRoutes(app, sources)
}

function indexRoute(app: AdminApp, endpoints: Readonly<Record<string, string>>): void {
  app.route({
    method: 'GET',
    url: '/',
    schema: {
      operationId: 'listEndpoints',
      tags: ['api'],
      summary: 'this list',
      response: {
        200: jsonAnswer(
          'What there is, by path; other methods than GET stand before it.',
          z.object({ name: z.literal('tributary'), endpoints: z.record(z.string(), z.string()) })
        )
      }
    },
    handler: async () => ({ name: 'tributary' as const, endpoints })
  })
}
