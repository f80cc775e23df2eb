import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { LevelStore, lockFolder } from '../../persistence/index.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const CHILD = fileURLToPath(new URL('./lock-child.js', import.meta.url))
const LOCK = 'tributary.lock'

/** A process that tries to lock what it is asked to. */
class Starter {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>

  constructor(t: Test) {
    this.#child = spawn(process.execPath, [CHILD])
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    t.teardown(() => this.kill())
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async answer(): Promise<string> {
    return (await this.#lines.next()).value
  }

  ask(folder: string): void {
    this.#child.stdin.write(`${folder}\n`)
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const closed = once(this.#child, 'close')
    this.#child.kill('SIGKILL')
    await closed
  }
}

async function starters(t: Test, count: number): Promise<Starter[]> {
  const found = Array.from({ length: count }, () => new Starter(t))
  for (const starter of found) t.equal(await starter.answer(), 'ready')
  return found
}

t.test('a folder is locked once, and free again after release', async t => {
  const folder = `${temporaryFolder(t)}/made/when/missing`
  const lock = await lockFolder(folder)
  await t.rejects(lockFolder(folder), { code: 'TRB_DATA_LOCKED', message: /this process already.*data folder of its own/s })
  await lock.release()
  await lock.release()
  await (await lockFolder(folder)).release()
  t.same(await readdir(folder), [], 'nothing is left behind')
})

t.test('the error names the process that holds the folder', async t => {
  const folder = temporaryFolder(t)
  const [starter] = await starters(t, 1)
  starter?.ask(folder)
  t.equal(await starter?.answer(), 'locked')
  await t.rejects(lockFolder(folder), { code: 'TRB_DATA_LOCKED', message: new RegExp(`process ${starter?.pid}\\b`) })
})

t.test('the lock of a killed process is taken over', async t => {
  const folder = temporaryFolder(t)
  const [starter] = await starters(t, 1)
  starter?.ask(folder)
  t.equal(await starter?.answer(), 'locked')
  await starter?.kill()
  const lock = await lockFolder(folder)
  await lock.release()
  t.same(await readdir(folder), [])
})

t.test('a killed process that its parent has not noticed does not keep the folder locked', async t => {
  const folder = temporaryFolder(t)
  // The shell becomes a sleep that knows nothing of the child it has: after kill -9 the child stays a zombie.
  const parent = spawn('sh', ['-c', `"${process.execPath}" "${CHILD}" & echo $!; exec sleep 60`], {
    stdio: ['pipe', 'pipe', 'inherit']
  })
  t.teardown(() => parent.kill('SIGKILL'))
  const lines = createInterface({ input: parent.stdout })[Symbol.asyncIterator]()
  const pid = Number((await lines.next()).value)
  // A background job of sh has no standard input, so the lock is written in its name.
  await lines.next()
  const own = await lockFolder(folder)
  const path = `${folder}/${LOCK}`
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  const holder = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
  await own.release()
  if (stat === undefined) return t.comment('skipped: this system has no /proc')
  const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  await writeFile(path, JSON.stringify({ ...holder, pid, started }))
  process.kill(pid, 'SIGKILL')
  for (;;) {
    const state = await readFile(`/proc/${pid}/stat`, 'utf8')
    const threads = await readdir(`/proc/${pid}/task`)
    if (/\) Z /.test(state) && threads.length === 1) break
  }
  await (await lockFolder(folder)).release()
  t.pass('taken over')
})

t.test('a pid that was given to another process since does not keep the folder locked', async t => {
  const folder = temporaryFolder(t)
  const lock = await lockFolder(folder)
  const holder = JSON.parse(await readFile(`${folder}/${LOCK}`, 'utf8'))
  t.equal(holder.pid, process.pid)
  await lock.release()
  const again = await lockFolder(folder)
  await writeFile(`${folder}/${LOCK}`, JSON.stringify({ ...holder, started: '1' }))
  await (await lockFolder(folder)).release()
  await again.release()
})

t.test('a lock file of another boot, or that says nothing, is taken over', async t => {
  for (const content of ['', '{', '"x"', JSON.stringify({ pid: process.pid, started: '', realm: 'elsewhere', nonce: 'a' })]) {
    const folder = temporaryFolder(t, { [LOCK]: content })
    await (await lockFolder(folder)).release()
    t.same(await readdir(folder), [], JSON.stringify(content))
  }
})

t.test('a takeover that was interrupted is finished by the next', async t => {
  const stale = (nonce: string) => JSON.stringify({ pid: 1, started: '0', realm: 'elsewhere', nonce })
  const folder = temporaryFolder(t, {
    [LOCK]: stale('one'),
    [`${LOCK}.after.one`]: stale('two'),
    [`${LOCK}.after.one.after.two`]: stale('three')
  })
  const lock = await lockFolder(folder)
  await t.rejects(lockFolder(folder), { code: 'TRB_DATA_LOCKED' })
  await lock.release()
  t.same(await readdir(folder), [])
})

t.test('release leaves a lock alone that is no longer ours', async t => {
  const folder = temporaryFolder(t)
  const lock = await lockFolder(folder)
  const content = JSON.stringify({ pid: 1, started: '0', realm: 'elsewhere', nonce: 'theirs' })
  await writeFile(`${folder}/${LOCK}`, content)
  await lock.release()
  t.equal(await readFile(`${folder}/${LOCK}`, 'utf8'), content)
})

t.test('of many that start at once, exactly one gets the folder', async t => {
  const root = temporaryFolder(t)
  const all = await starters(t, 6)
  const stale = JSON.stringify({ pid: 1, started: '0', realm: 'elsewhere', nonce: 'stale' })
  for (let round = 0; round < 10; round++) {
    const folder = `${root}/${round}`
    await mkdir(folder)
    // Half of the rounds start free, the others with a lock that has to be taken over.
    if (round % 2 === 0) await writeFile(`${folder}/${LOCK}`, stale)
    for (const starter of all) starter.ask(folder)
    const answers = await Promise.all(all.map(starter => starter.answer()))
    t.equal(answers.filter(answer => answer === 'locked').length, 1, answers.join(' '))
    t.equal(answers.filter(answer => answer === 'TRB_DATA_LOCKED').length, all.length - 1)
  }
})

t.test('a store cannot be opened twice, and the attempt does no harm to the first', async t => {
  const folder = temporaryFolder(t)
  const store = await LevelStore.open({ folder })
  await t.rejects(LevelStore.open({ folder }), { code: 'TRB_DATA_LOCKED' })
  const [starter] = await starters(t, 1)
  starter?.ask(folder)
  t.equal(await starter?.answer(), 'TRB_DATA_LOCKED', 'nor by another process after that')
  await store.close()
  await (await LevelStore.open({ folder })).close()
})
