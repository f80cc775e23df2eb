import { propertyId } from './property-id.ts'
import type { PublishView } from './publish-view.ts'
import { type ReasonCode, reasonCode } from './reason-code.ts'
import { utf8Error } from './utf8.ts'

/**
 * Walks the properties of a client's PUBLISH (section 3.3.2.3) from their length at `at` and notes in `view` where they lie, the
 * Topic Alias, the Message Expiry Interval, the Payload Format Indicator, whether they may be forwarded unchanged, and where
 * the payload begins. Allocates nothing. Returns 0 or the reason code to disconnect with.
 */
export function scanPublishProperties(bytes: Buffer, at: number, end: number, view: PublishView): ReasonCode {
  // The one-byte length is spelled out: it is nearly always what comes, and most often 0.
  if (at >= end) return reasonCode.malformedPacket // [MQTT-2.2.2-1]
  let length = bytes[at]!
  let start = at + 1
  if (length >= 0x80) {
    const after = lengthEnd(bytes, at, end)
    if (after === 0) return reasonCode.malformedPacket
    length = lengthValue(bytes, at, after)
    start = after
  }
  const propertiesEnd = start + length
  if (propertiesEnd > end) return reasonCode.malformedPacket
  view.propertiesStart = start
  view.propertiesEnd = propertiesEnd
  view.payloadStart = propertiesEnd
  return length === 0 ? 0 : scan(bytes, start, propertiesEnd, view)
}

/** One past the Variable Byte Integer at `at`, or 0 when it is cut off, too long or padded [MQTT-1.5.5-1]. */
function lengthEnd(bytes: Buffer, at: number, end: number): number {
  const last = Math.min(end, at + 4)
  for (let position = at; position < last; position++) {
    const byte = bytes[position]!
    if (byte < 0x80) return byte === 0 && position > at ? 0 : position + 1
  }
  return 0
}

function lengthValue(bytes: Buffer, at: number, end: number): number {
  let value = 0
  for (let position = end - 1; position >= at; position--) value = (value << 7) | (bytes[position]! & 0x7f)
  return value
}

function scan(bytes: Buffer, start: number, end: number, view: PublishView): ReasonCode {
  // Strings and binary data seen so far, one bit per id; the numbers leave their trace in `view`.
  let seen = 0
  let at = start
  while (at < end) {
    const id = bytes[at++]!
    switch (id) {
      case propertyId.payloadFormatIndicator: {
        if (at >= end) return reasonCode.malformedPacket
        if (view.payloadFormatIndicator !== -1) return reasonCode.protocolError
        const indicator = bytes[at++]!
        if (indicator > 1) return reasonCode.protocolError // section 3.3.2.3.2 knows 0 and 1 only
        view.payloadFormatIndicator = indicator as 0 | 1
        break
      }
      case propertyId.messageExpiryInterval:
        if (end - at < 4) return reasonCode.malformedPacket
        if (view.messageExpirySeconds !== -1) return reasonCode.protocolError
        view.messageExpirySeconds = bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)
        view.propertiesForwardable = false
        at += 4
        break
      case propertyId.topicAlias: {
        if (end - at < 2) return reasonCode.malformedPacket
        if (view.topicAlias !== 0) return reasonCode.protocolError
        const alias = (bytes[at]! << 8) | bytes[at + 1]!
        if (alias === 0) return reasonCode.topicAliasInvalid // [MQTT-3.3.2-8]
        view.topicAlias = alias
        view.propertiesForwardable = false
        at += 2
        break
      }
      case propertyId.contentType:
      case propertyId.responseTopic:
      case propertyId.correlationData: {
        const fieldStart = at + 2
        at = fieldEnd(bytes, at, end)
        if (at === 0) return reasonCode.malformedPacket
        if ((seen & (1 << id)) !== 0) return reasonCode.protocolError
        seen |= 1 << id
        if (id === propertyId.correlationData) break
        // [MQTT-3.3.2-13], [MQTT-3.3.2-19]
        if (utf8Error(bytes, fieldStart, at) !== undefined) return reasonCode.malformedPacket
        if (id === propertyId.responseTopic && !isTopicName(bytes, fieldStart, at)) return reasonCode.protocolError
        break
      }
      case propertyId.userProperty:
        // Both strings of the pair must be well-formed [MQTT-1.5.7-1]. Pairs may repeat, in an order that is kept.
        for (let string = 0; string < 2; string++) {
          const stringStart = at + 2
          at = fieldEnd(bytes, at, end)
          if (at === 0 || utf8Error(bytes, stringStart, at) !== undefined) return reasonCode.malformedPacket
        }
        break
      case propertyId.subscriptionIdentifier:
        return reasonCode.protocolError // [MQTT-3.3.4-6]
      default:
        return reasonCode.malformedPacket // section 2.2.2.2: an identifier that is not valid for its packet type
    }
  }
  return 0
}

/** One past the length-prefixed field at `at`, or 0 when it does not fit before `end`. */
function fieldEnd(bytes: Buffer, at: number, end: number): number {
  if (end - at < 2) return 0
  const after = at + 2 + ((bytes[at]! << 8) | bytes[at + 1]!)
  return after > end ? 0 : after
}

/** A Response Topic is a Topic Name: not empty [MQTT-4.7.3-1] and without wildcards [MQTT-3.3.2-14]. */
function isTopicName(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte === 0x23 || byte === 0x2b) return false
  }
  return end > start
}
