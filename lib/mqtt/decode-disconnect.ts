import type { AuthPacket, DisconnectPacket, ProtocolVersion } from './packet.ts'
import { readProperties } from './properties.ts'
import { propertyOwner } from './property-table.ts'
import type { Reader } from './reader.ts'
import { reasonCode } from './reason-code.ts'

/** What table 3-13 lets a client say; the other codes are for servers. */
const clientReasons: ReadonlySet<number> = new Set([
  reasonCode.success,
  reasonCode.disconnectWithWill,
  reasonCode.unspecifiedError,
  reasonCode.malformedPacket,
  reasonCode.protocolError,
  reasonCode.implementationSpecificError,
  reasonCode.topicNameInvalid,
  reasonCode.receiveMaximumExceeded,
  reasonCode.topicAliasInvalid,
  reasonCode.packetTooLarge,
  reasonCode.messageRateTooHigh,
  reasonCode.quotaExceeded,
  reasonCode.administrativeAction,
  reasonCode.payloadFormatInvalid
])

/** Body of a DISCONNECT, section 3.14. Whether its Session Expiry Interval is allowed depends on the CONNECT: the session knows. */
export function decodeDisconnect(reader: Reader, version: ProtocolVersion): DisconnectPacket {
  // Before MQTT 5 there is nothing; since then "if the Remaining Length is less than 1 the value of 0x00 is used".
  if (version !== 5 || reader.atEnd) {
    reader.finish()
    return { cmd: 'disconnect', reasonCode: reasonCode.success, properties: {} }
  }
  const code = reader.byte('Reason Code')
  // [MQTT-3.14.2-1]
  if (!clientReasons.has(code)) reader.fail(reasonCode.protocolError, `DISCONNECT with reason code 0x${code.toString(16)}`)
  // "If the Remaining Length is less than 2, a value of 0 is used."
  const properties = reader.atEnd ? {} : readProperties(reader, propertyOwner.disconnect)
  reader.finish()
  if (properties.serverReference !== undefined) {
    reader.fail(reasonCode.protocolError, 'Server Reference from a client (section 3.14.2.2.5)')
  }
  return { cmd: 'disconnect', reasonCode: code, properties }
}

/** Body of an AUTH from a client, section 3.15: only Continue and Re-authenticate are its to send (table 3-14). */
export function decodeAuth(reader: Reader): AuthPacket {
  const code = reader.atEnd ? reasonCode.success : reader.byte('Authenticate Reason Code')
  // [MQTT-3.15.2-1]; the empty form means Success, which only a server may say.
  if (code !== reasonCode.continueAuthentication && code !== reasonCode.reAuthenticate) {
    reader.fail(reasonCode.protocolError, `AUTH with reason code 0x${code.toString(16)} from a client`)
  }
  const properties = readProperties(reader, propertyOwner.auth)
  reader.finish()
  // "It is a Protocol Error to omit the Authentication Method", section 3.15.2.2.2.
  if (properties.authenticationMethod === undefined) reader.fail(reasonCode.protocolError, 'AUTH without Authentication Method')
  return { cmd: 'auth', reasonCode: code, properties }
}
