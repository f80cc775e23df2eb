import { LevelStore } from '../../persistence/index.ts'
import { fill, putSession, retained } from './store-fixtures.ts'

/**
 * Writes one batch after the other and prints the number of each when its commit has resolved, until it is killed. Every batch
 * adds an entry to a queue and sets the retained message to the same number. Begins with what an earlier run left.
 */
const [folder = ''] = process.argv.slice(2)
const store = await LevelStore.open({ folder })
let next = 1
for await (const loaded of store.loadSessions()) next = loaded.nextSeq
const key = putSession(store, 'dev')
for (; ; next++) {
  fill(store, key, next, 1)
  store.putRetained(retained('last', String(next)))
  await store.commit()
  process.stdout.write(`${next}\n`)
}
