import type { AckPacket, ProtocolVersion } from './packet.ts'
import { readProperties } from './properties.ts'
import { propertyOwner } from './property-table.ts'
import type { Reader } from './reader.ts'
import { reasonCode } from './reason-code.ts'

const receipt: ReadonlySet<number> = new Set([
  reasonCode.success,
  reasonCode.noMatchingSubscribers,
  reasonCode.unspecifiedError,
  reasonCode.implementationSpecificError,
  reasonCode.notAuthorized,
  reasonCode.topicNameInvalid,
  reasonCode.packetIdentifierInUse,
  reasonCode.quotaExceeded,
  reasonCode.payloadFormatInvalid
])
const release: ReadonlySet<number> = new Set([reasonCode.success, reasonCode.packetIdentifierNotFound])

/** Tables 3-4, 3-5, 3-6 and 3-7. */
const allowed: Record<AckPacket['cmd'], ReadonlySet<number>> = {
  puback: receipt,
  pubrec: receipt,
  pubrel: release,
  pubcomp: release
}

/** Body of a PUBACK, PUBREC, PUBREL or PUBCOMP, sections 3.4 to 3.7. */
export function decodeAck(reader: Reader, cmd: AckPacket['cmd'], version: ProtocolVersion): AckPacket {
  const messageId = reader.packetIdentifier()
  // "The Reason Code and Property Length can be omitted if the Reason Code is 0x00 (Success) and there are no Properties."
  if (version !== 5 || reader.atEnd) {
    reader.finish()
    return { cmd, messageId, reasonCode: reasonCode.success, properties: {} }
  }
  const code = reader.byte('Reason Code')
  // [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1]
  if (!allowed[cmd].has(code)) reader.fail(reasonCode.protocolError, `${cmd} with reason code 0x${code.toString(16)}`)
  // "If the Remaining Length is less than 4 there is no Property Length and the value of 0 is used."
  const properties = reader.atEnd ? {} : readProperties(reader, propertyOwner.acknowledgement)
  reader.finish()
  return { cmd, messageId, reasonCode: code, properties }
}
