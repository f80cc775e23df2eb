import { t } from 'tap'
import type { CompactionStats } from '../../lib/stream/contract.ts'
import { openStreamReader } from '../../lib/stream/read-only-log.ts'
import type { StreamLog } from '../../lib/stream/stream-log.ts'
import { eager, fill, replaced, wrong } from './compacted.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { append, appendSynced, collect, ManualClock, openLog, payloads, START_MS, segmentFile, TestLogger } from './open-log.ts'

function openCompacted(fileSystem: MemoryFileSystem, options: Parameters<typeof openLog>[1] = {}): Promise<StreamLog> {
  return openLog(fileSystem, { segmentBytesMax: 1000, cleanup: 'compact', compaction: eager, ...options })
}

/** One value of one key, durable. */
async function appendFor(log: StreamLog, clientId: string, payload: string): Promise<void> {
  append(log, payload, START_MS, 't', clientId)
  await log.sync()
}

const everything = { from: 'earliest' as const }

t.test('the last record of each key stays, under its offset; the active segment is left alone', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openCompacted(fileSystem)
  const appended = await fill(log, 400, 12)
  const before = log.stats()
  const active = log.segments.at(-1)!
  const stats = await log.compact()
  const records = await collect(log.read(everything))
  t.equal(wrong(records, appended), undefined)
  t.strictSame(replaced(records, active.baseOffset), [])
  t.equal(records.filter(({ offset }) => offset >= active.baseOffset).length, log.nextOffset - active.baseOffset)
  t.equal(stats?.removedRecords, 400 - records.length)
  t.equal(stats?.reclaimedBytes, before.bytes - log.stats().bytes)
  t.match(log.stats(), {
    earliestOffset: 0,
    nextOffset: 400,
    compaction: { runs: 1, failures: 0, dirtyRatio: 0, running: false }
  })
  t.ok(log.stats().segments <= 3)
  t.strictSame(log.gaps, [])
  t.strictSame(
    fileSystem.paths().filter(path => path.endsWith('.segment')),
    log.segments.map(({ path }) => path)
  )
})

t.test('compacted again and again, with appends between and restarts, the log holds what it must', async t => {
  const fileSystem = new MemoryFileSystem()
  const clock = new ManualClock()
  const logger = new TestLogger()
  let log = await openCompacted(fileSystem, { clock, logger })
  const appended = []
  for (let round = 0; round < 12; round++) {
    appended.push(...(await fill(log, 90, 5 + round, round + 1, clock.nowMs)))
    clock.nowMs += 700
    await log.compact()
    const records = await collect(log.read(everything))
    t.equal(wrong(records, appended), undefined)
    t.strictSame(replaced(records, log.segments.at(-1)!.baseOffset), [])
    if (round % 4 === 1) {
      await log.close()
      fileSystem.bytesRead = 0
      log = await openCompacted(fileSystem, { clock, logger })
      t.ok(fileSystem.bytesRead < 128 * log.segments.length + 200, 'labels and indexes were read, no records')
    }
    if (round % 4 === 3) {
      fileSystem.crash()
      log = await openCompacted(fileSystem, { clock, logger })
    }
    t.strictSame(
      (await collect(log.read(everything))).map(({ offset }) => offset),
      records.map(({ offset }) => offset)
    )
  }
  t.strictSame(logger.at('error'), [])
  t.ok(log.segments.length < 8, `${log.segments.length} segments`)
  t.ok(log.segments.some(({ generation }) => generation > 2))
})

t.test('records are found by offset, time and source in a compacted log', async t => {
  const log = await openCompacted(new MemoryFileSystem(), { key: 'topic' })
  await fill(log, 300, 10)
  await log.compact()
  const all = await collect(log.read(everything))
  for (let offset = 0; offset <= 300; offset += 7) {
    const expected = all.filter(record => record.offset >= offset)
    t.same(await collect(log.read({ from: { offset } })), expected)
    t.same(await collect(log.read({ from: { timeMs: START_MS + offset } })), expected)
    t.same(await collect(log.read({ from: { offset }, limit: 3 })), expected.slice(0, 3))
  }
  let position = 0
  for await (const { records, nextOffset } of log.readBatches({ ...everything, select: ({ topic }) => topic === 't/key-3' })) {
    t.ok(records.every(({ offset }) => offset >= position && offset < nextOffset))
    position = nextOffset
  }
  t.equal(position, 300)
})

t.test('all that a record has survives being written anew', async t => {
  const log = await openCompacted(new MemoryFileSystem(), { segmentBytesMax: 64 * 1024 })
  const properties = Buffer.from([0x26, 0, 1, 97, 0, 1, 98])
  const large = Buffer.alloc(300_000, 'large')
  const source = log.source('ünï/code', 'd')
  log.append(source, 2, true, START_MS + 5, START_MS + 5000, properties, large, 0, large.length)
  append(log, 'second', START_MS, 'a', 'b')
  log.append(source, 0, false, START_MS - 7, 0, Buffer.alloc(0), large, 0, 5)
  append(log, 'one more', START_MS, 'other', 'c')
  log.append(log.source('ünï/code', 'e'), 2, true, START_MS + 5, START_MS + 5000, properties, large, 0, large.length, 77)
  await log.sync()
  await appendSynced(log, 'x'.repeat(70_000))
  const before = await collect(log.read(everything))
  await log.compact()
  t.ok(log.segments[0]!.generation > 0)
  t.strictSame(await collect(log.read(everything)), before.slice(1))
})

