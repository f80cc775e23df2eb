import { t } from 'tap'
import { listStreamFolders, openStreamReader } from '../../lib/stream/read-only-log.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { append, appendSynced, collect, openLog, payloads, segmentFile, TestLogger } from './open-log.ts'

t.test('the files of a stopped or crashed broker are read as they are, and not one byte is changed', async t => {
  for (const end of ['closed', 'crashed'] as const) {
    const fileSystem = new MemoryFileSystem()
    const log = await openLog(fileSystem, { segmentBytesMax: 400 })
    for (const payload of 'abcdef') await appendSynced(log, payload.repeat(100))
    if (end === 'closed') await log.close()
    else fileSystem.crash()
    const before = fileSystem.paths().map(path => [path, Buffer.from(fileSystem.bytes(path))])
    const reader = await openStreamReader('/streams', 'log', { fileSystem })
    t.equal((await payloads(reader)).map(payload => payload[0]).join(''), 'abcdef')
    t.match(reader.stats(), { name: 'log', earliestOffset: 0, nextOffset: 6 })
    t.strictSame(
      fileSystem.paths().map(path => [path, fileSystem.bytes(path)]),
      before
    )
  }
})

t.test('a stream that is not there is unknown', async t => {
  const fileSystem = new MemoryFileSystem()
  await fileSystem.mkdir('/streams')
  for (const name of ['log', '../log', '']) {
    await t.rejects(openStreamReader('/streams', name, { fileSystem }), { code: 'TRB_STREAM_UNKNOWN' })
  }
})

t.test('the streams of a folder are listed, other things in it are not', async t => {
  const fileSystem = new MemoryFileSystem()
  await openLog(fileSystem)
  await openLog(fileSystem, { folder: '/streams/$dead-letter' })
  await fileSystem.mkdir('/streams/empty')
  t.strictSame(await listStreamFolders('/streams', fileSystem), ['$dead-letter', 'log'])
})

t.test('a read that follows sees what a running broker appends, over segments and retention', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem, { segmentBytesMax: 400, retention: { ageMs: 0, bytes: 3000 } })
  await appendSynced(log, 'first')
  const reader = await openStreamReader('/streams', 'log', { fileSystem })
  const reading = collect(reader.read({ from: 'earliest', follow: true, limit: 8 }))
  const beside = collect(reader.read({ from: 'earliest', follow: true, limit: 8 }))
  for (let i = 0; i < 7; i++) {
    await appendSynced(log, 'x'.repeat(150))
    await log.retain()
  }
  for (const records of [await reading, await beside]) {
    t.strictSame(
      records.map(record => record.offset),
      [0, 1, 2, 3, 4, 5, 6, 7]
    )
  }
  await reader.refresh()
  t.equal(reader.stats().segments, log.stats().segments)
})

t.test('a write that is half way does not disturb a reader beside it', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  await appendSynced(log, 'a')
  const end = log.stats().bytes
  append(log, 'b')
  await log.sync()
  const whole = Buffer.from(fileSystem.bytes(segmentFile(0)))
  fileSystem.put(segmentFile(0), whole.subarray(0, end + 60))
  const logger = new TestLogger()
  const reader = await openStreamReader('/streams', 'log', { fileSystem, logger })
  t.strictSame(await payloads(reader), ['a'])
  fileSystem.put(segmentFile(0), whole)
  await reader.refresh()
  t.strictSame(await payloads(reader), ['a', 'b'])
  t.strictSame(logger.lines, [])
})

t.test('damage is told and not repaired', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  for (const payload of 'abc') await appendSynced(log, payload)
  fileSystem.crash()
  const bytes = Buffer.from(fileSystem.bytes(segmentFile(0)))
  bytes[64 + 60]! ^= 1
  fileSystem.put(segmentFile(0), bytes)
  const logger = new TestLogger()
  const reader = await openStreamReader('/streams', 'log', { fileSystem, logger })
  t.match(logger.at('error'), [{ details: { code: 'TRB_STREAM_CORRUPT', fromOffset: 0, toOffset: 1 } }])
  await t.rejects(payloads(reader), { code: 'TRB_STREAM_CORRUPT' })
  t.strictSame(await payloads(reader, { from: 'earliest', onGap: () => undefined }), ['b', 'c'])
  t.strictSame(reader.gaps, [{ fromOffset: 0, toOffset: 1 }])
  t.strictSame(fileSystem.paths(), [segmentFile(0)])
})

t.test('aborting or closing ends a read that follows', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  await appendSynced(log, 'a')
  const reader = await openStreamReader('/streams', 'log', { fileSystem })
  const abort = new AbortController()
  const aborted = collect(reader.read({ from: 'earliest', follow: true, signal: abort.signal }))
  abort.abort()
  await t.rejects(aborted, { name: 'AbortError' })
  const closed = collect(reader.read({ from: 'earliest', follow: true }))
  reader.close()
  t.equal((await closed).length, 1)
})
