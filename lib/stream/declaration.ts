import { TributaryError } from '../errors.ts'
import type { AckMode, Cleanup, CompactionPolicy, RetentionPolicy } from './contract.ts'
import type { GroupSettings } from './groups/contract.ts'
import type { KeyField } from './key-partition.ts'
import { retentionOf } from './retention.ts'
import { compactionDefaults, type StreamLogSettings } from './stream-log-options.ts'

/** A stream as an operator declares it. */
export interface StreamDeclaration {
  /** Also the name of its folder: letters, digits, _, - and inner dots; the broker's own begin with $. */
  name: string
  /** Topic Filter of the messages that enter the stream. */
  filter: string
  key: KeyField
  partitions: number
  retention: RetentionPolicy
  /** Default `delete`. With `compact` alone, retention counts for nothing. */
  cleanup?: Cleanup
  /** Default compactionDefaults. */
  compaction?: CompactionPolicy
  ack: AckMode
  /** Default 64 MiB, but at most an eighth of `retention.bytes`, so that retention has something to cut. */
  segmentBytesMax?: number
  /** How consumer groups treat what is not acknowledged; default defaultGroupSettings. */
  groups?: GroupSettings
}

const SEGMENT_BYTES_MAX = 64 * 1024 * 1024
const SEGMENT_BYTES_MIN = 64 * 1024

/** A name that could leave the folder must not get here, whoever the caller is. */
const STREAM_NAME = /^\$?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_-])?$/

export function isStreamName(name: string): boolean {
  return STREAM_NAME.test(name)
}

/** @throws TributaryError TRB_CONFIG_INVALID when two streams would share a folder, or one could not have one. */
export function demandValid(declarations: readonly StreamDeclaration[]): void {
  const seen = new Set<string>()
  for (const { name, partitions } of declarations) {
    if (!isStreamName(name)) throw new TributaryError('TRB_CONFIG_INVALID', `${JSON.stringify(name)} is not a stream name`)
    if (!Number.isSafeInteger(partitions) || partitions < 1) {
      throw new TributaryError('TRB_CONFIG_INVALID', `stream ${name}: expected at least one partition, got ${partitions}`)
    }
    if (seen.has(name.toLowerCase())) throw new TributaryError('TRB_CONFIG_INVALID', `stream ${name} is declared twice`)
    seen.add(name.toLowerCase())
  }
}

/** The declaration as the log takes it. */
export function logSettings(declaration: StreamDeclaration): StreamLogSettings {
  const { key, partitions, ack, segmentBytesMax, cleanup = 'delete', compaction = compactionDefaults } = declaration
  const retention = retentionOf({ cleanup, retention: declaration.retention })
  const settings = { key, partitions, retention, cleanup, compaction, ack }
  return { ...settings, segmentBytesMax: fittingSegmentBytes(segmentBytesMax, retention) }
}

function fittingSegmentBytes(asked = SEGMENT_BYTES_MAX, retention: RetentionPolicy): number {
  if (retention.bytes === 0) return asked
  return Math.min(asked, Math.max(SEGMENT_BYTES_MIN, Math.floor(retention.bytes / 8)))
}
