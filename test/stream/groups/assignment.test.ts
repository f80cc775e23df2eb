import fc from 'fast-check'
import t from 'tap'
import { assign } from '../../../lib/stream/groups/assignment.ts'

const members = fc.uniqueArray(fc.integer({ min: 0, max: 20 }), { maxLength: 12 })
const owners = fc.array(fc.option(fc.integer({ min: 0, max: 25 }), { nil: undefined }), { minLength: 1, maxLength: 40 })

function shares(wanted: readonly (number | undefined)[], all: readonly number[]): number[] {
  return all.map(member => wanted.filter(one => one === member).length)
}

t.test('every partition has a member, and nobody has two more than another', async t => {
  const checked = () =>
    fc.assert(
      fc.property(owners, members, (before, all) => {
        const wanted = assign(before, all)
        if (all.length === 0) return wanted.every(member => member === undefined) && wanted.length === before.length
        const counts = shares(wanted, all)
        return wanted.every(member => all.includes(member!)) && Math.max(...counts) - Math.min(...counts) <= 1
      })
    )
  t.doesNotThrow(checked)
})

t.test('no partition moves that need not: as many stay as can in fair shares', async t => {
  const checked = () =>
    fc.assert(
      fc.property(owners, members, (before, all) => {
        const wanted = assign(before, all)
        const stayed = wanted.filter((member, index) => member !== undefined && member === before[index]).length
        const few = Math.floor(before.length / Math.max(all.length, 1))
        const more = all.length === 0 ? 0 : before.length % all.length
        const had = shares(before, all)
        const withMore = had.filter(count => count > few).length
        const most = had.reduce((sum, count) => sum + Math.min(count, few), 0) + Math.min(withMore, more)
        return stayed === (all.length === 0 ? 0 : most)
      })
    )
  t.doesNotThrow(checked)
})

t.test('asked again, it says the same', async t => {
  const checked = () =>
    fc.assert(
      fc.property(owners, members, (before, all) => {
        const once = assign(before, all)
        return JSON.stringify(assign(once, all)) === JSON.stringify(once)
      })
    )
  t.doesNotThrow(checked)
})
