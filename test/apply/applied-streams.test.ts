import { t } from 'tap'
import { MemoryFileSystem, type Operation } from '../stream/memory-file-system.ts'
import { append, payloads, START_MS } from '../stream/open-log.ts'
import { ApplyWorld, FOLDER, wanted } from './world.ts'

const HOUR_MS = 3_600_000

t.test('apply creates streams, and a second apply has nothing to change', async t => {
  const fileSystem = new MemoryFileSystem()
  const world = await ApplyWorld.open(fileSystem)
  const file = wanted("orders: { filter: 'shop/orders' }", "alarms: { filter: 'alarms/#', retention: { age: 1d } }")
  const plan = await world.applied.apply(file)
  t.match(plan, { applied: true, unchanged: [], changes: [{ stream: 'orders', action: 'create' }, { stream: 'alarms' }] })
  t.strictSame(world.followed, ['add shop/orders', 'add alarms/#'])
  t.match(world.logger.at('info'), [{ details: { stream: 'orders', action: 'create' } }, { details: { stream: 'alarms' } }])
  const again = await world.applied.apply(file)
  t.strictSame(again, { applied: true, changes: [], unchanged: ['orders', 'alarms'], revision: 1 })
  t.equal(world.followed.length, 2)
  t.equal(world.manifest.revision, 1, 'nothing was written')
  await world.close()
})

t.test('applied streams are there after a restart and a crash, with their settings', async t => {
  const fileSystem = new MemoryFileSystem()
  const first = await ApplyWorld.open(fileSystem)
  await first.applied.apply(wanted("orders: { filter: 'shop/orders', partitions: 3, retention: { age: 36h, bytes: 0 } }"))
  append(first.streams.get('orders')!, 'kept')
  await first.streams.get('orders')!.sync()
  fileSystem.crash()
  const second = await ApplyWorld.open(fileSystem)
  t.match(second.streams.declaration('orders'), {
    filter: 'shop/orders',
    partitions: 3,
    retention: { ageMs: 36 * HOUR_MS, bytes: 0 }
  })
  t.strictSame(await payloads(second.streams.get('orders')!), ['kept'])
  await second.close()
})

t.test('a dry run says what an apply would do and does nothing', async t => {
  const fileSystem = new MemoryFileSystem()
  const world = await ApplyWorld.open(fileSystem)
  await world.applied.apply(wanted("a: { filter: 'a/#' }"))
  const before = fileSystem.paths()
  const plan = await world.applied.apply(wanted("b: { filter: 'b/#' }"), { dryRun: true, prune: true })
  t.match(plan, {
    applied: false,
    changes: [
      { stream: 'b', action: 'create' },
      { stream: 'a', action: 'remove' }
    ]
  })
  t.strictSame(fileSystem.paths(), before)
  t.strictSame(world.followed, ['add a/#'])
  t.strictSame(Object.keys(world.manifest.streams), ['a'])
  await world.close()
})

t.test('a stream that is not in the file stays until prune is said, and then its folder goes', async t => {
  const fileSystem = new MemoryFileSystem()
  const world = await ApplyWorld.open(fileSystem)
  await world.applied.apply(wanted("a: { filter: 'a/#' }", "b: { filter: 'b/#' }"))
  const log = world.streams.get('b')!
  for (const text of ['one', 'two', 'three']) append(log, text, START_MS + 1000)
  await log.sync()
  world.readers.push({ kind: 'group', name: 'billing', filter: '#', position: 1 })
  world.readers.push({ kind: 'client', name: 'ui', filter: '$stream/b', position: 3 })
  const kept = await world.applied.apply(wanted("a: { filter: 'a/#' }"))
  t.match(kept, { applied: true, unchanged: ['a'], changes: [{ stream: 'b', action: 'keep' }] })
  t.ok(world.streams.get('b'), 'nothing was removed')
  const plan = await world.applied.apply(wanted("a: { filter: 'a/#' }"), { prune: true })
  t.match(plan.changes, [
    {
      stream: 'b',
      action: 'remove',
      deletes: {
        records: 3,
        bytes: log.stats().bytes,
        fromOffset: 0,
        toOffset: 3,
        oldest: new Date(START_MS + 1000).toISOString(),
        readers: [{ kind: 'group', name: 'billing', unread: 2 }]
      },
      notes: [/1 consumer group/, /1 subscription/]
    }
  ])
  t.equal(plan.changes[0]?.deletes?.readers.length, 1, 'who has read everything loses nothing')
  t.equal(world.streams.get('b'), undefined)
  t.strictSame(world.followed.slice(2), ['remove b'])
  t.strictSame(
    fileSystem.paths().filter(path => path.includes('/b/')),
    []
  )
  t.notOk((await fileSystem.readdir(FOLDER)).includes('b'))
  t.strictSame(world.manifest.removing, [])
  await world.close()
})

