/**
 * Two checkouts of this project against each other, for regressions: node build/bench/compare.js BEFORE AFTER [--only NAME ...]
 * Both must have been built. Prints AFTER : BEFORE per workload; takes the quick set unless told otherwise.
 */
import { parseArgs } from 'node:util'
import { parseOptions } from './options.ts'
import { TributaryPeer } from './peers/tributary.ts'
import { formatRemarks, summarize } from './report.ts'
import type { WorkloadRun } from './runner.ts'
import { availablePeers, type Session, withSession } from './session.ts'
import { ratio } from './statistics.ts'
import { formatNumber, formatTable } from './table.ts'

const usage = 'node build/bench/compare.js BEFORE AFTER [--only NAME ...] [--rounds N] [--seconds N]   (two built checkouts)'

async function main(words: string[]): Promise<number> {
  const { positionals, values } = parseArgs({
    args: words,
    allowPositionals: true,
    options: { only: { type: 'string', multiple: true, default: [] }, rounds: { type: 'string' }, seconds: { type: 'string' } }
  })
  const [before, after] = positionals
  if (!before || !after || positionals.length > 2) {
    console.error(usage)
    return 2
  }
  const { pace, workloads } = parseOptions([
    '--quick',
    ...values.only.flatMap(name => ['--only', name]),
    '--rounds',
    values.rounds ?? '3',
    ...(values.seconds ? ['--seconds', values.seconds] : [])
  ])
  const wanted = [new TributaryPeer(before, 'before'), new TributaryPeer(after, 'after')]
  return withSession(async ({ runner }: Session) => {
    const peers = await availablePeers(wanted)
    if (peers.length < 2) return 2
    const runs: WorkloadRun[] = []
    for (const workload of workloads) runs.push(await runner.run(workload, peers, pace))
    console.log(formatComparison(runs))
    const remarks = formatRemarks(runs)
    if (remarks) console.log(`\n${remarks}`)
    return remarks.includes('marked !') ? 1 : 0
  })
}

function formatComparison(runs: readonly WorkloadRun[]): string {
  const titles = ['before', 'min – max', 'after', 'min – max', 'after : before', 'CPU', 'p99']
  const columns = [{ title: 'workload', align: 'left' } as const, ...titles.map(title => ({ title, align: 'right' }) as const)]
  const rows = runs.map(run => {
    const old = summarize(run.peers.get('before') ?? [])
    const now = summarize(run.peers.get('after') ?? [])
    const range = ({ value }: typeof old) => `${formatNumber(value.min)} – ${formatNumber(value.max)}`
    return [
      `${run.workload.title}, ${run.workload.measure.unit}`,
      formatNumber(old.value.median),
      range(old),
      formatNumber(now.value.median),
      range(now),
      formatNumber(ratio(now.value.median, old.value.median)),
      formatNumber(ratio(now.cpu, old.cpu)),
      formatNumber(ratio(now.p99, old.p99))
    ]
  })
  return formatTable(columns, rows)
}

process.exit(await main(process.argv.slice(2)))
