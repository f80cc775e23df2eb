import { commandOutput } from '../machine.ts'
import type { Pace } from '../runner.ts'
import { formatNumber } from '../table.ts'
import type { Scale, StreamBenchmark, StreamMeasurement } from './benchmarks.ts'
import type { StreamLab } from './lab.ts'
import type { StreamRun } from './report.ts'

const fullScale: Scale = { records: 2_000_000, backlogRecords: 300_000, openRecords: 10_000_000, seconds: 4 }
const quickScale: Scale = { records: 500_000, backlogRecords: 100_000, openRecords: 1_000_000, seconds: 1.5 }

/** Runs each benchmark's entrants in turn, round by round; an entrant whose program is not installed is left out. */
export async function runStreamBenchmarks(
  lab: StreamLab,
  benchmarks: readonly StreamBenchmark[],
  pace: Pace,
  isQuick: boolean,
  tell: (line: string) => void
): Promise<StreamRun[]> {
  const hasMosquitto = benchmarks.length > 0 && (await commandOutput('mosquitto', ['-h'])) !== ''
  const scale = { ...(isQuick ? quickScale : fullScale), seconds: pace.seconds }
  const runs: StreamRun[] = []
  for (const benchmark of benchmarks) {
    const taking = benchmark.entrants.filter(({ name }) => hasMosquitto || name !== 'mosquitto')
    const entrants = new Map<string, StreamMeasurement[]>(taking.map(({ name }) => [name, []]))
    for (let round = 0; round < pace.rounds; round++) {
      for (const entrant of taking) {
        const measurement = await entrant.measure(lab, scale).catch(failed)
        entrants.get(entrant.name)!.push(measurement)
        const { value, cpuMicroseconds, failures } = measurement
        const problem = failures.length ? `  FAILED: ${failures.join('; ')}` : ''
        tell(
          `${benchmark.name} ${round + 1}/${pace.rounds} ${entrant.name}: ${formatNumber(value)} ${benchmark.unit}, CPU ${formatNumber(cpuMicroseconds)} µs${problem}`
        )
      }
    }
    runs.push({ benchmark, entrants })
  }
  return runs
}

function failed(error: unknown): StreamMeasurement {
  return { value: Number.NaN, cpuMicroseconds: Number.NaN, failures: [error instanceof Error ? error.message : String(error)] }
}
