import type { AuthenticationVerdict } from '../access/contract.ts'
import { reasonCode } from '../mqtt/reason-code.ts'
import type { Connection } from './connection.ts'

/** How a CONNECT is refused, in the words of each version. */

/** 3.1/3.1.1 return codes, table 3.1 of MQTT 3.1.1; 6 is Aedes' own for the keep alive limit. */
export const returnCode = {
  unacceptableProtocolVersion: 1,
  identifierRejected: 2,
  serverUnavailable: 3,
  badUserNameOrPassword: 4,
  notAuthorized: 5,
  keepAliveLimitExceeded: 6
} as const

export const returnCodeMessages = [
  '',
  'unacceptable protocol version',
  'identifier rejected',
  'Server unavailable',
  'bad user name or password',
  'not authorized',
  'keep alive limit exceeded'
]

/** MQTT 5 reason codes for the return codes a hook may name (Aedes' err.returnCode 2..5). */
export const reasonCodeOfReturnCode: Record<number, number> = {
  2: reasonCode.clientIdentifierNotValid,
  3: reasonCode.serverUnavailable,
  4: reasonCode.badUserNameOrPassword,
  5: reasonCode.notAuthorized
}

/** An authenticator said no, or could not say anything: the two stay apart. */
export function refuseByVerdict(connection: Connection, verdict: Exclude<AuthenticationVerdict, { type: 'granted' }>): void {
  if (verdict.type === 'unavailable') {
    const { cause } = verdict
    connection.broker.logger?.error({ err: cause, clientId: connection.id }, 'authentication is unavailable')
    return connection.refuse(reasonCode.serverUnavailable, returnCode.serverUnavailable, unavailable(cause))
  }
  const error = new Error(verdict.message)
  if (verdict.reason === 'bad-credentials') {
    return connection.refuse(reasonCode.badUserNameOrPassword, returnCode.badUserNameOrPassword, error)
  }
  const code = verdict.reason === 'banned' ? reasonCode.banned : reasonCode.notAuthorized
  return connection.refuse(code, returnCode.notAuthorized, error)
}

/** What failed inside may name hosts and users: it is for the log, not for a client nobody knows yet. */
export function unavailable(cause: unknown): Error {
  return new Error('authentication is unavailable', { cause })
}
