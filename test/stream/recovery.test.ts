import { t } from 'tap'
import { BATCH_HEADER_BYTES } from '../../lib/stream/batch.ts'
import { SEGMENT_HEADER_BYTES } from '../../lib/stream/segment.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { append, appendSynced, LOG_FOLDER, openLog, payloads, segmentFile, TestLogger } from './open-log.ts'

const first = segmentFile(0)

/** A log of one segment with three writes of one batch each, left without a clean stop; returns where each batch ends. */
async function crashedLog(fileSystem: MemoryFileSystem): Promise<number[]> {
  const log = await openLog(fileSystem)
  const ends: number[] = []
  for (const [a, b] of ['ab', 'cd', 'ef']) {
    await appendSynced(log, a!, b!)
    ends.push(log.stats().bytes)
  }
  fileSystem.crash()
  return ends
}

t.test('after a crash every synced record is there and unsynced ones are not', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  await appendSynced(log, 'a', 'b')
  append(log, 'lost')
  fileSystem.crash()
  const logger = new TestLogger()
  const again = await openLog(fileSystem, { logger })
  t.strictSame(await payloads(again), ['a', 'b'])
  t.equal(again.nextOffset, 2)
  t.strictSame(logger.at('error'), [])
  t.strictSame(logger.at('warn'), [])
})

t.test('a last batch torn at any byte is cut off, and the log goes on in its place', async t => {
  const fileSystem = new MemoryFileSystem()
  const ends = await crashedLog(fileSystem)
  const whole = Buffer.from(fileSystem.bytes(first))
  for (let torn = ends[1]!; torn < ends[2]!; torn++) {
    for (const padding of [0, 512]) {
      const logger = new TestLogger()
      fileSystem.put(first, Buffer.concat([whole.subarray(0, torn), Buffer.alloc(padding)]))
      const log = await openLog(fileSystem, { logger })
      t.strictSame(logger.at('error'), [])
      const [warning] = logger.at('warn')
      // A cut behind zero bytes of the batch cannot be told from padding.
      const tornBytes = lengthWithoutZeros(whole.subarray(ends[1]!, torn))
      t.equal(warning?.details.tornBytes, tornBytes === 0 ? undefined : tornBytes)
      await appendSynced(log, 'new')
      t.strictSame(await payloads(log), ['a', 'b', 'c', 'd', 'new'])
      t.equal(log.nextOffset, 5)
      fileSystem.crash()
      t.strictSame(await payloads(await openLog(fileSystem)), ['a', 'b', 'c', 'd', 'new'])
    }
  }
})

t.test('a last batch with bytes in its middle missing is cut off', async t => {
  const fileSystem = new MemoryFileSystem()
  const ends = await crashedLog(fileSystem)
  const whole = Buffer.from(fileSystem.bytes(first))
  for (let at = ends[1]!; at < ends[2]!; at++) {
    if (whole[at] === 0) continue
    const bytes = Buffer.from(whole)
    bytes[at] = 0
    fileSystem.put(first, bytes)
    const log = await openLog(fileSystem)
    t.strictSame(await payloads(log), ['a', 'b', 'c', 'd'])
    t.strictSame(log.gaps, [])
  }
})

t.test('a flipped bit before the last write is reported and quarantined, and the records around it stay', async t => {
  const fileSystem = new MemoryFileSystem()
  const ends = await crashedLog(fileSystem)
  const whole = Buffer.from(fileSystem.bytes(first))
  for (let at = ends[0]!; at < ends[1]!; at++) {
    const bytes = Buffer.from(whole)
    bytes[at]! ^= 1 << (at % 8)
    fileSystem.put(first, bytes)
    const logger = new TestLogger()
    const log = await openLog(fileSystem, { logger })
    const quarantine = `${LOG_FOLDER}/0000000000000000-2.quarantine`
    t.strictSame(
      logger.at('error').map(line => line.details),
      [
        {
          code: 'TRB_STREAM_CORRUPT',
          stream: 'log',
          file: first,
          position: ends[0],
          bytes: ends[1]! - ends[0]!,
          fromOffset: 2,
          toOffset: 4,
          quarantine
        }
      ]
    )
    t.strictSame(fileSystem.bytes(quarantine), bytes.subarray(ends[0], ends[1]))
    t.strictSame(log.gaps, [{ fromOffset: 2, toOffset: 4 }])
    await t.rejects(payloads(log), { code: 'TRB_STREAM_CORRUPT', gap: { fromOffset: 2, toOffset: 4 } })
    t.strictSame(await payloads(log, { from: { offset: 4 } }), ['e', 'f'])
    await appendSynced(log, 'g')
    const gaps: unknown[] = []
    t.strictSame(await payloads(log, { from: 'earliest', onGap: gap => gaps.push(gap) }), ['a', 'b', 'e', 'f', 'g'])
    t.strictSame(gaps, [{ fromOffset: 2, toOffset: 4 }])
  }
})

