import t from 'tap'
import { assertScripts, scripts } from './script.ts'

t.test(
  'whatever clients do, in whatever order, deliveries, windows, packet ids, DUP, sessions, wills and retained messages are right',
  { timeout: 900_000 },
  async t => {
    await assertScripts(scripts({ stepsMax: 50 }), 40)
    t.pass('every script held')
  }
)
