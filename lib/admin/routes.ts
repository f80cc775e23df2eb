import type { ServerResponse } from 'node:http'
import type { Stream } from '../stream/contract.ts'
import { answerJson, answerText, notFound } from './answer.ts'
import type { AdminSources } from './contract.ts'
import { sendRecords } from './records.ts'
import { parseRecordsQuery } from './records-query.ts'
import { type AdminRequest, checkParameters, type Route } from './router.ts'
import { streamJson } from './stream-json.ts'

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Every endpoint there is, in the order of the index. */
export function adminRoutes(sources: AdminSources): Route[] {
  const routes: Route[] = [
    {
      path: '/healthz',
      purpose: '200 while the process runs',
      handle: plain((_request, response) => answerJson(response, 200, { status: 'alive' }))
    },
    {
      path: '/readyz',
      purpose: '200 while messages are taken and kept; else 503 and why',
      handle: plain((_request, response) => {
        const problems = sources.problems()
        const ready = problems.length === 0
        answerJson(response, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', problems })
      })
    },
    {
      path: '/metrics',
      purpose: 'Prometheus metrics',
      handle: plain(async (_request, response) => answerText(response, 200, METRICS_TYPE, await sources.renderMetrics()))
    },
    {
      path: '/streams',
      purpose: 'declared streams: size, offsets, oldest and newest record',
      handle: plain((_request, response) => {
        const streams = sources.streams.all().map(stream => streamJson(stream, sources.declaration(stream.name)))
        answerJson(response, 200, { streams })
      })
    },
    {
      path: '/streams/:name',
      purpose: 'one stream',
      handle: plain((request, response) => {
        const stream = findStream(sources, request)
        answerJson(response, 200, streamJson(stream, sources.declaration(stream.name)))
      })
    },
    {
      path: '/streams/:name/records',
      purpose: 'records as NDJSON: ?from=earliest|latest|OFFSET|TIME&limit=N&follow=true&filter=TOPIC_FILTER',
      handle: async (request, response) => {
        const stream = findStream(sources, request)
        const query = parseRecordsQuery(request.query)
        if (request.method === 'HEAD') response.end()
        else await sendRecords(stream, query, response)
      }
    },
    {
      path: '/groups',
      purpose: 'consumer groups of streams: members, positions, lag',
      handle: plain((_request, response) => answerJson(response, 200, { groups: sources.groups() }))
    },
    {
      path: '/clients',
      purpose: 'connected clients and kept sessions',
      handle: plain((_request, response) => answerJson(response, 200, { clients: sources.clients() }))
    },
    {
      path: '/clients/:id',
      purpose: 'one client',
      handle: plain((request, response) => {
        const id = request.params.get('id')!
        const client = sources.clients().find(client => client.clientId === id)
        if (client === undefined) throw notFound(`no client "${id}" is connected or has a session; GET /clients lists them`)
        answerJson(response, 200, client)
      })
    }
  ]
  const endpoints = Object.fromEntries(routes.map(route => [route.path, route.purpose]))
  const index: Route = {
    path: '/',
    purpose: 'this list',
    handle: plain((_request, response) => answerJson(response, 200, { name: 'tributary', endpoints }))
  }
  return [index, ...routes]
}

/** A handler of an endpoint that takes no parameters. */
function plain(handle: Route['handle']): Route['handle'] {
  return (request: AdminRequest, response: ServerResponse) => {
    checkParameters(request.query, [])
    return handle(request, response)
  }
}

function findStream(sources: AdminSources, request: AdminRequest): Stream {
  const name = request.params.get('name')!
  const stream = sources.streams.get(name)
  if (stream === undefined) throw notFound(`no stream "${name}" is declared; GET /streams lists them`)
  return stream
}
