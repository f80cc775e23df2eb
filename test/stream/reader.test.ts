import { t } from 'tap'
import type { ReadFrom, RecordSource, StreamGap, StreamRecord } from '../../lib/stream/contract.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { append, appendSynced, collect, ManualClock, openLog, payloads, START_MS, segmentFile, TestLogger } from './open-log.ts'

/** Twelve records `0` to `11` in several segments of several batches, a second apart. */
async function filledLog(fileSystem: MemoryFileSystem, options: Parameters<typeof openLog>[1] = {}) {
  const log = await openLog(fileSystem, { segmentBytesMax: 200, ...options })
  for (let i = 0; i < 12; i++) {
    append(log, String(i), START_MS + i * 1000)
    if (i % 2 === 1) await log.sync()
  }
  return log
}

t.test('a read begins where it is told to', async t => {
  const log = await filledLog(new MemoryFileSystem())
  t.ok(log.stats().segments > 2)
  const all = Array.from({ length: 12 }, (_, i) => String(i))
  const cases: [ReadFrom, string[]][] = [
    ['earliest', all],
    ['latest', []],
    [{ offset: 0 }, all],
    ...all.map((_, offset): [ReadFrom, string[]] => [{ offset }, all.slice(offset)]),
    [{ offset: 12 }, []],
    [{ timeMs: 0 }, all],
    [{ timeMs: START_MS + 5000 }, all.slice(5)],
    [{ timeMs: START_MS + 5001 }, all.slice(6)],
    [{ timeMs: START_MS + 11_000 }, all.slice(11)],
    [{ timeMs: START_MS + 11_001 }, []]
  ]
  for (const [from, expected] of cases) t.strictSame(await payloads(log, { from }), expected, JSON.stringify(from))
})

t.test('a read from a time begins with the first record at or after it, even where the clock was set back', async t => {
  const log = await openLog(new MemoryFileSystem(), { segmentBytesMax: 1 << 20 })
  const times = Array.from({ length: 3000 }, (_, i) => START_MS + ((i * 7919) % 1000) * 10 + i)
  for (const [i, timeMs] of times.entries()) {
    append(log, 'x'.repeat(200), timeMs)
    if (i % 10 === 9) await log.sync()
  }
  for (let probe = START_MS - 5; probe < START_MS + 13_100; probe += 331) {
    const first = times.findIndex(timeMs => timeMs >= probe)
    const [record] = await collect(log.read({ from: { timeMs: probe }, limit: 1 }))
    t.equal(record?.offset, first < 0 ? undefined : first)
  }
})

t.test('a limit is kept, across batches and segments', async t => {
  const log = await filledLog(new MemoryFileSystem())
  for (let limit = 0; limit <= 13; limit++) {
    t.equal((await payloads(log, { from: { offset: 1 }, limit })).length, Math.min(limit, 11))
  }
})

t.test('an offset that does not exist yet is out of range, also one that is no offset at all', async t => {
  const log = await filledLog(new MemoryFileSystem())
  for (const offset of [13, -1, 0.5, Number.NaN, Number.MAX_SAFE_INTEGER]) {
    await t.rejects(payloads(log, { from: { offset } }), { code: 'TRB_OFFSET_OUT_OF_RANGE' })
  }
})

t.test('a read that does not follow ends at what was durable when it was made', async t => {
  const log = await filledLog(new MemoryFileSystem())
  const read = log.read({ from: { offset: 11 } })
  await appendSynced(log, 'later')
  t.equal((await collect(read)).length, 1)
})

t.test('a read in batches yields the same records in the same order, and says how far it is', async t => {
  const log = await filledLog(new MemoryFileSystem())
  const got: string[] = []
  for await (const { records, nextOffset } of log.readBatches({ from: 'earliest' })) {
    t.equal(nextOffset, records.at(-1)!.offset + 1)
    got.push(...records.map(record => record.payload.toString()))
  }
  t.strictSame(got, await payloads(log))
})