t.test('a change is told setting by setting, with what follows from it, and counts at once', async t => {
  const world = await ApplyWorld.open(new MemoryFileSystem())
  await world.applied.apply(wanted("a: { filter: 'a/#' }"))
  const file = wanted("a: { filter: 'b/#', partitions: 2, key: topic, ack: received, retention: { age: 1d, bytes: 1GiB } }")
  const plan = await world.applied.apply(file)
  t.strictSame(plan.changes[0]?.settings, [
    { key: 'filter', from: 'a/#', to: 'b/#' },
    { key: 'key', from: 'clientId', to: 'topic' },
    { key: 'partitions', from: '8', to: '2' },
    { key: 'ack', from: 'synced', to: 'received' },
    { key: 'retention.age', from: '7d', to: '1d' },
    { key: 'retention.bytes', from: '10GiB', to: '1GiB' }
  ])
  t.equal(plan.changes[0]?.deletes, undefined)
  t.match(plan.changes[0]?.notes, [/next publish/, /key/, /lowest position/, /no longer means/])
  const log = world.streams.get('a')!
  t.equal(log.partitions, 2)
  t.equal(log.ack, 'received')
  t.strictSame(world.streams.matching('b/1'), [log])
  t.strictSame(world.followed, ['add a/#', 'change b/#'])
  await world.close()
})

t.test('a plan names exactly what retention deletes afterwards', async t => {
  const world = await ApplyWorld.open(new MemoryFileSystem())
  const before = wanted("a: { filter: 'a/#', segmentBytes: 8KiB, retention: { age: 0, bytes: 0 } }")
  await world.applied.apply(before)
  const log = world.streams.get('a')!
  for (let i = 0; i < 40; i++) {
    append(log, 'x'.repeat(1000), START_MS + i * HOUR_MS)
    await log.sync()
  }
  for (const retention of ['{ age: 30h, bytes: 0 }', '{ age: 30h, bytes: 12KiB }', '{ age: 10ms, bytes: 0 }']) {
    world.clock.nowMs = START_MS + 40 * HOUR_MS
    const { earliestOffset, bytes, segments } = log.stats()
    const plan = await world.applied.apply(wanted(`a: { filter: 'a/#', segmentBytes: 8KiB, retention: ${retention} }`))
    const foreseen = plan.changes[0]?.deletes
    const removed = await log.retain()
    t.ok(foreseen !== undefined && foreseen.records > 0, retention)
    t.equal(foreseen?.bytes, removed.bytes)
    t.equal(foreseen?.segments, removed.segments)
    t.equal(foreseen?.fromOffset, earliestOffset)
    t.equal(foreseen?.toOffset, removed.earliestOffset)
    t.equal(foreseen?.oldest, new Date(START_MS + earliestOffset * HOUR_MS).toISOString())
    t.equal(foreseen?.newest, new Date(START_MS + (removed.earliestOffset - 1) * HOUR_MS).toISOString())
    t.ok(log.stats().bytes < bytes && log.stats().segments <= segments)
  }
  t.equal(log.stats().earliestOffset, 40, 'the last one took the active segment, too')
  await world.close()
})

t.test('a stream of the configuration file is not changed: nothing of the file is applied then', async t => {
  const configured = wanted("telemetry: { filter: 'devices/#' }")
  const world = await ApplyWorld.open(new MemoryFileSystem(), configured)
  const same = await world.applied.apply(wanted("telemetry: { filter: 'devices/#' }", "a: { filter: 'a/#' }"))
  t.match(same, { applied: true, unchanged: ['telemetry'], changes: [{ stream: 'a', action: 'create' }] })
  const file = wanted("telemetry: { filter: 'all/#' }", "a: { filter: 'b/#' }", "b: { filter: 'b/#' }")
  const other = await world.applied.apply(file, { dryRun: true })
  t.match(other, {
    applied: false,
    changes: [
      { stream: 'telemetry', action: 'refuse', settings: [{ key: 'filter' }], notes: [/configuration file/] },
      { stream: 'a', action: 'change' },
      { stream: 'b', action: 'create' }
    ]
  })
  await t.rejects(world.applied.apply(file), {
    code: 'TRB_APPLY_REFUSED',
    message: /telemetry: the configuration file declares it/
  })
  t.equal(world.streams.get('b'), undefined)
  t.strictSame(world.followed, ['add a/#'])
  const pruned = await world.applied.apply({}, { prune: true })
  t.strictSame(
    pruned.changes.map(({ stream }) => stream),
    ['a'],
    'prune is about applied streams alone'
  )
  await t.rejects(world.applied.apply(wanted("Telemetry: { filter: 'x' }")), { message: /differs in more than case/ })
  await world.close()
})

