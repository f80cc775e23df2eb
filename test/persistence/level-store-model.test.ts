import { cp } from 'node:fs/promises'
import fc from 'fast-check'
import t from 'tap'
import { openDb } from '../../persistence/database.ts'
import { type LevelStore, LevelStore as Store } from '../../persistence/index.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { FaultyDb } from './faulty-db.ts'
import { message, retained, session, subscription, will } from './store-fixtures.ts'
import {
  copyModel,
  emptyModel,
  loadModel,
  loadStore,
  type Model,
  type ModelSession,
  readModel,
  readStore
} from './store-model.ts'

const CLIENTS = ['dev1', 'dev10', '', '__proto__']
const TOPICS = ['a', 'a/b', 'constructor', '$x/y']

const client = fc.constantFrom(...CLIENTS)
const topic = fc.constantFrom(...TOPICS)
const nth = fc.nat(5)

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      to: fc.subarray(CLIENTS),
      long: fc.boolean(),
      sent: fc.boolean()
    })
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('dequeue', 'sent', 'released', 'again'), client, nth }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('session', 'end', 'subscribe', 'unsubscribe'), client, nth }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('receive', 'release', 'will', 'noWill'), client, nth }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('retain', 'unretain'), topic, nth }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom('commit', 'begin', 'settle', 'failBefore', 'failAfter', 'failHidden') })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('reopen', 'crash') }) }
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const FAULTS = { failBefore: 'before', failAfter: 'after', failHidden: 'hidden' } as const

