import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import { t } from 'tap'
import { BATCH_HEADER_BYTES, finishBatch, readBatchHeader } from '../../lib/stream/batch.ts'
import { BatchWalker, endOfData, findBatch } from '../../lib/stream/batch-walker.ts'
import { ChunkPool } from '../../lib/stream/chunk-pool.ts'
import type { StreamRecord } from '../../lib/stream/contract.ts'
import type { File } from '../../lib/stream/file-system.ts'
import { PreparedSource, RecordWriter, recordBytesMax } from '../../lib/stream/record.ts'
import { RecordDecoder } from '../../lib/stream/record-decoder.ts'
import { MemoryFileSystem } from './memory-file-system.ts'

const seed = 0x12345678
const blockBytes = 256 * 1024
const none = Buffer.alloc(0)
const decoder = () => new RecordDecoder(Number.POSITIVE_INFINITY, undefined)

function batchOf(baseOffset: number, ...payloads: Buffer[]): Buffer {
  const source = new PreparedSource('topic', 'client', 3)
  const bytes = payloads.reduce((sum, payload) => sum + recordBytesMax(source, none, payload.length), BATCH_HEADER_BYTES)
  const writer = new RecordWriter(new ChunkPool().take(bytes), BATCH_HEADER_BYTES)
  for (const payload of payloads) {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
    writer.add(source, 1, false, 1000, 0, none, payload, view, 0, payload.length)
  }
  return Buffer.from(finishBatch(writer, baseOffset, 0, seed))
}

async function fileOf(...parts: Buffer[]): Promise<File> {
  const fileSystem = new MemoryFileSystem()
  fileSystem.put('/f', Buffer.concat(parts))
  return fileSystem.open('/f', 'read')
}

t.test('a batch behind garbage is found wherever it lies across the blocks that are read', async t => {
  const batch = batchOf(7, Buffer.from('payload'))
  for (let garbage = blockBytes - BATCH_HEADER_BYTES - 5; garbage <= blockBytes + 5; garbage++) {
    const file = await fileOf(Buffer.alloc(garbage, 'TRBBTRB'), batch)
    const found = await findBatch(file, seed, 0, garbage + batch.length, 0)
    t.equal(found?.position, garbage)
    t.equal(found?.end, garbage + batch.length)
  }
})

t.test('a batch with another seed, below the wanted offset, cut off or damaged is not found', async t => {
  const batch = batchOf(7, Buffer.from('payload'))
  const file = await fileOf(batch)
  t.equal(await findBatch(file, seed + 1, 0, batch.length, 0), undefined)
  t.equal(await findBatch(file, seed, 0, batch.length, 8), undefined)
  t.equal(await findBatch(file, seed, 0, batch.length - 1, 0), undefined)
  batch[batch.length - 1]! ^= 1
  t.equal(await findBatch(await fileOf(batch), seed, 0, batch.length, 0), undefined)
})

t.test('walking meets every batch, whatever their sizes are beside those of the blocks', async t => {
  const sizes = [0, 1, blockBytes - 200, 5, blockBytes, blockBytes + 1, 3 * blockBytes, 2, 100]
  const batches = sizes.map((size, i) => batchOf(i, Buffer.alloc(size, i)))
  const length = batches.reduce((sum, batch) => sum + batch.length, 0)
  const walker = new BatchWalker(await fileOf(...batches, Buffer.alloc(100)), seed, 0, 0, length)
  const seen: number[] = []
  for (let step = walker.step(); step !== 'end'; step = walker.step()) {
    if (step === 'load') {
      await walker.load()
      continue
    }
    t.equal(step, 'batch')
    const records: StreamRecord[] = []
    decoder().decode(walker.block, walker.bodyStart, walker.header!, 0, records)
    seen.push(records[0]!.payload.length)
    walker.advance()
  }
  t.strictSame(seen, sizes)
  walker.limit = length + 100
  t.equal(walker.step(), 'load')
  await walker.load()
  t.equal(walker.step(), 'damaged')
})

t.test('a file shorter than the limit is damage, not an endless wait', async t => {
  const batch = batchOf(0, Buffer.alloc(1000, 1))
  const walker = new BatchWalker(await fileOf(batch.subarray(0, 500)), seed, 0, 0, batch.length)
  t.equal(walker.step(), 'load')
  await walker.load()
  t.equal(walker.step(), 'damaged')
})

t.test('the end of data is behind the last byte that is not zero', async t => {
  const file = await fileOf(Buffer.alloc(300_000), Buffer.from([1]), Buffer.alloc(300_000))
  t.equal(await endOfData(file, 0, 600_001), 300_001)
  t.equal(await endOfData(file, 300_001, 600_001), 300_001)
})

t.test('records of any kind come back from their batch as they went in', async t => {
  const record = fc.record({
    source: fc.nat(3),
    qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
    retain: fc.boolean(),
    timestampMs: fc.integer({ min: 0, max: 8_640_000_000_000_000 / 2 }),
    expiresAtMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 8_640_000_000_000_000 / 2 })),
    properties: fc.uint8Array({ maxLength: 200 }),
    payload: fc.uint8Array({ maxLength: 400 })
  })
  const sources = ['a', 'devices/ü/€', 'x'.repeat(300), ''].map(
    (topic, i) => new PreparedSource(topic, `client ${topic}`, i * 1000)
  )
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 30 }), fc.nat(2 ** 50), (records, baseOffset) => {
      const writer = new RecordWriter(new ChunkPool().take(0), BATCH_HEADER_BYTES)
      for (const { source, qos, retain, timestampMs, expiresAtMs, properties, payload } of records) {
        const bytes = Buffer.concat([Buffer.alloc(3), payload])
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
        const before = writer.at
        writer.add(sources[source]!, qos, retain, timestampMs, expiresAtMs, Buffer.from(properties), bytes, view, 3, bytes.length)
        const bound = recordBytesMax(sources[source]!, Buffer.from(properties), payload.length)
        if (writer.at - before > bound) throw new Error(`${writer.at - before} bytes, at most ${bound} expected`)
      }
      const bytes = finishBatch(writer, baseOffset, 0, seed)
      const got: StreamRecord[] = []
      decoder().decode(bytes, BATCH_HEADER_BYTES, readBatchHeader(bytes, 0, seed)!, 0, got)
      const expected = records.map(({ source, ...rest }, i) => {
        const { topic, clientId, partition } = sources[source]!
        const { properties, payload } = rest
        const own = { properties: Buffer.from(properties), payload: Buffer.from(payload) }
        return { offset: baseOffset + i, topic, clientId, partition, ...rest, ...own }
      })
      deepStrictEqual(got, expected)
    }),
    { numRuns: 100 }
  )
  t.pass()
})

t.test('bytes that are no records never crash the decoder with anything but a RangeError, nor make it run on', async t => {
  const header = readBatchHeader(batchOf(0, none), 0, seed)!
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(1_000_000), (bytes, count) => {
      try {
        decoder().decode(Buffer.from(bytes), 0, { ...header, bodyBytes: bytes.length, count, nextOffset: count }, 0, [])
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
      }
    }),
    { numRuns: 2000 }
  )
  t.pass()
})
