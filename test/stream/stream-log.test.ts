import { t } from 'tap'
import { fnv1a32 } from '../../lib/stream/key-partition.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { append, appendSynced, collect, openLog, payloads, START_MS } from './open-log.ts'

t.test('a record comes back with everything it was appended with', async t => {
  const log = await openLog(new MemoryFileSystem())
  const source = log.source('devices/ü/telemetry', 'device-1')
  const bytes = Buffer.from('..payload..')
  const properties = Buffer.from([1, 1, 3, 0, 1, 97])
  log.append(source, 2, true, START_MS, START_MS + 5000, properties, bytes, 2, 9)
  await log.sync()
  t.strictSame(await collect(log.read({ from: 'earliest' })), [
    {
      offset: 0,
      partition: fnv1a32('device-1') % 4,
      timestampMs: START_MS,
      topic: 'devices/ü/telemetry',
      clientId: 'device-1',
      qos: 2,
      retain: true,
      properties,
      expiresAtMs: START_MS + 5000,
      payload: Buffer.from('payload')
    }
  ])
})

t.test('a record keeps its Packet Identifier where one is given', async t => {
  const log = await openLog(new MemoryFileSystem())
  const source = log.source('t', 'c')
  const properties = Buffer.from([1, 1])
  const payload = Buffer.from('payload')
  for (const packetId of [0, 1, 65_535]) {
    log.append(source, 1, false, START_MS, START_MS + 7, properties, payload, 0, payload.length, packetId)
  }
  await log.sync()
  const records = await collect(log.read({ from: 'earliest' }))
  t.strictSame(
    records.map(({ packetId, expiresAtMs, properties, payload }) => ({ packetId, expiresAtMs, properties, payload })),
    [undefined, 1, 65_535].map(packetId => ({ packetId, expiresAtMs: START_MS + 7, properties, payload }))
  )
})

t.test('timestamps that go back and expiries in the past survive', async t => {
  const log = await openLog(new MemoryFileSystem())
  const times = [START_MS, START_MS - 3_600_000, START_MS + 9_000_000_000, 1]
  const source = log.source('t', 'c')
  const none = Buffer.alloc(0)
  for (const timeMs of times) log.append(source, 0, false, timeMs, Math.max(1, timeMs - 7), none, none, 0, 0)
  await log.sync()
  const records = await collect(log.read({ from: 'earliest' }))
  t.strictSame(
    records.map(record => record.timestampMs),
    times
  )
  t.strictSame(
    records.map(record => record.expiresAtMs),
    times.map(timeMs => Math.max(1, timeMs - 7))
  )
})

t.test('payloads of every length around the copy loop and the chunk size come back whole', async t => {
  const log = await openLog(new MemoryFileSystem(), { segmentBytesMax: 64 * 1024 * 1024 })
  const lengths = [...Array(70).keys(), 319, 320, 321, 1000, 262_000, 262_144, 262_145, 1_000_000]
  const sent = lengths.map(length => Buffer.from(Array.from({ length }, (_, i) => (i * 7 + length) & 0xff)))
  for (const payload of sent) append(log, payload)
  await log.sync()
  const got = (await collect(log.read({ from: 'earliest' }))).map(record => record.payload)
  t.equal(got.length, sent.length)
  t.ok(got.every((payload, i) => payload.equals(sent[i]!)))
})

t.test('nothing is readable before its sync', async t => {
  const log = await openLog(new MemoryFileSystem())
  t.equal(append(log, 'a'), 0)
  t.strictSame(await payloads(log), [])
  t.ok(log.dirty)
  t.ok(log.pendingBytes > 0)
  t.equal(log.nextOffset, 1)
  await log.sync()
  t.strictSame(await payloads(log), ['a'])
  t.notOk(log.dirty)
  t.equal(log.pendingBytes, 0)
})

t.test('what is appended while a sync runs goes with the next one', async t => {
  const log = await openLog(new MemoryFileSystem())
  append(log, 'a')
  const first = log.sync()
  // The sync takes the batch in the turn after the call.
  await new Promise(resolve => setImmediate(resolve))
  append(log, 'b')
  t.ok(log.dirty)
  await first
  t.strictSame(await payloads(log), ['a'])
  await log.sync()
  t.strictSame(await payloads(log), ['a', 'b'])
})

t.test('syncs that overlap take turns', async t => {
  const log = await openLog(new MemoryFileSystem())
  append(log, 'a')
  const first = log.sync()
  append(log, 'b')
  await Promise.all([first, log.sync(), log.sync()])
  t.strictSame(await payloads(log), ['a', 'b'])
})

