import { t } from 'tap'
import type { StreamDeclaration } from '../../lib/stream/declaration.ts'
import { removeStreamFolder, Streams } from '../../lib/stream/streams.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { append, collect, ManualClock, payloads, TestLogger } from './open-log.ts'

function declare(name: string, filter: string, more: Partial<StreamDeclaration> = {}): StreamDeclaration {
  return { name, filter, key: 'clientId', partitions: 8, retention: { ageMs: 0, bytes: 0 }, ack: 'synced', ...more }
}

function open(
  fileSystem: MemoryFileSystem,
  declarations: StreamDeclaration[],
  more: Partial<Parameters<typeof Streams.open>[0]> = {}
) {
  return Streams.open({ folder: '/data/streams', declarations, fileSystem, retentionIntervalMs: 0, ...more })
}

t.test('a topic enters every stream whose filter matches', async t => {
  const streams = await open(new MemoryFileSystem(), [
    declare('telemetry', 'devices/+/telemetry'),
    declare('everything', '#'),
    declare('one', 'devices/1/#')
  ])
  const matching = (topic: string): string[] => streams.matching(topic).map(stream => stream.name)
  t.strictSame(matching('devices/1/telemetry'), ['telemetry', 'everything', 'one'])
  t.strictSame(matching('devices/2/telemetry'), ['telemetry', 'everything'])
  t.strictSame(matching('devices/1'), ['everything', 'one'])
  t.strictSame(matching('$SYS/uptime'), [])
  t.equal(streams.get('one'), streams.all()[2])
  t.equal(streams.get('toString'), undefined)
  t.strictSame(
    streams.declared().map(({ filter, ack }) => `${filter} ${ack}`),
    ['devices/+/telemetry synced', '# synced', 'devices/1/# synced']
  )
  await streams.close()
})

t.test('streams keep their records apart and over a restart, those not declared any more too', async t => {
  const fileSystem = new MemoryFileSystem()
  const both = [declare('a', 'a'), declare('b', 'b')]
  const first = await open(fileSystem, both)
  append(first.get('a')!, 'in a')
  append(first.get('b')!, 'in b')
  await first.close()
  const second = await open(fileSystem, [declare('a', 'a')])
  t.strictSame(await payloads(second.get('a')!), ['in a'])
  await second.close()
  fileSystem.crash()
  const third = await open(fileSystem, both)
  t.strictSame(await payloads(third.get('b')!), ['in b'])
  await third.close()
})

t.test('a name that is no folder name is refused, and so is one that differs in case only', async t => {
  const bad = ['', '.', '..', 'a/b', '../a', 'a\\b', 'a b', '-a', 'x'.repeat(80), 'a\0', 'ü', 'a.']
  for (const name of bad) {
    await t.rejects(open(new MemoryFileSystem(), [declare(name, '#')]), { code: 'TRB_CONFIG_INVALID' }, JSON.stringify(name))
  }
  await t.rejects(open(new MemoryFileSystem(), [declare('a', '#'), declare('A', '#')]), { code: 'TRB_CONFIG_INVALID' })
  await t.rejects(open(new MemoryFileSystem(), [declare('a', '#', { partitions: 0 })]), { code: 'TRB_CONFIG_INVALID' })
  for (const name of ['a', 'constructor', '$dead-letter', 'v1.2', 'A_b-C']) {
    await (await open(new MemoryFileSystem(), [declare(name, '#')])).close()
  }
})

t.test('a size limit smaller than a segment makes the segments smaller', async t => {
  const streams = await open(new MemoryFileSystem(), [declare('a', '#', { retention: { ageMs: 0, bytes: 1 << 20 } })])
  const log = streams.get('a')!
  for (let i = 0; i < 40; i++) {
    append(log, 'x'.repeat(40_000))
    await log.sync()
    await streams.retain()
  }
  t.ok(log.stats().bytes <= 1 << 20)
  t.ok(log.stats().bytes > 1 << 19)
  await streams.close()
})

t.test('one stream whose retention fails does not keep the others from theirs', async t => {
  const fileSystem = new MemoryFileSystem()
  const clock = new ManualClock()
  const logger = new TestLogger()
  const retention = { ageMs: 1000, bytes: 0 }
  const streams = await open(fileSystem, [declare('a', '#', { retention }), declare('b', '#', { retention })], { clock, logger })
  for (const stream of streams.all()) append(stream, 'x', clock.nowMs)
  for (const stream of streams.all()) await stream.sync()
  clock.nowMs += 10_000
  fileSystem.fail({ operation: 'unlink', path: '/a/', code: 'EIO' })
  await streams.retain()
  t.match(logger.at('error'), [{ details: { stream: 'a' } }])
  t.equal(streams.get('a')?.stats().earliestOffset, 0)
  t.equal(streams.get('b')?.stats().earliestOffset, 1)
  await streams.close()
})

t.test('a stream that cannot be opened leaves none open', async t => {
  const fileSystem = new MemoryFileSystem()
  fileSystem.fail({ operation: 'readdir', path: '/b', code: 'EACCES' })
  await t.rejects(open(fileSystem, [declare('a', '#'), declare('b', '#')]), { code: 'EACCES' })
  const streams = await open(fileSystem, [declare('a', '#'), declare('b', '#')])
  t.equal(streams.all().length, 2)
  await streams.close()
})

