import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { freePort, type ProcessGroup, type RunningBroker } from '../process.ts'

/** A broker that is a script of this folder, started as `node SCRIPT PORT FOLDER`: stock Aedes and the limit prototypes. */
export class ScriptPeer implements Peer {
  readonly name: string
  readonly setup: string
  readonly #script: string
  readonly #packageFile: string | undefined

  constructor(name: string, setup: string, script: string, packageFile?: string) {
    this.name = name
    this.setup = setup
    this.#script = script
    this.#packageFile = packageFile
  }

  async unavailable(): Promise<string | undefined> {
    return (await this.version()) === '' ? 'its package is not installed' : undefined
  }

  async version(): Promise<string> {
    if (!this.#packageFile) return 'of this checkout'
    const text = await readFile(this.#packageFile, 'utf8').catch(() => '{}')
    const manifest: unknown = JSON.parse(text)
    return manifest && typeof manifest === 'object' && 'version' in manifest ? String(manifest.version) : ''
  }

  async start(processes: ProcessGroup, folder: string): Promise<RunningBroker> {
    const port = await freePort()
    return processes.start(process.execPath, [this.#script, String(port), folder], port, folder)
  }
}

/** Every script peer there is. `built` is the folder of the compiled benchmark, `root` that of the checkout. */
export function scriptPeers(built: string, root: string): ScriptPeer[] {
  return [
    new ScriptPeer('aedes', 'in memory, default options', join(built, 'aedes.js'), join(root, 'node_modules/aedes/package.json')),
    new ScriptPeer(
      'limit-durable',
      'bare Node prototype: writev and fdatasync before each PUBACK',
      join(built, 'limit-durable.js')
    ),
    new ScriptPeer('limit-memory', 'bare Node prototype: in memory', join(built, 'limit-memory.js'))
  ]
}
