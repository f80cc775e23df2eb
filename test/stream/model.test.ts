import fc from 'fast-check'
import { t } from 'tap'
import type { StreamLog } from '../../lib/stream/stream-log.ts'
import { MemoryFileSystem } from './memory-file-system.ts'
import { append, collect, ManualClock, openLog, START_MS } from './open-log.ts'

/**
 * The log against an array. What the array knows: which payload each offset has, how many are durable, and where retention may
 * have cut. Anything may happen in between: failed writes, crashes at any operation, clean restarts.
 */
interface Model {
  payloads: string[]
  durable: number
  earliest: number
  /** How many there were at the seal() that the next sync is limited to. */
  sealed: number | undefined
}

type Step =
  | { type: 'append'; size: number; count: number }
  | { type: 'sync' }
  | { type: 'seal' }
  | { type: 'syncFails'; code: string; bytesWritten: number; times: number }
  | { type: 'crash' }
  | {
      type: 'crashDuring'
      operation: 'write' | 'syncFolder' | 'truncate' | 'open' | 'rename'
      bytesWritten: number
      skip: number
    }
  | { type: 'restart' }
  | { type: 'retain' }
  | { type: 'read'; from: number; limit: number }
  | { type: 'readTime'; seconds: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      size: fc.integer({ min: 0, max: 300 }),
      count: fc.integer({ min: 1, max: 8 })
    })
  },
  { weight: 6, arbitrary: fc.constant<Step>({ type: 'sync' }) },
  { weight: 2, arbitrary: fc.constant<Step>({ type: 'seal' }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('syncFails' as const),
      code: fc.constantFrom('EIO', 'ENOSPC'),
      bytesWritten: fc.integer({ min: 0, max: 2000 }),
      times: fc.integer({ min: 1, max: 3 })
    })
  },
  { weight: 1, arbitrary: fc.constant<Step>({ type: 'crash' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('crashDuring' as const),
      operation: fc.constantFrom(
        'write' as const,
        'syncFolder' as const,
        'truncate' as const,
        'open' as const,
        'rename' as const
      ),
      bytesWritten: fc.integer({ min: 0, max: 2000 }),
      skip: fc.integer({ min: 0, max: 3 })
    })
  },
  { weight: 1, arbitrary: fc.constant<Step>({ type: 'restart' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ type: 'retain' }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('read' as const), from: fc.nat(60), limit: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('readTime' as const), seconds: fc.nat(60) }) }
)

class Run {
  readonly fileSystem = new MemoryFileSystem()
  readonly clock = new ManualClock()
  readonly model: Model = { payloads: [], durable: 0, earliest: 0, sealed: undefined }
  log: StreamLog | undefined

  async take(step: Step): Promise<void> {
    this.log ??= await this.#open()
    switch (step.type) {
      case 'append':
        for (let i = 0; i < step.count; i++) this.#append(`${this.model.payloads.length} ${'x'.repeat(step.size)}`)
        break
      case 'sync':
        await this.log.sync()
        this.#synced()
        equal(this.log.dirty, this.model.durable < this.model.payloads.length, 'dirty')
        break
      case 'seal':
        this.log.seal()
        this.model.sealed = this.model.payloads.length
        break
      case 'syncFails':
        await this.#failSync(step)
        break
      case 'crash':
        await this.#crash()
        break
      case 'crashDuring':
        this.fileSystem.fail({ ...step, code: 'EIO', crash: true })
        await this.#syncAndRoll()
        await this.#crash()
        break
      case 'restart':
        await this.log.close()
        this.model.durable = this.model.payloads.length
        this.model.sealed = undefined
        this.log = await this.#open()
        this.#check()
        break
      case 'retain':
        await this.#retain()
        break
      case 'read':
        await this.#read(step.from, step.limit)
        break
      case 'readTime':
        await this.#readTime(START_MS + step.seconds * 1000)
        break
    }
  }

  async finish(): Promise<void> {
    await this.take({ type: 'seal' })
    await this.take({ type: 'sync' })
    await this.#read(this.model.earliest, 10_000)
    await this.take({ type: 'restart' })
    await this.#read(this.model.earliest, 10_000)
  }

