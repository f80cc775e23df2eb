import type { Machine } from './machine.ts'
import type { Measurement } from './measurement.ts'
import type { WorkloadRun } from './runner.ts'
import { median, ratio, type Spread, spread } from './statistics.ts'
import { type Column, formatNumber, formatTable } from './table.ts'
import type { Target } from './workload.ts'

export interface PeerFacts {
  name: string
  version: string
  setup: string
}

/** What all rounds of one peer in one workload amount to. */
export interface PeerSummary {
  value: Spread
  cpu: number
  p50: number
  p99: number
  generatorBusy: number
  failures: string[]
}

const baseline = 'mosquitto'
/** From this share of a core on, the generator is suspected to be what limits a run. */
const generatorBusyMax = 0.95

export function summarize(measurements: readonly Measurement[]): PeerSummary {
  const medianOf = (pick: (m: Measurement) => number) => median(measurements.map(pick))
  return {
    value: spread(measurements.map(m => m.value)),
    cpu: medianOf(m => m.cpuMicrosecondsPerMessage),
    p50: medianOf(m => m.p50Milliseconds),
    p99: medianOf(m => m.p99Milliseconds),
    generatorBusy: medianOf(m => m.generatorBusy),
    failures: [...new Set(measurements.flatMap(m => m.failures))]
  }
}

/** `met`, `missed`, or `unknown` when one of the two figures is not there or cannot be believed. */
export function judge(target: Target, own: PeerSummary, against: PeerSummary | undefined): { reached: number; verdict: string } {
  const figure = (summary: PeerSummary | undefined) =>
    (target.of === 'measure' ? summary?.value.median : target.of === 'cpu' ? summary?.cpu : summary?.p99) ?? Number.NaN
  const reached = target.against === 'itself' ? figure(own) : ratio(figure(own), figure(against))
  const isTrusted = own.failures.length === 0 && (target.against === 'itself' || against?.failures.length === 0)
  if (!isTrusted || !Number.isFinite(reached)) return { reached, verdict: 'unknown' }
  const isMet = target.comparison === 'at least' ? reached >= target.value : reached <= target.value
  return { reached, verdict: isMet ? 'met' : 'missed' }
}

/** The line per workload: medians side by side, the ratio of `own` to Mosquitto, and each target with its verdict. */
export function formatOverview(runs: readonly WorkloadRun[], own: string, peers: readonly string[]): string {
  const shown = peers.filter(name => !name.startsWith('limit-'))
  const columns: Column[] = [
    { title: 'workload', align: 'left' },
    { title: 'unit', align: 'left' },
    ...shown.map(title => ({ title, align: 'right' }) as const),
    { title: `${own} : ${baseline}`, align: 'right' },
    { title: 'of the limit', align: 'right' },
    { title: 'target', align: 'left' }
  ]
  const rows = runs.map(run => {
    const summaries = summariesOf(run)
    const ours = summaries.get(own)
    const limit = run.workload.limit ? summaries.get(run.workload.limit) : undefined
    return [
      run.workload.title,
      run.workload.measure.unit,
      ...shown.map(name => formatValue(summaries.get(name))),
      formatNumber(ratio(ours?.value.median ?? Number.NaN, summaries.get(baseline)?.value.median ?? Number.NaN)),
      formatNumber(ratio(ours?.value.median ?? Number.NaN, limit?.value.median ?? Number.NaN)),
      run.workload.targets.map(target => formatTarget(target, ours, summaries.get(baseline))).join('; ') || '–'
    ]
  })
  return formatTable(columns, rows)
}

/** The line per workload and peer: the spread over the rounds, what a message cost, and how long it took. */
export function formatDetails(runs: readonly WorkloadRun[]): string {
  const columns: Column[] = [
    { title: 'workload', align: 'left' },
    { title: 'broker', align: 'left' },
    { title: 'median', align: 'right' },
    { title: 'min', align: 'right' },
    { title: 'max', align: 'right' },
    { title: 'CPU µs', align: 'right' },
    { title: 'p50 ms', align: 'right' },
    { title: 'p99 ms', align: 'right' },
    { title: 'generator', align: 'right' }
  ]
  const rows = runs.flatMap(run =>
    [...summariesOf(run)].map(([name, summary]) => [
      run.workload.name,
      name,
      formatValue(summary),
      formatNumber(summary.value.min),
      formatNumber(summary.value.max),
      formatNumber(summary.cpu),
      formatNumber(summary.p50),
      formatNumber(summary.p99),
      formatBusy(summary.generatorBusy)
    ])
  )
  return formatTable(columns, rows)
}

/** Every failure of every run and everything else a reader must know before believing a figure; '' when there is nothing. */
export function formatRemarks(runs: readonly WorkloadRun[]): string {
  const remarks = runs.flatMap(run => [
    ...run.notes.map(note => `- ${run.workload.name}: ${note}`),
    ...[...summariesOf(run)].flatMap(([name, summary]) => [
      ...summary.failures.map(failure => `- **${run.workload.name}, ${name}, marked !: ${failure}**`),
      ...(summary.generatorBusy > generatorBusyMax
        ? [`- ${run.workload.name}, ${name}: the load generator was busy all the time; the broker may be able to do more`]
        : [])
    ])
  ])
  return remarks.join('\n')
}

export function formatMachine(machine: Machine, peers: readonly PeerFacts[]): string {
  const memory = machine.fileSystem === 'tmpfs' ? ' (WARNING: memory, not a disk; what is synced here is not durable)' : ''
  return [
    `- machine: ${machine.processor}, ${machine.cores} cores, ${machine.memoryGib} GiB, ${machine.system}`,
    `- data on ${machine.fileSystem}${memory}; appending 4 KiB and fdatasync take ${formatNumber(machine.syncMilliseconds)} ms (median)`,
    `- Node.js ${machine.node}, commit ${machine.commit}`,
    ...peers.map(peer => `- ${peer.name} ${peer.version}: ${peer.setup}`)
  ].join('\n')
}

function summariesOf(run: WorkloadRun): Map<string, PeerSummary> {
  return new Map([...run.peers].filter(([, taken]) => taken.length > 0).map(([name, taken]) => [name, summarize(taken)]))
}

/** A figure from a run in which something failed keeps its mark wherever it is shown. */
function formatValue(summary: PeerSummary | undefined): string {
  if (!summary) return '–'
  return formatNumber(summary.value.median) + (summary.failures.length ? ' !' : '')
}

function formatBusy(share: number): string {
  return Number.isFinite(share) ? `${Math.round(share * 100)} %` : '–'
}

function formatTarget(target: Target, own: PeerSummary | undefined, against: PeerSummary | undefined): string {
  const label = target.of === 'measure' ? '' : target.of === 'cpu' ? 'CPU ' : 'p99 '
  const wanted = `${label}${target.comparison === 'at least' ? '≥' : '≤'} ${target.value}${target.against === 'itself' ? '' : ' ×'}`
  if (!own) return wanted
  const { reached, verdict } = judge(target, own, against)
  return verdict === 'unknown' ? `${wanted}: unknown` : `${wanted}: ${verdict} (${formatNumber(reached)})`
}
