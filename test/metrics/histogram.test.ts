import { t } from 'tap'
import { Histogram } from '../../lib/metrics/histogram.ts'

t.test('a duration counts in every bucket that is at least as long', async t => {
  const histogram = new Histogram()
  histogram.observe(0)
  histogram.observe(0.0001)
  histogram.observe(0.003, 10)
  histogram.observe(99)
  const at = (bound: number) => histogram.cumulative()[Histogram.bounds.indexOf(bound)]
  t.equal(at(0.0001), 2, 'a bound belongs to its bucket')
  t.equal(at(0.0025), 2)
  t.equal(at(0.005), 12)
  t.equal(at(10), 12)
  t.equal(histogram.count, 13)
  t.ok(Math.abs(histogram.sum - 99.0301) < 1e-9)
})

t.test('bounds grow', async t => {
  t.same(
    Histogram.bounds,
    [...Histogram.bounds].sort((a, b) => a - b)
  )
})
