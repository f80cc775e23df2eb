import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { isLoopback } from '../config/anonymous.ts'
import { bind } from '../listener/accept.ts'
import { urlHost } from '../listener/url.ts'
import { answerJson, Refusal } from './answer.ts'
import type { AdminLog, AdminOptions } from './contract.ts'
import { faultJson } from './records.ts'
import { findRoute, type Route } from './router.ts'
import { adminRoutes } from './routes.ts'

export interface AdminServer {
  /** http://127.0.0.1:9883 */
  readonly url: string
  readonly port: number
  /** Ends every request under way, streams that are followed too. */
  close(): Promise<void>
}

/**
 * Health, metrics, streams and clients over HTTP; read only. There is no login: bind it to loopback or put something in front.
 * Rejects TRB_LISTENER_FAILED.
 */
export async function openAdminServer(options: AdminOptions): Promise<AdminServer> {
  const routes = adminRoutes(options.sources)
  const server = createServer((request, response) => {
    void serve(routes, options, request, response)
  })
  await bind(server, options.host, options.port, 'admin')
  server.on('error', error => options.log?.warn({ err: error }, 'admin listener error'))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : options.port
  return {
    url: `http://${urlHost(options.host)}:${port}`,
    port,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

/** Never rejects: what goes wrong is answered and, when it is our fault, logged. */
async function serve(routes: Route[], options: AdminOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.setHeader('cache-control', 'no-store')
  response.setHeader('x-content-type-options', 'nosniff')
  try {
    checkHost(options.host, request.headers.host)
    const found = findRoute(routes, request.method ?? '', request.url ?? '')
    await found.route.handle(found.request, response)
  } catch (error) {
    answerFault(error, response, options.log)
  }
}

/**
 * A page on the web can point a name of its own at 127.0.0.1 and then read what is served there as if it were its own (DNS
 * rebinding); its name shows in the Host header. Elsewhere the name is not known beforehand, and the address no secret.
 */
function checkHost(boundTo: string, host: string | undefined): void {
  if (!isLoopback(boundTo)) return
  const name = (host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  if (!isLoopback(name.toLowerCase())) {
    throw new Refusal(403, 'forbidden-host', 'the Host header must name this machine: localhost, 127.0.0.1 or [::1]')
  }
}

function answerFault(error: unknown, response: ServerResponse, log: AdminLog | undefined): void {
  if (!(error instanceof Refusal)) log?.warn({ err: error }, 'admin request failed')
  if (response.headersSent) {
    response.destroy()
    return
  }
  if (error instanceof Refusal) {
    if (error.status === 405) response.setHeader('allow', 'GET, HEAD')
    answerJson(response, error.status, { error: error.error, message: error.message })
  } else answerJson(response, 500, faultJson(error))
}
