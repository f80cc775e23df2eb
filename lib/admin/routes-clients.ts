import { z } from 'zod'
import { jsonAnswer, notFound } from './answer.ts'
import type { AdminApp } from './app.ts'
import type { AdminSources } from './contract.ts'

const timeMs = z.number().optional()

/** One client, connected or with a session that is kept, as it is shown. */
export const clientSchema = z
  .object({
    clientId: z.string().meta({ examples: ['pump-7'] }),
    connected: z.boolean(),
    address: z.string().optional().meta({ description: 'IP address and port it comes from.' }),
    listener: z
      .string()
      .optional()
      .meta({ examples: ['listeners[0]'] }),
    username: z.string().optional(),
    protocolVersion: z.number().meta({ description: '3 (MQTT 3.1), 4 (3.1.1) or 5.' }),
    keepAliveSeconds: z.number().optional(),
    sessionExpirySeconds: z.number().meta({ description: '4294967295 = never.' }),
    connectedAtMs: timeMs.meta({ description: 'Milliseconds since 1970.' }),
    disconnectedAtMs: timeMs.meta({ description: 'Milliseconds since 1970; absent while it is connected.' }),
    subscriptions: z.array(z.string()).meta({ description: 'Topic Filters.', examples: [['devices/7/#']] }),
    backlog: z.number().meta({ description: 'QoS 1 and 2 messages that it has not acknowledged.' }),
    inflight: z.number().meta({ description: 'How many of them are sent.' }),
    bytesReceived: z.number(),
    bytesSent: z.number()
  })
  .meta({ id: 'Client', description: 'A connected client or a kept session.' })

export type ClientJson = z.output<typeof clientSchema>

export function clientRoutes(app: AdminApp, sources: AdminSources): void {
  app.route({
    method: 'GET',
    url: '/clients',
    schema: {
      operationId: 'listClients',
      tags: ['clients'],
      summary: 'connected clients and kept sessions',
      response: { 200: jsonAnswer('All clients.', z.object({ clients: z.array(clientSchema) })) }
    },
    handler: async () => ({ clients: [...sources.clients()] })
  })

  app.route({
    method: 'GET',
    url: '/clients/:id',
    schema: {
      operationId: 'describeClient',
      tags: ['clients'],
      summary: 'one client',
      params: z.strictObject({ id: z.string().meta({ description: 'Client Identifier.', examples: ['pump-7'] }) }),
      response: { 200: jsonAnswer('The client.', clientSchema) }
    },
    handler: async ({ params: { id } }) => {
      const client = sources.clients().find(({ clientId }) => clientId === id)
      if (client === undefined) throw notFound(`no client "${id}" is connected or has a session; GET /clients lists them`)
      return client
    }
  })
}
