import t from 'tap'
import { type CommitFailure, type CommitMember, GroupCommit } from '../../lib/commit/group-commit.ts'

/** A member whose sync the test ends by hand. */
class ManualMember implements CommitMember {
  readonly name: string
  dirty = false
  syncs: { resolve: () => void; reject: (error: Error) => void }[] = []
  readonly #log: string[]

  constructor(name: string, log: string[] = []) {
    this.name = name
    this.#log = log
  }

  async sync(before?: () => Promise<void> | undefined): Promise<void> {
    this.dirty = false
    try {
      await before?.()
    } catch (error) {
      this.dirty = true
      throw error
    }
    this.#log.push(`${this.name} syncs`)
    return new Promise((resolve, reject) => this.syncs.push({ resolve, reject }))
  }
}

const turn = () => new Promise<void>(resolve => setImmediate(resolve))

t.test('a waiter is told only after every dirty member is synced', async t => {
  const store = new ManualMember('store')
  const stream = new ManualMember('telemetry')
  const commit = new GroupCommit({ store, streams: [stream] })
  const told: number[] = []
  store.dirty = true
  stream.dirty = true
  commit.join({ committed: epoch => told.push(epoch) })
  await turn()
  store.syncs[0]?.resolve()
  await turn()
  t.same(told, [], 'the stream is not on disk yet')
  stream.syncs[0]?.resolve()
  await turn()
  t.same(told, [1])
})

t.test('writes made during a sync wait for the next one', async t => {
  const stream = new ManualMember('telemetry')
  const commit = new GroupCommit({ store: undefined, streams: [stream] })
  const told: string[] = []
  stream.dirty = true
  commit.join({ committed: epoch => told.push(`first ${epoch}`) })
  await turn()
  stream.dirty = true
  commit.join({ committed: epoch => told.push(`second ${epoch}`) })
  stream.syncs[0]?.resolve()
  await turn()
  t.same(told, ['first 1'])
  await turn()
  t.equal(stream.syncs.length, 2, 'the next epoch is synced without being asked again')
  stream.syncs[1]?.resolve()
  await turn()
  t.same(told, ['first 1', 'second 2'])
})

t.test('an epoch that asks for it syncs the store before any stream', async t => {
  const log: string[] = []
  const store = new ManualMember('store', log)
  const stream = new ManualMember('telemetry', log)
  const commit = new GroupCommit({ store, streams: [stream] })
  store.dirty = true
  stream.dirty = true
  commit.storeFirst()
  commit.schedule()
  await turn()
  t.same(log, ['store syncs'])
  store.syncs[0]?.resolve()
  await turn()
  t.same(log, ['store syncs', 'telemetry syncs'])
  stream.syncs[0]?.resolve()
})

t.test('a failed stream fails its epoch and the one that filled meanwhile, and names itself', async t => {
  const stream = new ManualMember('telemetry')
  const commit = new GroupCommit({ store: undefined, streams: [stream] })
  const told: [number, CommitFailure | undefined][] = []
  const waiter = { committed: (epoch: number, failure: CommitFailure | undefined) => told.push([epoch, failure]) }
  stream.dirty = true
  commit.join(waiter)
  await turn()
  commit.join(waiter)
  stream.syncs[0]?.reject(new Error('EIO'))
  await turn()
  t.same(
    told.map(([epoch]) => epoch),
    [1, 2]
  )
  for (const [, failure] of told) {
    t.equal(failure?.error.message, 'EIO')
    t.ok(failure?.failedStreams.has('telemetry'))
  }
})

t.test('when the store must go first and fails, the streams are left for the next attempt', async t => {
  const log: string[] = []
  const store = new ManualMember('store', log)
  const stream = new ManualMember('telemetry', log)
  const commit = new GroupCommit({ store, streams: [stream] })
  store.dirty = true
  stream.dirty = true
  commit.storeFirst()
  const failed = commit.flush()
  await turn()
  store.dirty = true
  store.syncs[0]?.reject(new Error('ENOSPC'))
  t.equal((await failed)?.error.message, 'ENOSPC')
  t.same(log, ['store syncs'])
  t.ok(stream.dirty, 'nothing of the stream was given up')
  while (store.syncs.length < 2) await turn()
  store.syncs[1]?.resolve()
  while (stream.syncs.length < 1) await turn()
  t.same(log, ['store syncs', 'store syncs', 'telemetry syncs'], 'the order holds for the attempt that succeeds')
  stream.syncs[0]?.resolve()
})

t.test('flush with nothing dirty resolves', async t => {
  const commit = new GroupCommit({ store: new ManualMember('store'), streams: [] })
  t.equal(await commit.flush(), undefined)
})

t.test('what is appended while the store goes first is not synced with the epoch before it', async t => {
  const log: string[] = []
  const store = new ManualMember('store', log)
  const stream = new ManualMember('telemetry', log)
  const sealing = Object.assign(stream, { seal: () => log.push('telemetry is sealed') })
  const commit = new GroupCommit({ store, streams: [sealing] })
  store.dirty = true
  stream.dirty = true
  commit.storeFirst()
  commit.schedule()
  await turn()
  t.same(log, ['telemetry is sealed', 'store syncs'], 'sealed before the store begins')
  store.syncs[0]?.resolve()
  await turn()
  stream.syncs[0]?.resolve()
})

