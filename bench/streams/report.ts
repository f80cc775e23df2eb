import { median, ratio, spread } from '../statistics.ts'
import { type Column, formatNumber, formatTable } from '../table.ts'
import type { StreamBenchmark, StreamMeasurement } from './benchmarks.ts'

/** All rounds of one benchmark, by entrant in the order of the benchmark. */
export interface StreamRun {
  benchmark: StreamBenchmark
  entrants: Map<string, StreamMeasurement[]>
}

const columns: Column[] = [
  { title: 'streams', align: 'left' },
  { title: 'unit', align: 'left' },
  { title: 'median', align: 'right' },
  { title: 'min', align: 'right' },
  { title: 'max', align: 'right' },
  { title: 'CPU µs', align: 'right' },
  { title: 'compared with', align: 'left' },
  { title: 'median', align: 'right' },
  { title: 'CPU µs', align: 'right' },
  { title: 'ratio', align: 'right' },
  { title: 'target', align: 'left' }
]

/** The line per benchmark: our figure, what it is compared with, and the target with its verdict. */
export function formatStreams(runs: readonly StreamRun[]): string {
  const rows = runs.map(({ benchmark, entrants }) => {
    const [own = [], base = []] = [...entrants.values()]
    const [, baseName = '–'] = [...entrants.keys()]
    const { median: value, min, max } = spread(own.map(run => run.value))
    const baseValue = median(base.map(run => run.value))
    const marked = (figure: number, taken: readonly StreamMeasurement[]) =>
      formatNumber(figure) + (taken.some(({ failures }) => failures.length > 0) ? ' !' : '')
    return [
      benchmark.title,
      benchmark.unit,
      marked(value, own),
      formatNumber(min),
      formatNumber(max),
      formatNumber(median(own.map(run => run.cpuMicroseconds))),
      baseName,
      marked(baseValue, base),
      formatNumber(median(base.map(run => run.cpuMicroseconds))),
      formatNumber(ratio(value, baseValue)),
      verdict(benchmark, value, ratio(value, baseValue), failuresOf({ benchmark, entrants }).length > 0)
    ]
  })
  return formatTable(columns, rows)
}

/** What went wrong, a line each. */
export function failuresOf({ benchmark, entrants }: StreamRun): string[] {
  const all = [...entrants].flatMap(([name, runs]) => runs.flatMap(({ failures }) => failures.map(text => `${name}: ${text}`)))
  return [...new Set(all)].map(text => `- **${benchmark.name}, marked !: ${text}**`)
}

export function verdict({ target }: StreamBenchmark, value: number, share: number, hasFailed: boolean): string {
  if (target === undefined) return '–'
  const reached = target.of === 'value' ? value : share
  const wanted = `${target.comparison === 'at least' ? '≥' : '≤'} ${formatNumber(target.value)}${target.of === 'ratio' ? ' ×' : ''}`
  if (hasFailed || !Number.isFinite(reached)) return `${wanted}: unknown`
  const isMet = target.comparison === 'at least' ? reached >= target.value : reached <= target.value
  return `${wanted}: ${isMet ? 'met' : 'missed'}`
}