t.test('a batch of a payload that looks like a batch is never taken for one', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  await appendSynced(log, 'a')
  const batch = Buffer.from(fileSystem.bytes(first).subarray(SEGMENT_HEADER_BYTES, log.stats().bytes))
  // An attacker does not know the seed: this one was made for another.
  batch[BATCH_HEADER_BYTES - 1]! ^= 0xff
  append(log, batch)
  await log.sync()
  const end = log.stats().bytes
  fileSystem.crash()
  const bytes = Buffer.from(fileSystem.bytes(first))
  bytes[end - batch.length - 8]! ^= 1
  fileSystem.put(first, bytes)
  t.strictSame(await payloads(await openLog(fileSystem)), ['a'])
})

t.test('one write of many batches that was torn in its first is cut off whole, although a later batch checks', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem, { segmentBytesMax: 1 << 22 })
  await appendSynced(log, 'a')
  const start = log.stats().bytes
  for (let i = 0; i < 3; i++) append(log, Buffer.alloc(200_000, i))
  await log.sync()
  fileSystem.crash()
  const bytes = Buffer.from(fileSystem.bytes(first))
  bytes[start + 100]! ^= 1
  fileSystem.put(first, bytes)
  const again = await openLog(fileSystem, { segmentBytesMax: 1 << 22 })
  t.equal(again.nextOffset, 1)
  t.strictSame(again.gaps, [])
})

t.test('a label damaged in one copy is reported and the segment read by the other', async t => {
  for (let at = 0; at < SEGMENT_HEADER_BYTES; at++) {
    const fileSystem = new MemoryFileSystem()
    await crashedLog(fileSystem)
    const bytes = Buffer.from(fileSystem.bytes(first))
    bytes[at]! ^= 0x10
    fileSystem.put(first, bytes)
    const logger = new TestLogger()
    const log = await openLog(fileSystem, { logger })
    t.equal(logger.at('error').length, 1)
    t.strictSame(await payloads(log), ['a', 'b', 'c', 'd', 'e', 'f'])
  }
})

t.test('a segment with no readable label is quarantined whole, and no offset in it is given again', async t => {
  const fileSystem = new MemoryFileSystem()
  await crashedLog(fileSystem)
  const bytes = Buffer.from(fileSystem.bytes(first))
  bytes[0]! ^= 1
  bytes[40]! ^= 1
  fileSystem.put(first, bytes)
  const logger = new TestLogger()
  const log = await openLog(fileSystem, { logger })
  t.equal(logger.at('error')[0]?.details.quarantine, `${LOG_FOLDER}/0000000000000000-0.quarantine`)
  t.ok(log.nextOffset >= 6)
  const next = log.nextOffset
  await appendSynced(log, 'g')
  t.strictSame(await payloads(log), ['g'])
  await log.close()
  t.equal((await openLog(fileSystem)).nextOffset, next + 1)
})

t.test('a clean stop leaves nothing to scan', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem, { segmentBytesMax: 20_000 })
  for (let i = 0; i < 20; i++) await appendSynced(log, 'x'.repeat(10_000))
  await log.close()
  fileSystem.bytesRead = 0
  const logger = new TestLogger()
  const again = await openLog(fileSystem, { logger, segmentBytesMax: 20_000 })
  t.strictSame(logger.lines, [])
  t.equal(again.nextOffset, 20)
  t.ok(again.stats().segments >= 10)
  t.ok(fileSystem.bytesRead / again.stats().segments < 200)
})

t.test('after a crash only the last segment is scanned', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem, { segmentBytesMax: 20_000 })
  for (let i = 0; i < 19; i++) await appendSynced(log, 'x'.repeat(8_000))
  const { segments } = log.stats()
  // The folder is synced when a segment is made and when a full one has got its index, which happens in the background.
  while (fileSystem.counts.get('syncFolder')! < 2 * segments - 1) await new Promise(resolve => setImmediate(resolve))
  fileSystem.crash()
  const logger = new TestLogger()
  const again = await openLog(fileSystem, { logger, segmentBytesMax: 20_000 })
  t.strictSame(
    logger.lines.map(line => line.details.file),
    [segmentFile(again.segments.at(-1)!.baseOffset)]
  )
  t.equal(again.stats().segments, segments)
  t.equal(again.nextOffset, 19)
})

t.test('an index that is missing, damaged or of another file is made again', async t => {
  const changes: ((fileSystem: MemoryFileSystem, path: string) => void)[] = [
    (fileSystem, path) => fileSystem.remove(path),
    (fileSystem, path) => fileSystem.put(path, Buffer.alloc(0)),
    (fileSystem, path) => fileSystem.put(path, fileSystem.bytes(path).subarray(0, 70)),
    (fileSystem, path) => fileSystem.put(path, fileSystem.bytes(segmentFile(2, 'index'))),
    ...[0, 4, 9, 20, 30, 50, 57, 63, 64, 80].map(at => (fileSystem: MemoryFileSystem, path: string) => {
      const bytes = Buffer.from(fileSystem.bytes(path))
      bytes[at]! ^= 4
      fileSystem.put(path, bytes)
    })
  ]
  for (const change of changes) {
    const fileSystem = new MemoryFileSystem()
    const log = await openLog(fileSystem, { segmentBytesMax: 300 })
    for (const payload of 'abcdef') await appendSynced(log, payload.repeat(50))
    await log.close()
    const before = Buffer.from(fileSystem.bytes(segmentFile(0, 'index')))
    change(fileSystem, segmentFile(0, 'index'))
    const again = await openLog(fileSystem, { segmentBytesMax: 300 })
    t.strictSame((await payloads(again)).map(payload => payload[0]).join(''), 'abcdef')
    t.strictSame(fileSystem.bytes(segmentFile(0, 'index')), before)
  }
})

