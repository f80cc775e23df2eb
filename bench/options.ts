import { parseArgs } from 'node:util'
import type { Pace } from './runner.ts'
import { type StreamBenchmark, streamBenchmarks } from './streams/benchmarks.ts'
import { type Workload, workloads } from './workload.ts'

export const usage = `npm run bench [-- options]
  --quick             fewer workloads, rounds and seconds: under two minutes
  --only NAME         only this workload (repeatable): ${workloads.map(workload => workload.name).join(', ')};
                      of streams: ${streamBenchmarks.map(({ name }) => name).join(', ')}
  --with NAME         one more peer (repeatable): aedes
  --peers A,B         exactly these peers: tributary, mosquitto, aedes
  --limits            also the bare Node prototypes, and our figures as a fraction of theirs
  --rounds N --seconds N --warmup N
  --json FILE         every measurement of every round
  --write             docs/benchmarks.md`

export interface BenchOptions {
  pace: Pace
  workloads: Workload[]
  streams: StreamBenchmark[]
  quick: boolean
  peers: string[]
  limits: boolean
  json: string | undefined
  write: boolean
  help: boolean
}

/** Throws a TypeError or RangeError, with a message for the person who typed it, when the words make no sense. */
export function parseOptions(words: string[]): BenchOptions {
  const { values } = parseArgs({
    args: words,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      with: { type: 'string', multiple: true, default: [] },
      peers: { type: 'string', default: 'tributary,mosquitto' },
      limits: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      warmup: { type: 'string' },
      json: { type: 'string' },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  return {
    pace: {
      rounds: positive('rounds', values.rounds, values.quick ? 2 : 3),
      seconds: positive('seconds', values.seconds, values.quick ? 1.5 : 4),
      warmupSeconds: positive('warmup', values.warmup, values.quick ? 0.8 : 1.5)
    },
    ...chosen(values.only, values.quick),
    quick: values.quick,
    peers: [...new Set([...values.peers.split(','), ...values.with])],
    limits: values.limits,
    json: values.json,
    write: values.write,
    help: values.help
  }
}

function chosen(names: string[], isQuick: boolean): Pick<BenchOptions, 'workloads' | 'streams'> {
  const known = [...workloads, ...streamBenchmarks].map(({ name }) => name)
  for (const name of names) {
    if (!known.includes(name)) throw new RangeError(`no workload is called ${name}; there are ${known.join(', ')}`)
  }
  const isWanted = ({ name, quick }: { name: string; quick: boolean }) =>
    names.length === 0 ? quick || !isQuick : names.includes(name)
  return { workloads: workloads.filter(isWanted), streams: streamBenchmarks.filter(isWanted) }
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (!(value > 0)) throw new RangeError(`--${name} must be a number above 0, not ${text}`)
  return value
}
