import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '../../lib/config/load.ts'
import { Server } from '../../lib/server.ts'
import { type CertificateAuthority, makeAuthority, opensslMissing } from '../listener/certificates.ts'

export type Transport = 'tcp' | 'tls' | 'ws' | 'wss'

export const transports: readonly Transport[] = ['tcp', 'tls', 'ws', 'wss']

/** Why clients cannot use this transport here; false when they can. */
export function cannotUse(transport: Transport): string | false {
  return transport === 'tls' || transport === 'wss' ? opensslMissing() : false
}

/** A whole server with a listener of each kind, in this process, so that tests can see what it sees. */
export class EveryTransport {
  readonly server: Server
  /** Who signed the server's certificate; undefined without openssl, and then there is neither TLS nor wss. */
  readonly authority: CertificateAuthority | undefined

  private constructor(server: Server, authority: CertificateAuthority | undefined) {
    this.server = server
    this.authority = authority
  }

  /** `yaml` is added to the configuration, `secure` to the settings of the TLS and wss listeners. */
  static async start(
    t: { teardown(fn: () => unknown): unknown },
    yaml = '',
    secure = 'clientCertificate: none'
  ): Promise<EveryTransport> {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-interop-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const listeners = ['{ type: tcp, port: 0 }', '{ type: ws, port: 0 }']
    const authority = opensslMissing() === false ? makeAuthority(folder) : undefined
    if (authority) {
      const { certFile, keyFile } = authority.issue('server')
      const files = `cert: ${certFile}, key: ${keyFile}, ca: ${authority.caFile}`
      for (const type of ['tls', 'wss']) listeners.push(`{ type: ${type}, port: 0, ${files}, ${secure} }`)
    }
    const text = `data: data\nlisteners: [${listeners.join(', ')}]\nadmin: false\n${yaml}\n`
    const server = await Server.start(parseConfig(text, join(folder, 'tributary.yaml')))
    t.teardown(() => server.close())
    return new EveryTransport(server, authority)
  }

  /** The file of the authority's certificate. */
  get caFile(): string {
    return this.authority?.caFile ?? ''
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
