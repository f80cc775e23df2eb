import t, { type Test } from 'tap'
import { openDb } from '../../persistence/database.ts'
import { LevelStore } from '../../persistence/index.ts'
import { bodyKey, FORMAT_KEY, purgeKey } from '../../persistence/keys.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { FaultyDb } from './faulty-db.ts'
import { all, fill, message, payloads, putSession, retained, session, subscription, will } from './store-fixtures.ts'

const BODY = 'M'
const SESSION = 'S'
const PURGE = 'P'

async function opened(t: Test) {
  const faulty = new FaultyDb()
  const folder = temporaryFolder(t)
  const store = await LevelStore.open({ folder, openDb: faulty.open })
  t.teardown(() => store.close())
  return { store, faulty, folder }
}

t.test('a message body is stored once, whatever the number of queues', async t => {
  const { store, faulty } = await opened(t)
  const keys = Array.from({ length: 100 }, (_, i) => putSession(store, `c${i}`))
  const payload = Buffer.alloc(500, 'x')
  const ref = store.message(message('t', { payload }))
  for (const key of keys) store.enqueue(key, 1, ref, 1, false, [], 0)
  await store.commit()
  t.equal((await faulty.keys(BODY)).length, 1)
  t.equal((await store.readQueue(keys[99] ?? 0, 0, 1))[0]?.message.payload.toString(), payload.toString())

  for (const key of keys.slice(1)) store.dequeue(key, 1)
  await store.commit()
  t.equal((await faulty.keys(BODY)).length, 1, 'it stays for the last one')
  store.dequeue(keys[0] ?? 0, 1)
  await store.commit()
  t.equal((await faulty.keys(BODY)).length, 0, 'and goes with it')
})

t.test('a message with one queue is part of its entry, unless it is long', async t => {
  const { store, faulty } = await opened(t)
  const key = putSession(store, 'c')
  store.enqueue(key, 1, store.message(message('t')), 1, false, [], 0)
  await store.commit()
  t.equal((await faulty.keys(BODY)).length, 0)
  store.enqueue(key, 2, store.message(message('t', { payload: Buffer.alloc(5000) })), 1, false, [], 0)
  await store.commit()
  t.equal((await faulty.keys(BODY)).length, 1)
})

t.test('a fan-out that all queues but one took back before the batch is a message with one queue', async t => {
  const { store, faulty } = await opened(t)
  const keys = ['a', 'b', 'c'].map(id => putSession(store, id))
  const ref = store.message(message('t'))
  for (const key of keys) store.enqueue(key, 1, ref, 1, false, [], 7)
  for (const key of keys.slice(1)) store.dequeue(key, 1)
  await store.commit()
  t.equal((await faulty.keys(BODY)).length, 0)
  t.same(payloads(await store.readQueue(keys[0] ?? 0, 0, 9)), ['payload'])
})

t.test('an entry that is released lets its body go', async t => {
  const { store, faulty } = await opened(t)
  const keys = ['a', 'b'].map(id => putSession(store, id))
  const ref = store.message(message('t', { payload: Buffer.alloc(5000) }))
  for (const key of keys) store.enqueue(key, 1, ref, 2, false, [], 7)
  await store.commit()
  for (const key of keys) store.markReleased(key, 1)
  await store.commit()
  t.equal((await faulty.keys(BODY)).length, 0)
  t.match(await store.readQueue(keys[0] ?? 0, 0, 9), [{ state: 'released', packetId: 7, message: { payload: { length: 0 } } }])
})

t.test('what is put and taken back within a batch writes nothing', async t => {
  const { store, faulty } = await opened(t)
  const key = putSession(store, 'c')
  await store.commit()
  const before = faulty.operations
  const ref = store.message(message('t', { payload: Buffer.alloc(5000) }))
  store.enqueue(key, 1, ref, 1, false, [], 0)
  store.enqueue(key, 2, ref, 1, false, [], 3)
  store.markSent(key, 1, 4)
  store.dequeue(key, 2)
  store.dequeue(key, 1)
  store.putReceived(key, 1, [], undefined)
  store.deleteReceived(key, 1)
  store.putRetained(retained('r'))
  store.deleteRetained('r')
  store.putWill(will('w'))
  store.deleteWill('w')
  await store.commit()
  t.equal(faulty.operations, before)
  store.putRetained(retained('other'))
  await store.commit()
  t.equal(faulty.operations, before + 1, 'a batch beside it holds nothing of it either')
})

