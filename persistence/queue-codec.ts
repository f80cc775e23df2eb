import type { QueueState } from './contract.ts'
import { checkMessage } from './message-codec.ts'
import { corrupt, RecordReader, type RecordWriter } from './record-bytes.ts'

const VERSION = 1
const QOS_2 = 0x01
const RETAIN = 0x02
const STATE_SHIFT = 2
const BODY_SHIFT = 4
const SUBSCRIPTION_IDS = 0x40
const KNOWN = 0x7f

const STATES: readonly QueueState[] = ['queued', 'sent', 'released']

export const NO_BODY = 0
export const INLINE_BODY = 1
export const SHARED_BODY = 2
export type BodyKind = typeof NO_BODY | typeof INLINE_BODY | typeof SHARED_BODY

export const NO_SUBSCRIPTION_IDS: readonly number[] = Object.freeze([])

/** A queue record without its message. */
export interface QueueHead {
  qos: 1 | 2
  retain: boolean
  state: QueueState
  packetId: number
  subscriptionIds: readonly number[]
  body: BodyKind
  /** 0 unless the body is shared. */
  bodyId: number
  /** Where an inline message starts in the record. */
  bodyStart: number
}

/**
 * queue = version flags [u16(packetId)] [varint(n) n*varint(subscriptionId)] body
 * body  = nothing (released) | message (inline) | u48(bodyId) (shared)
 *
 * Written up to where an inline message would follow.
 */
export function writeQueueHead(
  out: RecordWriter,
  qos: 1 | 2,
  retain: boolean,
  packetId: number,
  released: boolean,
  subscriptionIds: readonly number[],
  body: BodyKind,
  bodyId: number
): void {
  const state = released ? 2 : packetId > 0 ? 1 : 0
  let flags = (qos === 2 ? QOS_2 : 0) | (retain ? RETAIN : 0) | (state << STATE_SHIFT) | (body << BODY_SHIFT)
  if (subscriptionIds.length > 0) flags |= SUBSCRIPTION_IDS
  out.u8(VERSION).u8(flags)
  if (state !== 0) out.u16(packetId)
  if (subscriptionIds.length > 0) {
    out.varint(subscriptionIds.length)
    for (const id of subscriptionIds) out.varint(id)
  }
  if (body === SHARED_BODY) out.u48(bodyId)
}

export function readQueueHead(value: Buffer): QueueHead {
  const from = new RecordReader(value)
  const flags = from.version(VERSION).u8()
  const state = STATES[(flags >> STATE_SHIFT) & 3]
  const body = (flags >> BODY_SHIFT) & 3
  if (flags > KNOWN || state === undefined || body > SHARED_BODY) throw corrupt(`queue flags ${flags} mean nothing`)
  if ((body === NO_BODY) !== (state === 'released')) throw corrupt('only a released entry is without a body')
  const packetId = state === 'queued' ? 0 : from.u16()
  const subscriptionIds = flags & SUBSCRIPTION_IDS ? readSubscriptionIds(from) : NO_SUBSCRIPTION_IDS
  const bodyId = body === SHARED_BODY ? from.u48() : 0
  const bodyStart = from.position
  if (body === INLINE_BODY) checkMessage(from)
  else from.end()
  return {
    qos: flags & QOS_2 ? 2 : 1,
    retain: (flags & RETAIN) !== 0,
    state,
    packetId,
    subscriptionIds,
    body: body as BodyKind,
    bodyId,
    bodyStart
  }
}

/** inflight = version u16(packetId): the entry of the same number was sent with this Packet Identifier after it was written. */
export function writeInflight(out: RecordWriter, packetId: number): void {
  out.u8(VERSION).u16(packetId)
}

export function readInflight(value: Buffer): number {
  const from = new RecordReader(value)
  const packetId = from.version(VERSION).u16()
  from.end()
  return packetId
}

function readSubscriptionIds(from: RecordReader): number[] {
  const count = from.varint()
  const ids: number[] = []
  // Not preallocated: a count read from a damaged record must not decide how much memory is taken.
  for (let i = 0; i < count; i++) ids.push(from.varint())
  return ids
}
