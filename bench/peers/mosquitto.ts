import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { commandOutput } from '../machine.ts'
import type { Peer } from '../peer.ts'
import { freePort, type ProcessGroup, type RunningBroker } from '../process.ts'

/** Eclipse Mosquitto from the distribution's package, all in memory: it is the baseline of the published ratios. */
export class MosquittoPeer implements Peer {
  readonly name = 'mosquitto'
  readonly setup =
    'persistence off, max_queued_messages 0 (no limit, so that fan-in drops nothing), everything else at its default (max_inflight_messages 20)'

  async unavailable(): Promise<string | undefined> {
    return (await commandOutput('mosquitto', ['-h'])) ? undefined : 'not installed (Debian: apt-get install mosquitto)'
  }

  async version(): Promise<string> {
    return /version (\S+)/.exec(await commandOutput('mosquitto', ['-h']))?.[1] ?? 'unknown'
  }

  async start(processes: ProcessGroup, folder: string): Promise<RunningBroker> {
    const port = await freePort()
    const file = join(folder, 'mosquitto.conf')
    const lines = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence false',
      'max_queued_messages 0',
      'log_type error'
    ]
    await writeFile(file, `${lines.join('\n')}\n`)
    return processes.start('mosquitto', ['-c', file], port, folder)
  }
}
