import type { ChunkPool } from './chunk-pool.ts'
import type { AckMode, Cleanup, CompactionPolicy, RetentionPolicy } from './contract.ts'
import type { FileSystem } from './file-system.ts'
import type { KeyField } from './key-partition.ts'
import type { Clock, Logger } from './surroundings.ts'

/** What may change while a stream is open. */
export interface StreamLogSettings {
  key: KeyField
  partitions: number
  retention: RetentionPolicy
  cleanup: Cleanup
  compaction: CompactionPolicy
  ack: AckMode
  /** A segment is left for a new one before it would grow beyond this. */
  segmentBytesMax: number
}

export interface StreamLogOptions extends StreamLogSettings {
  name: string
  /** The stream's own folder; created when missing. */
  folder: string
  fileSystem: FileSystem
  clock: Clock
  logger: Logger
  pool: ChunkPool
  /** Told after each sync that wrote something, with the seconds it took and the bytes that were written. */
  onSync: (stream: string, seconds: number, bytes: number) => void
}

const DAY_MS = 86_400_000
const MIB = 1024 * 1024

export const compactionDefaults: CompactionPolicy = {
  tombstoneAgeMs: DAY_MS,
  minDirtyRatio: 0.5,
  maxLagMs: DAY_MS,
  memoryBytes: 64 * MIB,
  bytesPerSecond: 32 * MIB
}
