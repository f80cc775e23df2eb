import { median } from './statistics.ts'
import { formatNumber, formatTable } from './table.ts'

const warmupMilliseconds = 300
const roundMilliseconds = 100
const rounds = 7

export interface MicroResult {
  name: string
  nanosecondsPerOperation: number
}

/**
 * What one operation costs, as the median of several rounds. `operation` returns something that depends on its work, and the sum
 * of it is kept, so that the compiler cannot leave the work out.
 */
export function measure(name: string, operation: () => number): MicroResult {
  let kept = 0
  const runFor = (milliseconds: number) => {
    const began = performance.now()
    let count = 0
    let elapsed = 0
    do {
      for (let i = 0; i < 256; i++) kept += operation()
      count += 256
      elapsed = performance.now() - began
    } while (elapsed < milliseconds)
    return (elapsed * 1e6) / count
  }
  runFor(warmupMilliseconds)
  const nanosecondsPerOperation = median(Array.from({ length: rounds }, () => runFor(roundMilliseconds)))
  if (Number.isNaN(kept)) throw new Error(`${name} returned something that is not a number`)
  return { name, nanosecondsPerOperation }
}

/** The first result is the baseline the others are compared with. */
export function formatMicro(results: readonly MicroResult[]): string {
  const baseline = results[0]?.nanosecondsPerOperation ?? Number.NaN
  return formatTable(
    [
      { title: 'operation', align: 'left' },
      { title: 'ns', align: 'right' },
      { title: '× faster', align: 'right' }
    ],
    results.map(({ name, nanosecondsPerOperation: ns }) => [name, formatNumber(ns), formatNumber(baseline / ns)])
  )
}
