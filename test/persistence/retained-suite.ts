import type { Test } from 'tap'
import type { SessionStore } from '../../persistence/contract.ts'
import { AWKWARD, all, retained, topics } from './store-fixtures.ts'

/** Runs a test on a store of its own; `reopen` closes it and opens what it left. */
export type WithStore = (
  name: string,
  body: (t: Test, store: SessionStore, reopen: () => Promise<SessionStore>) => Promise<void>
) => void

/** What every SessionStore must do with retained messages. */
export function retainedSuite(withStore: WithStore): void {
  withStore('retained messages are found by topic, before and after commit and restart', async (t, store, reopen) => {
    for (const topic of AWKWARD) store.putRetained(retained(topic))
    t.equal(store.retainedCount, AWKWARD.length)
    t.same(store.retainedByTopic('__proto__'), retained('__proto__'))
    await store.commit()
    for (const topic of AWKWARD) t.same(store.retainedByTopic(topic), retained(topic))
    store.putRetained(retained('dev1', 'new'))
    store.putRetained(retained('dev10', ''))
    store.deleteRetained('constructor')
    const kept = AWKWARD.filter(topic => topic !== 'dev10' && topic !== 'constructor')
    t.equal(store.retainedCount, kept.length)
    t.equal(store.retainedByTopic('dev10'), undefined, 'an empty payload deletes [MQTT-3.3.1-6]')
    t.equal(store.retainedByTopic('constructor'), undefined)
    await store.commit()
    const again = await reopen()
    t.equal(again.retainedCount, kept.length)
    t.same(again.retainedByTopic('dev1'), retained('dev1', 'new'))
    t.equal(again.retainedByTopic('dev10'), undefined)
    t.same(topics(await all(again.retainedByFilter('#'))), [...kept].sort())
  })

  const TOPICS = [
    'a',
    'a/',
    'a/b',
    'a/b/c',
    'a/b/c/d',
    'a!',
    'a0/b',
    'ab',
    '/',
    '/a',
    '//',
    '$SYS/a',
    '$SYS',
    'b/$x',
    'ä/b',
    'c/+x'
  ]
  const FILTERS: [string, string[]][] = [
    ['a', ['a']],
    ['a/b', ['a/b']],
    ['a/+', ['a/', 'a/b']],
    ['a/#', ['a', 'a/', 'a/b', 'a/b/c', 'a/b/c/d']],
    ['a/b/#', ['a/b', 'a/b/c', 'a/b/c/d']],
    ['a/+/c', ['a/b/c']],
    ['a/+/#', ['a/', 'a/b', 'a/b/c', 'a/b/c/d']],
    ['+/b', ['a/b', 'a0/b', 'ä/b']],
    ['+', ['a', 'a!', 'ab']],
    ['+/+', ['a/', 'a/b', 'a0/b', '/', '/a', 'b/$x', 'ä/b', 'c/+x']],
    ['/+', ['/', '/a']],
    ['/#', ['/', '/a', '//']],
    ['+/#', TOPICS.filter(topic => !topic.startsWith('$'))],
    ['#', TOPICS.filter(topic => !topic.startsWith('$'))],
    ['$SYS/#', ['$SYS', '$SYS/a']],
    ['$SYS/+', ['$SYS/a']],
    ['b/+', ['b/$x']],
    ['none/+', []],
    ['none/#', []]
  ]

  withStore('retained messages are found by filter [MQTT-4.7.1-2] [MQTT-4.7.2-1]', async (t, store) => {
    const check = async (when: string) => {
      for (const [filter, wanted] of FILTERS) {
        t.same(topics(await all(store.retainedByFilter(filter))), [...wanted].sort(), `${filter} ${when}`)
      }
    }
    for (const topic of TOPICS) store.putRetained(retained(topic))
    store.putRetained(retained('a/gone'))
    store.deleteRetained('a/gone')
    await check('uncommitted')
    const commit = store.commit()
    await check('while committing')
    await commit
    await check('committed')
    for (const topic of TOPICS) store.deleteRetained(topic)
    for (const [filter] of FILTERS) t.same(await all(store.retainedByFilter(filter)), [], `${filter} once deleted`)
    await store.commit()
    t.equal(store.retainedCount, 0)
    for (const [filter] of FILTERS) t.same(await all(store.retainedByFilter(filter)), [], `${filter} once deleted for good`)
  })

  withStore('a retained message replaced during a read is returned once', async (t, store) => {
    for (let i = 0; i < 50; i++) store.putRetained(retained(`d/${i}`, 'old'))
    await store.commit()
    const found: string[] = []
    for await (const { topic } of store.retainedByFilter('d/+')) {
      if (found.length === 0) {
        for (let i = 0; i < 50; i++) store.putRetained(retained(`d/${i}`, 'new'))
        await store.commit()
      }
      found.push(topic)
    }
    t.equal(found.length, 50)
    t.equal(new Set(found).size, 50)
  })
}
