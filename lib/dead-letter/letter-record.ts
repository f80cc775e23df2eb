import { TributaryError } from '../errors.ts'
import type { Message } from '../mqtt/message.ts'
import type { Qos, UserProperties } from '../mqtt/packet.ts'
import { decodeMessageProperties, encodeMessageProperties } from '../mqtt/properties.ts'
import type { StreamRecord } from '../stream/contract.ts'
import type { DeadLetter, DeadLetterReason, LetterOrigin } from './contract.ts'

/**
 * A dead letter as a record of a stream. Topic, payload, publisher, QoS, RETAIN and expiry are those of the message; the record's time
 * is that of its death. The properties are
 *
 *     properties = publisher's own, byte for byte
 *                  User Properties `dead-letter-*`, one for each field that is known
 *                  User Property `dead-letter-own-bytes` = how many bytes the publisher's own take, ten digits
 *
 * The last one is always there and always the same length. A publisher may have sent properties of the same names; they lie in front of
 * that many bytes, so they are never taken for ours, and cutting there gives the message back as it was.
 */

/** A dead letter that was read. */
export interface KeptLetter extends DeadLetter {
  /** Offset in the log; never given twice. */
  readonly id: number
  /** Epoch milliseconds at which it became a dead letter. */
  readonly diedAtMs: number
  readonly qos: Qos
}

const prefix = 'dead-letter-'
const ownBytesName = `${prefix}own-bytes`
const ownBytesDigits = 10
/** 0x26, two lengths of two bytes, name and digits. */
const tailBytes = 5 + ownBytesName.length + ownBytesDigits

/** Longer texts are cut: a stack trace helps nobody here, and a User Property holds 65,535 bytes. Characters. */
const textLengthMax = 2_000

/** Properties of the record of a letter. */
export function letterProperties(letter: DeadLetter): Buffer {
  const { message, reason, clientId, filter, stream, group, offset, attempts, error, origin } = letter
  const fields: UserProperties = [
    ['reason', reason],
    ['qos', String(letter.qos ?? message.qos)],
    ['published', new Date(message.publishedAtMs).toISOString()],
    ['attempts', String(attempts)],
    ['error', error.replaceAll('\0', '\ufffd').slice(0, textLengthMax)]
  ]
  const optional = { client: clientId, filter, stream, group, offset: offset === undefined ? undefined : String(offset) }
  for (const [name, value] of Object.entries(optional)) if (value !== undefined) fields.push([name, value])
  if (origin !== undefined) fields.push(['origin', `${origin.key}-${origin.seq}`])
  const userProperties: UserProperties = fields.map(([name, value]) => [prefix + name, value])
  userProperties.push([ownBytesName, String(message.properties.length).padStart(ownBytesDigits, '0')])
  return Buffer.concat([message.properties, encodeMessageProperties({ userProperties })])
}

/** Throws TRB_STREAM_CORRUPT for a record that is none of ours. */
export function readLetter(record: StreamRecord): KeptLetter {
  const { properties, topic, qos, retain, expiresAtMs, clientId: publisherId } = record
  const ownBytes = Number(properties.toString('latin1', properties.length - ownBytesDigits))
  if (!(ownBytes <= properties.length - tailBytes)) throw corrupt(record, 'has no User Property dead-letter-own-bytes at its end')
  const { userProperties = [] } = decodeMessageProperties(properties.subarray(ownBytes))
  const fields = new Map(userProperties.map(([name, value]) => [name.slice(prefix.length), value]))
  const reason = fields.get('reason')
  if (reason === undefined) throw corrupt(record, 'has no reason')
  const offset = fields.get('offset')
  const message: Message = {
    topic,
    // Records are views of large blocks.
    payload: Buffer.from(record.payload),
    qos,
    retain,
    properties: Buffer.from(properties.subarray(0, ownBytes)),
    expiresAtMs,
    publishedAtMs: Date.parse(fields.get('published') ?? ''),
    publisherId
  }
  return {
    id: record.offset,
    diedAtMs: record.timestampMs,
    reason: reason as DeadLetterReason,
    message,
    qos: Number(fields.get('qos')) as Qos,
    clientId: fields.get('client'),
    filter: fields.get('filter'),
    stream: fields.get('stream'),
    group: fields.get('group'),
    offset: offset === undefined ? undefined : Number(offset),
    attempts: Number(fields.get('attempts')),
    error: fields.get('error') ?? '',
    origin: originOf(fields.get('origin'))
  }
}

function originOf(text: string | undefined): LetterOrigin | undefined {
  const [key, seq] = (text ?? '').split('-').map(Number)
  return key === undefined || seq === undefined ? undefined : { key, seq }
}

function corrupt({ offset }: StreamRecord, why: string): TributaryError {
  return new TributaryError('TRB_STREAM_CORRUPT', `the dead letter at offset ${offset} ${why}`)
}
