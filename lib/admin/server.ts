import { isLoopback } from '../config/anonymous.ts'
import { bind } from '../listener/accept.ts'
import { urlHost } from '../listener/url.ts'
import { Refusal } from './answer.ts'
import { createApp } from './app.ts'
import type { AdminOptions } from './contract.ts'
import { addOpenApi, openApiRoute } from './openapi.ts'
import { addRoutes } from './routes.ts'

export interface AdminServer {
  /** http://127.0.0.1:9883 */
  readonly url: string
  readonly port: number
  /** Ends every request under way, streams that are followed too. */
  close(): Promise<void>
}

/**
 * Health, metrics, streams, groups and clients over HTTP. There is no login: bind it to loopback or put something in front.
 * Rejects TRB_LISTENER_FAILED.
 */
export async function openAdminServer({ host, port, sources, log }: AdminOptions): Promise<AdminServer> {
  const app = createApp(log)
  app.addHook('onRequest', async request => checkHost(host, request.headers.host))
  addOpenApi(app)
  // Plugins are loaded in turn: within this one the hook that collects routes for the document is there.
  app.register(async routed => {
    addRoutes(routed, sources)
    openApiRoute(routed)
  })
  await app.ready()
  await bind(app.server, host, port, 'admin')
  app.server.on('error', error => log?.warn({ err: error }, 'admin listener error'))
  const address = app.server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${urlHost(host)}:${bound}`,
    port: bound,
    close: async () => {
      app.server.closeAllConnections()
      await app.close()
    }
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
