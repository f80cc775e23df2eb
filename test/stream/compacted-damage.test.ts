import { t } from 'tap'
import type { StreamGap } from '../../lib/stream/contract.ts'
import type { Segment } from '../../lib/stream/segment.ts'
import type { StreamLog } from '../../lib/stream/stream-log.ts'
import { eager } from './compacted.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { append, collect, openLog, TestLogger } from './open-log.ts'

const everything = { from: 'earliest' as const }

function open(fileSystem: MemoryFileSystem, logger = new TestLogger()): Promise<StreamLog> {
  return openLog(fileSystem, { segmentBytesMax: 700_000, cleanup: 'compact', compaction: eager, logger })
}

/** A closed log whose first segment was compacted and holds several batches, with holes in and between them. */
async function compactedLog(): Promise<{
  fileSystem: MemoryFileSystem
  offsets: number[]
  segment: Segment
  nextOffset: number
}> {
  const fileSystem = new MemoryFileSystem()
  const log = await open(fileSystem)
  for (let i = 0; i < 24; i++) {
    append(log, Buffer.alloc(100_000, i), undefined, 't', i % 3 === 1 ? 'often' : `once-${i}`)
    await log.sync()
  }
  await log.compact()
  const segment = log.segments[0]!
  const offsets = (await collect(log.read(everything))).map(({ offset }) => offset)
  await log.close()
  t.ok(segment.generation > 0 && segment.endPosition > 400_000, 'two batches')
  return { fileSystem, offsets, segment, nextOffset: log.nextOffset }
}

/** What a new process finds: what it reports, which offsets it reads, and which it is told are lost. */
async function find(fileSystem: MemoryFileSystem) {
  const logger = new TestLogger()
  const log = await open(fileSystem, logger)
  const gaps: StreamGap[] = []
  const records = await collect(log.read({ ...everything, onGap: gap => gaps.push(gap) }))
  await log.compact()
  const after = await collect(log.read({ ...everything, onGap: () => undefined }))
  const { nextOffset } = log
  await log.close()
  const offsetsOf = (found: typeof records) => found.map(({ offset }) => offset)
  return { errors: logger.at('error'), offsets: offsetsOf(records), after: offsetsOf(after), gaps, nextOffset }
}

function covered(gaps: readonly StreamGap[], offset: number): boolean {
  return gaps.some(({ fromOffset, toOffset }) => offset >= fromOffset && offset < toOffset)
}

t.test('a flipped bit in a compacted segment costs its batch and is told; no further run touches the segment', async t => {
  const { fileSystem, offsets, segment, nextOffset } = await compactedLog()
  const whole = new Map(fileSystem.paths().map(path => [path, Buffer.from(fileSystem.bytes(path))]))
  const original = whole.get(segment.path)!
  const places = [70, 90, 116, 200, 130_000, 270_000, 400_000, original.length - 1]
  for (const place of places) {
    const bytes = Buffer.from(original)
    bytes[place]! ^= 4
    fileSystem.put(segment.path, bytes)
    const found = await find(fileSystem)
    t.equal(found.nextOffset, nextOffset)
    t.equal(found.gaps.length, 1, `one gap for byte ${place}`)
    const expected = offsets.filter(offset => !covered(found.gaps, offset))
    t.ok(expected.length < offsets.length && expected.length >= offsets.length - 4)
    t.strictSame(found.offsets, expected)
    t.strictSame(found.after, expected)
    t.ok(found.errors.length > 0 && found.errors.every(({ details }) => details.code === 'TRB_STREAM_CORRUPT'))
    t.ok(fileSystem.bytes(segment.path).equals(bytes))
    for (const path of fileSystem.paths()) if (!whole.has(path)) fileSystem.remove(path)
    for (const [path, content] of whole) fileSystem.put(path, content)
  }
})