t.test('a sync with nothing to write touches no file', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  fileSystem.counts.clear()
  await log.sync()
  t.equal(fileSystem.counts.size, 0)
})

t.test('one sync of many records is one write', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  for (let i = 0; i < 100; i++) append(log, `payload ${i}`)
  fileSystem.counts.clear()
  await log.sync()
  t.strictSame([...fileSystem.counts], [['write', 1]])
})

t.test('a publisher that sends often costs few bytes beyond its payloads', async t => {
  const log = await openLog(new MemoryFileSystem(), { segmentBytesMax: 1 << 20 })
  const before = log.stats().bytes
  const payload = Buffer.alloc(100, 'x')
  const sources = Array.from({ length: 50 }, (_, i) => log.source(`devices/${i}/telemetry`, `device-${i}`))
  for (let i = 0; i < 1000; i++) {
    log.append(sources[i % 50]!, 1, false, START_MS, 0, Buffer.alloc(0), payload, 0, 100)
  }
  await log.sync()
  t.ok((log.stats().bytes - before) / 1000 < 110)
})

t.test('a source that was used before its batch was written is defined again in the next one', async t => {
  const log = await openLog(new MemoryFileSystem())
  const source = log.source('topic', 'client')
  const bytes = Buffer.from('p')
  for (let i = 0; i < 3; i++) {
    log.append(source, 1, false, START_MS, 0, Buffer.alloc(0), bytes, 0, 1)
    log.append(source, 1, false, START_MS, 0, Buffer.alloc(0), bytes, 0, 1)
    await log.sync()
  }
  const records = await collect(log.read({ from: 'earliest' }))
  t.strictSame(
    records.map(record => `${record.offset} ${record.topic} ${record.clientId}`),
    [0, 1, 2, 3, 4, 5].map(offset => `${offset} topic client`)
  )
})

t.test('a source made elsewhere is refused', async t => {
  const log = await openLog(new MemoryFileSystem())
  const source = { topic: 't', clientId: 'c', partition: 0 }
  t.throws(() => log.append(source, 0, false, 0, 0, Buffer.alloc(0), Buffer.alloc(0), 0, 0), TypeError)
})

t.test('all records of a key are in one partition, and keys spread over all of them', async t => {
  const log = await openLog(new MemoryFileSystem())
  const partitions = Array.from({ length: 200 }, (_, i) => log.source('t', `device-${i}`).partition)
  t.strictSame([...new Set(partitions)].sort(), [0, 1, 2, 3])
  t.equal(log.source('a', 'device-7').partition, log.source('b', 'device-7').partition)
  const byTopic = await openLog(new MemoryFileSystem(), { key: 'topic' })
  t.equal(byTopic.source('a', 'device-7').partition, byTopic.source('a', 'device-8').partition)
})

t.test('the hash of a key is FNV-1a, as published', async t => {
  t.equal(fnv1a32(''), 0x811c9dc5)
  t.equal(fnv1a32('a'), 0xe40c292c)
  t.equal(fnv1a32('foobar'), 0xbf9cf968)
})

t.test('statistics tell offsets, times, bytes and segments', async t => {
  const log = await openLog(new MemoryFileSystem(), { segmentBytesMax: 400 })
  t.strictSame(log.stats(), {
    name: 'log',
    earliestOffset: 0,
    nextOffset: 0,
    durableOffset: 0,
    bytes: 64,
    segments: 1,
    earliestTimestampMs: undefined,
    latestTimestampMs: undefined
  })
  for (let i = 0; i < 10; i++) {
    append(log, 'x'.repeat(60), START_MS + i)
    await log.sync()
  }
  const stats = log.stats()
  t.equal(stats.nextOffset, 10)
  t.equal(stats.earliestTimestampMs, START_MS)
  t.equal(stats.latestTimestampMs, START_MS + 9)
  t.ok(stats.segments > 2)
})

t.test('close makes what is pending durable, and a closed log takes nothing more', async t => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  append(log, 'a')
  await log.close()
  t.throws(() => append(log, 'b'), { code: 'TRB_CLOSED' })
  await t.rejects(log.sync(), { code: 'TRB_CLOSED' })
  await log.close()
  fileSystem.crash()
  t.strictSame(await payloads(await openLog(fileSystem)), ['a'])
})

t.test('each sync that wrote is told with its duration', async t => {
  const told: string[] = []
  const log = await openLog(new MemoryFileSystem(), {
    onSync: (stream, seconds) => told.push(`${stream} ${seconds >= 0}`)
  })
  await log.sync()
  await appendSynced(log, 'a')
  t.strictSame(told, ['log true'])
})
