import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { LoadGenerator } from './generator.ts'
import { drainSecondsDefault, failedMeasurement, type Measurement, measurementOf } from './measurement.ts'
import type { Peer } from './peer.ts'
import type { ProcessGroup, RunningBroker } from './process.ts'
import type { LoadOptions, Workload } from './workload.ts'

export interface Pace {
  rounds: number
  seconds: number
  warmupSeconds: number
}

/** All rounds of one workload: the measurements of each peer in the order they were taken. */
export interface WorkloadRun {
  workload: Workload
  peers: Map<string, Measurement[]>
  /** What a reader must know about how it was run. */
  notes: string[]
}

/** What the load generator may need beyond the measured seconds: connecting and an unhurried broker. */
const spareSeconds = 90

/**
 * Runs workloads against peers. Peers alternate within a workload (A B A B), because a shared machine is faster in one minute
 * than in the next and neighbours in time are what can be compared.
 */
export class Runner {
  readonly #generator: LoadGenerator
  readonly #processes: ProcessGroup
  readonly #folder: string
  readonly #openFilesMax: number
  readonly #tell: (line: string) => void

  constructor(
    generator: LoadGenerator,
    processes: ProcessGroup,
    folder: string,
    openFilesMax: number,
    tell: (line: string) => void
  ) {
    this.#generator = generator
    this.#processes = processes
    this.#folder = folder
    this.#openFilesMax = openFilesMax
    this.#tell = tell
  }

  async run(workload: Workload, peers: readonly Peer[], pace: Pace): Promise<WorkloadRun> {
    const { options, notes } = this.#optionsFor(workload, pace)
    for (const note of notes) this.#tell(`${workload.name}: ${note}`)
    const measurements = new Map<string, Measurement[]>(peers.map(peer => [peer.name, []]))
    for (let round = 0; round < pace.rounds; round++) {
      for (const peer of peers) {
        const measurement = await this.#runOnce(workload, peer, options)
        measurements.get(peer.name)!.push(measurement)
        const problem = measurement.failures.length ? `  FAILED: ${measurement.failures.join('; ')}` : ''
        this.#tell(
          `${workload.name} ${round + 1}/${pace.rounds} ${peer.name}: ${Math.round(measurement.value)} ${workload.measure.unit}${problem}`
        )
      }
    }
    return { workload, peers: measurements, notes }
  }

  async #runOnce(workload: Workload, peer: Peer, options: LoadOptions): Promise<Measurement> {
    const folder = await mkdtemp(join(this.#folder, `${peer.name}-`))
    let broker: RunningBroker | undefined
    try {
      broker = await peer.start(this.#processes, folder)
      const secondsMax = Number(options.seconds) + Number(options.warmup) + Number(options.drain) + spareSeconds
      return measurementOf(workload, await this.#generator.run(broker.port, broker.pids, options, secondsMax))
    } catch (error) {
      return failedMeasurement(error instanceof Error ? error.message : String(error))
    } finally {
      await broker?.stop()
      await rm(folder, { recursive: true, force: true })
    }
  }

  #optionsFor(workload: Workload, pace: Pace): { options: LoadOptions; notes: string[] } {
    const options: Record<string, string | number> = {
      seconds: pace.seconds,
      warmup: pace.warmupSeconds,
      drain: drainSecondsDefault,
      ...workload.load
    }
    // Fewer connections than the title says are measured only where this machine forbids more, and never without a word.
    const idleMax = this.#openFilesMax - 200
    if (Number(options.idle) > idleMax) {
      options.idle = idleMax
      return { options, notes: [`only ${idleMax} connections, because the hard limit of open files is ${this.#openFilesMax}`] }
    }
    return { options, notes: [] }
  }
}
