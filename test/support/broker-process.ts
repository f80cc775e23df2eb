import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../bin/tributary.js', import.meta.url))

/** Below the ports that systems give to outgoing connections, so that no client of another test takes it meanwhile. */
const firstPort = 20_000
const ports = 12_000

/** A port nobody listens on now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = firstPort + randomInt(ports)
    const server = createServer()
    server.listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
    } catch {
      continue
    }
    server.close()
    await once(server, 'close')
    return port
  }
}

/** The built broker as its own process, as an operator starts it. */
export class BrokerProcess {
  readonly folder: string
  readonly port: number
  readonly adminPort: number
  readonly #config: string
  #child: ChildProcess | undefined
  /** What it printed since the last start. */
  output = ''

  private constructor(folder: string, port: number, adminPort: number, config: string) {
    this.folder = folder
    this.port = port
    this.adminPort = adminPort
    this.#config = config
  }

  /** Writes a configuration; `extra` is appended to it as YAML. */
  static async create(extra = ''): Promise<BrokerProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-process-'))
    const port = await freePort()
    const adminPort = await freePort()
    const config = join(folder, 'tributary.yaml')
    const text = [
      `data: ${join(folder, 'data')}`,
      `listeners: [{ type: tcp, host: 127.0.0.1, port: ${port} }]`,
      `admin: { host: 127.0.0.1, port: ${adminPort} }`,
      extra
    ]
    await writeFile(config, `${text.join('\n')}\n`)
    return new BrokerProcess(folder, port, adminPort, config)
  }

  get dataFolder(): string {
    return join(this.folder, 'data')
  }

  /** Resolves when the broker says it is ready over its admin listener. */
  async start(): Promise<void> {
    this.output = ''
    const child = spawn(process.execPath, [bin, 'start', '--config', this.#config], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    const collect = (bytes: Buffer) => {
      this.output += bytes.toString()
    }
    child.stdout?.on('data', collect)
    child.stderr?.on('data', collect)
    const deadline = Date.now() + 30_000
    for (;;) {
      if (child.exitCode !== null) throw new Error(`the broker ended with ${child.exitCode}:\n${this.output}`)
      if (await this.#ready()) return
      if (Date.now() > deadline) throw new Error(`the broker did not get ready:\n${this.output}`)
      // Asked without a pause, it would have to share its core with the asking.
      await delay(25)
    }
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Ends it as Ctrl-C does; returns its exit code. */
  async stop(): Promise<number | null> {
    return this.#end('SIGINT')
  }

  async #ready(): Promise<boolean> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.adminPort}/readyz`)
      await response.arrayBuffer()
      return response.ok
    } catch {
      return false
    }
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    child.kill(signal)
    await once(child, 'exit')
    return child.exitCode
  }
}
