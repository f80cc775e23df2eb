import t from 'tap'
import { assertScripts, scripts } from './script.ts'

t.test(
  '[MQTT-4.8.2-4] [MQTT-4.8.2-5] a shared message is with one member at a time, at QoS 2 never with two, and no queue is left behind',
  { timeout: 900_000 },
  async t => {
    await assertScripts(scripts({ stepsMax: 50, shared: true }), 25)
    t.pass('every script held')
  }
)

t.test('the same holds when the broker is restarted or crashes at any moment', { timeout: 900_000 }, async t => {
  await assertScripts(scripts({ stepsMax: 50, shared: true, restarts: 2, crashes: 2 }), 15)
  t.pass('every script held')
})
