import { AppliedStreams, openManifest } from '../../lib/apply/applied-streams.ts'
import type { Manifest } from '../../lib/apply/manifest.ts'
import type { ReaderPosition } from '../../lib/apply/plan.ts'
import type { StreamConfig } from '../../lib/config/config.ts'
import { parseStreamsFile } from '../../lib/config/streams-file.ts'
import { Streams } from '../../lib/stream/streams.ts'
import type { MemoryFileSystem } from '../stream/memory-file-system.ts'
import { ManualClock, TestLogger } from '../stream/open-log.ts'

export const FOLDER = '/data/streams'

/** Streams as they stand in a file: `wanted("a: { filter: 'a/#' }")`. */
export function wanted(...lines: string[]): Record<string, StreamConfig> {
  return parseStreamsFile(`streams:\n${lines.map(line => `  ${line}`).join('\n')}\n`, 'streams.yaml').streams
}

/** Applied streams without a broker: who would follow is written down. */
export class ApplyWorld {
  readonly manifest: Manifest
  readonly streams: Streams
  readonly applied: AppliedStreams
  readonly clock: ManualClock
  readonly logger: TestLogger
  readonly followed: string[]
  /** Who reads, for the plan. */
  readonly readers: ReaderPosition[]

  private constructor(parts: Omit<ApplyWorld, 'close'>) {
    this.manifest = parts.manifest
    this.streams = parts.streams
    this.applied = parts.applied
    this.clock = parts.clock
    this.logger = parts.logger
    this.followed = parts.followed
    this.readers = parts.readers
  }

  /** As the server opens them. */
  static async open(fileSystem: MemoryFileSystem, configured: Record<string, StreamConfig> = {}): Promise<ApplyWorld> {
    const clock = new ManualClock()
    const logger = new TestLogger()
    const manifest = await openManifest(fileSystem, FOLDER, configured, logger)
    const declarations = Object.entries({ ...manifest.streams, ...configured }).map(([name, settings]) => ({ name, ...settings }))
    const streams = await Streams.open({ folder: FOLDER, declarations, fileSystem, clock, logger, retentionIntervalMs: 0 })
    const followed: string[] = []
    const readers: ReaderPosition[] = []
    const follower = {
      add: ({ filter }: { filter: string }) => followed.push(`add ${filter}`),
      change: ({ filter }: { filter: string }) => followed.push(`change ${filter}`),
      remove: async (name: string) => {
        followed.push(`remove ${name}`)
      },
      readers: () => readers
    }
    const applied = new AppliedStreams({ manifest, streams, folder: FOLDER, configured, follower, fileSystem, clock, logger })
    return new ApplyWorld({ manifest, streams, applied, clock, logger, followed, readers })
  }

  async close(): Promise<void> {
    await this.applied.close()
    await this.streams.close()
  }
}
