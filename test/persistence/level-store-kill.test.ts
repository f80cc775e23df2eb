import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { LevelStore } from '../../persistence/index.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { all, payloads } from './store-fixtures.ts'

const CHILD = fileURLToPath(new URL('./kill-child.js', import.meta.url))
const ROUNDS = 4

/** Runs the child until it has reported `commits` batches, kills it, and says which it reported last. */
async function runAndKill(folder: string, commits: number): Promise<number> {
  const child = spawn(process.execPath, [CHILD, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = new Promise(resolve => child.once('close', resolve))
  let [last, seen] = [0, 0]
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line)
    if (++seen === commits) child.kill('SIGKILL')
  }
  await closed
  return last
}

t.test('what a commit promised is there after kill -9, whole and in order', async t => {
  const folder = temporaryFolder(t)
  for (let round = 0; round < ROUNDS; round++) {
    const last = await runAndKill(folder, 5 + round * 17)
    t.ok(last > 0, `killed after batch ${last}`)
    const store = await LevelStore.open({ folder })
    const [loaded] = await all(store.loadSessions())
    const queue = payloads(await store.readQueue(loaded?.key ?? 0, 0, 10_000))
    t.ok(queue.length >= last, 'nothing acknowledged is missing')
    t.same(
      queue,
      Array.from({ length: queue.length }, (_, i) => String(i + 1))
    )
    t.equal(store.retainedByTopic('last')?.payload.toString(), queue.at(-1), 'a batch is there as a whole or not at all')
    t.equal(store.corruptCount, 0)
    await store.close()
  }
})
