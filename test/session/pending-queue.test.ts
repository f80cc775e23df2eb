import fc from 'fast-check'
import t from 'tap'
import { PendingQueue } from '../../lib/session/pending-queue.ts'
import type { PendingDelivery } from '../../lib/session/session.ts'

const delivery = (qos: 1 | 2) => ({ qos, retain: false, subscriptionIds: [] }) as unknown as PendingDelivery

t.test('what goes in comes out once, in order, whatever the turns of in and out', t => {
  // Long enough runs that the vacant front is cleared, with and without something behind it.
  const turns = fc.array(fc.tuple(fc.nat(1500), fc.nat(1500)), { maxLength: 20, size: 'max' })
  fc.assert(
    fc.property(turns, list => {
      const queue = new PendingQueue()
      const wanted: PendingDelivery[] = []
      for (const [pushes, shifts] of list) {
        for (let i = 0; i < pushes; i++) {
          const one = delivery(1)
          queue.push(one)
          wanted.push(one)
        }
        for (let i = 0; i < shifts; i++) if (queue.shift() !== wanted.shift()) return false
        if (queue.length !== wanted.length) return false
      }
      return true
    }),
    { numRuns: 50, seed: 20261124 }
  )
  t.end()
})
