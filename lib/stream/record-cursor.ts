import type { BatchHeader } from './batch.ts'
import { VarintReader } from './bytes.ts'
import type { CompactionSource, SourceReader } from './compaction-source.ts'
import type { Offset } from './contract.ts'
import { FLAG_EXPIRY, FLAG_PACKET_ID, FLAG_PROPERTIES, FLAG_SETTLED } from './record.ts'

/**
 * Walks the records of one batch without making them: where the parts of the current one lie, for copying them. next() throws a
 * RangeError on malformed bytes.
 */
export class RecordCursor {
  readonly bytes: Buffer
  offset: Offset
  flags = 0
  timestampMs: number
  /** Valid after next(). */
  source!: CompactionSource
  expiresAtMs = 0
  /** When compaction had removed everything before this tombstone; 0 = it has not yet, or it is none. */
  settledAtMs = 0
  /** 0 when the record has none. */
  packetId = 0
  propertiesStart = 0
  propertiesEnd = 0
  payloadStart = 0
  payloadEnd = 0
  readonly #reader: VarintReader
  readonly #header: BatchHeader
  readonly #sources: SourceReader
  readonly #defined: CompactionSource[] = []
  #left: number

  constructor(bytes: Buffer, start: number, header: BatchHeader, sources: SourceReader) {
    this.bytes = bytes
    this.#reader = new VarintReader(bytes, start, start + header.bodyBytes)
    this.#header = header
    this.#sources = sources
    this.#left = header.count
    this.offset = header.baseOffset - 1
    this.timestampMs = header.firstTimestampMs
  }

  /** An empty payload says that the key has no value any more. */
  get isTombstone(): boolean {
    return this.payloadStart === this.payloadEnd
  }

  next(): boolean {
    const reader = this.#reader
    const { compacted, nextOffset } = this.#header
    if (this.#left === 0) {
      if (reader.at !== reader.end) throw new RangeError(`${reader.end - reader.at} bytes are left over`)
      return false
    }
    this.#left--
    this.flags = this.bytes[reader.skip(1)]!
    this.offset += 1 + (compacted ? reader.unsigned() : 0)
    if (this.offset >= nextOffset) throw new RangeError(`a record lies behind offset ${nextOffset}`)
    this.timestampMs += reader.signed()
    const number = reader.unsigned()
    if (number === this.#defined.length) this.#defined.push(this.#sources.read(reader))
    const source = this.#defined[number]
    if (source === undefined) throw new RangeError(`record ${this.offset} refers to source ${number}, which is not defined`)
    this.source = source
    this.expiresAtMs = (this.flags & FLAG_EXPIRY) === 0 ? 0 : this.timestampMs + reader.signed()
    this.packetId = (this.flags & FLAG_PACKET_ID) === 0 ? 0 : reader.unsigned()
    this.settledAtMs = (this.flags & FLAG_SETTLED) === 0 ? 0 : this.timestampMs + reader.signed()
    const propertiesBytes = (this.flags & FLAG_PROPERTIES) === 0 ? 0 : reader.unsigned()
    this.propertiesStart = reader.skip(propertiesBytes)
    this.propertiesEnd = reader.at
    const payloadBytes = reader.unsigned()
    this.payloadStart = reader.skip(payloadBytes)
    this.payloadEnd = reader.at
    return true
  }
}