t.test('what is appended after a stream has failed is not failed with it, however long the other members take', async t => {
  const stream = new ManualMember('telemetry')
  const other = new ManualMember('events')
  const commit = new GroupCommit({ store: undefined, streams: [stream, other] })
  const told: [string, string[] | undefined][] = []
  const join = (name: string) =>
    commit.join({ committed: (_epoch, failure) => told.push([name, failure && [...failure.failedStreams].sort()]) })
  stream.dirty = true
  other.dirty = true
  join('before')
  await turn()
  join('during')
  stream.syncs[0]?.reject(new Error('EIO'))
  await turn()
  stream.dirty = true
  join('after the first failure')
  other.syncs[0]?.reject(new Error('EIO'))
  await turn()
  stream.dirty = true
  join('after both')
  t.same(told, [
    ['before', ['events', 'telemetry']],
    ['during', ['events', 'telemetry']],
    ['after the first failure', ['events']]
  ])
  while (stream.syncs.length < 2) await turn()
  stream.syncs[1]?.resolve()
  while (told.length < 4) await turn()
  t.same(told[3], ['after both', undefined])
})

t.test('what a waiter writes when it hears of a failure is not told to be on disk by the attempt after that failure', async t => {
  const timers: (() => void)[] = []
  t.capture(globalThis, 'setTimeout', ((run: () => void) => timers.push(run)) as never)
  const fireTimers = async () => {
    for (const run of timers.splice(0)) run()
    await turn()
  }
  const stream = new ManualMember('telemetry')
  const commit = new GroupCommit({ store: undefined, streams: [stream] })
  const told: string[] = []
  stream.dirty = true
  commit.join({
    committed: () => {
      stream.dirty = true
      commit.join({ committed: () => told.push('written again') })
    }
  })
  await turn()
  stream.syncs[0]?.reject(new Error('ENOSPC'))
  await turn()
  await fireTimers()
  t.equal(stream.syncs.length, 2)
  await fireTimers()
  t.same(told, [], 'its sync has not returned yet')
  stream.syncs[1]?.resolve()
  await turn()
  t.same(told, ['written again'])
})

t.test('what goes ahead is on disk before the store is written, and the streams are synced beside both', async t => {
  const { log, store, ahead, stream, commit } = withAhead()
  const told: number[] = []
  for (const member of [store, ahead, stream]) member.dirty = true
  commit.join({ committed: epoch => told.push(epoch) })
  await turn()
  t.same(log.sort(), ['ahead syncs', 'telemetry syncs'])
  ahead.syncs[0]?.resolve()
  await turn()
  t.same(log.at(-1), 'store syncs')
  stream.syncs[0]?.resolve()
  await turn()
  t.same(told, [], 'the store is not on disk yet')
  store.syncs[0]?.resolve()
  await turn()
  t.same(told, [1])
})

t.test('with the store first: what goes ahead, the store, the streams', async t => {
  const { log, store, ahead, stream, commit } = withAhead()
  for (const member of [store, ahead, stream]) member.dirty = true
  commit.storeFirst()
  commit.schedule()
  for (const member of [ahead, store, stream]) {
    await turn()
    await turn()
    t.equal(log.at(-1), `${member.name} syncs`)
    member.syncs[0]?.resolve()
  }
  t.equal(log.length, 3)
})

t.test('as long as what goes ahead cannot be written the store is not written, and nobody is told that it was', async t => {
  const { log, store, ahead, stream, commit } = withAhead()
  for (const member of [store, ahead, stream]) member.dirty = true
  const failed = commit.flush()
  await turn()
  ahead.dirty = true
  ahead.syncs[0]?.reject(new Error('EIO'))
  stream.syncs[0]?.resolve()
  const failure = await failed
  t.equal(failure?.error.message, 'EIO')
  t.equal(failure?.failedStreams.size, 0, 'no stream has lost anything')
  t.notOk(log.includes('store syncs'))
  t.ok(store.dirty)
  while (ahead.syncs.length < 2) await turn()
  ahead.syncs[1]?.resolve()
  while (store.syncs.length < 1) await turn()
  t.equal(log.at(-1), 'store syncs', 'the next attempt writes both')
  store.syncs[0]?.resolve()
})

t.test('what goes ahead is synced alone when the store has nothing to write', async t => {
  const { log, ahead, commit } = withAhead()
  ahead.dirty = true
  const flushed = commit.flush()
  await turn()
  ahead.syncs[0]?.resolve()
  t.equal(await flushed, undefined)
  t.same(log, ['ahead syncs'])
})

function withAhead() {
  const log: string[] = []
  const store = new ManualMember('store', log)
  const ahead = new ManualMember('ahead', log)
  const stream = new ManualMember('telemetry', log)
  return { log, store, ahead, stream, commit: new GroupCommit({ store, ahead, streams: [stream] }) }
}
