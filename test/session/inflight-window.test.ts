import fc from 'fast-check'
import t from 'tap'
import { InflightWindow } from '../../lib/session/inflight-window.ts'

t.test('[MQTT-2.2.1-4] [MQTT3-2.3.1-4] a packet id in use is never given again', t => {
  const window = new InflightWindow()
  const used = new Set<number>()
  for (let i = 0; i < 65535; i++) {
    const id = window.allocate()
    used.add(id)
    window.sent(id, i, 1)
  }
  t.equal(used.size, 65535, 'every id once')
  t.notOk(used.has(0))
  t.equal(window.allocate(), 0, 'all are in use')
  window.complete(4711)
  t.equal(window.allocate(), 4711, 'the one that was freed')
  t.end()
})

t.test('outstanding counts what this connection sent and did not complete', t => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constant('send'), fc.constant('complete'), fc.constant('reset'), fc.constant('resend')), {
        maxLength: 200
      }),
      steps => {
        const window = new InflightWindow()
        const model = new Map<number, boolean>()
        for (const step of steps) {
          const [first] = model.keys()
          if (step === 'send') {
            const id = window.allocate()
            window.sent(id, 0, 2)
            model.set(id, true)
          } else if (step === 'reset') {
            window.reset()
            for (const id of model.keys()) model.set(id, false)
          } else if (first !== undefined && step === 'complete') {
            window.complete(first)
            model.delete(first)
          } else if (first !== undefined) {
            window.resent(first)
            model.set(first, true)
          }
          const outstanding = [...model.values()].filter(Boolean).length
          if (window.size !== model.size || window.outstanding !== outstanding) return false
        }
        return true
      }
    )
  )
  t.pass('holds for every interleaving tried')
  t.end()
})
