import { t } from 'tap'
import { StreamWriteError } from '../../lib/stream/errors.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { append, appendSynced, openLog, payloads, TestLogger } from './open-log.ts'

for (const code of ['ENOSPC', 'EIO']) {
  for (const bytesWritten of [0, 1, 60, 5000]) {
    t.test(
      `after ${code} with ${bytesWritten} bytes written the batch is not in the log and its offsets are given again`,
      async t => {
        const fileSystem = new MemoryFileSystem()
        const logger = new TestLogger()
        const log = await openLog(fileSystem, { logger })
        await appendSynced(log, 'a')
        // Twice, because a full disk is tried again without padding.
        fileSystem.fail({ operation: 'write', code, bytesWritten, times: 2 })
        append(log, 'failed')
        append(log, 'failed too')
        const error = await log.sync().catch((reason: unknown) => reason)
        fileSystem.faults.length = 0
        t.match(error, { code: 'TRB_STREAM_WRITE_FAILED', stream: 'log', discardedFrom: 1, discardedEnd: 3, healed: true })
        t.equal(logger.at('error').length, 1)
        t.equal(log.nextOffset, 1)
        t.notOk(log.dirty)
        t.equal(log.generation, 1)
        t.strictSame(await payloads(log), ['a'])
        t.equal(append(log, 'b'), 1)
        await log.sync()
        t.strictSame(await payloads(log), ['a', 'b'])
        fileSystem.crash()
        t.strictSame(await payloads(await openLog(fileSystem)), ['a', 'b'])
      }
    )
  }
}

t.test('what was appended while the failing sync ran is discarded with it', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  fileSystem.fail({ operation: 'write', code: 'EIO' })
  append(log, 'failed')
  const sync = log.sync()
  await new Promise(resolve => setImmediate(resolve))
  append(log, 'meanwhile')
  await t.rejects(sync, { code: 'TRB_STREAM_WRITE_FAILED', discardedFrom: 0, discardedEnd: 2 })
  t.notOk(log.dirty)
  await appendSynced(log, 'a')
  t.strictSame(await payloads(log), ['a'])
})

t.test('a sync that was called while the failing one ran rejects too', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  fileSystem.fail({ operation: 'write', code: 'EIO' })
  append(log, 'failed')
  const first = log.sync()
  append(log, 'meanwhile')
  const second = log.sync()
  await t.rejects(first, { code: 'TRB_STREAM_WRITE_FAILED' })
  await t.rejects(second, { code: 'TRB_STREAM_WRITE_FAILED' })
})

t.test('a log that cannot be healed rejects every sync and says so, until the disk works again', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  await appendSynced(log, 'a')
  fileSystem.fail({ operation: 'write', code: 'EIO', bytesWritten: 50 })
  fileSystem.fail({ operation: 'truncate', code: 'EIO', times: 3 })
  append(log, 'failed')
  const error = await log.sync().catch((reason: unknown) => reason)
  t.ok(error instanceof StreamWriteError && !error.healed)
  t.match(error, { message: /stays failed/ })
  append(log, 'failed too')
  await t.rejects(log.sync(), { code: 'TRB_STREAM_WRITE_FAILED', discardedFrom: 1, discardedEnd: 2, healed: false })
  await t.rejects(log.sync(), { code: 'TRB_STREAM_WRITE_FAILED', healed: false })
  t.strictSame(await payloads(log), ['a'])
  await appendSynced(log, 'b')
  t.strictSame(await payloads(log), ['a', 'b'])
})

t.test('pages that a failed sync left in memory only are never taken for durable', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  await appendSynced(log, 'a')
  // All bytes reach the page cache, none the disk, and the pages count as clean.
  fileSystem.fail({ operation: 'write', code: 'EIO', bytesWritten: 1_000_000 })
  append(log, 'x'.repeat(500))
  await t.rejects(log.sync(), { code: 'TRB_STREAM_WRITE_FAILED' })
  await appendSynced(log, 'y'.repeat(500), 'b')
  fileSystem.crash()
  t.strictSame(await payloads(await openLog(fileSystem)), ['a', 'y'.repeat(500), 'b'])
})

t.test('a disk too full for padding still takes the batch', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  fileSystem.fail({ operation: 'write', code: 'ENOSPC', bytesWritten: 200 })
  await appendSynced(log, 'a')
  await appendSynced(log, 'b')
  fileSystem.crash()
  t.strictSame(await payloads(await openLog(fileSystem)), ['a', 'b'])
})

t.test('a segment that cannot be created fails the sync, and nothing of it stays behind', async t => {
  for (const operation of ['open', 'truncate', 'write', 'syncFolder'] as const) {
    const fileSystem = new MemoryFileSystem()
    const log = await openLog(fileSystem, { segmentBytesMax: 400 })
    await appendSynced(log, 'a'.repeat(150))
    fileSystem.fail({ operation, code: 'ENOSPC' })
    append(log, 'b'.repeat(150))
    await t.rejects(log.sync(), { code: 'TRB_STREAM_WRITE_FAILED', healed: true })
    // Small enough for the old segment: the new one's offsets must not lie about in another file.
    await appendSynced(log, 'c')
    await appendSynced(log, 'd'.repeat(150))
    fileSystem.crash()
    const again = await openLog(fileSystem, { segmentBytesMax: 400 })
    t.strictSame(
      (await payloads(again)).map(payload => payload[0]),
      ['a', 'c', 'd']
    )
    t.strictSame(again.gaps, [])
  }
})

t.test('a full segment whose index cannot be written costs nothing but a scan', async t => {
  const fileSystem = new MemoryFileSystem()
  const logger = new TestLogger()
  const log = await openLog(fileSystem, { segmentBytesMax: 300, logger })
  await appendSynced(log, 'a'.repeat(150))
  fileSystem.fail({ operation: 'open', path: '.index', code: 'ENOSPC', times: 2 })
  await appendSynced(log, 'b'.repeat(150))
  await log.close()
  t.equal(logger.at('warn').length, 2)
  t.equal((await payloads(await openLog(fileSystem))).length, 2)
})

t.test('close of a log that cannot be written rejects, and closes all the same', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  await appendSynced(log, 'a')
  fileSystem.fail({ operation: 'write', code: 'EIO' })
  append(log, 'failed')
  await t.rejects(log.close(), { code: 'TRB_STREAM_WRITE_FAILED' })
  t.ok(log.closed)
  t.strictSame(await payloads(await openLog(fileSystem)), ['a'])
})

t.test('a segment file that was cut is not filled up with zeros', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  await appendSynced(log, 'a')
  const [path] = fileSystem.paths()
  const cut = Buffer.from(fileSystem.bytes(path!).subarray(0, log.stats().bytes - 1))
  fileSystem.put(path!, cut)
  fileSystem.fail({ operation: 'write', code: 'EIO' })
  append(log, 'failed')
  await t.rejects(log.sync(), { code: 'TRB_STREAM_WRITE_FAILED', healed: false })
  t.strictSame(fileSystem.bytes(path!), cut)
})

t.test('a segment file that vanished is not brought back as zeros', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  await appendSynced(log, 'a')
  const [path] = fileSystem.paths()
  fileSystem.remove(path!)
  fileSystem.fail({ operation: 'write', code: 'EIO' })
  append(log, 'failed')
  await t.rejects(log.sync(), { code: 'TRB_STREAM_WRITE_FAILED', healed: false })
  t.strictSame(fileSystem.paths(), [])
})
