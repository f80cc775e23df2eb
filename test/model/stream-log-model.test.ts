import { t } from 'tap'
import { LogModel } from './log-model.ts'
import { assertScripts, type Script, scripts } from './log-steps.ts'

const run = (script: Script) => new LogModel(script).run()

t.test(
  'whatever fails, whenever it crashes and whoever reads meanwhile: acknowledged records are there, in order, until retention may remove them',
  { timeout: 900_000 },
  async t => {
    await assertScripts(scripts({ stepsMax: 80 }), run, 40)
    t.pass('every script held')
  }
)

t.test('damage is told exactly: readers lose what was hit and nothing else', { timeout: 900_000 }, async t => {
  await assertScripts(scripts({ stepsMax: 60, damage: true }), run, 40)
  t.pass('every script held')
})

t.test('the same holds in large segments, where reads begin at index entries', { timeout: 900_000 }, async t => {
  await assertScripts(scripts({ stepsMax: 40, large: true }), run, 25)
  t.pass('every script held')
})

t.test(
  'compaction keeps the last value of each key, whatever fails and whoever reads meanwhile',
  { timeout: 900_000 },
  async t => {
    await assertScripts(scripts({ stepsMax: 60, compacted: true }), run, 30)
    t.pass('every script held')
  }
)
