import t, { type Test } from 'tap'
import { openDb } from '../../persistence/database.ts'
import { LevelStore } from '../../persistence/index.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { FaultyDb } from './faulty-db.ts'
import { all, fill, message, payloads, putSession, retained, session, subscription } from './store-fixtures.ts'

async function opened(t: Test) {
  const faulty = new FaultyDb()
  const folder = temporaryFolder(t)
  const store = await LevelStore.open({ folder, openDb: faulty.open })
  t.teardown(() => store.close())
  return { store, faulty, folder }
}

for (const fault of ['before', 'after', 'hidden'] as const) {
  t.test(`a commit that fails says so (${fault}), and its batch is part of the next one`, async t => {
    const { store, faulty, folder } = await opened(t)
    const key = putSession(store, 'dev')
    const other = putSession(store, 'other')
    const shared = store.message(message('t', { payload: Buffer.from('shared') }))
    store.enqueue(key, 1, shared, 1, false, [], 0)
    store.enqueue(other, 1, shared, 1, false, [], 0)
    fill(store, key, 2, 2)
    store.putRetained(retained('r', 'old'))
    store.putSubscription(key, subscription('f'))
    faulty.fault = fault
    await t.rejects(store.commit(), { code: 'TRB_STORE_WRITE_FAILED', message: /injected/ })
    t.equal(store.dirty, true)
    t.same(payloads(await store.readQueue(key, 0, 9)), ['shared', '2', '3'], 'reads still see it')

    store.dequeue(key, 2)
    store.putRetained(retained('r', 'new'))
    store.putSession(key, session('dev', { username: 'newer' }))
    await store.commit()
    t.equal(faulty.opens, 2, 'the database was opened anew before it was written again')
    t.equal(store.dirty, false)
    await store.close()
    const again = await LevelStore.open({ folder })
    t.teardown(() => again.close())
    const [loaded] = await all(again.loadSessions())
    t.match(loaded, { session: { username: 'newer' }, queued: 2, subscriptions: [{ filter: 'f' }] })
    t.same(payloads(await again.readQueue(key, 0, 9)), ['shared', '3'])
    t.same(payloads(await again.readQueue(other, 0, 9)), ['shared'])
    t.equal(again.retainedByTopic('r')?.payload.toString(), 'new', 'newer writes win')
    t.equal(again.corruptCount, 0)
  })
}

t.test('what a failed batch may have left on disk is deleted for certain, although no read shows it', async t => {
  const { store, faulty, folder } = await opened(t)
  const key = putSession(store, 'dev')
  await store.commit()
  fill(store, key, 1, 1)
  store.putReceived(key, 5, [], undefined)
  store.putRetained(retained('r'))
  store.putSubscription(key, subscription('f'))
  faulty.fault = 'hidden'
  await t.rejects(store.commit(), { code: 'TRB_STORE_WRITE_FAILED' })
  store.dequeue(key, 1)
  store.deleteReceived(key, 5)
  store.deleteRetained('r')
  store.deleteSubscription(key, 'f')
  t.equal(store.dirty, true)
  await store.commit()
  await store.close()
  const again = await LevelStore.open({ folder })
  t.teardown(() => again.close())
  t.match(await all(again.loadSessions()), [{ queued: 0, received: [], subscriptions: [] }])
  t.equal(again.retainedCount, 0)
})

t.test('a database that cannot be reopened fails every commit until it can', async t => {
  const folder = temporaryFolder(t)
  const faulty = new FaultyDb()
  let broken = false
  const store = await LevelStore.open({
    folder,
    openDb: async folder => {
      if (broken) throw new Error('injected: the disk is gone')
      return faulty.open(folder)
    }
  })
  t.teardown(() => store.close())
  const key = putSession(store, 'dev')
  fill(store, key, 1, 1)
  faulty.fault = 'before'
  broken = true
  await t.rejects(store.commit(), { code: 'TRB_STORE_WRITE_FAILED', message: /injected: no space/ })
  await t.rejects(store.commit(), { code: 'TRB_STORE_WRITE_FAILED', message: /disk is gone/ })
  fill(store, key, 2, 1)
  await t.rejects(store.commit(), { code: 'TRB_STORE_WRITE_FAILED', message: /disk is gone/ })
  broken = false
  await store.commit()
  t.same(payloads(await store.readQueue(key, 0, 9)), ['1', '2'])
})

t.test('while the database is being reopened writes are taken and reads wait', async t => {
  const { store, faulty, folder } = await opened(t)
  const key = putSession(store, 'dev')
  fill(store, key, 1, 4, 2)
  store.putRetained(retained('kept'))
  store.putRetained(retained('gone'))
  await store.commit()
  fill(store, key, 5, 1)
  faulty.fault = 'before'
  await t.rejects(store.commit(), { code: 'TRB_STORE_WRITE_FAILED' })

  const commit = store.commit()
  store.dequeue(key, 1)
  store.markSent(key, 2, 22)
  store.markSent(key, 3, 33)
  store.markReleased(key, 3)
  store.putRetained(retained('new'))
  store.deleteRetained('gone')
  store.deleteSubscription(key, 'never')
  t.throws(() => store.retainedByTopic('kept'), { code: 'TRB_CLOSED' }, 'a read that cannot wait says so')
  const queue = await store.readQueue(key, 0, 9)
  t.same(payloads(queue), ['2', '', '4', '5'])
  t.same((await all(store.retainedByFilter('#'))).map(({ topic }) => topic).sort(), ['kept', 'new'])
  await commit
  await store.commit()
  await store.close()
  const again = await LevelStore.open({ folder })
  t.teardown(() => again.close())
  t.match(await all(again.loadSessions()), [
    {
      queued: 4,
      inflight: [
        { seq: 2, packetId: 22, state: 'sent' },
        { seq: 3, packetId: 33, state: 'released' }
      ]
    }
  ])
  t.same(payloads(await again.readQueue(key, 0, 9)), ['2', '', '4', '5'])
})

t.test('a store whose last commit failed closes, and says what was lost', async t => {
  const folder = temporaryFolder(t)
  const faulty = new FaultyDb()
  const store = await LevelStore.open({ folder, openDb: faulty.open })
  putSession(store, 'dev')
  faulty.fault = 'before'
  await t.rejects(store.close(), { code: 'TRB_STORE_WRITE_FAILED' })
  const again = await LevelStore.open({ folder })
  t.same(await all(again.loadSessions()), [], 'the folder is free again')
  await again.close()
})

t.test('a folder LevelDB cannot open names the folder and what to do', async t => {
  const folder = temporaryFolder(t, { CURRENT: 'MANIFEST-000009\n' })
  await t.rejects(LevelStore.open({ folder }), { message: new RegExp(folder) })
  await t.rejects(LevelStore.open({ folder }), { message: new RegExp(folder) }, 'and is not left locked')
  const free = temporaryFolder(t)
  const db = await openDb(free)
  await t.rejects(LevelStore.open({ folder: free }), { code: 'TRB_DATA_LOCKED' }, 'LevelDB’s own lock counts too')
  await db.close()
})
