import fc from 'fast-check'
import { t } from 'tap'
import { filterCovers } from '../../lib/access/filter-covers.ts'
import { topicMatches } from '../../lib/topic/filter.ts'

const level = fc.constantFrom('a', 'b', '', '$x')
const filterLevel = fc.oneof(level, fc.constant('+'))
const filter = fc
  .tuple(fc.array(filterLevel, { minLength: 0, maxLength: 3 }), fc.boolean())
  .map(([levels, deep]) => [...levels, ...(deep || levels.length === 0 ? ['#'] : [])].join('/'))
  .filter(text => text !== '')

/** All topics of up to four levels, with `c` for "something no filter names". */
const topics = ((): string[] => {
  const names = ['a', 'b', '', '$x', 'c']
  let last = names
  const all = [...names]
  for (let depth = 2; depth <= 4; depth++) {
    last = last.flatMap(head => names.map(name => `${head}/${name}`))
    all.push(...last)
  }
  return all.filter(topic => topic !== '')
})()

t.test('a filter that covers another matches all topics the other matches, and the other way round', async t => {
  let covered = 0
  fc.assert(
    fc.property(filter, filter, (allowed, requested) => {
      const expected = topics.every(topic => !topicMatches(requested, topic) || topicMatches(allowed, topic))
      if (expected) covered++
      // `/#` matches no topic of one level, as topics are not empty [MQTT-4.7.3-1]; it is not worth a special case to use that.
      if (expected && requested === '/#') return true
      return filterCovers(allowed, requested) === expected
    }),
    { numRuns: 2000 }
  )
  t.ok(covered > 100, 'both answers were met')
})

t.test('the cases people think of', async t => {
  const yes = [
    ['#', 'a/+/b'],
    ['a/#', 'a'],
    ['a/#', 'a/#'],
    ['a/+', 'a/+'],
    ['+/+', 'a/b'],
    ['$SYS/#', '$SYS/+/clients'],
    ['$stream/telemetry/#', '$stream/telemetry/earliest/devices/#']
  ]
  const no = [
    ['a/+', 'a/#'],
    ['a/+', 'a'],
    ['a/b', 'a/+'],
    ['a', 'a/#'],
    ['+', '#'],
    ['#', '$SYS/#'],
    ['+/b', '$SYS/b'],
    ['devices/d1/#', 'devices/d10/x']
  ]
  for (const [allowed, requested] of yes) t.ok(filterCovers(allowed!, requested!), `${allowed} covers ${requested}`)
  for (const [allowed, requested] of no) t.notOk(filterCovers(allowed!, requested!), `${allowed} does not cover ${requested}`)
})
