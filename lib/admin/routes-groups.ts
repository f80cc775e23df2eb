import { z } from 'zod'
import { TributaryError } from '../errors.ts'
import type { ConsumerGroups } from '../stream/groups/groups.ts'
import { badRequest, errorAnswer, jsonAnswer, Refusal } from './answer.ts'
import type { AdminApp } from './app.ts'
import type { AdminSources } from './contract.ts'
import {
  commitBody,
  groupParams,
  groupQuery,
  groupSchema,
  memberParams,
  pollAnswer,
  pollBody,
  removeQuery,
  resetAnswer,
  resetBody
} from './group-schemas.ts'
import { recordJson } from './record-json.ts'

/** What the endpoints need of the consumer groups. */
export type GroupControl = Pick<ConsumerGroups, 'describeOne' | 'reset' | 'remove'> & {
  readonly leases: Pick<ConsumerGroups['leases'], 'poll' | 'commit' | 'leave'>
}

const tags = ['groups']
const url = '/streams/:name/groups/:group'

export function groupRoutes(app: AdminApp, sources: AdminSources): void {
  listRoute(app, sources)
  if (sources.groupControl === undefined) return
  memberRoutes(app, sources.groupControl)
  controlRoutes(app, sources.groupControl)
}

function listRoute(app: AdminApp, sources: AdminSources): void {
  app.route({
    method: 'GET',
    url: '/groups',
    schema: {
      operationId: 'listGroups',
      tags,
      summary: 'consumer groups of streams: members, positions, lag',
      response: { 200: jsonAnswer('All groups.', z.object({ groups: z.array(groupSchema) })) }
    },
    handler: async () => ({ groups: [...(await sources.groups())] })
  })
}

/** For operators. */
function controlRoutes(app: AdminApp, groups: GroupControl): void {
  app.route({
    method: 'GET',
    url,
    schema: {
      operationId: 'describeGroup',
      tags,
      summary: 'one consumer group: ?filter=TOPIC_FILTER',
      params: groupParams,
      querystring: groupQuery,
      response: { 200: jsonAnswer('The group.', groupSchema) }
    },
    handler: ({ params: { name, group }, query }) => served(() => groups.describeOne({ stream: name, group, ...query }))
  })

  app.route({
    method: 'POST',
    url: `${url}/reset`,
    schema: {
      operationId: 'resetGroup',
      tags,
      summary: 'lets a consumer group read on from elsewhere, its members too',
      params: groupParams,
      body: resetBody,
      response: {
        200: jsonAnswer('Positions before and after, on disk unless it was a dry run.', resetAnswer),
        416: errorAnswer('The stream does not hold that offset yet.')
      }
    },
    handler: async ({ params: { name, group }, body: { filter, ...options } }) => {
      const result = await served(() => groups.reset({ stream: name, group, filter }, options))
      return { ...result, note: result.note ?? null }
    }
  })

  app.route({
    method: 'DELETE',
    url,
    schema: {
      operationId: 'removeGroup',
      tags,
      summary: 'removes a consumer group with its positions: ?force=true although it has members',
      params: groupParams,
      querystring: removeQuery,
      response: {
        200: jsonAnswer('It is gone.', z.object({ removed: z.literal(true) })),
        409: errorAnswer('It has members.')
      }
    },
    handler: async ({ params: { name, group }, query: { filter, force } }) => {
      await served(() => groups.remove({ stream: name, group, filter }, { force: force === 'true' }))
      return { removed: true as const }
    }
  })
}

/** For members: get records, commit them, leave. */
function memberRoutes(app: AdminApp, groups: GroupControl): void {
  app.route({
    method: 'POST',
    url: `${url}/poll`,
    config: { audited: false },
    schema: {
      operationId: 'pollGroup',
      tags,
      summary: 'records for a member of a consumer group, which joins with its first poll',
      params: groupParams,
      body: pollBody,
      response: {
        200: jsonAnswer('Records of the partitions of this member; none when there were none in time.', pollAnswer),
        409: errorAnswer('Another poll of this member waits.'),
        416: errorAnswer('The stream does not hold the offset to begin at.'),
        429: errorAnswer('There are as many groups, or members over HTTP, as there may be.')
      }
    },
    handler: async ({ params: { name, group }, body }, reply) => {
      const gone = new AbortController()
      reply.raw.once('close', () => gone.abort())
      const answer = await served(() => groups.leases.poll({ stream: name, group, ...body }, gone.signal))
      const records = answer.records.map(({ record, attempt }) => ({ ...recordJson(record), attempt }))
      return { records, gaps: [...answer.gaps], partitions: answer.partitions }
    }
  })

  app.route({
    method: 'POST',
    url: `${url}/commit`,
    config: { audited: false },
    schema: {
      operationId: 'commitGroup',
      tags,
      summary: 'acknowledges records that a member has got; answered when that is on disk',
      params: groupParams,
      body: commitBody,
      response: {
        200: jsonAnswer(
          'Committed.',
          z.object({ inFlight: z.number().meta({ description: 'Records that the member has and did not commit.' }) })
        ),
        409: errorAnswer('The member does not have one of the partitions (any more); nothing was committed.')
      }
    },
    handler: ({ params: { name, group }, body }) => served(() => groups.leases.commit({ stream: name, group, ...body }))
  })

  app.route({
    method: 'DELETE',
    url: `${url}/members/:member`,
    config: { audited: false },
    schema: {
      operationId: 'leaveGroup',
      tags,
      summary: 'a member over HTTP leaves at once: others get its partitions, and what it did not commit',
      params: memberParams,
      querystring: groupQuery,
      response: { 200: jsonAnswer('It is no member.', z.object({ left: z.boolean() })) }
    },
    handler: async ({ params: { name, group, member }, query }) => ({
      left: groups.leases.leave({ stream: name, group, member, ...query })
    })
  })
}

const statuses: Readonly<Record<string, number>> = {
  TRB_STREAM_UNKNOWN: 404,
  TRB_GROUP_UNKNOWN: 404,
  TRB_GROUP_BUSY: 409,
  TRB_GROUP_HAS_MEMBERS: 409,
  TRB_GROUP_NOT_OWNED: 409,
  TRB_OFFSET_OUT_OF_RANGE: 416,
  TRB_GROUP_LIMIT: 429,
  TRB_CLOSED: 503
}

/** What groups refuse, as an answer. */
async function served<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof TypeError) throw badRequest(error.message)
    const status = error instanceof TributaryError ? statuses[error.code] : undefined
    if (status === undefined) throw error
    throw new Refusal(status, (error as TributaryError).code, (error as TributaryError).message)
  }
}
