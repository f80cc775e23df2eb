import type { IncomingMessage } from 'node:http'
import { isLoopback } from '../config/anonymous.ts'
import type { RefusalReason } from './contract.ts'

export interface UpgradeRules {
  path: string
  /** undefined: see allowsOrigin. */
  origins: readonly string[] | undefined
  /** The address the listener is bound to. */
  host: string
}

export interface UpgradeRefusal {
  reason: RefusalReason
  status: number
  /** For the person who looks at the response, and for the log. */
  message: string
}

/** Why a WebSocket upgrade is not served; undefined when it is. */
export function upgradeRefusal(request: IncomingMessage, rules: UpgradeRules): UpgradeRefusal | undefined {
  const path = (request.url ?? '').split('?', 1)[0]
  if (path !== rules.path) return { reason: 'path', status: 404, message: `MQTT is served at ${rules.path}` }
  if (!allowsOrigin(request.headers.origin, request.headers.host, rules)) {
    return { reason: 'origin', status: 403, message: 'pages of this origin may not connect; see "origins" of the listener' }
  }
  if (chooseSubprotocol(offeredSubprotocols(request)) === undefined) {
    return { reason: 'subprotocol', status: 400, message: 'the WebSocket subprotocol must be "mqtt"' }
  }
  return undefined
}

/**
 * The client MUST offer "mqtt" [MQTT-6.0.0-3] and that is what the server answers with [MQTT-6.0.0-4]; "mqttv3.1" is what
 * clients of MQTT 3.1 offer.
 */
export function chooseSubprotocol(offered: Iterable<string>): string | undefined {
  const names = new Set(offered)
  if (names.has('mqtt')) return 'mqtt'
  return names.has('mqttv3.1') ? 'mqttv3.1' : undefined
}

/**
 * Browsers attach the user's network position to every page, so a page is let in only by its origin. Without a list: on a
 * loopback listener pages that were themselves loaded from this machine, whatever their port; elsewhere pages of the same host.
 * The Host header is no help on loopback, as a hostile name may resolve to 127.0.0.1 (DNS rebinding).
 */
function allowsOrigin(origin: string | undefined, host: string | undefined, rules: UpgradeRules): boolean {
  if (origin === undefined) return true
  if (rules.origins !== undefined) return rules.origins.includes('*') || rules.origins.includes(origin.toLowerCase())
  const from = hostname(origin)
  if (from === undefined) return false
  return isLoopback(rules.host) ? isLoopback(from) : from === hostname(`http://${host}`)
}

function hostname(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined
  const { hostname } = new URL(url)
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
}

function offeredSubprotocols(request: IncomingMessage): string[] {
  return (request.headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
}
