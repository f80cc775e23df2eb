/**
 * The key grammar of the store. FORMAT.md is the reference; this file is the only one that builds or takes keys apart.
 *
 * Every number in a key is big-endian and of fixed width, so byte order is numeric order and no session's keys can be a prefix
 * of another's, whatever the client ids look like.
 */

export const META = 0x00
export const SESSION = 0x53
export const BODY = 0x4d
export const RETAINED = 0x52
export const WILL = 0x57
export const PURGE = 0x50
export const QUARANTINE = 0x58

/** Second part of a session key: what the record is. The order is the order in which a scan meets the records of a session. */
export const SESSION_RECORD = 0x01
export const SUBSCRIPTION = 0x02
export const RECEIVED = 0x03
export const INFLIGHT = 0x04
export const QUEUE = 0x05

export const SEQ_MAX = 2 ** 48 - 1
export const SESSION_KEY_MAX = 2 ** 32 - 1

/** The one record of the META space: what wrote this folder. */
export const FORMAT_KEY = Buffer.from([META, 0x01])

/** Bytes before the part of a session key that depends on its kind. */
const SESSION_PREFIX_BYTES = 6
export const QUEUE_KEY_BYTES = SESSION_PREFIX_BYTES + 6

export function sessionRecordKey(session: number): Buffer {
  return sessionPrefix(session, SESSION_RECORD, 0)
}

export function subscriptionKey(session: number, filter: string): Buffer {
  const key = sessionPrefix(session, SUBSCRIPTION, Buffer.byteLength(filter))
  key.write(filter, SESSION_PREFIX_BYTES)
  return key
}

export function receivedKey(session: number, packetId: number): Buffer {
  const key = sessionPrefix(session, RECEIVED, 2)
  key.writeUInt16BE(packetId, SESSION_PREFIX_BYTES)
  return key
}

/** Writes an inflight or queue key into `out`, which may be reused: Level copies keys as they are put. */
export function writeEntryKey(out: Buffer, kind: typeof INFLIGHT | typeof QUEUE, session: number, seq: number): Buffer {
  out[0] = SESSION
  out.writeUInt32BE(session, 1)
  out[5] = kind
  out.writeUIntBE(seq, SESSION_PREFIX_BYTES, 6)
  return out
}

export function entryKey(kind: typeof INFLIGHT | typeof QUEUE, session: number, seq: number): Buffer {
  return writeEntryKey(Buffer.allocUnsafe(QUEUE_KEY_BYTES), kind, session, seq)
}

export function writeBodyKey(out: Buffer, bodyId: number): Buffer {
  out[0] = BODY
  out.writeUIntBE(bodyId, 1, 6)
  return out
}

export const BODY_KEY_BYTES = 7

export function bodyKey(bodyId: number): Buffer {
  return writeBodyKey(Buffer.allocUnsafe(BODY_KEY_BYTES), bodyId)
}

export function purgeKey(session: number): Buffer {
  const key = Buffer.allocUnsafe(5)
  key[0] = PURGE
  key.writeUInt32BE(session, 1)
  return key
}

/** RETAINED, WILL: the space byte and the UTF-8 of the whole topic or client id, always looked up as a whole. */
export function textKey(space: typeof RETAINED | typeof WILL, text: string): Buffer {
  const key = Buffer.allocUnsafe(1 + Buffer.byteLength(text))
  key[0] = space
  key.write(text, 1)
  return key
}

export function quarantineKey(original: Buffer): Buffer {
  return Buffer.concat([Buffer.from([QUARANTINE]), original])
}

/** All keys of one space: gte the space byte, lt the next one. */
export function spaceRange(space: number): { gte: Buffer; lt: Buffer } {
  return { gte: Buffer.from([space]), lt: Buffer.from([space + 1]) }
}

/** All records of one session, or those of one kind. */
export function sessionRange(session: number, kind?: number): { gte: Buffer; lt: Buffer } {
  const gte = sessionPrefix(session, kind ?? 0, 0)
  const lt = sessionPrefix(session, kind === undefined ? 0xff : kind + 1, 0)
  return { gte, lt }
}

/** Queue entries of one session from `seq` on. */
export function queueRange(session: number, seq: number): { gte: Buffer; lt: Buffer } {
  return { gte: entryKey(QUEUE, session, seq), lt: sessionPrefix(session, QUEUE + 1, 0) }
}

export function keySession(key: Buffer): number {
  return key.readUInt32BE(1)
}

export function keyKind(key: Buffer): number {
  return key[5] ?? 0
}

export function keyFilter(key: Buffer): string {
  return key.toString('utf8', SESSION_PREFIX_BYTES)
}

export function keyPacketId(key: Buffer): number {
  return key.readUInt16BE(SESSION_PREFIX_BYTES)
}

export function keySeq(key: Buffer): number {
  return key.readUIntBE(SESSION_PREFIX_BYTES, 6)
}

export function keyBodyId(key: Buffer): number {
  return key.readUIntBE(1, 6)
}

export function keyText(key: Buffer): string {
  return key.toString('utf8', 1)
}

/** How a key is shown to people: what it is, then its bytes. */
export function describeKey(key: Buffer): string {
  const kind = SPACE_NAMES.get(key[0] ?? -1) ?? 'unknown'
  return `${kind} record ${key.toString('hex')}`
}

const SPACE_NAMES = new Map([
  [META, 'format'],
  [SESSION, 'session'],
  [BODY, 'message body'],
  [RETAINED, 'retained'],
  [WILL, 'will'],
  [PURGE, 'purge'],
  [QUARANTINE, 'quarantined']
])

function sessionPrefix(session: number, kind: number, more: number): Buffer {
  const key = Buffer.allocUnsafe(SESSION_PREFIX_BYTES + more)
  key[0] = SESSION
  key.writeUInt32BE(session, 1)
  key[5] = kind
  return key
}