t.test('close closes every stream although the first one cannot write its last records', async t => {
  const fileSystem = new MemoryFileSystem()
  const streams = await open(fileSystem, [declare('a', '#'), declare('b', '#')])
  for (const stream of streams.all()) append(stream, 'last')
  fileSystem.fail({ operation: 'write', path: '/a/', code: 'EIO' })
  await t.rejects(streams.close(), { code: 'TRB_STREAM_WRITE_FAILED', stream: 'a' })
  t.ok(streams.all().every(stream => stream.closed))
  const again = await open(fileSystem, [declare('a', '#'), declare('b', '#')])
  t.strictSame(await payloads(again.get('b')!), ['last'])
  await again.close()
})

t.test('each sync is told with the stream it was of', async t => {
  const told: string[] = []
  const streams = await open(new MemoryFileSystem(), [declare('a', '#'), declare('b', '#')], {
    onSync: stream => told.push(stream)
  })
  append(streams.get('b')!, 'x')
  await streams.get('b')!.sync()
  t.strictSame(told, ['b'])
  await streams.close()
})

t.test('a stream can be added, changed and given up while others go on', async t => {
  const fileSystem = new MemoryFileSystem()
  const streams = await open(fileSystem, [declare('a', 'a')])
  await t.rejects(streams.add(declare('A', 'x')), { code: 'TRB_CONFIG_INVALID' })
  const { stream } = await streams.add(declare('b', 'b/#', { ack: 'received' }))
  t.strictSame(streams.matching('b/1'), [stream])
  append(stream, 'one')
  streams.change(declare('b', 'c/#', { partitions: 3, retention: { ageMs: 5, bytes: 1 << 20 } }))
  t.strictSame(streams.matching('b/1'), [])
  t.match(streams.declared()[1], { filter: 'c/#', ack: 'synced' })
  t.equal(stream.partitions, 3)
  t.throws(() => streams.change(declare('z', 'z')), { code: 'TRB_STREAM_UNKNOWN' })
  t.throws(() => streams.change(declare('b', 'c/#', { partitions: 0 })), { code: 'TRB_CONFIG_INVALID' })
  await streams.release('b')
  t.equal(streams.get('b'), undefined)
  t.equal(streams.declaration('b'), undefined)
  const { stream: again } = await streams.add(declare('b', 'b/#'))
  t.strictSame(await payloads(again), ['one'], 'its files are still there')
  await streams.close()
})

t.test('segments get the size that a change asks for', async t => {
  const streams = await open(new MemoryFileSystem(), [declare('a', '#', { segmentBytesMax: 1 << 20 })])
  const log = streams.get('a')!
  const fill = async () => {
    for (let i = 0; i < 10; i++) {
      append(log, 'x'.repeat(10_000))
      await log.sync()
    }
    return log.stats().segments
  }
  t.equal(await fill(), 1)
  streams.change(declare('a', '#', { segmentBytesMax: 1 << 15 }))
  t.equal(await fill(), 5)
  await streams.close()
})

t.test('a read of a stream that is removed ends: at the end quietly, before it with an error that says so', async t => {
  const fileSystem = new MemoryFileSystem()
  const streams = await open(fileSystem, [declare('a', '#', { segmentBytesMax: 1 << 15 })])
  const log = streams.get('a')!
  for (let i = 0; i < 10; i++) {
    append(log, 'x'.repeat(10_000))
    await log.sync()
  }
  const behind = log.read({ from: 'earliest' })[Symbol.asyncIterator]()
  await behind.next()
  const following = log.read({ from: { offset: 9 }, follow: true })[Symbol.asyncIterator]()
  await following.next()
  const end = following.next()
  await streams.release('a')
  await removeStreamFolder(fileSystem, '/data/streams/a')
  t.strictSame(await end, { done: true, value: undefined })
  const rest = async () => {
    for (let next = await behind.next(); !next.done; next = await behind.next());
  }
  await t.rejects(rest(), { code: 'TRB_CLOSED', message: /stream a was removed while it was read/ })
  await streams.close()
})

t.test('streams are compacted as they are declared, also when that changes while they are open', async t => {
  const fileSystem = new MemoryFileSystem()
  const compaction = { tombstoneAgeMs: 0, minDirtyRatio: 0, maxLagMs: 1e12, memoryBytes: 1 << 20, bytesPerSecond: 1e12 }
  const declared = declare('states', '#', { segmentBytesMax: 300, compaction })
  const streams = await open(fileSystem, [declared, declare('other', '#', { segmentBytesMax: 300 })])
  const offsets = async (name: string) =>
    (await collect(streams.get(name)!.read({ from: 'earliest' }))).map(({ offset }) => offset)
  for (const { stream } of streams.declared()) {
    for (let i = 0; i < 12; i++) {
      append(stream, 'x'.repeat(150), undefined, `t/${i % 2}`, 'one client')
      await stream.sync()
    }
  }
  await streams.compact()
  t.equal((await offsets('states')).length, 12)
  t.equal(streams.get('states')!.stats().compaction, undefined)

  streams.change({ ...declared, key: 'topic', cleanup: 'compact' })
  await streams.compact()
  t.same(await offsets('states'), [9, 10, 11])
  t.equal((await offsets('other')).length, 12)

  streams.change({ ...declared, key: 'clientId', cleanup: 'compact' })
  t.equal(streams.get('states')!.stats().compaction?.dirtyRatio, 1, 'another key makes everything new')
  await streams.compact()
  t.same(await offsets('states'), [10, 11])
  await streams.close()
  await streams.compact()
})
