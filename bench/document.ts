import type { Machine } from './machine.ts'
import { formatDetails, formatMachine, formatOverview, formatRemarks, type PeerFacts } from './report.ts'
import type { Pace, WorkloadRun } from './runner.ts'

export interface Outcome {
  machine: Machine
  peers: readonly PeerFacts[]
  runs: readonly WorkloadRun[]
  pace: Pace
  /** What was typed: npm run bench, then its options. */
  command: readonly string[]
}

/** The whole report as Markdown: what the terminal shows and what `--write` puts into docs/benchmarks.md. */
export function formatDocument({ machine, peers, runs, pace, command }: Outcome): string {
  const [program, ...options] = command
  const remarks = formatRemarks(runs)
  const sections = [
    '# Benchmarks',
    'Written by `npm run bench -- --write`; do not edit. Figures from two machines, or from two days on one, do not compare: only\n' +
      'the ratios within one run do. Each figure is the median of the rounds; brokers take turns within a workload, each round with\n' +
      'a fresh process and an empty folder. Load generator and broker share the machine.',
    `    ${program}${options.length ? ` -- ${options.join(' ')}` : ''}`,
    `${formatMachine(machine, peers)}\n- ${pace.rounds} rounds of ${pace.seconds} s after ${pace.warmupSeconds} s of warm-up; payload 100 bytes, MQTT 3.1.1 unless said otherwise`,
    '## Overview',
    formatOverview(
      runs,
      'tributary',
      peers.map(peer => peer.name)
    ),
    '## Details',
    "CPU is the broker's, all its threads, per message accepted or delivered, whichever are more (per connection where only\n" +
      'connections are made). Latency runs from publisher to subscriber, or to the acknowledgement where nobody subscribes, or from\n' +
      'connect to CONNACK. `generator` is how busy the load generator was; near 100 % the broker may be able to do more.',
    formatDetails(runs),
    ...(remarks ? ['## Remarks', remarks] : [])
  ]
  return `${sections.join('\n\n')}\n`
}
