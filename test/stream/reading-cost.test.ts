import { t } from 'tap'
import type { ReadFrom } from '../../lib/stream/contract.ts'
import type { StreamLog } from '../../lib/stream/stream-log.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { collect, openLog, START_MS } from './open-log.ts'

const PAYLOAD_BYTES = 100
const DEVICES = 50
const BATCH_RECORDS = 500

/** A log as fifty devices fill it, 100 bytes at a time. */
async function filled(
  fileSystem: MemoryFileSystem,
  batches: number,
  devices = DEVICES,
  perBatch = BATCH_RECORDS
): Promise<StreamLog> {
  const log = await openLog(fileSystem, { segmentBytesMax: 1 << 20 })
  const payload = Buffer.alloc(PAYLOAD_BYTES, 'telemetry ')
  const none = Buffer.alloc(0)
  const sources = Array.from({ length: devices }, (_, i) => log.source(`devices/${i}/telemetry`, `device-${i}`))
  for (let batch = 0; batch < batches; batch++) {
    for (let i = 0; i < perBatch; i++) {
      log.append(sources[i % devices]!, 1, false, START_MS + log.nextOffset, 0, none, payload, 0, PAYLOAD_BYTES)
    }
    await log.sync()
  }
  return log
}

/** Bytes that are read from the disk to get ten records from there. */
async function bytesFor(fileSystem: MemoryFileSystem, log: StreamLog, from: ReadFrom): Promise<number> {
  fileSystem.bytesRead = 0
  const records = await collect(log.read({ from, limit: 10 }))
  t.equal(records.length, 10)
  return fileSystem.bytesRead
}

t.test('what a read from an offset or a time costs does not grow with the length of the log', async t => {
  const costs = []
  for (const batches of [50, 400]) {
    const fileSystem = new MemoryFileSystem()
    const written = await filled(fileSystem, batches)
    await written.close()
    const log = await openLog(fileSystem, { segmentBytesMax: 1 << 20 })
    const middle = Math.floor(log.nextOffset / 2)
    const places: ReadFrom[] = ['earliest', { offset: middle }, { offset: log.nextOffset - 10 }, { timeMs: START_MS + middle }]
    const cost = []
    for (const from of places) cost.push(await bytesFor(fileSystem, log, from))
    costs.push(Math.max(...cost))
    t.ok(log.stats().bytes > batches * BATCH_RECORDS * PAYLOAD_BYTES)
  }
  const [short, long] = costs
  t.ok(long! <= short! + 1024, `${short} bytes in the short log, ${long} in one eight times as long`)
  t.ok(long! < 700_000)
})

t.test('a record of 100 bytes takes at most 150 on disk, with its index, topic, publisher and time', async t => {
  for (const [devices, perBatch] of [
    [50, 1000],
    [50, 200],
    [500, 2000]
  ]) {
    const fileSystem = new MemoryFileSystem()
    const log = await filled(fileSystem, 20, devices, perBatch)
    await log.close()
    const bytes = fileSystem.paths().reduce((sum, path) => sum + fileSystem.bytes(path).length, 0)
    t.ok(bytes / log.nextOffset <= 150, `${bytes / log.nextOffset} bytes with ${devices} devices and ${perBatch} records a sync`)
  }
})

t.test('opening a log after a clean stop reads its labels and indexes, and no records', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await filled(fileSystem, 200)
  await log.close()
  fileSystem.bytesRead = 0
  const again = await openLog(fileSystem)
  t.equal(again.nextOffset, 200 * BATCH_RECORDS)
  t.ok(fileSystem.bytesRead < log.segments.length * 1000, `${fileSystem.bytesRead} bytes for ${log.segments.length} segments`)
})

t.test('opening a log after a crash reads the last segment and no other', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await filled(fileSystem, 200)
  const { length } = log.segments
  fileSystem.crash()
  fileSystem.bytesRead = 0
  const again = await openLog(fileSystem)
  t.equal(again.nextOffset, 200 * BATCH_RECORDS)
  t.ok(fileSystem.bytesRead < (1 << 20) + length * 1000, `${fileSystem.bytesRead} bytes`)
})
