import { z } from 'zod'
import { jsonAnswer } from './answer.ts'
import type { AdminApp } from './app.ts'
import type { AdminSources } from './contract.ts'

/** One consumer group of a stream, as it is shown. */
export const groupSchema = z
  .object({
    stream: z.string().meta({ examples: ['telemetry'] }),
    group: z.string().meta({ examples: ['workers'] }),
    filter: z.string().meta({ description: 'Topic Filter of what the group reads.', examples: ['#'] }),
    members: z.array(z.string()).meta({ description: 'Client Identifiers.', examples: [['worker-1', 'worker-2']] }),
    lag: z.number().meta({ description: 'Records of the stream from the lowest position of the group on.' }),
    partitions: z.array(
      z.object({
        partition: z.number(),
        position: z.number().meta({ description: 'Offset of the first record that is not committed.' }),
        member: z.string().optional().meta({ description: 'Who reads the partition; absent when nobody does.' })
      })
    )
  })
  .meta({ id: 'Group', description: 'A consumer group of a stream.' })

export type GroupJson = z.output<typeof groupSchema>

export function groupRoutes(app: AdminApp, sources: AdminSources): void {
  app.route({
    method: 'GET',
    url: '/groups',
    schema: {
      operationId: 'listGroups',
      tags: ['groups'],
      summary: 'consumer groups of streams: members, positions, lag',
      response: { 200: jsonAnswer('All groups.', z.object({ groups: z.array(groupSchema) })) }
    },
    handler: async () => ({ groups: [...sources.groups()] })
  })
}
