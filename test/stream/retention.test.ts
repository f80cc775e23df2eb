import { t } from 'tap'
import { MemoryFileSystem } from './memory-file-system.ts'
import { append, appendSynced, ManualClock, openLog, payloads, START_MS, TestLogger } from './open-log.ts'

const HOUR_MS = 3_600_000

t.test('segments whose records are all over age go, the others stay', async t => {
  const clock = new ManualClock()
  const log = await openLog(new MemoryFileSystem(), { clock, segmentBytesMax: 300, retention: { ageMs: HOUR_MS, bytes: 0 } })
  for (let i = 0; i < 6; i++) {
    append(log, 'x'.repeat(150), START_MS + i * 1000)
    await log.sync()
  }
  clock.nowMs = START_MS + HOUR_MS
  t.match(await log.retain(), { segments: 0, earliestOffset: 0 })
  clock.nowMs = START_MS + HOUR_MS + 3000
  t.match(await log.retain(), { segments: 3, earliestOffset: 3 })
  t.equal((await payloads(log)).length, 3)
})

t.test('the oldest segments go until the log fits its size', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem, { segmentBytesMax: 300, retention: { ageMs: 0, bytes: 1000 } })
  for (let i = 0; i < 10; i++) await appendSynced(log, 'x'.repeat(150))
  t.ok(log.stats().bytes > 1000)
  await log.retain()
  t.ok(log.stats().bytes <= 1000)
  t.ok(log.stats().bytes > 600)
  t.strictSame(
    fileSystem.paths().filter(path => path.endsWith('.segment')),
    log.segments.map(segment => segment.path)
  )
  t.equal(fileSystem.paths().length, 2 * log.segments.length - 1)
})

t.test('a log that is exactly as large as it may be stays as it is', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem, { segmentBytesMax: 300 })
  for (let i = 0; i < 4; i++) await appendSynced(log, 'x'.repeat(150))
  const { bytes } = log.stats()
  await log.close()
  const exact = await openLog(fileSystem, { segmentBytesMax: 300, retention: { ageMs: 0, bytes } })
  t.match(await exact.retain(), { segments: 0 })
  await exact.close()
  const less = await openLog(fileSystem, { segmentBytesMax: 300, retention: { ageMs: 0, bytes: bytes - 1 } })
  t.match(await less.retain(), { segments: 1 })
})

t.test('without a policy nothing goes', async t => {
  const clock = new ManualClock()
  const log = await openLog(new MemoryFileSystem(), { clock, segmentBytesMax: 300 })
  for (let i = 0; i < 10; i++) await appendSynced(log, 'x'.repeat(150))
  clock.nowMs = START_MS + 1000 * HOUR_MS
  t.match(await log.retain(), { segments: 0 })
})

t.test('a log whose records are all over age becomes empty, and its offsets go on after a restart', async t => {
  const fileSystem = new MemoryFileSystem()
  const clock = new ManualClock()
  const retention = { ageMs: HOUR_MS, bytes: 0 }
  const log = await openLog(fileSystem, { clock, retention })
  await appendSynced(log, 'a', 'b', 'c')
  clock.nowMs += HOUR_MS + 1
  await log.retain()
  t.match(log.stats(), { earliestOffset: 3, nextOffset: 3, segments: 1 })
  t.strictSame(await payloads(log), [])
  fileSystem.crash()
  const crashed = await openLog(fileSystem, { clock, retention })
  t.equal(crashed.nextOffset, 3)
  await crashed.close()
  const again = await openLog(fileSystem, { clock, retention })
  t.equal(append(again, 'd'), 3)
})

t.test('a slow stream gets a new segment in time, so that its first records can go', async t => {
  const clock = new ManualClock()
  const log = await openLog(new MemoryFileSystem(), { clock, retention: { ageMs: 10 * HOUR_MS, bytes: 0 } })
  for (let hour = 0; hour < 40; hour++) {
    append(log, String(hour), clock.nowMs)
    await log.sync()
    await log.retain()
    clock.nowMs += HOUR_MS
  }
  const kept = await payloads(log)
  t.ok(kept.length <= 13)
  t.equal(kept.at(-1), '39')
})

t.test('records that wait for their sync survive a roll for retention', async t => {
  const clock = new ManualClock()
  const log = await openLog(new MemoryFileSystem(), { clock, retention: { ageMs: HOUR_MS, bytes: 0 } })
  await appendSynced(log, 'old')
  clock.nowMs += 2 * HOUR_MS
  t.equal(append(log, 'new', clock.nowMs), 1)
  await log.retain()
  await log.sync()
  t.strictSame(await payloads(log), ['new'])
  t.equal(log.stats().earliestOffset, 1)
})

for (const [file, skip] of [
  ['index', 2],
  ['segment', 3]
] as const) {
  t.test(`a segment whose ${file} cannot be removed stays whole, with those behind it, until the next run`, async t => {
    const fileSystem = new MemoryFileSystem()
    const log = await openLog(fileSystem, { segmentBytesMax: 300, retention: { ageMs: 0, bytes: 500 } })
    for (let i = 0; i < 6; i++) await appendSynced(log, 'x'.repeat(150))
    fileSystem.fail({ operation: 'unlink', code: 'EIO', skip })
    await t.rejects(log.retain(), { code: 'EIO' })
    t.equal(log.stats().earliestOffset, 1)
    t.equal((await payloads(log)).length, 5)
    await log.retain()
    t.ok(log.stats().earliestOffset > 2)
    await log.close()
    const logger = new TestLogger()
    await openLog(fileSystem, { logger })
    t.strictSame(logger.lines, [])
  })
}

t.test('a roll that fails during retention does not lose what comes after', async t => {
  const fileSystem = new MemoryFileSystem()
  const clock = new ManualClock()
  const log = await openLog(fileSystem, { clock, retention: { ageMs: HOUR_MS, bytes: 0 } })
  await appendSynced(log, 'a')
  clock.nowMs += 2 * HOUR_MS
  fileSystem.fail({ operation: 'syncFolder', code: 'EIO' })
  await t.rejects(log.retain(), { code: 'EIO' })
  append(log, 'b', clock.nowMs)
  await log.sync()
  t.strictSame(await payloads(log), ['a', 'b'])
  fileSystem.crash()
  t.strictSame(await payloads(await openLog(fileSystem)), ['a', 'b'])
})

t.test('retention and close at the same time both come to an end', async t => {
  const clock = new ManualClock()
  const log = await openLog(new MemoryFileSystem(), { clock, retention: { ageMs: HOUR_MS, bytes: 0 } })
  await appendSynced(log, 'a')
  clock.nowMs += 2 * HOUR_MS
  const results = await Promise.all([log.retain(), log.retain(), log.close(), log.retain()])
  t.equal(results.length, 4)
})

t.test('offsets a crash cut off are not given to a retained empty log twice', async t => {
  const fileSystem = new MemoryFileSystem()
  const clock = new ManualClock()
  const retention = { ageMs: HOUR_MS, bytes: 0 }
  for (let round = 1; round <= 5; round++) {
    const log = await openLog(fileSystem, { clock, retention })
    t.equal(log.nextOffset, (round - 1) * 2)
    append(log, 'a', clock.nowMs)
    append(log, 'b', clock.nowMs)
    await log.sync()
    clock.nowMs += 2 * HOUR_MS
    await log.retain()
    t.equal(log.stats().earliestOffset, round * 2)
    fileSystem.crash()
  }
})