t.test('a stream that the configuration file declares later belongs to the file from then on', async t => {
  const fileSystem = new MemoryFileSystem()
  const first = await ApplyWorld.open(fileSystem)
  await first.applied.apply(wanted("a: { filter: 'a/#', partitions: 3 }", "b: { filter: 'b/#' }"))
  append(first.streams.get('a')!, 'kept')
  await first.close()
  const second = await ApplyWorld.open(fileSystem, wanted("a: { filter: 'a/#', partitions: 5 }"))
  t.match(second.logger.at('warn'), [{ details: { stream: 'a' }, message: /the file counts/ }])
  t.equal(second.streams.get('a')?.partitions, 5)
  t.strictSame(await payloads(second.streams.get('a')!), ['kept'])
  await second.close()
  const third = await ApplyWorld.open(fileSystem)
  t.strictSame(
    third.streams.all().map(({ name }) => name),
    ['b'],
    'without the file it is declared nowhere'
  )
  await third.close()
})

t.test('a folder that is there already is taken up, and the plan says so', async t => {
  const fileSystem = new MemoryFileSystem()
  const configured = wanted("a: { filter: 'a/#' }")
  const first = await ApplyWorld.open(fileSystem, configured)
  append(first.streams.get('a')!, 'one')
  append(first.streams.get('a')!, 'two')
  await first.close()
  const second = await ApplyWorld.open(fileSystem)
  const plan = await second.applied.apply(configured)
  t.match(plan.changes, [{ action: 'create', notes: ['takes up the 2 records that are in its folder'] }])
  t.strictSame(await payloads(second.streams.get('a')!), ['one', 'two'])
  await second.close()
})

t.test('when the disk does not take the manifest nothing has changed', async t => {
  const fileSystem = new MemoryFileSystem()
  const world = await ApplyWorld.open(fileSystem)
  await world.applied.apply(wanted("a: { filter: 'a/#' }"))
  for (const operation of ['write', 'sync', 'rename'] as const) {
    fileSystem.fail({ operation, path: '.applied.json', code: 'ENOSPC' })
    await t.rejects(world.applied.apply(wanted("b: { filter: 'b/#' }"), { prune: true }), { code: 'ENOSPC' }, operation)
    t.strictSame(
      world.streams.all().map(({ name }) => name),
      ['a']
    )
  }
  t.strictSame(world.followed, ['add a/#'])
  await world.applied.apply(wanted("b: { filter: 'b/#' }"), { prune: true })
  t.strictSame(
    world.streams.all().map(({ name }) => name),
    ['b']
  )
  await world.close()
})

t.test('a folder that cannot be deleted is tried again, and its name is not given again before', async t => {
  const fileSystem = new MemoryFileSystem()
  const world = await ApplyWorld.open(fileSystem)
  await world.applied.apply(wanted("a: { filter: 'a/#' }"))
  fileSystem.fail({ operation: 'unlink', path: '/a/', code: 'EIO', times: 2 })
  await world.applied.apply({}, { prune: true })
  t.strictSame(world.manifest.removing, ['a'])
  t.match(world.logger.at('error'), [{ details: { stream: 'a' } }])
  await t.rejects(world.applied.apply(wanted("a: { filter: 'a/#' }")), { message: /could not be deleted yet/ })
  t.match(await world.applied.apply(wanted("a: { filter: 'a/#' }")), {
    applied: true,
    changes: [{ action: 'create', notes: [] }]
  })
  await world.close()
})

t.test('applies that are asked for at the same time take turns', async t => {
  const world = await ApplyWorld.open(new MemoryFileSystem())
  const plans = await Promise.all([
    world.applied.apply(wanted("a: { filter: 'a/#' }")),
    world.applied.apply(wanted("a: { filter: 'a/#' }")),
    world.applied.apply(wanted("b: { filter: 'b/#' }"), { prune: true })
  ])
  t.strictSame(
    plans.map(({ changes }) => changes.map(({ stream, action }) => `${action} ${stream}`)),
    [['create a'], [], ['create b', 'remove a']]
  )
  await world.close()
})

