import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Peer } from '../peer.ts'
import { freePort, type ProcessGroup, type RunningBroker } from '../process.ts'
import { streamFilter } from '../workload.ts'

/** The configuration that is measured; what it does not name is at its default. */
export function benchmarkConfig(port: number, adminPort: number, data: string): string {
  return stringify({
    data,
    listeners: [{ type: 'tcp', host: '127.0.0.1', port }],
    admin: { host: '127.0.0.1', port: adminPort },
    access: { anonymous: true },
    streams: { telemetry: { filter: streamFilter, ack: 'synced' } },
    log: { level: 'warn' }
  })
}

/** The broker of a checkout that has been built, as its users start it: durable, synced before each ack, metrics on. */
export class TributaryPeer implements Peer {
  readonly name: string
  readonly setup = 'one stream on devices/+/telemetry with ack: synced, metrics on, no ACL, log level warn, default limits'
  readonly #root: string

  constructor(root: string, name = 'tributary') {
    this.#root = root
    this.name = name
  }

  async unavailable(): Promise<string | undefined> {
    return access(this.#program).then(
      () => undefined,
      () => `not built (no ${this.#program})`
    )
  }

  async version(): Promise<string> {
    const manifest: unknown = JSON.parse(await readFile(join(this.#root, 'package.json'), 'utf8'))
    return manifest && typeof manifest === 'object' && 'version' in manifest ? String(manifest.version) : 'unknown'
  }

  async start(processes: ProcessGroup, folder: string): Promise<RunningBroker> {
    const [port, adminPort] = [await freePort(), await freePort()]
    const file = join(folder, 'tributary.yaml')
    await writeFile(file, benchmarkConfig(port, adminPort, join(folder, 'data')))
    return processes.start(process.execPath, [this.#program, 'start', '--config', file], port, folder)
  }

  get #program(): string {
    return join(this.#root, 'build', 'bin', 'tributary.js')
  }
}
