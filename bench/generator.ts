import { spawn } from 'node:child_process'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { commandOutput } from './machine.ts'
import { type LoadResult, parseLoadResult } from './result.ts'
import type { LoadOptions } from './workload.ts'

const sources = ['load.c', 'load-client.c', 'load-packet.c', 'load-measure.c']

/** The benchmark cannot run here at all, and the message says why in words for the person at the terminal. */
export class CannotRun extends Error {
  override readonly name = 'CannotRun'
}

/** The load generator: C, because one in Node would measure itself. Compiled on use, so that no binary has to be shipped. */
export class LoadGenerator {
  readonly #program: string

  private constructor(program: string) {
    this.#program = program
  }

  /** Compiles the C sources of `sourceFolder` into `folder`. Throws CannotRun without a C compiler or when it rejects them. */
  static async compile(sourceFolder: string, folder: string): Promise<LoadGenerator> {
    if (process.platform !== 'linux') throw new CannotRun('the load generator needs Linux (epoll and /proc)')
    const compiler = await findCompiler()
    const program = join(folder, 'load')
    const complaints = await commandOutput(compiler, ['-O2', '-o', program, ...sources.map(name => join(sourceFolder, name))])
    await access(program).catch(() => {
      throw new CannotRun(`${compiler} could not compile the load generator:\n${complaints}`)
    })
    return new LoadGenerator(program)
  }

  /** One run against a broker. Rejects when the generator refuses its options, dies, or takes longer than `secondsMax`. */
  run(port: number, pids: readonly number[], options: LoadOptions, secondsMax: number): Promise<LoadResult> {
    const words = Object.entries({ port, pids: pids.join(','), ...options }).flatMap(([name, value]) => [
      `--${name}`,
      String(value)
    ])
    return new Promise((resolve, reject) => {
      const child = spawn(this.#program, words, {
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: secondsMax * 1000,
        killSignal: 'SIGKILL'
      })
      let output = ''
      let complaints = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
      child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text))
      child.once('error', reject)
      child.once('close', (code, signal) => {
        if (signal) reject(new Error(`the load generator was stopped by ${signal} (limit ${secondsMax} s)`))
        else if (code !== 0) reject(new Error(`the load generator failed: ${complaints.trim().split('\n')[0] ?? code}`))
        else {
          try {
            resolve(parseLoadResult(output))
          } catch (error) {
            reject(error)
          }
        }
      })
    })
  }
}

async function findCompiler(): Promise<string> {
  const candidates = [process.env.CC, 'cc', 'gcc', 'clang'].filter(name => name !== undefined)
  for (const candidate of candidates) if (await commandOutput(candidate, ['--version'])) return candidate
  throw new CannotRun(
    `the load generator is written in C and there is no C compiler (looked for ${candidates.join(', ')}); on Debian: apt-get install gcc libc6-dev`
  )
}
