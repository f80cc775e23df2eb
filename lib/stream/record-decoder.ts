import type { Qos } from '../mqtt/packet.ts'
import type { BatchHeader } from './batch.ts'
import { VarintReader } from './bytes.ts'
import type { Offset, RecordSource, StreamRecord } from './contract.ts'
import { FLAG_EXPIRY, FLAG_PACKET_ID, FLAG_PROPERTIES, FLAG_RETAIN, FLAG_SETTLED } from './record.ts'

/** Makes records of batches, as far as one read wants them. The grammar is told in record.ts. */
export class RecordDecoder {
  /** Records from here on are not wanted. */
  endOffset: Offset = Number.POSITIVE_INFINITY
  /** Until one is found with this timestamp or a later one, records are not wanted. */
  fromTimeMs = Number.NEGATIVE_INFINITY
  /** How many more records are wanted. */
  remaining: number
  readonly #select: ((source: RecordSource) => boolean) | undefined

  constructor(limit: number, select: ((source: RecordSource) => boolean) | undefined) {
    this.remaining = limit
    this.#select = select
  }

  /**
   * Appends the wanted records of one batch body to `into`, leaving out those before `fromOffset`. Returns the offset behind the
   * last one it looked at. Throws RangeError on malformed bytes; nothing has changed then.
   */
  decode(bytes: Buffer, start: number, header: BatchHeader, fromOffset: Offset, into: StreamRecord[]): Offset {
    const reader = new VarintReader(bytes, start, start + header.bodyBytes)
    const before = into.length
    const end = Math.min(header.nextOffset, this.endOffset)
    const { compacted } = header
    let left = header.count
    const most = before + this.remaining
    const sources: RecordSource[] = []
    const selected: boolean[] = []
    let fromTimeMs = this.fromTimeMs
    let timestampMs = header.firstTimestampMs
    let offset = header.baseOffset
    try {
      while (left > 0 && offset < end && into.length < most) {
        const flags = bytes[reader.skip(1)]!
        if (compacted) {
          offset += reader.unsigned()
          // A read that ends in the middle of a batch may end in a hole.
          if (offset >= end) break
        }
        timestampMs += reader.signed()
        const number = reader.unsigned()
        if (number === sources.length) {
          const defined = decodeDefinition(reader)
          sources.push(defined)
          selected.push(this.#select === undefined || this.#select(defined))
        }
        const source = sources[number]
        if (source === undefined) throw new RangeError(`record ${offset} refers to source ${number}, which is not defined`)
        const expiresAtMs = (flags & FLAG_EXPIRY) === 0 ? 0 : timestampMs + reader.signed()
        const packetId = (flags & FLAG_PACKET_ID) === 0 ? 0 : reader.unsigned()
        if ((flags & FLAG_SETTLED) !== 0) reader.signed()
        const propertiesBytes = (flags & FLAG_PROPERTIES) === 0 ? 0 : reader.unsigned()
        const propertiesStart = reader.skip(propertiesBytes)
        const payloadBytes = reader.unsigned()
        const payloadStart = reader.skip(payloadBytes)
        if (offset >= fromOffset && timestampMs >= fromTimeMs) {
          fromTimeMs = Number.NEGATIVE_INFINITY
          if (selected[number]) {
            const record: StreamRecord = {
              offset,
              partition: source.partition,
              timestampMs,
              topic: source.topic,
              clientId: source.clientId,
              qos: (flags & 0x03) as Qos,
              retain: (flags & FLAG_RETAIN) !== 0,
              properties:
                propertiesBytes === 0 ? noProperties : bytes.subarray(propertiesStart, propertiesStart + propertiesBytes),
              expiresAtMs,
              payload: bytes.subarray(payloadStart, payloadStart + payloadBytes)
            }
            if (packetId > 0) record.packetId = packetId
            into.push(record)
          }
        }
        offset++
        left--
      }
      // Behind the last record there may be offsets without one.
      if (left === 0) offset = Math.max(offset, end)
      else if (end === header.nextOffset && into.length < most) throw new RangeError(`a record lies behind offset ${end}`)
      if (left === 0 && reader.at !== reader.end) {
        throw new RangeError(`${reader.end - reader.at} bytes are left over after ${header.count} records`)
      }
    } catch (error) {
      into.length = before
      throw error
    }
    if (offset > end) offset = end
    this.fromTimeMs = fromTimeMs
    this.remaining -= into.length - before
    return offset
  }
}

const noProperties = Buffer.alloc(0)

function decodeDefinition(reader: VarintReader): RecordSource {
  const topic = decodeString(reader)
  const clientId = decodeString(reader)
  return { topic, clientId, partition: reader.unsigned() }
}

function decodeString(reader: VarintReader): string {
  const length = reader.unsigned()
  const at = reader.skip(length)
  return reader.bytes.toString('utf8', at, at + length)
}
