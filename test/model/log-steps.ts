import fc from 'fast-check'

/**
 * What can happen to a log in one run, as plain data that fast-check makes, shrinks and prints. A step that makes no sense at its
 * time does nothing, so that every part of a script is a script.
 */
export type Step =
  | { do: 'append'; count: number; size: number; who: number }
  | { do: 'sync'; meanwhile: Meanwhile }
  | { do: 'seal' }
  | { do: 'time'; ms: number }
  | { do: 'syncFails'; code: 'EIO' | 'ENOSPC'; bytesWritten: number; times: number; heals: boolean; meanwhile: Meanwhile }
  | { do: 'crash' }
  | { do: 'crashDuring'; work: Work; operation: Operation; bytesWritten: number; skip: number }
  | { do: 'restart' }
  | { do: 'retain' }
  | { do: 'retainFails'; skip: number }
  | { do: 'compact' }
  | { do: 'read'; from: From; limit: number | undefined; who: number | undefined }
  | { do: 'readStrictly'; from: number }
  | { do: 'follow'; from: From; outOfRange: 'fail' | 'earliest' | 'latest'; who: number | undefined }
  | { do: 'pull'; reader: number; batches: number }
  | { do: 'flip'; at: number; what: 'payload' | 'header' }
  | { do: 'removeSegment'; at: number }
  | { do: 'spoilIndex'; at: number; how: 'flip' | 'remove' | 'cut' }

/** What is done while a sync's write runs. */
export type Meanwhile = 'nothing' | 'append' | 'seal'
/** What goes on when the power fails. */
export type Work = 'sync' | 'retain' | 'close' | 'compact'
export type Operation = 'write' | 'truncate' | 'sync' | 'open' | 'rename' | 'unlink' | 'syncFolder'

/** Numbers are parts of a thousand of the way from the earliest to the next offset, or from the first to the last time. */
export type From = { type: 'earliest' | 'latest' } | { type: 'offset' | 'time'; permille: number }

export interface Script {
  segmentBytesMax: number
  /** Sizes of payloads are multiplied by this: large ones give a segment many index entries. */
  sizeFactor: number
  retention: { ageMs: number; bytes: number }
  /** Last value per key rather than everything. */
  compacted: boolean
  steps: Step[]
}

const permille = fc.integer({ min: 0, max: 1000 })
const who = fc.nat(3)
const anybody = fc.option(who, { nil: undefined, freq: 2 })
const from: fc.Arbitrary<From> = fc.oneof(
  fc.constantFrom<From>({ type: 'earliest' }, { type: 'latest' }),
  fc.record({ type: fc.constant('offset' as const), permille }),
  fc.record({ type: fc.constant('time' as const), permille })
)
const bytesWritten = fc.oneof(fc.constant(0), fc.nat(2000))

const append = fc.record({
  do: fc.constant('append' as const),
  count: fc.integer({ min: 1, max: 8 }),
  size: fc.nat(300),
  who
})
const meanwhile = fc.constantFrom<Meanwhile[]>('nothing', 'nothing', 'append', 'seal')
const sync = fc.record({ do: fc.constant('sync' as const), meanwhile })

export interface ScriptOptions {
  stepsMax: number
  /** Bits flip and files go missing too. */
  damage?: boolean
  compacted?: boolean
  large?: boolean
}

export function scripts({ stepsMax, damage = false, compacted = false, large = false }: ScriptOptions): fc.Arbitrary<Script> {
  const works: Work[] = compacted ? ['sync', 'retain', 'close', 'compact', 'compact'] : ['sync', 'sync', 'retain', 'close']
  const weighted: [number, fc.Arbitrary<Step>][] = [
    [10, append],
    [10, sync],
    [2, fc.constant({ do: 'seal' })],
    [4, fc.record({ do: fc.constant('time' as const), ms: fc.constantFrom(1, 500, 3_000, 20_000, -2_000) })],
    [
      2,
      fc.record({
        do: fc.constant('syncFails' as const),
        code: fc.constantFrom('EIO' as const, 'ENOSPC' as const),
        bytesWritten,
        times: fc.integer({ min: 1, max: 3 }),
        heals: fc.boolean(),
        meanwhile
      })
    ],
    [1, fc.constant({ do: 'crash' })],
    [
      3,
      fc.record({
        do: fc.constant('crashDuring' as const),
        work: fc.constantFrom(...works),
        operation: fc.constantFrom<Operation>('write', 'truncate', 'sync', 'open', 'rename', 'unlink', 'syncFolder'),
        bytesWritten,
        skip: fc.nat(compacted ? 12 : 4)
      })
    ],
    [1, fc.constant({ do: 'restart' })],
    [3, fc.constant({ do: 'retain' })],
    [1, fc.record({ do: fc.constant('retainFails' as const), skip: fc.nat(3) })],
    [compacted ? 4 : 0, fc.constant({ do: 'compact' })],
    [3, fc.record({ do: fc.constant('read' as const), from, limit: fc.option(fc.nat(20), { nil: undefined }), who: anybody })],
    [2, fc.record({ do: fc.constant('readStrictly' as const), from: permille })],
    [
      2,
      fc.record({
        do: fc.constant('follow' as const),
        from,
        outOfRange: fc.constantFrom('fail' as const, 'earliest' as const, 'latest' as const),
        who: anybody
      })
    ],
    [5, fc.record({ do: fc.constant('pull' as const), reader: fc.nat(3), batches: fc.constantFrom(1, 2, 100) })],
    [
      damage ? 2 : 0,
      fc.record({ do: fc.constant('flip' as const), at: permille, what: fc.constantFrom('payload' as const, 'header' as const) })
    ],
    [damage ? 1 : 0, fc.record({ do: fc.constant('removeSegment' as const), at: permille })],
    [
      1,
      fc.record({
        do: fc.constant('spoilIndex' as const),
        at: permille,
        how: fc.constantFrom('flip' as const, 'remove' as const, 'cut' as const)
      })
    ]
  ]
  const possible = weighted.filter(([weight]) => weight > 0).map(([weight, arbitrary]) => ({ weight, arbitrary }))
  return fc.record({
    segmentBytesMax: large ? fc.constant(400_000) : fc.constantFrom(700, 1500),
    sizeFactor: fc.constant(large ? 90 : 1),
    retention: fc.constantFrom(
      { ageMs: 0, bytes: large ? 1_200_000 : 2_500 },
      { ageMs: 10_000, bytes: 0 },
      { ageMs: 10_000, bytes: large ? 1_200_000 : 4_000 },
      { ageMs: 0, bytes: 0 }
    ),
    compacted: fc.constant(compacted),
    steps: fc.array(fc.oneof(...possible), { minLength: 5, maxLength: stepsMax, size: 'max' })
  })
}

/** Runs and seed come from the environment for long hunts: RUNS, SEED, HUNT_MS. By default every run of the suite does the same. */
export async function assertScripts<T>(script: fc.Arbitrary<T>, run: (script: T) => Promise<void>, runs: number): Promise<void> {
  await fc.assert(fc.asyncProperty(script, run), {
    numRuns: Number(process.env.RUNS ?? runs),
    seed: Number(process.env.SEED ?? 20261124),
    interruptAfterTimeLimit: Number(process.env.HUNT_MS ?? 600_000),
    ...(process.env.SHRINK === '0' ? { endOnFailure: true } : {})
  })
}