t.test('a read that selects sources yields their records alone, and its position moves on over the others', async t => {
  const log = await openLog(new MemoryFileSystem(), { segmentBytesMax: 400 })
  const sources = Array.from({ length: 6 }, (_, i) => log.source(`t/${i % 3}`, `c${i % 2}`))
  for (let i = 0; i < 60; i++) {
    const payload = Buffer.from(String(i))
    log.append(sources[i % 6]!, 1, false, START_MS + i, 0, Buffer.alloc(0), payload, 0, payload.length)
    if (i % 10 === 9) await log.sync()
  }
  const asked: string[] = []
  const select = ({ topic, clientId }: RecordSource) => {
    asked.push(`${topic} ${clientId}`)
    return topic === 't/1'
  }
  const wanted = Array.from({ length: 20 }, (_, i) => String(3 * i + 1))
  t.strictSame(await payloads(log, { from: 'earliest', select }), wanted)
  t.equal(asked.length, 6 * 6)
  t.strictSame(await payloads(log, { from: 'earliest', select, limit: 7 }), wanted.slice(0, 7))
  t.strictSame(await payloads(log, { from: { timeMs: START_MS + 20 }, select }), wanted.slice(7))
  const positions: number[] = []
  for await (const { records, nextOffset } of log.readBatches({ from: { offset: 3 }, select: () => false })) {
    t.strictSame(records, [])
    positions.push(nextOffset)
  }
  t.ok(positions.every((offset, i) => offset > (positions[i - 1] ?? 3)))
  t.equal(positions.at(-1), 60)
  for (let limit = 1; limit <= 20; limit++) {
    let last = 0
    for await (const { nextOffset } of log.readBatches({ from: 'earliest', select, limit })) last = nextOffset
    t.equal(last, 3 * limit - 1)
  }
})

t.test('a read that follows and selects nothing moves on with what becomes durable', async t => {
  const log = await filledLog(new MemoryFileSystem())
  const batches = log.readBatches({ from: 'latest', follow: true, select: () => false })[Symbol.asyncIterator]()
  const next = batches.next()
  await appendSynced(log, 'a', 'b')
  t.strictSame(await next, { done: false, value: { records: [], nextOffset: 14 } })
  await batches.return?.()
})

t.test('records that become durable while a read that selects nothing waits for the disk are no gap', async t => {
  const fileSystem = new BusyFileSystem()
  const log = await openLog(fileSystem)
  await appendSynced(log, 'a')
  fileSystem.onRead = () => appendSynced(log, 'b')
  let end = 0
  for await (const { nextOffset } of log.readBatches({ from: 'earliest', select: () => false, follow: true })) {
    end = nextOffset
    if (end === 2) break
  }
  t.equal(end, 2)
})

t.test('records that become durable while a read looks for the end of damage are not taken for damaged', async t => {
  const fileSystem = new BusyFileSystem()
  const log = await openLog(fileSystem)
  await appendSynced(log, 'a')
  await appendSynced(log, 'damaged')
  const bytes = Buffer.from(fileSystem.bytes(segmentFile(0)))
  bytes.write('D', bytes.indexOf('damaged'))
  fileSystem.put(segmentFile(0), bytes)
  // The block, and then the search behind the damage.
  fileSystem.readsBefore = 1
  fileSystem.onRead = () => appendSynced(log, 'c')
  const gaps: StreamGap[] = []
  const got: string[] = []
  for await (const { payload } of log.read({ from: 'earliest', follow: true, onGap: gap => gaps.push(gap) })) {
    got.push(payload.toString())
    if (got.length === 2) break
  }
  t.strictSame(got, ['a', 'c'])
  t.strictSame(gaps, [{ fromOffset: 1, toOffset: 2 }])
})

/** Something else is done once, while the log reads. */
class BusyFileSystem extends MemoryFileSystem {
  onRead: (() => Promise<void>) | undefined
  readsBefore = 0

  override async enter(...[operation, ...rest]: Parameters<MemoryFileSystem['enter']>): Promise<void> {
    await super.enter(operation, ...rest)
    if (operation !== 'read' || this.onRead === undefined || this.readsBefore-- > 0) return
    const work = this.onRead
    this.onRead = undefined
    await work?.()
  }
}

