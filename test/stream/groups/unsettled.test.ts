import fc from 'fast-check'
import t from 'tap'
import { Unsettled } from '../../../lib/stream/groups/unsettled.ts'

type State = 'outstanding' | 'failed' | 'due'

/** The same, as plainly as it can be said. */
class Model {
  readonly entries = new Map<number, State>()

  list(state: State): number[] {
    return [...this.entries].filter(([, is]) => is === state).map(([offset]) => offset)
  }
}

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('push' as const), by: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('settle' as const), by: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('fail' as const, 'again' as const), by: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('due' as const, 'takeBack' as const), by: fc.constant(0) }) }
)

t.test('whatever is settled in whatever order, the lowest offset and every state are right', async t => {
  const checked = () =>
    fc.assert(
      fc.property(fc.array(step, { maxLength: 2500, size: 'max' }), steps => {
        const real = new Unsettled()
        const model = new Model()
        let next = 0
        for (const { do: what, by } of steps) {
          const offset = Math.max(0, next - by)
          const state = model.entries.get(offset)
          if (what === 'push') {
            next += by
            real.push(next, 0)
            model.entries.set(next, 'outstanding')
          } else if (what === 'settle') {
            if (real.settle(offset) !== model.entries.delete(offset)) return false
          } else if (what === 'fail') {
            if (real.fail(offset) !== (state === 'outstanding')) return false
            if (state === 'outstanding') model.entries.set(offset, 'failed')
          } else if (what === 'again') {
            real.again(offset, 0)
            if (state !== undefined) model.entries.set(offset, 'outstanding')
          } else {
            const from = what === 'due' ? 'failed' : 'outstanding'
            real.makeDue(from)
            for (const one of model.list(from)) model.entries.set(one, 'due')
          }
          const [lowest = -1] = model.entries.keys()
          if (real.first !== lowest || real.outstanding !== model.list('outstanding').length) return false
          if (real.firstDue !== (model.list('due')[0] ?? -1)) return false
        }
        const states = ['outstanding', 'failed', 'due'] as const
        return states.every(state => JSON.stringify(real.list(state)) === JSON.stringify(model.list(state)))
      }),
      { numRuns: 15 }
    )
  t.doesNotThrow(checked)
})
