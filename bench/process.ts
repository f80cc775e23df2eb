import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const startPatienceMilliseconds = 20_000
const stopPatienceMilliseconds = 15_000

export interface RunningBroker {
  port: number
  pids: readonly number[]
  stop(): Promise<void>
}

/** Owns every broker the benchmark starts: none outlives it, whatever ends it. */
export class ProcessGroup {
  readonly #children = new Set<ChildProcess>()

  /**
   * Starts a broker with as many file descriptors as the hard limit allows and waits until `port` accepts connections. Its output
   * goes to broker.log in `folder`. Rejects, with the end of that log, when it exits before or does not listen in time.
   */
  async start(command: string, args: readonly string[], port: number, folder: string): Promise<RunningBroker> {
    const log = join(folder, 'broker.log')
    const output = openSync(log, 'a')
    const raise = 'ulimit -n "$(ulimit -Hn)" 2>/dev/null; exec "$@"'
    const child = spawn('/bin/sh', ['-c', raise, 'sh', command, ...args], { stdio: ['ignore', output, output], cwd: folder })
    closeSync(output)
    this.#children.add(child)
    const gone = new Promise<void>(resolve => {
      child.once('error', () => resolve())
      child.once('exit', () => resolve())
    }).then(() => this.#children.delete(child))
    const deadline = Date.now() + startPatienceMilliseconds
    while (!(await accepts(port))) {
      if (!this.#children.has(child) || Date.now() > deadline) {
        await this.#stop(child, gone)
        throw new Error(
          `${command} did not listen on port ${port}: ${readFileSync(log, 'utf8').slice(-500).trim() || 'no output'}`
        )
      }
      await delay(50)
    }
    return { port, pids: [child.pid!], stop: () => this.#stop(child, gone) }
  }

  /** For the end of the process, when nothing can be awaited any more. */
  killAll(): void {
    for (const child of this.#children) child.kill('SIGKILL')
  }

  async #stop(child: ChildProcess, gone: Promise<unknown>): Promise<void> {
    child.kill('SIGTERM')
    const patience = new AbortController()
    await Promise.race([gone, delay(stopPatienceMilliseconds, undefined, { signal: patience.signal, ref: false })])
    patience.abort()
    if (!this.#children.has(child)) return
    child.kill('SIGKILL')
    await gone
  }
}

/** A port nobody listens on. Somebody else may take it before it is used: then the broker's start fails and says so. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no free port'))))
    })
  })
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
