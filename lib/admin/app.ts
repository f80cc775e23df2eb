import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import {
  type FastifyBaseLogger,
  type FastifyHttpOptions,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  type RawServerDefault
} from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { badRequest, errorAnswer, faultJson, jsonText, notFound, Refusal } from './answer.ts'
import { type InputPart, inputCheck } from './check-input.ts'
import type { AdminLog } from './contract.ts'

/** The admin server as the families of routes see it: Fastify with zod schemas for what comes in and goes out. */
export type AdminApp = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>

/** Body of one request; more is refused with 413. */
const BODY_BYTES_MAX = 1_048_576
/** Time for a whole request to arrive. Answers may take as long as they like. */
const REQUEST_TIMEOUT_MS = 30_000
/** One part of a path such as a client id, still percent-encoded; more is refused with 414. */
const PATH_PART_LENGTH_MAX = 12_288

/**
 * An app without routes that answers in our ways: every fault is `{ error, message }`, unknown parameters are refused, nothing is
 * cached. A route that declares no query takes none.
 */
export function createApp(log: AdminLog | undefined): AdminApp {
  const options: FastifyHttpOptions<RawServerDefault> = {
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    routerOptions: { maxParamLength: PATH_PART_LENGTH_MAX },
    genReqId: () => randomUUID(),
    forceCloseConnections: true,
    // Without factories of our own Fastify loads its validator and serializer compilers, 50 ms and 4 MB for nothing.
    schemaController: { compilersFactory },
    frameworkErrors: (error, request, reply) => {
      prepareReply(request, reply)
      answerFault(error, request, reply, log)
    },
    clientErrorHandler: answerUnreadable
  }
  const app: AdminApp = fastify(options).withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler<z.ZodType>(({ schema, httpPart }) => inputCheck(schema, httpPart as InputPart))
  // Forms and text are what pages of other sites can send without asking.
  app.removeContentTypeParser('text/plain')
  app.addHook('onRequest', async (request, reply) => prepareReply(request, reply))
  app.setErrorHandler((error, request, reply) => answerFault(error, request, reply, log))
  app.setReplySerializer(jsonText)
  const paths = new Map<string, Set<string>>()
  app.addHook('onRoute', route => {
    const methods = paths.get(route.url) ?? new Set()
    for (const method of [route.method].flat()) methods.add(method)
    paths.set(route.url, methods)
    const schema = (route.schema ??= {})
    schema.querystring ??= noParameters
    schema.response = { ...usualErrors(route.url, schema.body !== undefined), ...(schema.response as object | undefined) }
  })
  app.setNotFoundHandler((request: FastifyRequest) => {
    throw missing(request, paths)
  })
  return app
}

/** Validators come from `setValidatorCompiler`, text from `setReplySerializer`. */
const compilersFactory = { buildValidator: (() => undefined) as never, buildSerializer: () => () => jsonText }

const noParameters = z.strictObject({})

/** Answers that every endpoint may give. */
function usualErrors(url: string, hasBody: boolean) {
  return {
    400: errorAnswer('The request is not what the endpoint expects.'),
    401: errorAnswer('There are tokens, and the request has none of them.'),
    403: errorAnswer('The token or the place the request comes from does not allow it.'),
    ...(url.includes(':') ? { 404: errorAnswer('What the path names is not there.') } : {}),
    ...(hasBody ? { 413: errorAnswer('The body is too large.'), 415: errorAnswer('The body is not JSON.') } : {}),
    500: errorAnswer('The broker failed; its log says more.')
  }
}

function prepareReply(request: FastifyRequest, reply: FastifyReply): void {
  reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff').header('x-request-id', request.id)
}

function missing({ method, url }: FastifyRequest, paths: ReadonlyMap<string, ReadonlySet<string>>): Refusal {
  const path = url.split('?', 1)[0]!
  for (const [pattern, methods] of paths) {
    if (!new RegExp(`^${pattern.replace(/:[^/]+/g, '[^/]+')}$`).test(path)) continue
    const allowed = [...methods].join(', ')
    return new Refusal(405, 'method-not-allowed', `${method} is not something to do with ${path}: use ${allowed}`, {
      allow: allowed
    })
  }
  return notFound(`there is nothing at ${path}; GET / lists what there is`)
}

/** Answers what went wrong and, when it is our fault, logs it. */
function answerFault(error: unknown, request: FastifyRequest, reply: FastifyReply, log: AdminLog | undefined): void {
  const refusal = error instanceof Refusal ? error : frameworkRefusal(error)
  if (refusal === undefined) {
    log?.warn({ err: error, requestId: request.id, method: request.method, path: request.url }, 'admin request failed')
  }
  if (reply.raw.headersSent) reply.raw.destroy()
  else {
    reply.code(refusal?.status ?? 500).headers(refusal?.headers ?? {})
    reply.type('application/json; charset=utf-8').send(faultJson(refusal ?? error))
  }
}

/** What Fastify refuses by itself, in our words. */
function frameworkRefusal(error: unknown): Refusal | undefined {
  const { code, statusCode, message } = error as { code?: string; statusCode?: number; message?: string }
  switch (code) {
    case 'FST_ERR_BAD_URL':
      return badRequest('the path is not percent-encoded UTF-8')
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new Refusal(414, 'path-too-long', `a part of the path is longer than ${PATH_PART_LENGTH_MAX} characters`)
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Refusal(413, 'body-too-large', `the body is larger than the endpoint takes (${BODY_BYTES_MAX} bytes or less)`)
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Refusal(415, 'unsupported-media-type', 'the body must be JSON: send content-type: application/json')
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return badRequest('the body is not valid JSON')
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return badRequest('the content-type says JSON, but there is no body')
    default:
      if (statusCode === undefined || statusCode < 400 || statusCode > 499) return undefined
      return new Refusal(statusCode, 'bad-request', message ?? 'the request could not be read')
  }
}

/** Bytes that are no HTTP request, or one that took too long. */
function answerUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  if (socket.writable) {
    const body = jsonText({ error: 'bad-request', message: 'the request could not be read as HTTP/1.1' })
    const head = `content-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`
    socket.write(`HTTP/1.1 400 Bad Request\r\n${head}\r\n\r\n${body}`)
  }
  socket.destroy(error)
}