t.test('a read from a time takes selected records behind the first one at or after it, selected or not', async t => {
  const log = await openLog(new MemoryFileSystem())
  for (const [i, seconds] of [0, 5, 2, 6].entries()) append(log, String(i), START_MS + seconds * 1000, `t/${i % 2}`)
  await log.sync()
  const select = ({ topic }: RecordSource) => topic === 't/0'
  t.strictSame(await payloads(log, { from: { timeMs: START_MS + 4000 }, select }), ['2'])
})

t.test('a read that follows gets each record once it is durable, across segments', async t => {
  const log = await filledLog(new MemoryFileSystem())
  const iterator = log.read({ from: 'latest', follow: true })[Symbol.asyncIterator]()
  for (let i = 12; i < 30; i++) {
    const next = iterator.next()
    append(log, String(i))
    let settled = false
    void next.then(() => {
      settled = true
    })
    await new Promise(resolve => setImmediate(resolve))
    t.notOk(settled)
    await log.sync()
    t.equal((await next).value?.payload.toString(), String(i))
  }
  t.ok(log.stats().segments > 5)
  await iterator.return?.()
})

t.test('readers at the head see every record once and in order while the log is written', async t => {
  const log = await openLog(new MemoryFileSystem(), { segmentBytesMax: 2000 })
  const total = 600
  const reading = [1, 2, 3].map(() => collect(log.read({ from: 'earliest', follow: true, limit: total })))
  for (let i = 0; i < total; i++) {
    append(log, String(i))
    if (i % 7 === 0) await log.sync()
  }
  await log.sync()
  for (const records of await Promise.all(reading)) {
    t.ok(records.every((record, i) => record.offset === i && record.payload.toString() === String(i)))
  }
})

t.test('a read that follows from a time in the future waits for it', async t => {
  const log = await filledLog(new MemoryFileSystem())
  const reading = collect(log.read({ from: { timeMs: START_MS + 100_000 }, follow: true, limit: 1 }))
  append(log, 'too early', START_MS + 99_999)
  await log.sync()
  append(log, 'on time', START_MS + 100_000)
  await log.sync()
  t.equal((await reading)[0]?.payload.toString(), 'on time')
})

t.test('a read that follows can be ended while it still looks for its beginning', async t => {
  const log = await openLog(new MemoryFileSystem())
  const stop = new AbortController()
  const aborted = collect(log.read({ from: { timeMs: START_MS }, follow: true, signal: stop.signal }))
  stop.abort(new Error('enough'))
  await t.rejects(aborted, { message: 'enough' })
  const returned = log.read({ from: { timeMs: START_MS }, follow: true })[Symbol.asyncIterator]()
  const next = returned.next()
  await returned.return?.()
  t.strictSame(await next, { done: true, value: undefined })
})

t.test('aborting ends a read with the reason, also one that waits', async t => {
  const log = await filledLog(new MemoryFileSystem())
  const waiting = new AbortController()
  const reading = collect(log.read({ from: 'latest', follow: true, signal: waiting.signal }))
  await new Promise(resolve => setImmediate(resolve))
  waiting.abort(new Error('enough'))
  await t.rejects(reading, { message: 'enough' })
  await t.rejects(collect(log.read({ from: 'earliest', signal: AbortSignal.abort() })), { name: 'AbortError' })
})

t.test('leaving a read that waits lets it end', async t => {
  const log = await filledLog(new MemoryFileSystem())
  const iterator = log.read({ from: 'latest', follow: true })[Symbol.asyncIterator]()
  const next = iterator.next()
  await new Promise(resolve => setImmediate(resolve))
  await iterator.return?.()
  t.strictSame(await next, { done: true, value: undefined })
})

t.test('closing the log ends reads that follow', async t => {
  const log = await filledLog(new MemoryFileSystem())
  const reading = collect(log.read({ from: { offset: 10 }, follow: true }))
  append(log, 'last')
  await log.close()
  t.equal((await reading).length, 3)
})