  #open(): Promise<StreamLog> {
    return openLog(this.fileSystem, { segmentBytesMax: 700, clock: this.clock, retention: { ageMs: 0, bytes: 2500 } })
  }

  #append(payload: string): void {
    const offset = append(this.log!, payload, timeOf(this.model.payloads.length))
    equal(offset, this.model.payloads.length, 'offset of an append')
    this.model.payloads.push(payload)
  }

  #synced(): void {
    this.model.durable = this.model.sealed ?? this.model.payloads.length
    this.model.sealed = undefined
  }

  async #failSync(fault: { code: string; bytesWritten: number; times: number }): Promise<void> {
    this.fileSystem.fail({ operation: 'write', ...fault })
    let failed = false
    try {
      await this.log!.sync()
    } catch {
      failed = true
    }
    this.fileSystem.faults.length = 0
    if (failed) {
      this.model.payloads.length = this.model.durable
      this.model.sealed = undefined
    } else {
      this.#synced()
    }
    this.#check()
  }

  /** Ends in the crash that was asked for, in a failure that the crash made, or in no crash at all. */
  async #syncAndRoll(): Promise<void> {
    try {
      await this.log!.sync()
      this.#synced()
      await this.log!.retain()
      await this.log!.close()
    } catch {
      // What had not been promised by now may be there or not: #crash() finds out.
    }
  }

  async #crash(): Promise<void> {
    this.fileSystem.crash()
    this.log = await this.#open()
    const { nextOffset, earliestOffset } = this.log.stats()
    assert(nextOffset >= this.model.durable, `${this.model.durable} records were durable, ${nextOffset} came back`)
    assert(nextOffset <= this.model.payloads.length, 'more records came back than there ever were')
    assert(earliestOffset <= this.model.durable, 'retention may only remove what was durable')
    this.model.payloads.length = nextOffset
    this.model.durable = nextOffset
    this.model.sealed = undefined
    this.model.earliest = earliestOffset
    await this.#read(earliestOffset, 10_000)
  }

  async #retain(): Promise<void> {
    await this.log!.retain()
    const { earliestOffset } = this.log!.stats()
    assert(earliestOffset >= this.model.earliest && earliestOffset <= this.model.durable, 'earliest offset after retention')
    this.model.earliest = earliestOffset
  }

  async #read(from: number, limit: number): Promise<void> {
    const { payloads, durable, earliest } = this.model
    const offset = Math.min(from, durable)
    const start = Math.max(offset, earliest)
    const got = await collect(this.log!.read({ from: { offset }, limit, outOfRange: 'earliest' }))
    const expected = payloads.slice(start, Math.min(durable, start + limit))
    equal(got.map(record => record.payload.toString()).join('\n'), expected.join('\n'), 'payloads read')
    assert(
      got.every((record, i) => record.offset === start + i && record.timestampMs === timeOf(record.offset)),
      'offsets and times'
    )
  }

  async #readTime(timeMs: number): Promise<void> {
    const { durable, earliest } = this.model
    const [record] = await collect(this.log!.read({ from: { timeMs }, limit: 1 }))
    let expected: number | undefined
    for (let offset = durable - 1; offset >= earliest; offset--) if (timeOf(offset) >= timeMs) expected = offset
    equal(record?.offset, expected, 'first record from a time on')
  }

  #check(): void {
    const { nextOffset, earliestOffset } = this.log!.stats()
    equal(nextOffset, this.model.payloads.length, 'next offset')
    equal(earliestOffset, this.model.earliest, 'earliest offset')
    equal(this.log!.gaps.length, 0, 'gaps')
  }
}

/** Goes up and down, as a clock that is set does. */
function timeOf(offset: number): number {
  return START_MS + ((offset * 17) % 23) * 1000 + offset * 500
}

function equal<T>(got: T, expected: T, what: string): void {
  assert(got === expected, `${what}: expected ${String(expected)}, got ${String(got)}`)
}

function assert(holds: boolean, message: string): void {
  if (!holds) throw new Error(message)
}

t.test('the log does what an array would do, whatever fails and whenever it crashes', async t => {
  let steps = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async sequence => {
      const run = new Run()
      for (const one of sequence) await run.take(one)
      await run.finish()
      steps += sequence.length
    }),
    { numRuns: 150 }
  )
  t.ok(steps > 1000)
})
