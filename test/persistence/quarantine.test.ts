import t from 'tap'
import { openDb } from '../../persistence/database.ts'
import { LevelStore } from '../../persistence/index.ts'
import {
  bodyKey,
  entryKey,
  INFLIGHT,
  QUEUE,
  quarantineKey,
  RETAINED,
  receivedKey,
  SESSION,
  sessionRecordKey,
  subscriptionKey,
  textKey,
  WILL
} from '../../persistence/keys.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { FaultyDb } from './faulty-db.ts'
import { all, fill, message, payloads, putSession, retained, subscription, will } from './store-fixtures.ts'

/** A store with two like sessions, closed. */
async function filled(folder: string) {
  const store = await LevelStore.open({ folder })
  const shared = store.message(message('t', { payload: Buffer.alloc(3000, 's') }))
  const keys = ['bad', 'good'].map(id => {
    const key = putSession(store, id)
    store.putSubscription(key, subscription('f'))
    store.putReceived(key, 9, [], undefined)
    fill(store, key, 1, 4)
    store.enqueue(key, 5, shared, 1, false, [], 0)
    return key
  })
  await store.commit()
  for (const key of keys) store.markSent(key, 1, 11)
  for (const topic of ['r/bad', 'r/good']) store.putRetained(retained(topic))
  for (const id of ['bad', 'good']) store.putWill(will(id))
  await store.close()
  return { bad: keys[0] ?? 0, good: keys[1] ?? 0 }
}

async function damage(folder: string, key: Buffer, value: Buffer | undefined) {
  const db = await openDb(folder)
  if (value === undefined) await db.del(key)
  else await db.put(key, value)
  await db.close()
}

const NONSENSE = Buffer.from([0x63, 1, 2, 3])

const AT_OPEN: [string, (session: number) => Buffer, object][] = [
  ['subscription', key => subscriptionKey(key, 'f'), { subscriptions: [], queued: 5 }],
  ['QoS 2 record', key => receivedKey(key, 9), { received: [], queued: 5 }],
  ['inflight record', key => entryKey(INFLIGHT, key, 1), { inflight: [], queued: 5 }],
  ['queue entry', key => entryKey(QUEUE, key, 2), { queued: 4 }]
]

for (const [name, keyOf, found] of AT_OPEN) {
  t.test(`a ${name} that does not decode is quarantined and reported, the rest is loaded`, async t => {
    const folder = temporaryFolder(t)
    const { bad, good } = await filled(folder)
    await damage(folder, keyOf(bad), NONSENSE)
    const logged: string[] = []
    const faulty = new FaultyDb()
    const logger = { error: (_: object, text: string) => void logged.push(text), warn: () => undefined }
    const store = await LevelStore.open({ folder, openDb: faulty.open, logger })
    t.teardown(() => store.close())
    const loaded = await all(store.loadSessions())
    t.match(
      loaded.find(({ key }) => key === bad),
      found
    )
    t.match(
      loaded.find(({ key }) => key === good),
      { queued: 5, subscriptions: [{}], received: [{}], inflight: [{}] }
    )
    t.equal(store.corruptCount, 1)
    t.match(store.corrupt, [{ key: keyOf(bad).toString('hex'), error: { code: 'TRB_STORE_CORRUPT', message: /quarantine/ } }])
    t.equal(logged.length, 1)
    t.same(await faulty.db?.get(quarantineKey(keyOf(bad))), NONSENSE)
    t.equal(await faulty.db?.get(keyOf(bad)), undefined)
    await store.close()
    const again = await LevelStore.open({ folder })
    t.teardown(() => again.close())
    t.equal(again.corruptCount, 0, 'once is enough')
  })
}

t.test('a session record that does not decode keeps its data and its key out of use', async t => {
  const folder = temporaryFolder(t)
  const { bad, good } = await filled(folder)
  await damage(folder, sessionRecordKey(bad), NONSENSE)
  const store = await LevelStore.open({ folder })
  t.teardown(() => store.close())
  t.match(await all(store.loadSessions()), [{ key: good, queued: 5 }])
  t.equal(store.corruptCount, 2, 'the record, and the data without it')
  t.ok(store.sessionKey('bad') > good)
  t.same(payloads(await store.readQueue(good, 5, 1)), [Buffer.alloc(3000, 's').toString()])
})

