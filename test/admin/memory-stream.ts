import { EventEmitter, once } from 'node:events'
import type { Properties } from '../../lib/mqtt/packet.ts'
import { encodeMessageProperties } from '../../lib/mqtt/properties.ts'
import type { ReadBatch, ReadOptions, RecordSource, Stream, StreamRecord, StreamStats } from '../../lib/stream/contract.ts'

/** Just enough of a stream to be read from: records in an array. Counts readers, so that a test sees whether they end. */
export class MemoryStream implements Stream {
  readonly name: string
  readonly partitions = 2
  readonly dirty = false
  readonly pendingBytes = 0
  readonly records: StreamRecord[] = []
  readonly events = new EventEmitter()
  earliestOffset = 0
  readers = 0
  /** Records handed out by all reads. */
  yielded = 0
  /** Thrown by a read when it reaches this offset. */
  fault: { offset: number; error: Error } | undefined

  constructor(name: string) {
    this.name = name
  }

  get nextOffset(): number {
    return this.records.length
  }

  add(
    topic: string,
    payload: string | Buffer,
    extra: Partial<Omit<StreamRecord, 'properties'>> & { properties?: Properties } = {}
  ): void {
    const { properties, ...rest } = extra
    this.records.push({
      offset: this.records.length,
      partition: 1,
      timestampMs: Date.UTC(2024, 4, 1, 12, 0, this.records.length),
      topic,
      clientId: 'device-1',
      qos: 1,
      retain: false,
      properties: properties === undefined ? Buffer.alloc(0) : encodeMessageProperties(properties),
      expiresAtMs: 0,
      payload: Buffer.from(payload),
      ...rest
    })
    this.events.emit('added')
  }

  source(topic: string, clientId: string): RecordSource {
    return { topic, clientId, partition: 0 }
  }

  append(): number {
    throw new Error('a test adds records with add()')
  }

  seal(): void {}

  async sync(): Promise<void> {}

  stats(): StreamStats {
    return {
      name: this.name,
      earliestOffset: this.earliestOffset,
      nextOffset: this.nextOffset,
      durableOffset: this.nextOffset,
      bytes: this.records.reduce((sum, record) => sum + record.payload.length, 0),
      segments: 1,
      earliestTimestampMs: this.records[this.earliestOffset]?.timestampMs,
      latestTimestampMs: this.records.at(-1)?.timestampMs
    }
  }

  async *read(options: ReadOptions): AsyncGenerator<StreamRecord, void, undefined> {
    this.readers++
    try {
      let left = options.limit ?? Number.POSITIVE_INFINITY
      for (let offset = this.#startOf(options.from); left > 0; offset++) {
        while (offset >= this.records.length) {
          if (!options.follow) return
          await once(this.events, 'added', options.signal ? { signal: options.signal } : {})
        }
        if (this.fault?.offset === offset) throw this.fault.error
        const record = this.records[offset]!
        if (options.select?.(record) === false) continue
        this.yielded++
        left--
        yield record
      }
    } finally {
      this.readers--
      this.events.emit('reader gone')
    }
  }

  async *readBatches(options: ReadOptions): AsyncGenerator<ReadBatch, void, undefined> {
    for await (const record of this.read(options)) yield { records: [record], nextOffset: record.offset + 1 }
  }

  #startOf(from: ReadOptions['from']): number {
    if (from === 'earliest') return this.earliestOffset
    if (from === 'latest') return this.nextOffset
    if ('offset' in from) return from.offset
    const at = this.records.findIndex(record => record.timestampMs >= from.timeMs)
    return at === -1 ? this.nextOffset : at
  }
}