/** Plays steps on a store and on the model, and compares what the two say. */
class Player {
  readonly #folder: string
  #db = new FaultyDb()
  #generation = 0
  #store!: LevelStore
  #live = emptyModel()
  /** What a crash must leave. */
  #durable = emptyModel()
  #commit: Promise<void> | undefined
  #failed = false
  /** What a failed batch has put into the log, to be seen once the database is reopened. */
  #hidden: Model | undefined
  #made = 0
  #ref: { message: ReturnType<typeof message>; ref: ReturnType<LevelStore['message']> } | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  async open(): Promise<void> {
    this.#store = await Store.open({ folder: `${this.#folder}/${this.#generation}`, openDb: this.#db.open })
    this.#ref = undefined
  }

  async play(step: Step): Promise<void> {
    if (step.do === 'enqueue') return this.#enqueue(step.to, step.long, step.sent)
    if ('topic' in step) return this.#retain(step.do, step.topic, step.nth)
    if (!('client' in step)) return this.#control(step.do)
    const session = this.#live.sessions.get(step.client)
    if (step.do === 'will' || step.do === 'noWill') return this.#will(step.do, step.client, step.nth)
    if (step.do === 'session') return this.#putSession(step.client, step.nth)
    if (session !== undefined) this.#sessionStep(step.do, step.client, session, step.nth)
  }

  async check(): Promise<void> {
    assertSame(await readStore(this.#store, this.#live), readModel(this.#live), 'the store differs from the model')
  }

  /** Removes everything through the contract; nothing may be left behind on disk. */
  async drain(): Promise<string[]> {
    await this.#settle()
    for (const [id, { queue }] of this.#live.sessions) {
      const key = this.#store.sessionKey(id)
      // Half of the sessions empty their queues first, the others leave that to the purge.
      if (id.length % 2 === 0) for (const seq of queue.keys()) this.#store.dequeue(key, seq)
      this.#store.deleteSession(key, id)
    }
    for (const topic of this.#live.retained.keys()) this.#store.deleteRetained(topic)
    for (const id of this.#live.wills.keys()) this.#store.deleteWill(id)
    await this.#store.commit()
    await this.#store.purged()
    this.#store.putWill(will('last'))
    await this.#store.close()
    const db = await openDb(`${this.#folder}/${this.#generation}`)
    const keys = await db.keys().all()
    await db.close()
    return keys.map(key => key.toString('latin1'))
  }

  async close(): Promise<void> {
    await this.#settle()
    await this.#store.close()
  }

  #enqueue(to: string[], long: boolean, sent: boolean): void {
    const text = `${this.#made++}${long ? 'x'.repeat(2000) : ''}`
    const made = message('t', { payload: Buffer.from(text) })
    this.#ref = { message: made, ref: this.#store.message(made) }
    for (const id of to) this.#enqueueOne(id, sent ? 1 + (this.#made % 60_000) : 0)
  }

  #enqueueOne(id: string, packetId: number): void {
    const session = this.#live.sessions.get(id)
    if (session === undefined || this.#ref === undefined) return
    const seq = Math.max(0, ...session.queue.keys()) + 1
    const qos = seq % 3 === 0 ? 1 : 2
    const retain = seq % 2 === 0
    const subscriptionIds = seq % 4 === 0 ? [seq, 1000] : []
    this.#store.enqueue(this.#store.sessionKey(id), seq, this.#ref.ref, qos, retain, subscriptionIds, packetId)
    const state = packetId > 0 ? 'sent' : 'queued'
    session.queue.set(seq, { qos, retain, subscriptionIds, state, packetId, message: this.#ref.message })
  }

  #retain(what: 'retain' | 'unretain', topic: string, nth: number): void {
    if (what === 'retain') {
      const made = retained(topic, `kept ${nth}`)
      this.#store.putRetained(made)
      this.#live.retained.set(topic, made)
    } else {
      this.#store.deleteRetained(topic)
      this.#live.retained.delete(topic)
    }
  }

  #will(what: 'will' | 'noWill', id: string, nth: number): void {
    if (what === 'will') {
      const made = will(id, { delaySeconds: nth })
      this.#store.putWill(made)
      this.#live.wills.set(id, made)
    } else {
      this.#store.deleteWill(id)
      this.#live.wills.delete(id)
    }
  }

  #putSession(id: string, nth: number): void {
    this.#store.putSession(this.#store.sessionKey(id), session(id, { expirySeconds: nth }))
    const old = this.#live.sessions.get(id)
    if (old !== undefined) old.expirySeconds = nth
    else this.#live.sessions.set(id, { expirySeconds: nth, filters: new Set(), queue: new Map(), received: new Set() })
  }

  #sessionStep(what: string, id: string, session: ModelSession, nth: number): void {
    const key = this.#store.sessionKey(id)
    const filter = `f/${nth}`
    if (what === 'end') {
      this.#store.deleteSession(key, id)
      this.#live.sessions.delete(id)
    } else if (what === 'subscribe') {
      this.#store.putSubscription(key, subscription(filter))
      session.filters.add(filter)
    } else if (what === 'unsubscribe') {
      this.#store.deleteSubscription(key, filter)
      session.filters.delete(filter)
    } else if (what === 'receive') {
      this.#store.putReceived(key, nth + 1, [], undefined)
      session.received.add(nth + 1)
    } else if (what === 'release') {
      this.#store.deleteReceived(key, nth + 1)
      session.received.delete(nth + 1)
    } else if (what === 'again') {
      this.#enqueueOne(id, 0)
    } else {
      this.#entryStep(what, key, session, nth)
    }
  }

  #entryStep(what: string, key: number, session: ModelSession, nth: number): void {
    const [seq, entry] = [...session.queue][nth] ?? []
    if (seq === undefined || entry === undefined) {
      this.#store.dequeue(key, 99)
    } else if (what === 'dequeue') {
      this.#store.dequeue(key, seq)
      session.queue.delete(seq)
    } else if (what === 'sent' && entry.state !== 'released') {
      this.#store.markSent(key, seq, nth + 100)
      session.queue.set(seq, { ...entry, state: 'sent', packetId: nth + 100 })
    } else if (what === 'released' && entry.state === 'sent' && entry.qos === 2) {
      this.#store.markReleased(key, seq)
      session.queue.set(seq, { ...entry, state: 'released' })
    }
  }

  async #control(what: string): Promise<void> {
    if (what === 'begin') return this.#begin()
    await this.#settle()
    if (what === 'commit') {
      this.#failed = false
      this.#hidden = undefined
      await this.#store.commit()
      this.#durable = copyModel(this.#live)
    } else if (what === 'failBefore' || what === 'failAfter' || what === 'failHidden') {
      await this.#fail(what)
    } else if (what === 'reopen') {
      this.#failed = false
      this.#hidden = undefined
      await this.#store.close()
      this.#durable = copyModel(this.#live)
      await this.#reload()
    } else if (what === 'crash') {
      await this.#crash()
    }
  }

  /** Starts a commit and goes on without waiting for it. */
  #begin(): void {
    // The commit after a failed one takes its batch only once the database is reopened, so what it holds is not known here.
    if (this.#commit !== undefined || this.#failed) return
    const wanted = copyModel(this.#live)
    this.#commit = this.#store.commit().then(() => {
      this.#durable = wanted
    })
  }

  async #settle(): Promise<void> {
    await this.#commit
    this.#commit = undefined
  }

  async #fail(what: keyof typeof FAULTS): Promise<void> {
    await this.#store.purged()
    if (!this.#store.dirty) return
    this.#unhide()
    this.#db.fault = FAULTS[what]
    let code: unknown
    await this.#store.commit().catch(error => {
      code = error.code
    })
    if (code !== 'TRB_STORE_WRITE_FAILED') throw new Error(`the commit did not fail as injected: ${code}`)
    this.#failed = true
    if (what === 'failHidden') this.#hidden = copyModel(this.#live)
    if (what === 'failAfter') this.#durable = copyModel(this.#live)
  }

  /** The commit after a failed one reopens the database first. */
  #unhide(): void {
    this.#durable = this.#hidden ?? this.#durable
    this.#hidden = undefined
  }

  /** What kill -9 leaves: the files as they are now, opened by another process. */
  async #crash(): Promise<void> {
    await this.#store.purged()
    const from = `${this.#folder}/${this.#generation++}`
    await cp(from, `${this.#folder}/${this.#generation}`, { recursive: true, filter: path => !path.includes('tributary.lock') })
    await this.#store.close()
    this.#db = new FaultyDb()
    this.#hidden = undefined
    this.#failed = false
    this.#live = copyModel(this.#durable)
    await this.#reload()
  }

  async #reload(): Promise<void> {
    await this.open()
    const [found, wanted] = [await loadStore(this.#store), loadModel(this.#live)]
    assertSame(found, wanted, 'the store came back different')
    if (this.#store.corruptCount > 0) throw this.#store.corrupt[0]?.error
  }
}

function assertSame(found: unknown, wanted: unknown, what: string): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)]
  if (a !== b) throw new Error(`${what}:\n${a}\ninstead of\n${b}`)
}

