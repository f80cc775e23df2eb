import { t } from 'tap'
import { type GroupScript, GroupWorld, groupScripts } from './group-world.ts'
import { assertScripts } from './log-steps.ts'

const run = ({ commitTurns, steps }: GroupScript) => new GroupWorld(commitTurns).run(steps)

t.test(
  'however members come, go and acknowledge, each record is with one of them, in order, until it is acknowledged, and then never again',
  { timeout: 900_000 },
  async t => {
    await assertScripts(groupScripts(40, { restarts: 0, crashes: 0 }), run, 7)
    t.pass('every script held')
  }
)

t.test(
  'the same holds over restarts, and after a crash only what was acknowledged last comes again',
  { timeout: 900_000 },
  async t => {
    await assertScripts(groupScripts(40, { restarts: 2, crashes: 2 }), run, 7)
    t.pass('every script held')
  }
)