t.test('a tombstone removes what is before it, stays for its age and then goes', async t => {
  const fileSystem = new MemoryFileSystem()
  const clock = new ManualClock()
  let log = await openCompacted(fileSystem, { clock, segmentBytesMax: 200 })
  for (const payload of ['1', '2', '']) append(log, payload)
  await log.sync()
  await appendSynced(log, 'x'.repeat(200))
  append(log, 'active', START_MS, 't', 'other')
  await log.sync()
  t.equal(log.segments.length, 3)
  clock.nowMs += 5000
  await log.compact()
  t.strictSame(await payloads(log), ['x'.repeat(200), 'active'], 'the value behind the tombstone replaces it')

  append(log, '', START_MS, 't', 'c')
  append(log, 'y'.repeat(200), START_MS, 't', 'big')
  await log.sync()
  append(log, 'active', START_MS, 't', 'big')
  await log.sync()
  await log.compact()
  const settled = ['active', '', 'y'.repeat(200), 'active']
  t.strictSame(await payloads(log), settled)
  t.equal(await log.compact('due'), undefined)
  clock.nowMs += 999
  await log.compact('now')
  t.strictSame(await payloads(log), settled)
  await log.close()
  log = await openCompacted(fileSystem, { clock, segmentBytesMax: 200 })
  t.equal(await log.compact('due'), undefined)
  clock.nowMs += 1
  t.ok(await log.compact('due'))
  t.strictSame(
    await payloads(log),
    settled.filter(payload => payload !== '')
  )
  t.equal(await log.compact('due'), undefined)
})

t.test('keys that do not fit into memory are compacted in several passes', async t => {
  const log = await openCompacted(new MemoryFileSystem(), {
    segmentBytesMax: 16 * 1024,
    compaction: { ...eager, memoryBytes: 1 }
  })
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 3000; i++) append(log, `${round} ${i}`, START_MS, 't', `device-${i}`)
    await log.sync()
  }
  await appendSynced(log, 'z'.repeat(20_000))
  await log.compact()
  const records = await collect(log.read(everything))
  t.equal(records.length, 3001)
  t.strictSame(
    records.slice(0, -1).filter(({ payload, offset }, i) => offset !== 3000 + i || payload.toString() !== `1 ${i}`),
    []
  )
  t.equal(log.stats().compaction?.dirtyRatio, 0)
})

t.test('hundreds of tiny segments become one, and their empty places cost next to nothing', async t => {
  const fileSystem = new MemoryFileSystem()
  const tiny = await openCompacted(fileSystem, { segmentBytesMax: 10 })
  for (let i = 0; i < 300; i++) await appendFor(tiny, `c${i % 10}`, String(i))
  t.equal(tiny.segments.length, 300)
  await tiny.close()
  const log = await openCompacted(fileSystem, { segmentBytesMax: 10_000 })
  await log.compact()
  t.equal(log.segments.length, 2)
  t.ok(log.stats().bytes < 1000)
  t.strictSame(
    (await collect(log.read(everything))).map(({ offset }) => offset),
    Array.from({ length: 11 }, (_, i) => 289 + i)
  )
  t.equal(fileSystem.paths().filter(path => path.endsWith('.segment')).length, 2)
})

t.test('a reader that holds a file goes on in it, and from its end in what has replaced the next ones', async t => {
  for (let stop = 1; stop < 60; stop += 3) {
    const fileSystem = new MemoryFileSystem()
    const log = await openCompacted(fileSystem)
    const appended = await fill(log, 120, 8)
    const iterator = log.read(everything)[Symbol.asyncIterator]()
    const records = []
    for (let i = 0; i < stop; i++) records.push((await iterator.next()).value!)
    await log.compact()
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) records.push(next.value)
    const problem = wrong(records, appended)
    t.equal(problem, undefined, `stopped after ${stop}`)
  }
})

t.test('readers all through a run see each record at most once, and every one that stays', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openCompacted(fileSystem)
  const appended = await fill(log, 600, 15)
  const running = log.compact()
  const problems: (string | undefined)[] = []
  let done = false
  void running.then(() => {
    done = true
  })
  while (!done) problems.push(wrong(await collect(log.read(everything)), appended))
  t.ok(problems.length > 2)
  t.strictSame(
    problems.filter(problem => problem !== undefined),
    []
  )
})

t.test('a reader of the files beside the broker follows compaction', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openCompacted(fileSystem)
  const appended = await fill(log, 300, 9)
  const logger = new TestLogger()
  const reader = await openStreamReader('/streams', 'log', { fileSystem, logger })
  const iterator = reader.read(everything)[Symbol.asyncIterator]()
  const records = [(await iterator.next()).value!]
  await log.compact()
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) records.push(next.value)
  t.equal(wrong(records, appended), undefined)
  const running = log.compact()
  const fresh = await openStreamReader('/streams', 'log', { fileSystem, logger })
  t.equal(wrong(await collect(fresh.read(everything)), appended), undefined)
  await running
  t.strictSame(logger.lines, [])
})