t.test(
  'one of the two labels of a compacted segment is enough; without both it is quarantined and its offsets are a gap',
  async t => {
    const { fileSystem, offsets, segment, nextOffset } = await compactedLog()
    const bytes = Buffer.from(fileSystem.bytes(segment.path))
    bytes[20]! ^= 1
    fileSystem.put(segment.path, bytes)
    const one = await find(fileSystem)
    t.match(one, { offsets, gaps: [], nextOffset })
    t.match(one.errors, [{ message: /one of the two labels/ }])
    const both = Buffer.from(fileSystem.bytes(segment.path))
    both[20]! ^= 1
    both[52]! ^= 1
    both[21]! ^= 1
    fileSystem.put(segment.path, both)
    const none = await find(fileSystem)
    t.strictSame(
      none.offsets,
      offsets.filter(offset => offset >= segment.endOffset!)
    )
    t.equal(none.nextOffset, nextOffset)
    t.match(none.errors, [{ message: /no valid label/ }])
    t.ok(fileSystem.paths().some(path => path.endsWith('.quarantine')))
  }
)

t.test('a compacted segment that is missing or cut short is a gap, exactly as long as what is lost', async t => {
  const { fileSystem, offsets, segment, nextOffset } = await compactedLog()
  const whole = new Map(fileSystem.paths().map(path => [path, Buffer.from(fileSystem.bytes(path))]))
  for (const length of [200, 150_000, 300_000, segment.endPosition - 1]) {
    fileSystem.put(segment.path, whole.get(segment.path)!.subarray(0, length))
    const found = await find(fileSystem)
    t.equal(found.nextOffset, nextOffset)
    t.equal(found.gaps.at(-1)?.toOffset, segment.endOffset, `cut at ${length}`)
    t.strictSame(
      found.offsets,
      offsets.filter(offset => !covered(found.gaps, offset))
    )
    t.ok(found.errors.length > 0)
    for (const path of fileSystem.paths()) if (!whole.has(path)) fileSystem.remove(path)
    for (const [path, content] of whole) fileSystem.put(path, content)
  }
  const beginning = await open(fileSystem)
  t.equal(beginning.segments.length > 1, true)
  await beginning.close()
  const [, second] = beginning.segments
  fileSystem.remove(second!.path)
  const found = await find(fileSystem)
  t.strictSame(found.gaps, [{ fromOffset: second!.baseOffset, toOffset: beginning.segments[2]?.baseOffset ?? nextOffset }])
  t.match(found.errors, [{ details: { code: 'TRB_STREAM_CORRUPT' }, message: /missing/ }])
})

t.test('without its index or the state of compaction a compacted log is found whole', async t => {
  const { fileSystem, offsets, segment, nextOffset } = await compactedLog()
  for (const path of fileSystem.paths()) if (/index$|state$/.test(path)) fileSystem.remove(path)
  const found = await find(fileSystem)
  t.match(found, { errors: [], offsets, after: offsets, gaps: [], nextOffset })
  t.ok(fileSystem.paths().includes(segment.path.replace(/segment$/, 'index')))
})

t.test('a result of compaction that is damaged before the originals are gone gives way to them', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await open(fileSystem)
  for (let i = 0; i < 24; i++) {
    append(log, Buffer.alloc(100_000, i), undefined, 't', i % 3 === 1 ? 'often' : `once-${i}`)
    await log.sync()
  }
  fileSystem.fail({ operation: 'unlink', code: 'EIO', times: 100 })
  await log.compact()
  const compacted = log.segments[0]!
  t.ok(compacted.generation > 0)
  const left = (await collect(log.read(everything))).map(({ offset }) => offset)
  fileSystem.crash()
  const bytes = Buffer.from(fileSystem.bytes(compacted.path))
  bytes[1000]! ^= 1
  fileSystem.put(compacted.path, bytes)
  const found = await find(fileSystem)
  const originals = Array.from({ length: compacted.endOffset! }, (_, i) => i)
  t.strictSame(found.offsets, [...originals, ...left.filter(offset => offset >= compacted.endOffset!)])
  t.strictSame(found.gaps, [])
  t.match(found.errors, [{ message: /a crash interrupted compaction/ }])
})
