import type { UserProperties } from '../mqtt/packet.ts'
import { type ReasonCode, reasonCode } from '../mqtt/reason-code.ts'

/** How a client's connection is ended from outside. */
export interface DisconnectOptions {
  reasonCode?: ReasonCode
  /** For people; becomes the Reason String. */
  reason?: string
  /** Where the client is to go, with reason code 0x9C or 0x9D. */
  serverReference?: string
  /** Left out, as the reason, where the client has no room for them or did not ask for them. */
  userProperties?: UserProperties
}

/** What a server may say for no fault of the packet at hand, table 3-10 [MQTT-3.14.2-1]. */
const administrative: ReadonlySet<number> = new Set([
  reasonCode.unspecifiedError,
  reasonCode.notAuthorized,
  reasonCode.serverBusy,
  reasonCode.serverShuttingDown,
  reasonCode.messageRateTooHigh,
  reasonCode.quotaExceeded,
  reasonCode.administrativeAction,
  reasonCode.useAnotherServer,
  reasonCode.serverMoved,
  reasonCode.connectionRateExceeded,
  reasonCode.maximumConnectTime
])

/** The reason code to end a connection with; throws RangeError for one that does not belong there. */
export function disconnectCode(code: ReasonCode | undefined, serverReference: string | undefined): ReasonCode {
  if (code === undefined) return serverReference === undefined ? reasonCode.administrativeAction : reasonCode.useAnotherServer
  if (!administrative.has(code)) throw new RangeError(`0x${code.toString(16)} is no reason for an operator to end a connection`)
  if (serverReference !== undefined && code !== reasonCode.useAnotherServer && code !== reasonCode.serverMoved) {
    throw new RangeError(`a server reference goes with 0x9c and 0x9d, not with 0x${code.toString(16)}`)
  }
  return code
}
