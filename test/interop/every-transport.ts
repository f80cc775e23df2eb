import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '../../lib/config/load.ts'
import { Server } from '../../lib/server.ts'
import { makeAuthority, opensslMissing } from '../listener/certificates.ts'

export type Transport = 'tcp' | 'tls' | 'ws' | 'wss'

export const transports: readonly Transport[] = ['tcp', 'tls', 'ws', 'wss']

/** Why clients cannot use this transport here; false when they can. */
export function cannotUse(transport: Transport): string | false {
  return transport === 'tls' || transport === 'wss' ? opensslMissing() : false
}

/** A whole server with a listener of each kind, in this process, so that tests can see what it sees. */
export class EveryTransport {
  readonly server: Server
  /** The authority that signed the server's certificate. */
  readonly caFile: string

  private constructor(server: Server, caFile: string) {
    this.server = server
    this.caFile = caFile
  }

  /** `yaml` is added to the configuration. */
  static async start(t: { teardown(fn: () => unknown): unknown }, yaml = ''): Promise<EveryTransport> {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-interop-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const listeners = ['{ type: tcp, port: 0 }', '{ type: ws, port: 0 }']
    const secure = opensslMissing() === false
    if (secure) {
      const { certFile, keyFile } = makeAuthority(folder).issue('server')
      for (const type of ['tls', 'wss']) listeners.push(`{ type: ${type}, port: 0, cert: ${certFile}, key: ${keyFile} }`)
    }
    const text = `data: data\nlisteners: [${listeners.join(', ')}]\nadmin: false\n${yaml}\n`
    const server = await Server.start(parseConfig(text, join(folder, 'tributary.yaml')))
    t.teardown(() => server.close())
    return new EveryTransport(server, secure ? join(folder, 'ca.pem') : '')
  }

  url(transport: Transport): string {
    return this.server.addresses.find(address => address.transport === transport)!.url
  }

  port(transport: Transport): number {
    return this.server.addresses.find(address => address.transport === transport)!.port
  }

  /** Resolves when a client has subscribed, after its SUBACK was sent. */
  async subscribed(clientId: string): Promise<void> {
    for (;;) {
      const [, client] = await once(this.server.broker, 'subscribe')
      if ((client as { id: string } | null)?.id === clientId) return
    }
  }
}