t.test('a damaged segment is not compacted, is reported once, and keeps the tombstones behind it', async t => {
  const fileSystem = new MemoryFileSystem()
  const clock = new ManualClock()
  let log = await openCompacted(fileSystem, { segmentBytesMax: 300, clock })
  await appendFor(log, 'gone', 'hidden')
  for (let i = 0; i < 4; i++) await appendSynced(log, `a${i} ${'x'.repeat(60)}`)
  append(log, '', START_MS, 't', 'gone')
  for (let i = 0; i < 12; i++) await appendSynced(log, `b${i} ${'x'.repeat(60)}`)
  await log.close()
  const bytes = Buffer.from(fileSystem.bytes(segmentFile(0)))
  const flipped = bytes.indexOf('a0 ')
  bytes[flipped]! ^= 1
  fileSystem.put(segmentFile(0), bytes)
  const logger = new TestLogger()
  log = await openCompacted(fileSystem, { segmentBytesMax: 300, clock, logger })
  for (let round = 0; round < 3; round++) {
    await log.compact()
    clock.nowMs += 2000
  }
  t.same(fileSystem.bytes(segmentFile(0)), bytes)
  const reports = logger.at('error').map(({ message }) => message)
  t.equal(reports.length, 2)
  t.match(reports[0], /damaged on disk/)
  t.match(reports[1], /not compacted/)
  const left = await payloads(log, { ...everything, onGap: () => undefined })
  t.ok(left.includes('hidden'))
  t.ok(left.includes(''), 'its tombstone stays as well')
  t.equal(left.filter(payload => payload.startsWith('b')).length, 1 + log.nextOffset - log.segments.at(-1)!.baseOffset)
  t.match(log.stats().compaction as CompactionStats, { damagedSegments: 1, failures: 0 })
  t.equal(await log.compact('due'), undefined, 'damage alone calls for no further run')
})

t.test('compact-delete removes by age as well, compact does not', async t => {
  for (const cleanup of ['compact', 'compact-delete'] as const) {
    const clock = new ManualClock()
    const retention = { ageMs: 3_600_000, bytes: 0 }
    const log = await openCompacted(new MemoryFileSystem(), { cleanup, clock, retention })
    const appended = await fill(log, 200, 10)
    await log.compact()
    clock.nowMs += 7_200_000
    await log.retain()
    await log.removeOldest()
    const records = await collect(log.read(everything))
    if (cleanup === 'compact') t.equal(wrong(records, appended), undefined)
    else t.strictSame(records, [])
  }
})

t.test('retention during a run, and a run during retention, leave a log without gaps', async t => {
  const fileSystem = new MemoryFileSystem()
  const clock = new ManualClock()
  const retention = { ageMs: 0, bytes: 3000 }
  const log = await openCompacted(fileSystem, { cleanup: 'compact-delete', clock, retention })
  const appended = []
  for (let round = 0; round < 8; round++) {
    appended.push(...(await fill(log, 100, 60, round + 1)))
    await Promise.all([log.compact(), log.retain(), log.retain()])
    const records = await collect(log.read(everything))
    t.equal(wrong(records, appended, log.earliestOffset), undefined)
    t.strictSame(log.gaps, [])
  }
  t.ok(log.earliestOffset > 0)
  const names = fileSystem.paths().filter(path => path.endsWith('.segment'))
  t.strictSame(
    names,
    log.segments.map(({ path }) => path)
  )
})

t.test('a run begins when enough is new, or when something new is old', async t => {
  const clock = new ManualClock()
  const compaction = { ...eager, minDirtyRatio: 0.5, maxLagMs: 10_000 }
  const log = await openCompacted(new MemoryFileSystem(), { clock, compaction })
  for (let i = 0; i < 30; i++) await appendFor(log, `c${i}`, 'x'.repeat(100))
  t.ok(await log.compact('due'))
  t.equal(await log.compact('due'), undefined)
  for (let i = 0; i < 10; i++) await appendFor(log, `c${i}`, 'y'.repeat(100))
  const ratio = log.stats().compaction!.dirtyRatio
  t.ok(ratio > 0.1 && ratio < 0.5, String(ratio))
  t.equal(await log.compact('due'), undefined)
  clock.nowMs = START_MS + 10_000
  t.ok(await log.compact('due'))
  t.equal((await payloads(log)).length, 30, 'the active segment was closed, so that it could be compacted')
})

t.test('closing breaks off a run and leaves nothing behind', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openCompacted(fileSystem, { compaction: { ...eager, bytesPerSecond: 1 } })
  const appended = await fill(log, 200, 10)
  const running = log.compact()
  await new Promise(resolve => setImmediate(resolve))
  await log.close()
  t.match(await running, { runs: 0, failures: 0 })
  t.notOk(fileSystem.paths().some(path => path.endsWith('.new')))
  t.equal(wrong(await collect((await openCompacted(fileSystem)).read(everything)), appended), undefined)
})