t.test('close waits for the apply in progress and refuses later ones', async t => {
  const world = await ApplyWorld.open(new MemoryFileSystem())
  const applying = world.applied.apply(wanted("a: { filter: 'a/#' }"))
  await world.applied.close()
  t.match(await applying, { applied: true })
  await t.rejects(world.applied.apply({}), { code: 'TRB_CLOSED' })
  await world.close()
})

t.test('a plan that somebody has looked at is not carried out after another apply', async t => {
  const world = await ApplyWorld.open(new MemoryFileSystem())
  const { revision } = await world.applied.apply(wanted("a: { filter: 'a/#' }"), { dryRun: true })
  await world.applied.apply(wanted("b: { filter: 'b/#' }"), { revision })
  const late = world.applied.apply(wanted("a: { filter: 'a/#' }"), { revision })
  await t.rejects(late, { code: 'TRB_APPLY_REFUSED', message: /others have applied streams since/ })
  t.equal(world.streams.get('a'), undefined)
  await world.close()
})

t.test('one change is planned from the settings that are in force, whoever declared the stream', async t => {
  const world = await ApplyWorld.open(new MemoryFileSystem(), wanted("t: { filter: 't/#', retention: { age: 2d, bytes: 1GiB } }"))
  const change = await world.applied.planChange('t', { retention: { age: '1d' }, partitions: 3 })
  t.match(change, {
    action: 'change',
    settings: [
      { key: 'partitions', to: '3' },
      { key: 'retention.age', from: '2d', to: '1d' }
    ]
  })
  t.equal(change?.settings.length, 2, 'retention.bytes stays')
  t.equal(await world.applied.planChange('t', { retention: { age: '48h' } }), undefined)
  await t.rejects(world.applied.planChange('x', {}), { code: 'TRB_STREAM_UNKNOWN' })
  await t.rejects(world.applied.planChange('t', { retention: { aeg: '1d' } }), {
    code: 'TRB_CONFIG_INVALID',
    message: /retention.aeg.*\n.*did you mean `age`/
  })
  t.equal(world.streams.declaration('t')?.partitions, 8, 'nothing was changed')
  await world.close()
})

t.test('a crash at any step of an apply leaves what was, or what was asked for', async t => {
  const operations: Operation[] = ['open', 'write', 'truncate', 'sync', 'rename', 'unlink', 'rmdir', 'syncFolder', 'readdir']
  const outcomes = new Map<string, number>()
  const wrong: string[] = []
  for (const operation of operations) {
    for (let skip = 0; ; skip++) {
      const fileSystem = new MemoryFileSystem()
      const world = await ApplyWorld.open(fileSystem)
      await world.applied.apply(wanted("a: { filter: 'a/#' }", "b: { filter: 'b/#' }"))
      append(world.streams.get('b')!, 'in b')
      await world.streams.get('b')!.sync()
      fileSystem.fail({ operation, code: 'EIO', crash: true, skip })
      const power = fileSystem.power
      await world.applied
        .apply(wanted("a: { filter: 'a/#', partitions: 2 }", "c: { filter: 'c/#' }"), { prune: true })
        .catch(() => {
          // The machine is down.
        })
      const crashed = fileSystem.power > power
      if (!crashed) fileSystem.crash()
      const after = await ApplyWorld.open(fileSystem)
      const state = after.streams.all().map(({ name, partitions }) => `${name}:${partitions}`)
      const folders = (await fileSystem.readdir(FOLDER)).filter(name => name === 'b')
      const records = after.streams.get('b') && (await payloads(after.streams.get('b')!))
      const found = JSON.stringify([state, folders, records])
      const old = JSON.stringify([['a:8', 'b:8'], ['b'], ['in b']])
      const now = JSON.stringify([['a:2', 'c:8'], [], undefined])
      if (found !== old && found !== now) wrong.push(`${operation} ${skip}: ${found}`)
      outcomes.set(found, (outcomes.get(found) ?? 0) + 1)
      await after.close()
      if (!crashed) break
    }
  }
  t.strictSame(wrong, [])
  t.equal(outcomes.size, 2, 'crashes came before and after the moment that decides')
})