t.test('a retained topic written often within a batch is one write', async t => {
  const { store, faulty } = await opened(t)
  const before = faulty.operations
  for (let i = 0; i < 1000; i++) store.putRetained(retained('r', String(i)))
  await store.commit()
  t.equal(faulty.operations, before + 1)
  t.equal(store.retainedByTopic('r')?.payload.toString(), '999')
})

t.test('deleting a long session is one record in the batch; the rest is cleared away behind it', async t => {
  const { store, faulty } = await opened(t)
  const key = putSession(store, 'old')
  store.putSubscription(key, subscription('f'))
  store.putReceived(key, 9, [], undefined)
  fill(store, key, 1, 2500)
  const kept = putSession(store, 'kept')
  const shared = store.message(message('t', { payload: Buffer.from('shared') }))
  store.enqueue(key, 2501, shared, 1, false, [], 0)
  store.enqueue(kept, 1, shared, 1, false, [], 0)
  await store.commit()
  const before = faulty.operations
  store.deleteSession(key, 'old')
  t.not(store.sessionKey('old'), key, 'the key is not given again while its records are there')
  const commit = store.commit()
  t.equal(faulty.operations, before + 1)
  await commit
  await store.purged()
  t.equal((await faulty.keys(SESSION)).length, 2, 'the session kept and its entry')
  t.same(await faulty.keys(PURGE), [])
  t.same(payloads(await store.readQueue(kept, 0, 9)), ['shared'])
  store.dequeue(kept, 1)
  await store.commit()
  t.equal((await faulty.keys(BODY)).length, 0, 'the purge had counted its reference down')
})

t.test('a purge that was interrupted goes on at the next open', async t => {
  const { store, faulty, folder } = await opened(t)
  const key = putSession(store, 'old')
  fill(store, key, 1, 10)
  await store.commit()
  store.deleteSession(key, 'old')
  await store.commit()
  faulty.fault = 'before'
  await store.purged()
  t.equal((await faulty.keys(SESSION)).length, 11, 'nothing was purged')
  await store.close()

  const again = await LevelStore.open({ folder, openDb: faulty.open })
  t.teardown(() => again.close())
  t.same(await all(again.loadSessions()), [], 'the session is gone all the same')
  t.not(again.sessionKey('new'), key)
  await again.purged()
  t.same(await faulty.keys(SESSION), [])
  t.same(await faulty.keys(PURGE), [])
  t.equal(again.corruptCount, 0)
})

t.test('a body that no queue refers to is removed at open', async t => {
  const folder = temporaryFolder(t)
  await (await LevelStore.open({ folder })).close()
  const db = await openDb(folder)
  await db.put(bodyKey(77), Buffer.from('whatever'))
  await db.close()
  const faulty = new FaultyDb()
  const store = await LevelStore.open({ folder, openDb: faulty.open })
  t.teardown(() => store.close())
  t.same(await faulty.keys(BODY), [])
})

t.test('a folder of another format is refused and left alone', async t => {
  const newer = temporaryFolder(t, { newer: {}, other: {} })
  await (await LevelStore.open({ folder: `${newer}/newer` })).close()
  const db = await openDb(`${newer}/newer`)
  await db.put(FORMAT_KEY, Buffer.from([2]))
  await db.close()
  await t.rejects(LevelStore.open({ folder: `${newer}/newer` }), { code: 'TRB_STORE_CORRUPT', message: /format 02/ })

  const other = await openDb(`${newer}/other`)
  await other.put(purgeKey(1), Buffer.from('mine'))
  await other.close()
  await t.rejects(LevelStore.open({ folder: `${newer}/other` }), { code: 'TRB_STORE_CORRUPT', message: /something else/ })
  const check = await openDb(`${newer}/other`)
  t.equal((await check.get(purgeKey(1)))?.toString(), 'mine')
  await check.close()
})

t.test('session keys of a store are unique, also for sessions that were never stored', async t => {
  const { store } = await opened(t)
  const keys = Array.from({ length: 100 }, (_, i) => store.sessionKey(`c${i}`))
  t.equal(new Set(keys).size, 100)
  store.putSession(keys[5] ?? 0, session('c5'))
  t.equal(store.sessionKey('c5'), keys[5])
})
