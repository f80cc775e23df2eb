import fc from 'fast-check'
import t from 'tap'
import { SentOffsets } from '../../lib/stream/sent-offsets.ts'

t.test('the first offset is the lowest that is not acknowledged, whatever order acknowledgements come in', async t => {
  const offsets = new SentOffsets()
  for (const offset of [3, 5, 8, 9]) offsets.add(offset)
  t.equal(offsets.first, 3)
  t.equal(offsets.settle(5), true)
  t.equal(offsets.first, 3)
  t.equal(offsets.settle(3), true)
  t.equal(offsets.first, 8)
  t.equal(offsets.settle(9), true)
  t.equal(offsets.settle(8), true)
  t.equal(offsets.first, undefined)
  t.equal(offsets.size, 0)
})

t.test('an offset is acknowledged once, and never when it was not sent', async t => {
  const offsets = new SentOffsets()
  for (const offset of [0, 2, 4]) offsets.add(offset)
  t.same([offsets.settle(1), offsets.settle(2), offsets.settle(2), offsets.settle(7)], [false, true, false, false])
  t.equal(offsets.size, 2)
  offsets.clear()
  t.equal(offsets.settle(4), false)
  offsets.add(1)
  t.equal(offsets.first, 1, 'after clear() it may begin anywhere')
})

t.test('it behaves like a sorted set', async () => {
  const step = fc.record({
    sends: fc.nat(200),
    gap: fc.integer({ min: 1, max: 3 }),
    acks: fc.array(fc.nat(400), { maxLength: 200 })
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), steps => {
      const offsets = new SentOffsets()
      const model = new Set<number>()
      let next = 0
      for (const { sends, gap, acks } of steps) {
        for (let i = 0; i < sends; i++, next += gap) {
          offsets.add(next)
          model.add(next)
        }
        for (const ack of acks) {
          const offset = next - ack
          if (offsets.settle(offset) !== model.delete(offset)) return false
        }
        const [first] = model
        if (offsets.first !== first || offsets.size !== model.size) return false
      }
      return true
    })
  )
})