t.test('any sequence of writes, commits, failed commits, restarts and crashes leaves what the model says', async t => {
  let runs = 0
  const folder = temporaryFolder(t)
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async steps => {
      const player = new Player(`${folder}/${runs++}`)
      await player.open()
      try {
        for (const id of CLIENTS.slice(0, 3)) await player.play({ do: 'session', client: id, nth: 1 })
        for (const step of steps) {
          await player.play(step)
          await player.check()
        }
      } finally {
        await player.close()
      }
    }),
    { numRuns: Number(process.env.MODEL_RUNS ?? 25) }
  )
  t.ok(runs >= 25, `${runs} runs`)
})

t.test('when everything is removed again, nothing is left on disk', async t => {
  let runs = 0
  const folder = temporaryFolder(t)
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async steps => {
      const player = new Player(`${folder}/${runs++}`)
      await player.open()
      for (const id of CLIENTS.slice(0, 3)) await player.play({ do: 'session', client: id, nth: 1 })
      for (const step of steps) await player.play(step)
      const left = await player.drain()
      if (left.join() !== '\u0000\u0001,Wlast') throw new Error(`left on disk: ${JSON.stringify(left)}`)
    }),
    { numRuns: Number(process.env.MODEL_RUNS ?? 25) }
  )
  t.ok(runs >= 25, `${runs} runs`)
})