t.test('a will that does not decode leaves the others', async t => {
  const folder = temporaryFolder(t)
  await filled(folder)
  await damage(folder, textKey(WILL, 'bad'), NONSENSE)
  const store = await LevelStore.open({ folder })
  t.teardown(() => store.close())
  t.match(await all(store.loadWills()), [{ clientId: 'good' }])
  t.equal(store.corruptCount, 1)
})

t.test('a retained message that does not decode is found when it is read', async t => {
  const folder = temporaryFolder(t)
  await filled(folder)
  await damage(folder, textKey(RETAINED, 'r/bad'), NONSENSE)
  const faulty = new FaultyDb()
  const store = await LevelStore.open({ folder, openDb: faulty.open })
  t.teardown(() => store.close())
  t.equal(store.retainedCount, 2)
  t.match(await all(store.retainedByFilter('r/+')), [{ topic: 'r/good' }])
  t.equal(store.retainedByTopic('r/bad'), undefined)
  t.equal(store.retainedCount, 1)
  t.equal(store.corruptCount, 1, 'reported once')
  store.putRetained(retained('r/bad', 'healed'))
  await store.commit()
  t.equal(store.retainedByTopic('r/bad')?.payload.toString(), 'healed')
  t.equal(store.retainedCount, 2)
  t.same(await faulty.db?.get(quarantineKey(textKey(RETAINED, 'r/bad'))), NONSENSE)
})

for (const [what, value] of [
  ['is damaged', NONSENSE],
  ['is missing', undefined]
] as const) {
  t.test(`entries whose shared body ${what} leave the queue, and reading goes on behind them`, async t => {
    const folder = temporaryFolder(t)
    const { bad, good } = await filled(folder)
    await damage(folder, bodyKey(1), value)
    const store = await LevelStore.open({ folder })
    t.teardown(() => store.close())
    fill(store, bad, 6, 3)
    await store.commit()
    t.same(payloads(await store.readQueue(bad, 5, 2)), ['6', '7'], 'the answer is not cut short')
    t.same(payloads(await store.readQueue(good, 0, 9)), ['1', '2', '3', '4'])
    t.ok(store.corruptCount >= 2)
    await store.commit()
    await store.close()
    const again = await LevelStore.open({ folder })
    t.teardown(() => again.close())
    t.equal(again.corruptCount, 0)
    t.match(await all(again.loadSessions()), [{ queued: 7 }, { queued: 4 }])
  })
}

t.test('a queue entry damaged after the open is found when it is read or removed', async t => {
  const folder = temporaryFolder(t)
  const { bad } = await filled(folder)
  const faulty = new FaultyDb()
  const store = await LevelStore.open({ folder, openDb: faulty.open })
  t.teardown(() => store.close())
  await faulty.db?.put(entryKey(QUEUE, bad, 2), NONSENSE)
  await faulty.db?.put(entryKey(QUEUE, bad, 3), NONSENSE)
  store.dequeue(bad, 3)
  t.same(
    payloads(await store.readQueue(bad, 0, 3)).map(text => text.slice(0, 1)),
    ['1', '4', 's']
  )
  await store.commit()
  t.equal(await faulty.db?.get(entryKey(QUEUE, bad, 2)), undefined)
  t.same(await faulty.db?.get(quarantineKey(entryKey(QUEUE, bad, 2))), NONSENSE)
})

t.test('records of no known kind and keys of the wrong length are quarantined', async t => {
  const folder = temporaryFolder(t)
  const { bad } = await filled(folder)
  const unknown = Buffer.concat([subscriptionKey(bad, '')])
  unknown[5] = 0x7f
  await damage(folder, unknown, NONSENSE)
  await damage(folder, Buffer.from([SESSION, 0]), NONSENSE)
  await damage(folder, Buffer.concat([entryKey(QUEUE, bad, 1), Buffer.from('x')]), NONSENSE)
  const store = await LevelStore.open({ folder })
  t.teardown(() => store.close())
  t.equal(store.corruptCount, 3)
  t.match(await all(store.loadSessions()), [{ queued: 5 }, { queued: 5 }])
})