t.test('a read that retention overtakes is told, or jumps when it asked to', async t => {
  const clock = new ManualClock()
  const retention = { ageMs: 0, bytes: 1 }
  for (const outOfRange of ['fail', 'earliest', 'latest'] as const) {
    const removed: StreamGap[] = []
    const log = await filledLog(new MemoryFileSystem(), { clock, retention })
    const got: StreamRecord[] = []
    const reading = (async () => {
      for await (const record of log.read({ from: 'earliest', outOfRange, onRemoved: gap => removed.push(gap) })) {
        got.push(record)
        if (record.offset === 1) await log.retain()
      }
    })()
    if (outOfRange === 'fail') await t.rejects(reading, { code: 'TRB_OFFSET_OUT_OF_RANGE' })
    else await reading
    const { earliestOffset } = log.stats()
    t.ok(earliestOffset > 4)
    const rest = outOfRange === 'earliest' ? [...Array(12).keys()].slice(earliestOffset) : []
    const toOffset = outOfRange === 'earliest' ? earliestOffset : 12
    t.strictSame(removed, outOfRange === 'fail' ? [] : [{ fromOffset: got.at(-rest.length - 1)!.offset + 1, toOffset }])
    t.strictSame(
      got.map(record => record.offset).filter(offset => offset >= earliestOffset),
      rest
    )
    t.ok(got.every(record => record.offset < 4 || record.offset >= earliestOffset))
    await t.rejects(payloads(log, { from: { offset: 0 } }), { code: 'TRB_OFFSET_OUT_OF_RANGE' })
    t.equal((await payloads(log, { from: { offset: 0 }, outOfRange: 'earliest' })).length, 12 - earliestOffset)
  }
})

t.test('damage in a closed segment is found by the read, quarantined, and remembered', async t => {
  const fileSystem = new MemoryFileSystem()
  const options = { segmentBytesMax: 1000 }
  const first = await filledLog(fileSystem, options)
  await first.close()
  const { length } = fileSystem.bytes(segmentFile(0))
  for (let at = 64; at < length; at += 3) {
    const untouched = new Map(fileSystem.paths().map(path => [path, Buffer.from(fileSystem.bytes(path))]))
    const bytes = Buffer.from(fileSystem.bytes(segmentFile(0)))
    bytes[at]! ^= 0x20
    fileSystem.put(segmentFile(0), bytes)
    const logger = new TestLogger()
    const log = await openLog(fileSystem, { ...options, logger })
    t.strictSame(logger.lines, [])
    const failure = await payloads(log).catch((reason: unknown) => reason)
    t.match(failure, { code: 'TRB_STREAM_CORRUPT' })
    t.match(logger.at('error'), [{ details: { code: 'TRB_STREAM_CORRUPT', file: segmentFile(0), bytes: Number } }])
    const [gap] = log.gaps
    t.equal(gap!.toOffset - gap!.fromOffset, 2)
    t.equal((await payloads(log, { from: 'earliest', onGap: () => undefined })).length, 10)
    t.equal((await payloads(log, { from: { offset: gap!.toOffset } })).length, 12 - gap!.toOffset)
    t.equal(logger.at('error').length, 1)
    await log.close()
    const again = await openLog(fileSystem, { ...options, logger })
    t.strictSame(again.gaps, [gap])
    t.equal(logger.at('error').length, 1)
    await again.close()
    for (const path of fileSystem.paths()) {
      if (untouched.has(path)) fileSystem.put(path, untouched.get(path)!)
      else fileSystem.remove(path)
    }
  }
})

t.test('a segment file that somebody removed under a running log is a gap to readers', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await filledLog(fileSystem)
  const second = log.segments[1]!
  fileSystem.remove(second.path)
  await t.rejects(payloads(log), { code: 'TRB_STREAM_CORRUPT' })
  const left = await collect(log.read({ from: 'earliest', onGap: () => undefined }))
  t.notOk(left.some(record => record.offset >= second.baseOffset && record.offset < second.nextOffset))
  t.equal(left.length, 12 - (second.nextOffset - second.baseOffset))
})

t.test('a disk that cannot be read fails the read and not the log', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await filledLog(fileSystem)
  fileSystem.fail({ operation: 'read', path: '.segment', code: 'EIO' })
  await t.rejects(payloads(log), { code: 'EIO' })
  t.equal((await payloads(log)).length, 12)
})
