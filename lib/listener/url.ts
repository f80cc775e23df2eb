import type { PeerIdentity } from '../access/contract.ts'

const schemes = { tcp: 'mqtt', tls: 'mqtts', ws: 'ws', wss: 'wss' } as const

/** What to dial to reach a listener from this machine. */
export function listenerUrl(transport: PeerIdentity['transport'], host: string, port: number, path = ''): string {
  return `${schemes[transport]}://${urlHost(host)}:${port}${path}`
}

/** The host part of a URL: IPv6 addresses in brackets. */
export function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
