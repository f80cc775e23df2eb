import { bind } from '../listener/accept.ts'
import { urlHost } from '../listener/url.ts'
import { createApp } from './app.ts'
import type { AdminOptions } from './contract.ts'
import { addGuard } from './guard.ts'
import { adminLimits } from './limits.ts'
import { addOpenApi, openApiRoute } from './openapi.ts'
import { addRoutes } from './routes.ts'
import { AdminTokens } from './token-file.ts'

export interface AdminServer {
  /** http://127.0.0.1:9883 */
  readonly url: string
  readonly port: number
  /** Reads the token file again; when it is not valid, the old tokens stay in force and it rejects TRB_ACCESS_FILE_INVALID. */
  reload(): Promise<void>
  /** Ends every request under way, streams that are followed too. */
  close(): Promise<void>
}

/**
 * Health, metrics, streams, groups and clients over HTTP, for those who have a token where a token file is given; `guard.ts` says who
 * may do what. Rejects TRB_LISTENER_FAILED, TRB_ACCESS_FILE_INVALID.
 */
export async function openAdminServer({ host, port, tokenFile, sources, log, limits }: AdminOptions): Promise<AdminServer> {
  const tokens = tokenFile === undefined ? undefined : await AdminTokens.load(tokenFile)
  const app = createApp(log)
  addGuard(app, { host, tokens, log })
  addOpenApi(app)
  // Plugins are loaded in turn: within this one the hook that collects routes for the document is there.
  app.register(async routed => {
    addRoutes(routed, sources, { ...adminLimits, ...limits })
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
    reload: async () => tokens?.reload(),
    close: async () => {
      app.server.closeAllConnections()
      await app.close()
    }
  }
}
