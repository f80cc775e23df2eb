import type { ProtocolVersion, Qos } from '../lib/mqtt/packet.ts'
import type { ReceivedPacket, StoredSession, StoredSubscription, StoredWill, StreamRedo } from './contract.ts'
import { readMessage, type StoredMessage, writeMessage } from './message-codec.ts'
import { corrupt, RecordReader, type RecordWriter } from './record-bytes.ts'

const VERSION = 1

const USERNAME = 0x01

const NO_LOCAL = 0x04
const RETAIN_AS_PUBLISHED = 0x08
const RETAIN_HANDLING_SHIFT = 4
const POSITION = 0x40

const MESSAGE = 0x01

/** session = version flags u8(protocol) u32(expirySeconds) u48(createdAtMs) u48(disconnectedAtMs) text(clientId) [text(username)] */
export function writeSession(out: RecordWriter, session: StoredSession): void {
  out
    .u8(VERSION)
    .u8(session.username === undefined ? 0 : USERNAME)
    .u8(session.version)
    .u32(session.expirySeconds)
    .u48(session.createdAtMs)
    .u48(session.disconnectedAtMs)
    .text(session.clientId)
  if (session.username !== undefined) out.text(session.username)
}

export function readSession(value: Buffer): StoredSession {
  const from = new RecordReader(value)
  const flags = from.version(VERSION).u8()
  const version = from.u8()
  if (flags > USERNAME || version < 3 || version > 5) throw corrupt(`session flags ${flags}, protocol ${version} mean nothing`)
  const session: StoredSession = {
    version: version as ProtocolVersion,
    expirySeconds: from.u32(),
    createdAtMs: from.u48(),
    disconnectedAtMs: from.u48(),
    clientId: from.text(),
    username: flags & USERNAME ? from.text() : undefined
  }
  from.end()
  return session
}

/** subscription = version options varint(subscriptionId) [varint(position)]; the Topic Filter is the rest of the key. */
export function writeSubscription(out: RecordWriter, subscription: StoredSubscription): void {
  const options =
    subscription.qos |
    (subscription.noLocal ? NO_LOCAL : 0) |
    (subscription.retainAsPublished ? RETAIN_AS_PUBLISHED : 0) |
    (subscription.retainHandling << RETAIN_HANDLING_SHIFT) |
    (subscription.position === undefined ? 0 : POSITION)
  out.u8(VERSION).u8(options).varint(subscription.subscriptionId)
  if (subscription.position !== undefined) out.varint(subscription.position)
}

export function readSubscription(value: Buffer, filter: string): StoredSubscription {
  const from = new RecordReader(value)
  const options = from.version(VERSION).u8()
  const qos = options & 3
  const retainHandling = (options & ~POSITION) >> RETAIN_HANDLING_SHIFT
  if (qos === 3 || retainHandling > 2) throw corrupt(`subscription options ${options} mean nothing`)
  const subscriptionId = from.varint()
  const position = options & POSITION ? { position: from.varint() } : {}
  from.end()
  return {
    filter,
    qos: qos as Qos,
    noLocal: (options & NO_LOCAL) !== 0,
    retainAsPublished: (options & RETAIN_AS_PUBLISHED) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
    subscriptionId,
    ...position
  }
}

/** received = version flags varint(n) n*(text(stream) varint(offset)) [message]; the Packet Identifier is the end of the key. */
export function writeReceived(out: RecordWriter, redo: readonly StreamRedo[], message: StoredMessage | undefined): void {
  out
    .u8(VERSION)
    .u8(message === undefined ? 0 : MESSAGE)
    .varint(redo.length)
  for (const { stream, offset } of redo) out.text(stream).varint(offset)
  if (message !== undefined) writeMessage(out, message)
}

export function readReceived(value: Buffer, packetId: number): ReceivedPacket {
  const from = new RecordReader(value)
  const flags = from.version(VERSION).u8()
  if (flags > MESSAGE) throw corrupt(`received flags ${flags} mean nothing`)
  const count = from.varint()
  const redo: StreamRedo[] = []
  for (let i = 0; i < count; i++) redo.push({ stream: from.text(), offset: from.varint() })
  const message = flags & MESSAGE ? readMessage(from) : undefined
  from.end()
  return { packetId, redo, message }
}

/** will = version u32(delaySeconds) u48(dueAtMs) message; the client id is the rest of the key. */
export function writeWill(out: RecordWriter, will: StoredWill): void {
  out.u8(VERSION).u32(will.delaySeconds).u48(will.dueAtMs)
  writeMessage(out, will.message)
}

export function readWill(value: Buffer, clientId: string): StoredWill {
  const from = new RecordReader(value)
  from.version(VERSION)
  return { clientId, delaySeconds: from.u32(), dueAtMs: from.u48(), message: readMessage(from) }
}
