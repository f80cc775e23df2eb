import { t } from 'tap'
import type { StreamLog } from '../../lib/stream/stream-log.ts'
import { type Appended, eager, fill, replaced, wrong } from './compacted.ts'
import { CrashingFileSystem } from './crashing-file-system.ts'
import { collect, LOG_FOLDER, ManualClock, openLog, START_MS, TestLogger } from './open-log.ts'

const everything = { from: 'earliest' as const }
const RECORDS = 28

function open(fileSystem: CrashingFileSystem, clock: ManualClock, logger = new TestLogger()): Promise<StreamLog> {
  return openLog(fileSystem, {
    ...{ segmentBytesMax: 500, cleanup: 'compact-delete', compaction: eager, clock, logger },
    retention: { ageMs: 100_000, bytes: 0 }
  })
}

/** A log that was compacted once and has grown since: full segments, compacted ones, tombstones that are due. */
async function grown(clock: ManualClock): Promise<{ disk: CrashingFileSystem; appended: Appended[] }> {
  const disk = new CrashingFileSystem()
  const log = await open(disk, clock)
  const appended = await fill(log, RECORDS, 12, 5, START_MS)
  await log.compact()
  clock.nowMs += 1500
  appended.push(...(await fill(log, RECORDS, 9, 6, clock.nowMs)))
  await log.close()
  return { disk: disk.after(), appended }
}

/** What a run of retention and compaction does on this disk; it may fail on the way. */
async function tidy(log: StreamLog): Promise<void> {
  await log.retain()
  await log.compact()
  await log.retain()
}

function random(seed: number): () => number {
  let state = seed + 1
  return () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9
    return ((state ^ (state >>> 12)) >>> 0) / 2 ** 32
  }
}

/** What is wrong with a disk that a new process finds; undefined when everything is as it must be. */
async function problemOf(disk: CrashingFileSystem, clock: ManualClock, appended: Appended[]): Promise<string | undefined> {
  const logger = new TestLogger()
  const log = await open(disk, clock, logger)
  const reports = logger.at('error').map(({ message, details }) => `${message} ${JSON.stringify(details)}`)
  if (reports.length > 0) return `reported: ${reports.join('; ')}`
  if (log.nextOffset !== appended.length) return `${log.nextOffset} is the next offset`
  if (log.gaps.length > 0) return `gaps: ${JSON.stringify(log.gaps)}`
  const found = wrong(await collect(log.read(everything)), appended, log.earliestOffset)
  if (found !== undefined) return `after the start: ${found}`
  appended = [...appended, ...(await fill(log, 5, 3, 9, clock.nowMs))]
  await tidy(log)
  const records = await collect(log.read(everything))
  const left = wrong(records, appended, log.earliestOffset)
  if (left !== undefined) return `after the next run: ${left}`
  const doubled = replaced(records, log.segments.at(-1)!.baseOffset)
  if (doubled.length > 0) return `not compacted: ${doubled}`
  await log.close()
  const expected = log.segments.flatMap(({ path }) => [path, path.replace(/segment$/, 'index')])
  const surplus = disk.paths().filter(path => !expected.includes(path) && path !== `${LOG_FOLDER}/compaction.state`)
  return surplus.length > 0 ? `left behind: ${surplus}` : undefined
}

/** Runs the scenario with a strike at every step there is, and collects what went wrong. */
async function strikeEverywhere(
  cut: boolean,
  code: string | undefined,
  check: (disk: CrashingFileSystem, clock: ManualClock, appended: Appended[], log: StreamLog) => Promise<string | undefined>
): Promise<{ steps: string[]; problems: string[] }> {
  const clock = new ManualClock()
  const { disk, appended } = await grown(clock)
  if (cut) clock.nowMs = START_MS + 100_000 + RECORDS / 2
  const steps: string[] = []
  const problems: string[] = []
  for (let step = 1; ; step++) {
    const own = disk.after()
    const ownClock = Object.assign(new ManualClock(), { nowMs: clock.nowMs })
    const log = await open(own, ownClock)
    own.strike = { step: own.steps + step, code }
    try {
      await tidy(log)
    } catch {
      // Whether it was told is another test's concern; here it is what is left that counts.
    }
    if (own.struck === undefined) return { steps, problems }
    steps.push(own.struck)
    const problem = await check(own, ownClock, appended, log)
    if (problem !== undefined) problems.push(`step ${step}, ${own.struck}: ${problem}`)
  }
}

for (const cut of [false, true]) {
  const what = cut ? 'retention and compaction' : 'compaction'

  t.test(`kill -9 at any step of ${what} loses nothing, doubles nothing and leaves nothing behind`, async t => {
    const { steps, problems } = await strikeEverywhere(cut, undefined, (disk, clock, appended) =>
      problemOf(disk.after(), clock, appended)
    )
    t.strictSame(problems, [])
    for (const kind of ['create', 'write', 'sync', 'rename', 'unlink', 'syncFolder']) {
      t.ok(
        steps.some(step => step.startsWith(`${kind} `)),
        `there was a ${kind} among ${steps.length} steps`
      )
    }
  })

  t.test(`a loss of power at any step of ${what} does not either, whatever part of the unsynced was on disk`, async t => {
    const { problems } = await strikeEverywhere(cut, undefined, async (disk, clock, appended) => {
      for (let seed = 0; seed < 2; seed++) {
        const problem = await problemOf(disk.after(random(seed)), clock, appended)
        if (problem !== undefined) return `seed ${seed}: ${problem}`
      }
      return undefined
    })
    t.strictSame(problems, [])
  })
}

for (const code of ['ENOSPC', 'EIO']) {
  t.test(`${code} at any step of a run leaves what is needed in force, and the next run succeeds`, async t => {
    const { steps, problems } = await strikeEverywhere(false, code, async (disk, clock, appended, log) => {
      const before = wrong(await collect(log.read(everything)), appended, log.earliestOffset)
      if (before !== undefined) return `in the same process: ${before}`
      const crashed = await problemOf(disk.after(random(1)), clock, appended)
      if (crashed !== undefined) return `after a crash: ${crashed}`
      await tidy(log)
      const records = await collect(log.read(everything))
      const doubled = replaced(records, log.segments.at(-1)!.baseOffset)
      if (doubled.length > 0) return `not compacted: ${doubled}`
      await log.close()
      return problemOf(disk.after(), clock, appended)
    })
    t.strictSame(problems, [])
    t.ok(steps.length > 20, `${steps.length} steps`)
  })
}
