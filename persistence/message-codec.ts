import type { Message } from '../lib/mqtt/message.ts'
import type { Qos } from '../lib/mqtt/packet.ts'
import { corrupt, type RecordReader, type RecordWriter } from './record-bytes.ts'

const VERSION = 1
const QOS = 0x03
const RETAIN = 0x04
const EXPIRES = 0x08
const FOREIGN = 0x10
const NO_TOPIC = 0x20
const KNOWN = 0x3f

const EMPTY = Buffer.alloc(0)

/**
 * A Message and what a plug-in of the Aedes contract needs beside it (packet fields Message has no place for), as bytes that mean
 * nothing to the store. The engine never sets nor sees it.
 */
export interface StoredMessage extends Message {
  foreign?: Buffer
}

/**
 * message = version flags u48(publishedAtMs) [u48(expiresAtMs)] [text(topic)] text(publisherId) bytes(properties) [bytes(foreign)] payload
 *
 * The payload runs to the end of the record. `topicInKey` leaves the topic out where the key is the topic.
 */
export function writeMessage(out: RecordWriter, message: StoredMessage, topicInKey = false): void {
  const { foreign } = message
  let flags = (message.qos & QOS) | (message.retain ? RETAIN : 0)
  if (message.expiresAtMs > 0) flags |= EXPIRES
  if (foreign !== undefined) flags |= FOREIGN
  if (topicInKey) flags |= NO_TOPIC
  out.u8(VERSION).u8(flags).u48(message.publishedAtMs)
  if (message.expiresAtMs > 0) out.u48(message.expiresAtMs)
  if (!topicInKey) out.text(message.topic)
  out.text(message.publisherId).bytes(message.properties)
  if (foreign !== undefined) out.bytes(foreign)
  out.rest(message.payload)
}

export function readMessage(from: RecordReader, topicOfKey = ''): StoredMessage {
  const flags = from.version(VERSION).u8()
  if ((flags & QOS) === QOS || flags > KNOWN) throw corrupt(`message flags ${flags} mean nothing`)
  const publishedAtMs = from.u48()
  const expiresAtMs = flags & EXPIRES ? from.u48() : 0
  const topic = flags & NO_TOPIC ? topicOfKey : from.text()
  const publisherId = from.text()
  const properties = from.bytes()
  const foreign = flags & FOREIGN ? from.bytes() : undefined
  const message: StoredMessage = {
    topic,
    payload: from.rest(),
    qos: (flags & QOS) as Qos,
    retain: (flags & RETAIN) !== 0,
    properties: properties.length === 0 ? EMPTY : properties,
    expiresAtMs,
    publishedAtMs,
    publisherId
  }
  if (foreign !== undefined) message.foreign = foreign
  return message
}

/** Throws what readMessage would throw, without building strings or views. */
export function checkMessage(from: RecordReader): void {
  const flags = from.version(VERSION).u8()
  if ((flags & QOS) === QOS || flags > KNOWN) throw corrupt(`message flags ${flags} mean nothing`)
  from.u48()
  if (flags & EXPIRES) from.u48()
  if (!(flags & NO_TOPIC)) from.skip()
  from.skip()
  from.skip()
  if (flags & FOREIGN) from.skip()
}

/** What stands for the message of an entry that is `released`: the body was dropped when PUBREC came. */
export function releasedMessage(qos: Qos, retain: boolean): Message {
  return { topic: '', payload: EMPTY, qos, retain, properties: EMPTY, expiresAtMs: 0, publishedAtMs: 0, publisherId: '' }
}
