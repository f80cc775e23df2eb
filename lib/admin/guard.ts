import type { FastifyContextConfig, FastifyReply, FastifyRequest } from 'fastify'
import { isLoopback } from '../config/anonymous.ts'
import { Refusal } from './answer.ts'
import type { AdminApp } from './app.ts'
import type { AdminLog } from './contract.ts'
import type { AdminTokens } from './token-file.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a caller needs; `open` asks for no token. By default `read` for GET and HEAD and `write` for everything else. */
    access?: 'open' | 'read' | 'write' | undefined
    /** False for writes that are daily business and no change an operator makes, such as a poll of a consumer group. */
    audited?: boolean
  }
  interface FastifyRequest {
    /** Name of the token's owner; '' when no token is asked for. */
    operator: string
    /** What the audit line of this request says besides; set by the handler. Neither payloads nor credentials. */
    auditDetail: Readonly<Record<string, unknown>> | null
  }
}

export interface GuardOptions {
  /** Address the server is bound to. */
  host: string
  /** Undefined: no token is asked for, and writes are taken on loopback only. */
  tokens: AdminTokens | undefined
  log: AdminLog | undefined
}

/**
 * Decides who is served, before anything of a request is looked at: by Host against pages that point a name of theirs at this
 * machine, by token, and for writes by Origin against pages of other sites. Every write leaves an audit line.
 */
export function addGuard(app: AdminApp, { host, tokens, log }: GuardOptions): void {
  const onLoopback = isLoopback(host)
  app.decorateRequest('operator', '')
  app.decorateRequest('auditDetail', null)
  app.addHook('onRoute', ({ method, config, schema }) => {
    const access = accessOf(String(method), config)
    // For the document: who may call it, in the terms of OpenAPI and in ours.
    if (schema !== undefined) Object.assign(schema, { security: access === 'open' ? [] : [{ token: [] }], 'x-access': access })
  })
  app.addHook('onRequest', async request => {
    if (onLoopback) checkHost(request.headers.host)
    const access = accessOf(request.method, request.routeOptions.config)
    if (tokens !== undefined) request.operator = checkToken(tokens, access, request.headers.authorization)
    else if (access === 'write' && !onLoopback) throw writesNeedTokens()
    if (access === 'write') checkOrigin(request)
  })
  app.addHook('onResponse', async (request, reply) => {
    const { config } = request.routeOptions
    if (accessOf(request.method, config) === 'write' && config?.audited !== false) audit(log, request, reply)
  })
}

type Access = 'open' | 'read' | 'write'

function accessOf(method: string, config: FastifyContextConfig | undefined): Access {
  return config?.access ?? (method === 'GET' || method === 'HEAD' ? 'read' : 'write')
}

/**
 * A page on the web can point a name of its own at 127.0.0.1 and then read what is served there as if it were its own (DNS
 * rebinding); its name shows in the Host header. Elsewhere the name is not known beforehand, and the address no secret.
 */
function checkHost(host: string | undefined): void {
  const name = (host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  if (!isLoopback(name.toLowerCase())) {
    throw new Refusal(403, 'forbidden-host', 'the Host header must name this machine: localhost, 127.0.0.1 or [::1]')
  }
}

/** Returns whose token it is. */
function checkToken(tokens: AdminTokens, access: Access, authorization: string | undefined): string {
  if (access === 'open') return ''
  const [, token] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? []
  const found = token === undefined ? undefined : tokens.find(token)
  if (found === undefined) {
    const message =
      token === undefined
        ? 'a token is needed: send "Authorization: Bearer TOKEN"; commands take --token-file FILE or TRIBUTARY_ADMIN_TOKEN'
        : 'the token is not one of those in the token file; `tributary token FILE NAME` makes one, and a reload makes it known'
    throw new Refusal(401, 'unauthorized', message, { 'www-authenticate': 'Bearer realm="tributary"' })
  }
  if (access === 'write' && found.role !== 'write') {
    const message = `the token of ${found.name} may only read; \`tributary token FILE ${found.name} --role write\` makes one that may write`
    throw new Refusal(403, 'read-only-token', message)
  }
  return found.name
}

function writesNeedTokens(): Refusal {
  const message =
    'this listener can be reached from other machines and has no tokens, so it is read only: ' +
    'make one with `tributary token FILE NAME --role write` and set admin.tokenFile, or bind admin.host to 127.0.0.1'
  return new Refusal(403, 'writes-need-token', message)
}

/** A browser says from which page a request comes; programs that are no browsers say nothing. */
function checkOrigin({ headers }: FastifyRequest): void {
  const { origin, host } = headers
  const site = headers['sec-fetch-site']
  const sameOrigin = origin === undefined || (URL.canParse(origin) && new URL(origin).host === host?.toLowerCase())
  if (sameOrigin && (site === undefined || site === 'same-origin' || site === 'none')) return
  throw new Refusal(
    403,
    'forbidden-origin',
    'pages of other sites may change nothing here: the Origin header must name this server'
  )
}

function audit(log: AdminLog | undefined, request: FastifyRequest, reply: FastifyReply): void {
  const { method, url, id, ip, operator, auditDetail, routeOptions } = request
  const operation = (routeOptions.schema as { operationId?: string } | undefined)?.operationId
  const fields = {
    audit: true,
    operator: operator || 'no token',
    address: ip,
    operation,
    method,
    path: url,
    status: reply.statusCode
  }
  log?.info(
    { ...fields, ...auditDetail, requestId: id },
    reply.statusCode < 400 ? 'admin write done' : 'admin write refused or failed'
  )
}
