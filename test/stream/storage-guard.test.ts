import { t } from 'tap'
import { StorageGuard, type StorageLimits } from '../../lib/stream/storage-guard.ts'
import { Streams } from '../../lib/stream/streams.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { append, ManualClock, START_MS, TestLogger } from './open-log.ts'

const KIB = 1024
const MIB = 1024 * KIB

async function world(limits: Partial<StorageLimits>, names = ['a', 'b']) {
  const fileSystem = new MemoryFileSystem()
  const clock = new ManualClock()
  const logger = new TestLogger()
  const changes: (string | undefined)[] = []
  let guard: StorageGuard | undefined
  const streams = await Streams.open({
    folder: '/data/streams',
    declarations: names.map(name => ({
      name,
      filter: name,
      key: 'clientId',
      partitions: 1,
      retention: { ageMs: 0, bytes: 0 },
      ack: 'synced',
      segmentBytesMax: 4 * KIB
    })),
    onSync: (_stream, _seconds, bytes) => guard?.appended(bytes),
    ...{ fileSystem, clock, logger, retentionIntervalMs: 0 }
  })
  guard = new StorageGuard({
    limits: { quota: 0, minFreeBytes: 0, whenFull: 'read-only', checkIntervalMs: 3_600_000, ...limits },
    folder: '/data/streams',
    ...{ fileSystem, clock, logger },
    streams: () => streams.all(),
    cuttable: ({ name }) => !name.startsWith('$'),
    onChange: reason => changes.push(reason)
  })
  t.teardown(async () => {
    await guard.close()
    await streams.close()
  })
  const fill = async (name: string, records: number, atMs = START_MS) => {
    for (let i = 0; i < records; i++) {
      append(streams.get(name)!, 'x'.repeat(KIB), atMs + i)
      await streams.get(name)!.sync()
    }
  }
  const used = () => streams.all().reduce((sum, stream) => sum + stream.stats().bytes, 0)
  return { fileSystem, clock, logger, changes, streams, guard, fill, used }
}

t.test('below the free space that is to stay it is read-only, and writable again with a tenth more', async t => {
  const { fileSystem, guard, changes, logger } = await world({ minFreeBytes: 100 * MIB })
  fileSystem.free = 100 * MIB
  await guard.check()
  t.equal(guard.state.readOnly, undefined)
  fileSystem.free = 99 * MIB
  await guard.check()
  await guard.check()
  t.match(guard.state, { readOnly: /only 99.0 MiB are free on the disk; storage.minFreeBytes is 100.0 MiB/, freeBytes: 99 * MIB })
  for (const free of [101, 109, 99, 109]) {
    fileSystem.free = free * MIB
    await guard.check()
  }
  t.equal(changes.length, 1, 'it does not come and go')
  fileSystem.free = 110 * MIB
  await guard.check()
  t.equal(guard.state.readOnly, undefined)
  t.match(changes, [String, undefined])
  t.match(logger.at('error'), [{ message: /read-only/ }])
  t.match(
    logger.at('info').filter(({ message }) => /writing goes on/.test(message)),
    [{}]
  )
})

t.test('the quota counts all streams, and what is appended between two looks brings the next one', async t => {
  const { guard, fill, changes, streams, used } = await world({ quota: 20 * KIB })
  await guard.check()
  await fill('a', 10)
  await guard.check()
  t.strictSame(changes, [])
  await fill('b', 12)
  await guard.check()
  t.match(changes, [/storage.quota/])
  t.ok(used() > 20 * KIB && used() < 25 * KIB)
  streams.change({ ...streams.declaration('a')!, retention: { ageMs: 0, bytes: 1 } })
  await streams.retain()
  await guard.check()
  t.ok(used() < 18 * KIB)
  t.match(changes, [String, undefined])
})

t.test('appending alone, without a timer, finds the quota reached', async t => {
  const { guard, fill, changes } = await world({ quota: 20 * KIB })
  await guard.check()
  await fill('a', 22)
  // Runs already, or has nothing new to say.
  await guard.check()
  t.equal(changes.length, 1)
})

t.test('delete-oldest cuts the oldest segments over all streams, and no more than it takes', async t => {
  const { guard, fill, used, streams, changes } = await world({ quota: 40 * KIB, whenFull: 'delete-oldest' }, ['a', 'b', '$own'])
  await fill('$own', 6, START_MS - 10_000)
  await fill('b', 12, START_MS)
  await fill('a', 12, START_MS + 1000)
  const before = streams.get('a')!.stats()
  t.equal(streams.get('b')!.stats().earliestOffset, 0)
  await fill('b', 12, START_MS + 2000)
  await guard.check()
  t.ok(used() <= 40 * KIB)
  t.ok(used() > 35 * KIB)
  t.ok(streams.get('b')!.stats().earliestOffset > 0)
  t.strictSame(streams.get('a')!.stats(), before, 'the other stream has nothing as old')
  t.equal(streams.get('$own')!.stats().earliestOffset, 0)
  t.strictSame(changes, [])
})

t.test(
  'delete-oldest takes the segment that is written to when there is no other, and goes read-only when nothing helps',
  async t => {
    const { guard, fill, used, changes, fileSystem, logger } = await world({ quota: 2 * KIB, whenFull: 'delete-oldest' })
    await fill('a', 3)
    await guard.check()
    t.ok(used() <= 2 * KIB)
    t.strictSame(changes, [])
    await fill('b', 3)
    fileSystem.fail({ operation: 'unlink', code: 'EIO', times: 10 })
    await guard.check()
    t.match(changes, [/storage.quota/])
    t.match(logger.at('error')[0], { message: /could not be removed/ })
    fileSystem.faults.length = 0
    await guard.check()
    t.match(changes, [String, undefined])
  }
)

t.test('free space that others took is not made up for by deleting streams', async t => {
  const { guard, fill, used, changes, fileSystem } = await world({ minFreeBytes: MIB, quota: MIB, whenFull: 'delete-oldest' })
  await fill('a', 12)
  const before = used()
  fileSystem.free = 0
  await guard.check()
  t.equal(used(), before)
  t.match(changes, [/minFreeBytes/])
})

t.test('a write that finds the disk full makes it read-only at once, for a while at least', async t => {
  const { guard, changes, clock } = await world({ minFreeBytes: MIB })
  guard.failed(new Error('something else'))
  t.strictSame(changes, [])
  guard.failed(new Error('a stream', { cause: Object.assign(new Error('full'), { code: 'ENOSPC' }) }))
  t.match(changes, [/found the disk full/])
  await guard.check()
  t.equal(changes.length, 1, 'although the disk says that much is free')
  clock.nowMs += 10_000
  await guard.check()
  t.match(changes, [String, undefined])
  guard.failed(new Error('IO error: /data/store/000012.log: No space left on device'))
  t.equal(changes.length, 3, 'LevelDB has no code for it')
})

t.test('a disk that does not say what is free is believed to have room', async t => {
  const { guard, fileSystem, changes, logger } = await world({ minFreeBytes: MIB })
  await guard.check()
  fileSystem.freeBytes = () => Promise.reject(new Error('not on this system'))
  await guard.check()
  await guard.check()
  t.strictSame(changes, [])
  t.equal(guard.state.freeBytes, undefined)
  t.equal(logger.at('warn').length, 1)
})
