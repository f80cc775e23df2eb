import { type Frame, isLengthPadded } from './frame.ts'
import type { ProtocolVersion, Qos } from './packet.ts'
import { propertyId } from './property-id.ts'
import { scanPublishProperties } from './publish-properties.ts'
import { type ReasonCode, reasonCode } from './reason-code.ts'

/** One PUBLISH as positions in the buffer it came in; reused from packet to packet. Valid as long as the buffer is. */
export class PublishView {
  qos: Qos = 0
  retain = false
  dup = false
  topicStart = 0
  topicEnd = 0
  /** Packet Identifier; 0 at QoS 0. */
  packetId = 0
  payloadStart = 0
  payloadEnd = 0
  /** Topic Alias; 0 = none. */
  topicAlias = 0
  /** Message Expiry Interval in seconds; -1 = none. */
  messageExpirySeconds = -1
  /** The properties without their length prefix; empty for 3.1 and 3.1.1. */
  propertiesStart = 0
  propertiesEnd = 0
  /** True when bytes[propertiesStart, propertiesEnd) may travel on as they are: neither Topic Alias nor Message Expiry in it. */
  propertiesForwardable = true
  payloadFormatIndicator: -1 | 0 | 1 = -1
}

/**
 * Reads the PUBLISH that `frame` delimits into `view`. Hot path: allocates nothing, throws nothing.
 *
 * Returns 0 when the packet is sound, else the reason code for the DISCONNECT; then `view` holds no promise. Checked: flags,
 * Packet Identifier, lengths, every property including the UTF-8 in it. NOT checked: the UTF-8 and wildcards of the Topic Name,
 * which the router does once per distinct topic, nor that the payload is what the Payload Format Indicator says.
 */
export function viewPublish(bytes: Buffer, frame: Frame, version: ProtocolVersion, view: PublishView): ReasonCode {
  const flags = frame.flags
  const qos = (flags >> 1) & 3
  if (qos === 3) return reasonCode.malformedPacket // [MQTT-3.3.1-4]
  const dup = flags >= 8
  // [MQTT-3.3.1-2]; MQTT 3.1 has no such rule.
  if (dup && qos === 0 && version !== 3) return reasonCode.malformedPacket
  const end = frame.bodyEnd
  const topicStart = frame.bodyStart + 2
  if (topicStart > end) return reasonCode.malformedPacket
  const topicEnd = topicStart + ((bytes[topicStart - 2]! << 8) | bytes[topicStart - 1]!)
  let at = topicEnd
  if (qos === 0) {
    view.packetId = 0
    if (at > end) return reasonCode.malformedPacket
  } else {
    at += 2
    if (at > end) return reasonCode.malformedPacket
    const packetId = (bytes[topicEnd]! << 8) | bytes[topicEnd + 1]!
    if (packetId === 0) return reasonCode.protocolError // [MQTT-2.2.1-3], [MQTT3-2.3.1-1]
    view.packetId = packetId
  }
  view.qos = qos as Qos
  view.retain = (flags & 1) === 1
  view.dup = dup
  view.topicStart = topicStart
  view.topicEnd = topicEnd
  view.payloadEnd = end
  view.topicAlias = 0
  view.messageExpirySeconds = -1
  view.propertiesForwardable = true
  view.payloadFormatIndicator = -1
  if (version === 5) {
    if (isLengthPadded(bytes, frame)) return reasonCode.malformedPacket // [MQTT-1.5.5-1]
    const code = scanPublishProperties(bytes, at, end, view)
    if (code !== 0) return code
  } else {
    view.propertiesStart = at
    view.propertiesEnd = at
    view.payloadStart = at
  }
  // A Topic Name has at least one character [MQTT-4.7.3-1] unless a Topic Alias stands for it, section 3.3.2.1.
  if (topicStart === topicEnd && view.topicAlias === 0) return reasonCode.protocolError
  return 0
}

const empty = Buffer.alloc(0)

/**
 * A copy of the properties that travel with the message (lib/mqtt/message.ts): without Topic Alias and Message Expiry Interval,
 * everything else unaltered and in order [MQTT-3.3.2-4], [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-18],
 * [MQTT-3.3.2-20]. Safe to keep: shares no memory with `bytes`. One shared empty Buffer when nothing is left.
 *
 * `view` must come from a viewPublish() of the same bytes that returned 0.
 */
export function forwardableProperties(bytes: Buffer, view: PublishView): Buffer {
  const { propertiesStart: start, propertiesEnd: end } = view
  let length = end - start
  if (view.topicAlias !== 0) length -= 3
  if (view.messageExpirySeconds !== -1) length -= 5
  if (length === 0) return empty
  const out = Buffer.allocUnsafe(length)
  if (view.propertiesForwardable) {
    bytes.copy(out, 0, start, end)
    return out
  }
  let written = 0
  for (let at = start; at < end; ) {
    const id = bytes[at]!
    const after = propertyEnd(bytes, at, id)
    if (id !== propertyId.topicAlias && id !== propertyId.messageExpiryInterval) written += bytes.copy(out, written, at, after)
    at = after
  }
  return out
}

/** One past the property at `at`, which scan() has found to be whole. */
function propertyEnd(bytes: Buffer, at: number, id: number): number {
  switch (id) {
    case propertyId.payloadFormatIndicator:
      return at + 2
    case propertyId.messageExpiryInterval:
      return at + 5
    case propertyId.topicAlias:
      return at + 3
    case propertyId.userProperty: {
      const nameEnd = at + 3 + bytes.readUInt16BE(at + 1)
      return nameEnd + 2 + bytes.readUInt16BE(nameEnd)
    }
    default:
      return at + 3 + bytes.readUInt16BE(at + 1)
  }
}
