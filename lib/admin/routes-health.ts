import { z } from 'zod'
import { jsonAnswer } from './answer.ts'
import type { AdminApp } from './app.ts'
import type { AdminSources } from './contract.ts'

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

const readinessSchema = z.object({
  status: z.enum(['ready', 'not ready']),
  problems: z.array(z.string()).meta({
    description: 'Why it is not ready, for people.',
    examples: [['stream telemetry: the last write failed 3 s ago: no space left on device']]
  })
})

export function healthRoutes(app: AdminApp, sources: AdminSources): void {
  app.route({
    method: 'GET',
    url: '/healthz',
    config: { access: 'open' },
    schema: {
      operationId: 'checkAlive',
      tags: ['health'],
      summary: '200 while the process runs',
      response: { 200: jsonAnswer('It runs.', z.object({ status: z.literal('alive') })) }
    },
    handler: async () => ({ status: 'alive' as const })
  })

  app.route({
    method: 'GET',
    url: '/readyz',
    config: { access: 'open' },
    schema: {
      operationId: 'checkReady',
      tags: ['health'],
      summary: '200 while messages are taken and kept; else 503 and why',
      response: {
        200: jsonAnswer('Messages are taken and promises kept.', readinessSchema),
        503: jsonAnswer('It is starting, closing or cannot write.', readinessSchema)
      }
    },
    handler: async (_request, reply) => {
      const problems = sources.problems()
      if (problems.length === 0) return { status: 'ready' as const, problems }
      return reply.code(503).send({ status: 'not ready', problems })
    }
  })

  app.route({
    method: 'GET',
    url: '/metrics',
    schema: {
      operationId: 'readMetrics',
      tags: ['health'],
      summary: 'Prometheus metrics',
      response: { 200: { description: "Prometheus' text format.", content: { 'text/plain': { schema: z.string() } } } }
    },
    handler: async (_request, reply) => reply.type(METRICS_TYPE).send(await sources.renderMetrics())
  })
}
