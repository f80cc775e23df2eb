import type { Frame } from '../../lib/mqtt/frame.ts'
import type { Properties, ProtocolVersion, PublishPacket } from '../../lib/mqtt/packet.ts'
import { PacketError } from '../../lib/mqtt/packet-error.ts'
import { readProperties } from '../../lib/mqtt/properties.ts'
import { propertyOwner } from '../../lib/mqtt/property-table.ts'
import { PublishView, viewPublish } from '../../lib/mqtt/publish-view.ts'
import { Reader } from '../../lib/mqtt/reader.ts'
import { reasonCode } from '../../lib/mqtt/reason-code.ts'
import { utf8Error } from '../../lib/mqtt/utf8.ts'
import { topicNameError } from '../../lib/topic/name.ts'

/**
 * A client's PUBLISH as an object that shares no memory with `bytes`, the Topic Name checked too; '' where a Topic Alias stands
 * for it. Off the hot path: see viewPublish() for that. Throws PacketError.
 */
export function decodePublish(bytes: Buffer, frame: Frame, version: ProtocolVersion): PublishPacket {
  const view = new PublishView()
  const code = viewPublish(bytes, frame, version, view)
  if (code !== 0) throw new PacketError(code, `PUBLISH refused with reason code 0x${code.toString(16)}`)
  return {
    cmd: 'publish',
    topic: readTopic(bytes, view),
    payload: Buffer.from(bytes.subarray(view.payloadStart, view.payloadEnd)),
    qos: view.qos,
    retain: view.retain,
    dup: view.dup,
    messageId: view.qos === 0 ? undefined : view.packetId,
    properties: propertiesOf(bytes, view, version)
  }
}

function readTopic(bytes: Buffer, view: PublishView): string {
  const { topicStart, topicEnd } = view
  if (topicStart === topicEnd) return ''
  const malformed = utf8Error(bytes, topicStart, topicEnd)
  if (malformed !== undefined) throw new PacketError(reasonCode.malformedPacket, `Topic Name: ${malformed}`)
  const topic = bytes.toString('utf8', topicStart, topicEnd)
  const error = topicNameError(topic)
  if (error !== undefined) throw new PacketError(reasonCode.topicNameInvalid, error)
  return topic
}

function propertiesOf(bytes: Buffer, view: PublishView, version: ProtocolVersion): Properties {
  if (version !== 5) return {}
  const topicFieldEnd = view.topicEnd + (view.qos === 0 ? 0 : 2)
  return readProperties(new Reader(bytes, topicFieldEnd, view.propertiesEnd), propertyOwner.publish)
}
