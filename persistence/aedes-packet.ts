import type { Message } from '../lib/mqtt/message.ts'
import type { Qos } from '../lib/mqtt/packet.ts'
import type { StoredMessage } from './message-codec.ts'
import { RecordReader, RecordWriter } from './record-bytes.ts'
import { readValue, writeValue } from './tagged-values.ts'

/** What Aedes hands to a persistence: a PUBLISH or PUBREL of `mqtt-packet` with Aedes' own fields. */
export interface AedesPacket {
  cmd?: string
  topic?: string
  payload?: Buffer | string
  qos?: Qos
  retain?: boolean
  dup?: boolean
  messageId?: number | undefined
  brokerId?: string
  brokerCounter?: number
  clientId?: string
  nl?: boolean
  properties?: object
  /** Epoch milliseconds at which it expires. */
  messageExpiry?: number
  [more: string]: unknown
}

const EMPTY = Buffer.alloc(0)
/** Fields that Message has a place for. */
const OWN_FIELDS = new Set(['topic', 'payload', 'qos', 'retain'])
/** What most packets need for their other fields. */
const FOREIGN_BYTES = 256

/** The packet Aedes expects to get back from a queue: as `aedes-packet` makes it, without a Packet Identifier. */
export function queuedPacket(original: AedesPacket): AedesPacket {
  const packet: AedesPacket = {}
  if (Object.hasOwn(original, 'clientId')) packet.clientId = original.clientId as string
  if (Object.hasOwn(original, 'nl')) packet.nl = original.nl as boolean
  if (Object.hasOwn(original, 'properties')) packet.properties = original.properties as object
  if (Object.hasOwn(original, 'messageExpiry')) packet.messageExpiry = original.messageExpiry as number
  packet.cmd = original.cmd ?? 'publish'
  packet.brokerId = original.brokerId as string
  packet.brokerCounter = original.brokerCounter ?? 0
  packet.topic = original.topic ?? ''
  packet.payload = original.payload ?? EMPTY
  packet.qos = original.qos ?? 0
  packet.retain = original.retain ?? false
  packet.dup = original.dup ?? false
  if (packet.qos > 0 || packet.cmd !== 'publish') packet.messageId = undefined
  return packet
}

/**
 * A packet as a message. What Message has no place for goes into `foreign`: a flag for a payload that is a string, then the other
 * fields. MQTT 5 properties stay there too, as the object Aedes works with.
 */
export function toMessage(packet: AedesPacket, nowMs: number): StoredMessage {
  const { payload } = packet
  const others = Object.entries(packet).filter(([name]) => !OWN_FIELDS.has(name))
  const out = new RecordWriter(FOREIGN_BYTES)
  writeValue(out, [typeof payload === 'string', Object.fromEntries(others)])
  return {
    topic: packet.topic ?? '',
    payload: typeof payload === 'string' ? Buffer.from(payload) : (payload ?? EMPTY),
    qos: packet.qos ?? 0,
    retain: packet.retain ?? false,
    properties: EMPTY,
    expiresAtMs: packet.messageExpiry ?? 0,
    publishedAtMs: nowMs,
    publisherId: packet.clientId ?? '',
    foreign: out.copy()
  }
}

/** What a message says by itself: the packet Aedes would have made of it. All there is for a message of the engine's. */
export function plainPacket({ topic, payload, qos, retain }: Message): AedesPacket {
  return queuedPacket({ topic, payload, qos, retain, brokerId: '' })
}

/** The packet a message was made from. Throws TRB_STORE_CORRUPT when its other fields do not decode. */
export function toPacket(message: Message): AedesPacket {
  const { topic, payload, qos, retain } = message
  const { foreign } = message as StoredMessage
  if (foreign === undefined) return plainPacket(message)
  const [textual, others] = readValue(new RecordReader(foreign)) as [boolean, AedesPacket]
  return { ...others, topic, payload: textual ? payload.toString() : payload, qos, retain }
}