t.test('a missing segment is reported, told to readers and never filled with other records', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem, { segmentBytesMax: 300 })
  for (const payload of 'abcdef') await appendSynced(log, payload.repeat(50))
  await log.close()
  fileSystem.remove(segmentFile(2))
  const logger = new TestLogger()
  const again = await openLog(fileSystem, { segmentBytesMax: 300, logger })
  t.match(logger.at('error'), [{ details: { code: 'TRB_STREAM_CORRUPT', fromOffset: 2, toOffset: 4 } }])
  t.strictSame(again.gaps, [{ fromOffset: 2, toOffset: 4 }])
  t.equal(again.nextOffset, 6)
  await t.rejects(payloads(again), { code: 'TRB_STREAM_CORRUPT' })
  t.equal((await payloads(again, { from: { offset: 4 } })).length, 2)
})

t.test('a last segment that was cut short behind our back costs its records but never an offset twice', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  await appendSynced(log, 'a')
  const end = log.stats().bytes
  await appendSynced(log, 'b')
  await log.close()
  fileSystem.put(first, Buffer.from(fileSystem.bytes(first).subarray(0, end)))
  const logger = new TestLogger()
  const again = await openLog(fileSystem, { logger })
  t.equal(again.nextOffset, 2)
  t.match(logger.at('error'), [{ details: { fromOffset: 1, toOffset: 2 } }])
  await appendSynced(again, 'c')
  t.strictSame(await payloads(again, { from: 'earliest', onGap: () => undefined }), ['a', 'c'])
})

t.test('a crash at any operation of the first start leaves a folder that opens empty', async t => {
  for (const operation of ['open', 'truncate', 'write', 'syncFolder', 'readdir'] as const) {
    for (const bytesWritten of [0, 10, 64]) {
      const fileSystem = new MemoryFileSystem()
      fileSystem.fail({ operation, code: 'EIO', crash: true, bytesWritten })
      await t.rejects(openLog(fileSystem))
      const logger = new TestLogger()
      const log = await openLog(fileSystem, { logger })
      t.strictSame(logger.at('error'), [])
      await appendSynced(log, 'a')
      t.strictSame(await payloads(log), ['a'])
    }
  }
})

t.test('a new segment that a crash left without label gives way to the one before it', async t => {
  for (const left of [Buffer.alloc(0), Buffer.alloc(10), Buffer.alloc(64), Buffer.alloc(5000)]) {
    const fileSystem = new MemoryFileSystem()
    await crashedLog(fileSystem)
    fileSystem.put(segmentFile(6), left)
    const logger = new TestLogger()
    const log = await openLog(fileSystem, { logger })
    t.notOk(fileSystem.paths().includes(segmentFile(6)))
    await appendSynced(log, 'g')
    await log.close()
    const again = await openLog(fileSystem, { logger })
    t.strictSame(await payloads(again), ['a', 'b', 'c', 'd', 'e', 'f', 'g'])
    t.strictSame(logger.at('error'), [])
  }
})

t.test('a crash while a new segment is begun loses nothing that was synced', async t => {
  for (const operation of ['open', 'truncate', 'write', 'syncFolder', 'rename', 'sync'] as const) {
    for (let skip = 0; skip < 4; skip++) {
      const fileSystem = new MemoryFileSystem()
      const log = await openLog(fileSystem, { segmentBytesMax: 300 })
      await appendSynced(log, 'a'.repeat(100))
      fileSystem.fail({ operation, code: 'EIO', crash: true, skip })
      append(log, 'b'.repeat(100))
      let acknowledged = 1
      try {
        await log.sync()
        acknowledged = 2
        await log.close()
      } catch {
        // The machine went down somewhere on the way; what counts is what sync() had promised by then.
      }
      fileSystem.crash()
      const logger = new TestLogger()
      const again = await openLog(fileSystem, { segmentBytesMax: 300, logger })
      const got = await payloads(again)
      t.ok(got.length >= acknowledged, `${operation} ${skip}`)
      t.strictSame(logger.at('error'), [])
      await appendSynced(again, 'c')
      t.equal((await payloads(again)).length, got.length + 1)
    }
  }
})

function lengthWithoutZeros(bytes: Buffer): number {
  let length = bytes.length
  while (length > 0 && bytes[length - 1] === 0) length--
  return length
}
