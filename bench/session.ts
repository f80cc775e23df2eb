import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { CannotRun, LoadGenerator } from './generator.ts'
import { describeMachine, type Machine } from './machine.ts'
import type { Peer } from './peer.ts'
import { ProcessGroup } from './process.ts'
import { Runner } from './runner.ts'
import { StreamLab } from './streams/lab.ts'

/** The checkout this benchmark was built from: build/bench/session.js is two folders below it. */
export const root = resolve(import.meta.dirname, '..', '..')

export interface Session {
  runner: Runner
  lab: StreamLab
  machine: Machine
}

/**
 * Sets up what every benchmark needs, runs `work`, and leaves nothing behind: neither processes nor folders, also when it fails or
 * is interrupted. The data is on the disk of the checkout, because /tmp is often memory. Returns the exit code of `work`;
 * 2 when benchmarks cannot run here, with the reason on stderr.
 */
export async function withSession(work: (session: Session) => Promise<number>): Promise<number> {
  const processes = new ProcessGroup()
  process.once('exit', () => processes.killAll())
  await mkdir(join(root, 'build'), { recursive: true })
  const folder = await mkdtemp(join(root, 'build', 'bench-data-'))
  let lab: StreamLab | undefined
  const interrupted = new Promise<number>(done => {
    process.once('SIGINT', () => done(130))
    process.once('SIGTERM', () => done(143))
  })
  try {
    const generator = await LoadGenerator.compile(join(root, 'bench'), folder)
    const machine = await describeMachine(root, folder)
    const runner = new Runner(generator, processes, folder, machine.openFilesMax, line => console.error(line))
    lab = new StreamLab(generator, processes, folder, root)
    return await Promise.race([work({ runner, lab, machine }), interrupted])
  } catch (error) {
    if (!(error instanceof CannotRun)) throw error
    console.error(`bench cannot run: ${error.message}`)
    return 2
  } finally {
    processes.killAll()
    lab?.killAll()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Those peers that can run here; says of the others why they cannot. */
export async function availablePeers(peers: readonly Peer[]): Promise<Peer[]> {
  const reasons = await Promise.all(peers.map(peer => peer.unavailable()))
  peers.forEach((peer, i) => {
    if (reasons[i]) console.error(`without ${peer.name}: ${reasons[i]}`)
  })
  return peers.filter((_, i) => reasons[i] === undefined)
}
