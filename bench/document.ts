import type { Machine } from './machine.ts'
import { formatDetails, formatMachine, formatOverview, formatRemarks, type PeerFacts } from './report.ts'
import type { Pace, WorkloadRun } from './runner.ts'
import { failuresOf, formatStreams, type StreamRun } from './streams/report.ts'

export interface Outcome {
  machine: Machine
  peers: readonly PeerFacts[]
  runs: readonly WorkloadRun[]
  streams: readonly StreamRun[]
  pace: Pace
  /** What was typed: npm run bench, then its options. */
  command: readonly string[]
}

/** The whole report as Markdown: what the terminal shows and what `--write` puts into docs/benchmarks.md. */
export function formatDocument({ machine, peers, runs, streams, pace, command }: Outcome): string {
  const [program, ...options] = command
  const remarks = [formatRemarks(runs), ...streams.flatMap(failuresOf)].filter(text => text !== '').join('\n')
  const sections = [
    '# Benchmarks',
    'Written by `npm run bench -- --write`; do not edit. Figures from two machines, or from two days on one, do not compare: only\n' +
      'the ratios within one run do. Each figure is the median of the rounds; brokers take turns within a workload, each round with\n' +
      'a fresh process and an empty folder. Load generator and broker share the machine.',
    `    ${program}${options.length ? ` -- ${options.join(' ')}` : ''}`,
    `${formatMachine(machine, peers)}\n- ${pace.rounds} rounds of ${pace.seconds} s after ${pace.warmupSeconds} s of warm-up; payload 100 bytes, MQTT 3.1.1 unless said otherwise`,
    ...(runs.length > 0 ? brokers(runs, peers) : []),
    ...(streams.length > 0 ? ['## Streams', aboutStreams, formatStreams(streams)] : []),
    ...(remarks ? ['## Remarks', remarks] : [])
  ]
  return `${sections.join('\n\n')}\n`
}

const aboutStreams =
  'Records of 100 bytes of 50 devices in 8 partitions, filled before. CPU is that of the process that reads or serves, all its\n' +
  'threads, per record (per publish for ingest). Readers over MQTT are processes of their own that count records and check that each\n' +
  'comes once, in order. Mosquitto has no streams: it delivers the queue of a session that was away, held in memory.'

function brokers(runs: readonly WorkloadRun[], peers: readonly PeerFacts[]): string[] {
  return [
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
    formatDetails(runs)
  ]
}
