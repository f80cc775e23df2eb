import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { join } from 'node:path'
import { z } from 'zod'
import type { LoadGenerator } from '../generator.ts'
import { benchmarkConfig } from '../peers/tributary.ts'
import { freePort, type ProcessGroup } from '../process.ts'
import { processCpuSeconds } from './process-cpu.ts'

const readSchema = z.strictObject({
  records: z.number(),
  measured: z.number(),
  seconds: z.number(),
  brokerCpuSeconds: z.number(),
  loadCpuSeconds: z.number(),
  isEachOnce: z.boolean()
})
const figuresSchema = z.record(z.string(), z.number())

export type ReadOutcome = z.infer<typeof readSchema>

export interface LabBroker {
  port: number
  adminPort: number
  pid: number
}

export interface ReadRequest {
  version: 4 | 5
  qos: 0 | 1
  /** Undefined takes up the session `reader-0`. */
  filter?: string
  members?: number
  records: number
  warmup: number
}

/** Where streams are measured: folders filled once and used by all rounds, brokers on them, readers beside them. */
export class StreamLab {
  readonly generator: LoadGenerator
  readonly #processes: ProcessGroup
  readonly #folder: string
  readonly #root: string
  readonly #filled = new Map<number, Promise<string>>()
  readonly #children = new Set<ChildProcess>()

  constructor(generator: LoadGenerator, processes: ProcessGroup, folder: string, root: string) {
    this.generator = generator
    this.#processes = processes
    this.#folder = folder
    this.#root = root
  }

  /** The data folder of a stream with this many records, closed cleanly. */
  filled(records: number): Promise<string> {
    let folder = this.#filled.get(records)
    if (folder === undefined) {
      folder = this.#fill(records)
      this.#filled.set(records, folder)
    }
    return folder
  }

  /** A folder of its own for `work`, removed afterwards. */
  async withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
    const folder = await mkdtemp(join(this.#folder, 'streams-'))
    try {
      return await work(folder)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  /** Tributary on a data folder, with no sessions of an earlier round. */
  withBroker<T>(data: string, work: (broker: LabBroker) => Promise<T>): Promise<T> {
    return this.withFolder(async folder => {
      await rm(join(data, 'store'), { recursive: true, force: true })
      const [port, adminPort] = [await freePort(), await freePort()]
      const file = join(folder, 'tributary.yaml')
      await writeFile(file, benchmarkConfig(port, adminPort, data))
      const program = join(this.#root, 'build', 'bin', 'tributary.js')
      return this.#running(process.execPath, [program, 'start', '--config', file], port, adminPort, folder, work)
    })
  }

  /** Mosquitto with queues as long as they need to be, QoS 0 included, and a window like ours. */
  withMosquitto<T>(work: (broker: LabBroker) => Promise<T>): Promise<T> {
    return this.withFolder(async folder => {
      const port = await freePort()
      const file = join(folder, 'mosquitto.conf')
      const settings = ['persistence false', 'max_queued_messages 0', 'queue_qos0_messages true', 'max_inflight_messages 1024']
      await writeFile(file, [`listener ${port} 127.0.0.1`, 'allow_anonymous true', ...settings, 'log_type error', ''].join('\n'))
      return this.#running('mosquitto', ['-c', file], port, 0, folder, work)
    })
  }

  async read({ port, pid }: LabBroker, request: ReadRequest): Promise<ReadOutcome> {
    const output = await this.#script('reader.js', [JSON.stringify({ port, pid, ...request })])
    return readSchema.parse(JSON.parse(output))
  }

  /** Keeps one reader reading from the beginning, over and over, while `work` runs. */
  async besideReader<T>({ port, pid }: LabBroker, request: ReadRequest, work: () => Promise<T>): Promise<T> {
    const options = JSON.stringify({ port, pid, ...request, again: true })
    const reader = this.#spawn('reader.js', [options])
    try {
      return await work()
    } finally {
      reader.kill('SIGKILL')
    }
  }

  async tool(command: string, folder: string, records: number): Promise<Record<string, number>> {
    return figuresSchema.parse(JSON.parse(await this.#script('tool.js', [command, folder, String(records)])))
  }

  /** Lines of an HTTP answer of the admin listener, and what they cost the broker. */
  async countLines({ adminPort, pid }: LabBroker, path: string): Promise<{ lines: number; seconds: number; cpuSeconds: number }> {
    const cpu = processCpuSeconds(pid)
    const beganMs = performance.now()
    const lines = await new Promise<number>((resolve, reject) => {
      let count = 0
      get({ host: '127.0.0.1', port: adminPort, path, headers: { accept: 'application/x-ndjson' } }, answer => {
        if (answer.statusCode !== 200) return reject(new Error(`GET ${path} was answered with ${answer.statusCode}`))
        answer.on('data', (chunk: Buffer) => {
          for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) count++
        })
        answer.once('end', () => resolve(count)).once('error', reject)
      }).once('error', reject)
    })
    return { lines, seconds: (performance.now() - beganMs) / 1000, cpuSeconds: processCpuSeconds(pid) - cpu }
  }

  /** Ends what an interrupted run left. */
  killAll(): void {
    for (const child of this.#children) child.kill('SIGKILL')
  }

  async #fill(records: number): Promise<string> {
    const data = join(this.#folder, `stream-of-${records}`)
    await mkdir(data)
    await this.tool('fill', data, records)
    return data
  }

  async #running<T>(
    command: string,
    args: string[],
    port: number,
    adminPort: number,
    folder: string,
    work: (broker: LabBroker) => Promise<T>
  ): Promise<T> {
    const running = await this.#processes.start(command, args, port, folder)
    try {
      return await work({ port, adminPort, pid: running.pids[0]! })
    } finally {
      await running.stop()
    }
  }

  #spawn(script: string, args: string[]): ChildProcess {
    const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  /** What a script of this folder printed; one that was killed may have printed all it had to say. */
  #script(script: string, args: string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = this.#spawn(script, args)
      let output = ''
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
      child.once('error', reject)
      child.once('close', code => {
        if (output === '') reject(new Error(`${script} ${args[0]} ended with ${code} and said nothing`))
        else resolve(output)
      })
    })
  }
}
