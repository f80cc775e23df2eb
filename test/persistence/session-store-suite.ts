import type { Test } from 'tap'
import type { LoadedSession, QueueEntry, SessionStore } from '../../persistence/contract.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { retainedSuite, type WithStore } from './retained-suite.ts'
import { AWKWARD, all, fill, message, payloads, putSession, session, subscription, will } from './store-fixtures.ts'

/** Opens a store on a folder that may hold what an earlier one left there. */
export type OpenStore = (folder: string) => Promise<SessionStore>

/** What every SessionStore must do. Run it on each implementation. */
export function sessionStoreSuite(t: Test, open: OpenStore): void {
  const withStore: WithStore = (name, body) =>
    t.test(name, async t => {
      const folder = temporaryFolder(t)
      let store = await open(folder)
      t.teardown(() => store.close())
      await body(t, store, async () => {
        await store.close()
        store = await open(folder)
        return store
      })
    })

  withStore('a new store is empty and clean', async (t, store) => {
    t.same(await all(store.loadSessions()), [])
    t.same(await all(store.loadWills()), [])
    t.equal(store.retainedCount, 0)
    t.equal(store.dirty, false)
    await store.commit()
  })

  withStore('sessions and subscriptions come back whole after a restart', async (t, store, reopen) => {
    for (const [i, clientId] of AWKWARD.entries()) {
      const key = store.sessionKey(clientId)
      t.equal(store.sessionKey(clientId), key, 'the key of a client id stays')
      store.putSession(key, session(clientId, { username: i % 2 ? `user ${clientId}` : undefined, expirySeconds: 0xffffffff }))
      for (const filter of AWKWARD) store.putSubscription(key, subscription(filter))
    }
    store.deleteSubscription(store.sessionKey('dev1'), 'dev10')
    t.equal(store.dirty, true)
    await store.commit()
    t.equal(store.dirty, false)

    const again = await reopen()
    const loaded = await all(again.loadSessions())
    t.same(ids(loaded), [...AWKWARD].sort())
    for (const { key, session, subscriptions } of loaded) {
      t.equal(again.sessionKey(session.clientId), key)
      const wanted = AWKWARD.filter(filter => session.clientId !== 'dev1' || filter !== 'dev10')
      t.same(subscriptions.map(({ filter }) => filter).sort(), wanted.sort())
      t.same(subscriptions[0], subscription(subscriptions[0]?.filter ?? ''))
    }
    t.equal(loaded.find(({ session }) => session.clientId === 'constructor')?.session.username, 'user constructor')
    t.same(await all(again.loadSessions()), [], 'sessions are handed out once')
  })

  withStore(
    'a batch waits for what has to be on disk before it, and holds nothing that came meanwhile',
    async (t, store, reopen) => {
      const key = putSession(store, 'dev')
      store.enqueue(key, 1, store.message(message('first')), 1, false, [], 0)
      await store.commit()
      store.dequeue(key, 1)
      let asked = 0
      const failing = store.commit(() => {
        asked++
        return Promise.reject(new Error('the other disk is full'))
      })
      store.enqueue(key, 2, store.message(message('second')), 1, false, [], 0)
      await t.rejects(failing, { message: 'the other disk is full' })
      t.equal(asked, 1)
      t.equal(store.dirty, true, 'the batch is kept')
      const release: (() => void)[] = []
      const waiting = store.commit(() => new Promise(resolve => release.push(resolve)))
      store.enqueue(key, 3, store.message(message('third')), 1, false, [], 0)
      release[0]?.()
      await waiting
      t.equal(store.dirty, true, 'the third is for the next one')
      t.same(
        (await store.readQueue(key, 0, 10)).map(({ seq }) => seq),
        [2, 3]
      )
      await store.commit(() => undefined)
      const again = await reopen()
      t.same(
        (await again.readQueue(key, 0, 10)).map(({ seq }) => seq),
        [2, 3]
      )
    }
  )

  withStore('a renamed session keeps what it has, and its client id is free for a new one', async (t, store, reopen) => {
    const key = putSession(store, 'dev')
    store.enqueue(key, 1, store.message(message('old')), 1, false, [], 0)
    await store.commit()
    store.renameSession(key, session('\0gone\0dev'))
    const next = putSession(store, 'dev')
    t.not(next, key)
    store.enqueue(next, 1, store.message(message('new')), 1, false, [], 0)
    await store.commit()
    const again = await reopen()
    t.same(ids(await all(again.loadSessions())), ['\0gone\0dev', 'dev'])
    t.equal(again.sessionKey('\0gone\0dev'), key)
    t.match(await again.readQueue(key, 0, 10), [{ message: { topic: 'old' } }])
    t.match(await again.readQueue(next, 0, 10), [{ message: { topic: 'new' } }])
    again.deleteSession(key, '\0gone\0dev')
    await again.commit()
    t.same(ids(await all((await reopen()).loadSessions())), ['dev'])
  })

  withStore('every field of a message survives', async (t, store, reopen) => {
    const key = putSession(store, 'dev')
    const full = message('a/ü/端', {
      payload: Buffer.from([0, 255, 1, 2]),
      qos: 2,
      retain: true,
      properties: Buffer.from('0101260001610001622600016100026363', 'hex'),
      expiresAtMs: 1_900_000_000_123,
      publishedAtMs: 1_800_000_000_456,
      publisherId: '__proto__'
    })
    store.enqueue(key, 1, store.message(full), 2, true, [1, 268_435_455], 0)
    store.enqueue(key, 2, store.message(message('plain')), 1, false, [], 0)
    await store.commit()
    const again = await reopen()
    const [first, second] = await again.readQueue(key, 0, 10)
    t.same(first, {
      seq: 1,
      qos: 2,
      retain: true,
      subscriptionIds: [1, 268_435_455],
      state: 'queued',
      packetId: 0,
      message: full
    })
    t.same(second?.message, message('plain'))
  })

  withStore('reads see what is not committed', async (t, store) => {
    const key = putSession(store, 'dev')
    fill(store, key, 1, 3)
    t.same(payloads(await store.readQueue(key, 0, 10)), ['1', '2', '3'])
    const commit = store.commit()
    fill(store, key, 4, 2)
    store.dequeue(key, 2)
    t.same(payloads(await store.readQueue(key, 0, 10)), ['1', '3', '4', '5'], 'while a commit is under way')
    await commit
    t.same(payloads(await store.readQueue(key, 0, 10)), ['1', '3', '4', '5'], 'half committed')
    t.same(payloads(await store.readQueue(key, 3, 2)), ['3', '4'], 'from and limit count what is there')
    await store.commit()
    t.same(payloads(await store.readQueue(key, 0, 10)), ['1', '3', '4', '5'])
    t.same(await store.readQueue(key, 6, 10), [])
    t.same(await store.readQueue(key, 0, 0), [])
  })

  withStore('queues keep their order across restarts', async (t, store, reopen) => {
    const key = putSession(store, 'dev')
    fill(store, key, 1, 300)
    await store.commit()
    let again = await reopen()
    let [loaded] = await all(again.loadSessions())
    t.match(loaded, { firstSeq: 1, nextSeq: 301, queued: 300, inflight: [] })
    fill(again, key, loaded?.nextSeq ?? 0, 300)
    for (let seq = 1; seq <= 10; seq++) again.dequeue(key, seq)
    await again.commit()
    again = await reopen()
    ;[loaded] = await all(again.loadSessions())
    t.match(loaded, { firstSeq: 11, nextSeq: 601, queued: 590 })
    t.same(
      payloads(await again.readQueue(key, 0, 1000)),
      Array.from({ length: 590 }, (_, i) => String(i + 11))
    )
  })

  withStore('an entry that is marked sent again has its latest packet id after a restart', async (t, store, reopen) => {
    const key = putSession(store, 'dev')
    store.enqueue(key, 1, store.message(message('once more')), 1, false, [], 5)
    await store.commit()
    store.markSent(key, 1, 6)
    await store.commit()
    const again = await reopen()
    t.match(await all(again.loadSessions()), [{ inflight: [{ seq: 1, packetId: 6, state: 'sent' }] }])
    t.match(await again.readQueue(key, 0, 9), [{ seq: 1, packetId: 6, state: 'sent' }])
  })

  withStore('a number may be used again before its removal is on disk', async (t, store, reopen) => {
    const key = putSession(store, 'dev')
    fill(store, key, 1, 3)
    store.markSent(key, 2, 22)
    await store.commit()
    store.markSent(key, 3, 33)
    await store.commit()
    for (const seq of [1, 2, 3]) store.dequeue(key, seq)
    fill(store, key, 1, 3)
    t.same(states(await store.readQueue(key, 0, 9)), ['1 queued 0 1', '2 queued 0 2', '3 queued 0 3'])
    store.dequeue(key, 1)
    await store.commit()
    const again = await reopen()
    t.match(await all(again.loadSessions()), [{ queued: 2, inflight: [], firstSeq: 2 }])
  })

  withStore('an empty queue starts where it ends', async (t, store, reopen) => {
    const key = putSession(store, 'dev')
    await store.commit()
    const [loaded] = await all((await reopen()).loadSessions())
    t.equal(loaded?.queued, 0)
    t.equal(loaded?.firstSeq, loaded?.nextSeq)
    t.equal(loaded?.key, key)
  })

  withStore('inflight entries come back with packet id and state', async (t, store, reopen) => {
    const key = putSession(store, 'dev')
    fill(store, key, 1, 6, 2)
    store.enqueue(key, 7, store.message(message('t', { payload: Buffer.from('7') })), 1, false, [], 77)
    store.markSent(key, 1, 11)
    await store.commit()
    store.markSent(key, 2, 12)
    store.markSent(key, 3, 13)
    store.markSent(key, 4, 14)
    await store.commit()
    store.markReleased(key, 1)
    store.markReleased(key, 3)
    store.dequeue(key, 4)
    t.same(states(await store.readQueue(key, 0, 10)), INFLIGHT_STATES, 'before the commit')
    await store.commit()
    t.same(states(await store.readQueue(key, 0, 10)), INFLIGHT_STATES, 'after the commit')
    const again = await reopen()
    const [loaded] = await all(again.loadSessions())
    t.same(loaded?.inflight, [
      { seq: 1, packetId: 11, qos: 2, state: 'released' },
      { seq: 2, packetId: 12, qos: 2, state: 'sent' },
      { seq: 3, packetId: 13, qos: 2, state: 'released' },
      { seq: 7, packetId: 77, qos: 1, state: 'sent' }
    ])
    t.equal(loaded?.queued, 6)
    t.same(states(await again.readQueue(key, 0, 10)), INFLIGHT_STATES, 'after the restart')
    for (const seq of [1, 2, 3, 7]) again.dequeue(key, seq)
    await again.commit()
    t.same(states(await (await reopen()).readQueue(key, 0, 10)), ['5 queued 0 5', '6 queued 0 6'])
  })

  withStore('one message in many queues is read from each, until each has let go', async (t, store, reopen) => {
    const keys = ['a', 'b', 'c'].map(id => putSession(store, id))
    const big = message('t', { payload: Buffer.alloc(100_000, 7) })
    const ref = store.message(big)
    for (const key of keys) store.enqueue(key, 1, ref, 1, false, [], 0)
    await store.commit()
    const again = await reopen()
    for (const key of keys) {
      const [entry] = await again.readQueue(key, 0, 10)
      t.same(entry?.message, big)
      again.dequeue(key, 1)
      await again.commit()
      t.same(await again.readQueue(key, 0, 10), [])
    }
  })

  withStore('a message may be enqueued again after its batch was written', async (t, store, reopen) => {
    const keys = ['a', 'b', 'c'].map(id => putSession(store, id))
    const ref = store.message(message('t', { payload: Buffer.from('later') }))
    for (const key of keys) {
      store.enqueue(key, 1, ref, 1, false, [], 0)
      await store.commit()
    }
    store.dequeue(keys[0] ?? 0, 1)
    await store.commit()
    const again = await reopen()
    t.same(payloads(await again.readQueue(keys[0] ?? 0, 0, 9)), [])
    t.same(payloads(await again.readQueue(keys[1] ?? 0, 0, 9)), ['later'])
    t.same(payloads(await again.readQueue(keys[2] ?? 0, 0, 9)), ['later'])
  })

  withStore('what is put and taken back before its batch leaves nothing to commit', async (t, store) => {
    const key = putSession(store, 'dev')
    await store.commit()
    fill(store, key, 1, 5)
    for (let seq = 1; seq <= 5; seq++) store.dequeue(key, seq)
    store.putReceived(key, 9, [], undefined)
    store.deleteReceived(key, 9)
    store.putRetained(message('r', { payload: Buffer.from('x') }))
    store.deleteRetained('r')
    store.putSubscription(key, subscription('f'))
    store.deleteSubscription(key, 'f')
    store.putWill(will('w'))
    store.deleteWill('w')
    const other = store.sessionKey('other')
    store.putSession(other, session('other'))
    store.putSubscription(other, subscription('f'))
    fill(store, other, 1, 3)
    store.deleteSession(other, 'other')
    t.equal(store.dirty, false)
  })

  withStore('deleting what was never there leaves nothing to commit', async (t, store) => {
    const key = putSession(store, 'dev')
    await store.commit()
    store.dequeue(key, 5)
    store.deleteReceived(key, 1)
    store.deleteRetained('r')
    store.deleteSubscription(key, 'f')
    store.deleteWill('w')
    store.deleteSession(12_345, 'nobody')
    store.dequeue(12_345, 1)
    t.equal(store.dirty, false)
  })

  withStore('QoS 2 ids received come back with what to redo [MQTT-4.3.3-10]', async (t, store, reopen) => {
    const key = putSession(store, 'dev')
    const redo = [
      { stream: 'telemetry', offset: 2 ** 40 + 3 },
      { stream: 'alarms', offset: 0 }
    ]
    store.putReceived(key, 1, [], undefined)
    store.putReceived(key, 65_535, redo, message('again'))
    store.putReceived(key, 300, redo, undefined)
    store.putReceived(key, 4, [], undefined)
    await store.commit()
    // The same id deleted, used again and deleted within one batch must not come back.
    store.deleteReceived(key, 4)
    store.putReceived(key, 4, [], undefined)
    store.deleteReceived(key, 4)
    store.deleteReceived(key, 300)
    await store.commit()
    const [loaded] = await all((await reopen()).loadSessions())
    t.same(
      loaded?.received.sort((a, b) => a.packetId - b.packetId),
      [
        { packetId: 1, redo: [], message: undefined },
        { packetId: 65_535, redo, message: message('again') }
      ]
    )
  })

  withStore('a deleted session takes its own data along and nobody else’s', async (t, store, reopen) => {
    const shared = store.message(message('t', { payload: Buffer.from('shared') }))
    for (const id of ['dev1', 'dev10']) {
      const key = putSession(store, id)
      store.putSubscription(key, subscription('cmd'))
      fill(store, key, 1, 20)
      store.enqueue(key, 21, shared, 1, false, [], 0)
      store.markSent(key, 1, 5)
      store.putReceived(key, 3, [], undefined)
      store.putWill(will(id))
    }
    await store.commit()
    const old = store.sessionKey('dev1')
    store.deleteSession(old, 'dev1')
    t.same(await store.readQueue(old, 0, 10), [])
    const fresh = putSession(store, 'dev1')
    fill(store, fresh, 1, 1)
    await store.commit()
    const again = await reopen()
    const loaded = await all(again.loadSessions())
    t.same(ids(loaded), ['dev1', 'dev10'])
    const dev1 = loaded.find(({ session }) => session.clientId === 'dev1')
    t.match(dev1, { subscriptions: [], inflight: [], queued: 1, received: [] })
    const dev10 = loaded.find(({ session }) => session.clientId === 'dev10')
    t.match(dev10, { queued: 21, inflight: [{ seq: 1, packetId: 5 }], received: [{ packetId: 3 }] })
    t.equal(dev10?.subscriptions.length, 1)
    t.equal(payloads(await again.readQueue(dev10?.key ?? 0, 0, 100)).at(-1), 'shared')
    t.same(
      (await all(again.loadWills())).map(({ clientId }) => clientId).sort(),
      ['dev1', 'dev10'],
      'wills have a life of their own'
    )
  })

  withStore('late writes to a deleted session do nothing', async (t, store) => {
    const key = putSession(store, 'dev')
    fill(store, key, 1, 3)
    await store.commit()
    store.deleteSession(key, 'dev')
    await store.commit()
    store.dequeue(key, 1)
    store.markSent(key, 2, 7)
    store.markReleased(key, 3)
    store.deleteReceived(key, 1)
    fill(store, key, 4, 1)
    store.putSubscription(key, subscription('late'))
    store.putReceived(key, 1, [], undefined)
    store.putSession(key, session('dev'))
    t.equal(store.dirty, false)
    t.same(await store.readQueue(key, 0, 10), [])
    t.throws(() => fill(store, 4_000_000, 1, 1), RangeError, 'a key that was never given is a mistake')
  })

  withStore('wills come back', async (t, store, reopen) => {
    for (const clientId of AWKWARD) store.putWill(will(clientId, { delaySeconds: 30, dueAtMs: 1_800_000_000_000 }))
    store.deleteWill('dev1')
    await store.commit()
    store.putWill(will('toString', { delaySeconds: 1, dueAtMs: 0 }))
    store.deleteWill('')
    await store.commit()
    const wills = await all((await reopen()).loadWills())
    t.same(wills.map(({ clientId }) => clientId).sort(), AWKWARD.filter(id => id !== 'dev1' && id !== '').sort())
    t.same(
      wills.find(({ clientId }) => clientId === 'toString'),
      will('toString', { delaySeconds: 1, dueAtMs: 0 })
    )
  })

  retainedSuite(withStore)

  withStore('commits asked for at once are each durable when they resolve', async (t, store, reopen) => {
    const key = putSession(store, 'dev')
    const commits: Promise<void>[] = []
    for (let seq = 1; seq <= 20; seq++) {
      fill(store, key, seq, 1)
      commits.push(store.commit())
    }
    await Promise.all(commits)
    t.equal(store.dirty, false)
    t.equal((await (await reopen()).readQueue(key, 0, 100)).length, 20)
  })

  withStore('a closed store refuses to commit', async (t, store) => {
    const key = putSession(store, 'dev')
    await store.commit()
    await store.close()
    fill(store, key, 1, 1)
    await t.rejects(store.commit(), { code: 'TRB_CLOSED' })
  })
}

const INFLIGHT_STATES = ['1 released 11 ', '2 sent 12 2', '3 released 13 ', '5 queued 0 5', '6 queued 0 6', '7 sent 77 7']

function states(entries: readonly QueueEntry[]): string[] {
  return entries.map(({ seq, state, packetId, message }) => `${seq} ${state} ${packetId} ${message.payload}`)
}

function ids(loaded: readonly LoadedSession[]): string[] {
  return loaded.map(({ session }) => session.clientId).sort()
}
