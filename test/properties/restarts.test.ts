import t from 'tap'
import { assertScripts, scripts } from './script.ts'

t.test('the same holds when the broker is stopped and started again at any moment', { timeout: 900_000 }, async t => {
  await assertScripts(scripts({ stepsMax: 50, restarts: 3 }), 20)
  t.pass('every script held')
})

t.test('the same holds when the broker crashes at any moment', { timeout: 900_000 }, async t => {
  await assertScripts(scripts({ stepsMax: 50, crashes: 3 }), 20)
  t.pass('every script held')
})
