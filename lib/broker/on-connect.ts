import { randomUUID } from 'node:crypto'
import type { AuthenticationVerdict } from '../access/contract.ts'
import type { ConnectPacket } from '../mqtt/packet.ts'
import { reasonCode } from '../mqtt/reason-code.ts'
import { askHook, endAfterHookError, HookError } from './ask-hook.ts'
import type { Connection } from './connection.ts'
import { authenticateEnhanced } from './enhanced-authentication.ts'
import { reasonCodeOfReturnCode, refuseByVerdict, returnCode, returnCodeMessages } from './refusal.ts'

/**
 * CONNECT up to the point where the engine takes over: preConnect hook, protocol checks, authentication (built-in or enhanced,
 * then hook).
 * The connection decodes nothing while a hook or an authenticator thinks.
 */

type HookDone = (error?: Error | null, successful?: boolean | null) => void
type RefusalError = Error & { returnCode?: number; errorCode?: number }

export function handleConnect(connection: Connection, packet: ConnectPacket): void {
  const { broker } = connection
  connection.connecting = true
  connection.suspend()
  const call = (done: HookDone) => broker.preConnect(connection as never, aedesConnectPacket(packet) as never, done as never)
  askHook<boolean | null>(broker, 'preConnect', connection, call, (error, successful) => {
    if (connection.closed) return
    if (error instanceof HookError) {
      connection.version = packet.protocolVersion
      return endAfterHookError(connection, error)
    }
    if (error || successful !== true) {
      connection.connecting = false
      if (error) connection.fail(error, 'refused-by-hook')
      // Aedes' contract: neither an error nor success leaves the connection waiting, here until limits.connectTimeoutMs.
      else connection.resume()
      return
    }
    checkAndAuthenticate(connection, packet)
  })
}

function checkAndAuthenticate(connection: Connection, packet: ConnectPacket): void {
  const { broker } = connection
  const { keepAliveSecondsMax } = broker.limits
  if (packet.protocolVersion === 3 && packet.clientId.length > broker.maxClientsIdLength) {
    return refuse(connection, returnCode.identifierRejected)
  }
  let keepAliveSeconds = packet.keepalive
  if (keepAliveSecondsMax > 0 && (keepAliveSeconds === 0 || keepAliveSeconds > keepAliveSecondsMax)) {
    // v5 clients are told the keep alive the server wants [MQTT-3.2.2-21]; older ones cannot be.
    if (packet.protocolVersion !== 5) return refuseKeepAlive(connection)
    keepAliveSeconds = keepAliveSecondsMax
  }
  const { properties } = packet
  connection.id = packet.clientId || broker.assignedClientIdPrefix + randomUUID()
  connection.clean = packet.clean
  connection.version = packet.protocolVersion
  connection.keepAliveSeconds = keepAliveSeconds
  connection.requestProblemInformation = properties.requestProblemInformation ?? true
  connection.receiveMaximum = properties.receiveMaximum ?? 65535
  connection.maximumPacketSize = properties.maximumPacketSize ?? 0xffffffff
  connection.topicAliasMaximum = properties.topicAliasMaximum ?? 0
  if (properties.authenticationMethod === undefined) return authenticateBuiltIn(connection, packet)
  // What the exchange proves takes the place of the password.
  authenticateEnhanced(connection, packet, properties.authenticationMethod, () => authenticateByHook(connection, packet))
}

function authenticateBuiltIn(connection: Connection, packet: ConnectPacket): void {
  const { authenticator } = connection.broker
  if (authenticator === undefined) return authenticateByHook(connection, packet)
  const verdict = authenticator.authenticate({
    clientId: connection.id ?? '',
    username: packet.username,
    password: packet.password,
    peer: connection.peer
  })
  if (verdict instanceof Promise) {
    verdict.then(
      result => onVerdict(connection, packet, result),
      (cause: unknown) => onVerdict(connection, packet, { type: 'unavailable', cause })
    )
  } else onVerdict(connection, packet, verdict)
}

function onVerdict(connection: Connection, packet: ConnectPacket, verdict: AuthenticationVerdict): void {
  if (connection.closed) return
  switch (verdict.type) {
    case 'granted':
      connection.identity = verdict.identity
      return authenticateByHook(connection, packet)
    case 'refused':
    case 'unavailable':
      return refuseByVerdict(connection, verdict)
    default:
      verdict satisfies never
  }
}

function authenticateByHook(connection: Connection, packet: ConnectPacket): void {
  const { broker, identity, authentication } = connection
  // Who came in by enhanced authentication has a name that is proved, whatever the CONNECT says.
  const username = authentication === undefined ? packet.username : identity?.username
  const call = (done: HookDone) =>
    broker.authenticate(connection as never, username as never, packet.password as never, done as never)
  askHook<boolean | null>(broker, 'authenticate', connection, call, (hookError, successful) => {
    if (connection.closed) return
    if (broker.closed) return connection.close()
    if (hookError instanceof HookError) return endAfterHookError(connection, hookError)
    if (!hookError && successful) return open(connection, packet)
    const error = (hookError ?? new Error(returnCodeMessages[returnCode.notAuthorized])) as RefusalError
    const asked = error.returnCode
    const code = asked !== undefined && asked >= 2 && asked <= 5 ? asked : returnCode.notAuthorized
    if (!error.message) error.message = returnCodeMessages[code] ?? ''
    error.errorCode = code
    connection.refuse(reasonCodeOfReturnCode[code] ?? reasonCode.notAuthorized, code, error)
  })
}

function open(connection: Connection, packet: ConnectPacket): void {
  connection.will = packet.will ?? null
  if (connection.identity === undefined) {
    connection.identity = { clientId: connection.id ?? '', username: packet.username, roles: [], by: 'hook' }
  }
  connection.policy = connection.broker.policy?.compile(connection.identity)
  connection.opened = true
  connection.broker.engine.open(connection, packet)
  connection.resume()
}

function refuse(connection: Connection, code: number): void {
  const error = new Error(returnCodeMessages[code]) as RefusalError
  error.errorCode = code
  connection.refuse(reasonCodeOfReturnCode[code] ?? reasonCode.unspecifiedError, code, error)
}

/** No return code of table 3.1 says it, so the connection closes without one [MQTT3-3.2.2-6]; Aedes' own option has its own code. */
function refuseKeepAlive(connection: Connection): void {
  if ((connection.broker.opts.keepaliveLimit ?? 0) > 0) return refuse(connection, returnCode.keepAliveLimitExceeded)
  connection.fail(new Error(returnCodeMessages[returnCode.keepAliveLimitExceeded]), 'keep-alive-too-long')
}

/** Hooks written for Aedes expect mqtt-packet's field names. */
function aedesConnectPacket(packet: ConnectPacket): object {
  return { ...packet, protocolId: packet.protocolVersion === 3 ? 'MQIsdp' : 'MQTT' }
}
