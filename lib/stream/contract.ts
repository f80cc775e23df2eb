import type { Qos } from '../mqtt/packet.ts'

/**
 * The stream store's contract. The embedded implementation is segment files in one folder; a clustered one may sit on another
 * engine. Appending is synchronous and buffered; nothing is durable until `sync()` has resolved.
 */

/** Position of a record in its stream; starts at 0, never reused. A safe integer. */
export type Offset = number

export interface RetentionPolicy {
  /** Records older than this may be removed; 0 = keep for ever. Milliseconds. */
  ageMs: number
  /** Segment bytes above which the oldest segments are removed; 0 = no limit. */
  bytes: number
}

/**
 * What happens to old records: `delete` = retention removes them by age and size, `compact` = all but the last one of each key are
 * removed and nothing else, `compact-delete` = both.
 */
export type Cleanup = 'delete' | 'compact' | 'compact-delete'

export interface CompactionPolicy {
  /** How long a tombstone stays after what was before it has been removed, so that every reader can come by. Milliseconds. */
  tombstoneAgeMs: number
  /** A run begins when at least this part of the bytes, 0 to 1, came since the last one. */
  minDirtyRatio: number
  /** A record that has been replaced is removed at the latest this long after it was appended, and a run later. Milliseconds. */
  maxLagMs: number
  /** What the last offsets of keys may take while a run is on; when they take more, it is made of several passes. */
  memoryBytes: number
  /** How much a run reads and writes per second. */
  bytesPerSecond: number
}

export interface CompactionStats {
  /** True while a run is on. */
  running: boolean
  /** Which part of the bytes that could be compacted came since the last run, 0 to 1. */
  dirtyRatio: number
  /** Epoch ms; undefined = never. */
  lastRunMs: number | undefined
  /** Segments that are left as they are because of damage in them. */
  damagedSegments: number
  /** Since the stream was opened. */
  runs: number
  failures: number
  removedRecords: number
  reclaimedBytes: number
}

/** One (topic, publisher) pair prepared once per route, so that an append copies bytes and looks nothing up. */
export interface RecordSource {
  readonly topic: string
  readonly clientId: string
  readonly partition: number
}

export interface StreamRecord {
  offset: Offset
  /** hash(key) mod partitions */
  partition: number
  /** Epoch milliseconds at which the broker accepted it. */
  timestampMs: number
  topic: string
  clientId: string
  qos: Qos
  retain: boolean
  /** Encoded MQTT 5 properties, as in lib/mqtt/message.ts; empty if none. */
  properties: Buffer
  /** Epoch milliseconds; 0 = never. */
  expiresAtMs: number
  /** Packet Identifier it came with; only in streams that look for repetitions by it. */
  packetId?: number
  /** Like properties a view of a block of up to 256 KiB that was read at once: copy what is kept for long. */
  payload: Buffer
}

/** Offsets [fromOffset, toOffset) are lost: damaged on disk, or their segment is missing. */
export interface StreamGap {
  fromOffset: Offset
  toOffset: Offset
}

/**
 * What the publisher's ack waits for. `synced`: sync(). `written` and `received` ask for less; this store's sync() is one durable
 * write, so there is nothing between to wait for: `received` acks at once, `written` may be treated like `synced`.
 */
export type AckMode = 'synced' | 'written' | 'received'

/** Where a read starts. A Date/time means the first record with timestampMs >= it. */
export type ReadFrom = 'earliest' | 'latest' | { offset: Offset } | { timeMs: number }

export interface ReadOptions {
  from: ReadFrom
  /** Stop after this many selected records; default: no limit. */
  limit?: number
  /**
   * Which records are wanted, by topic, publisher and partition. Asked once per source and batch on disk, about every 256 KiB;
   * records of other sources are stepped over without being made.
   */
  select?: (source: RecordSource) => boolean
  /** Wait for new records at the end instead of finishing. */
  follow?: boolean
  /** Aborting makes the iteration throw signal.reason. */
  signal?: AbortSignal
  /**
   * What to do when retention has removed the next offset, at the start or on the way: throw TRB_OFFSET_OUT_OF_RANGE (default), or
   * tell `onRemoved` and go on at the earliest record, or at what is durable by then.
   */
  outOfRange?: 'fail' | 'earliest' | 'latest'
  /** Told which offsets `outOfRange` passes over. */
  onRemoved?: (removed: StreamGap) => void
  /**
   * Called for each stretch of lost offsets on the way; the read then continues behind it. Without it the read throws
   * TRB_STREAM_CORRUPT (a StreamCorruptError with the gap), because records are never skipped in silence.
   */
  onGap?: (gap: StreamGap) => void
}

/** A stretch of a stream that was read at once. */
export interface ReadBatch {
  /** What was selected of it, in offset order; may be empty. Offsets that compaction has removed are missing without a gap. */
  readonly records: readonly StreamRecord[]
  /** Behind the last offset looked at: a read that begins here goes on without repeating or missing a record. */
  readonly nextOffset: Offset
}

export interface StreamStats {
  name: string
  earliestOffset: Offset
  /** Offset the next record gets. */
  nextOffset: Offset
  /** Offset behind the last record that is on disk, where a read from `latest` begins. */
  durableOffset: Offset
  bytes: number
  segments: number
  /** Epoch ms of the earliest and last record; undefined when empty. */
  earliestTimestampMs: number | undefined
  latestTimestampMs: number | undefined
  /** Only of streams that are compacted. */
  compaction?: CompactionStats
}

export interface Stream {
  readonly name: string
  readonly partitions: number
  /** Offset the next append gets. */
  readonly nextOffset: Offset
  /** True when records wait for sync(). */
  readonly dirty: boolean
  /** Bytes waiting in the active batch. */
  readonly pendingBytes: number

  source(topic: string, clientId: string): RecordSource
  /**
   * Copies one record into the active batch and returns its offset. Never waits, never throws for I/O: a failed write shows in
   * the next sync(). `payload` is bytes[payloadStart, payloadEnd). `packetId` > 0 is kept with the record.
   */
  append(
    source: RecordSource,
    qos: Qos,
    retain: boolean,
    timestampMs: number,
    expiresAtMs: number,
    properties: Buffer,
    bytes: Buffer,
    payloadStart: number,
    payloadEnd: number,
    packetId?: number
  ): Offset
  /**
   * Ends the batch: the next sync() writes what was appended before this call and nothing that is appended after it. For callers
   * that must put something else on disk between the two calls, before the records and not before later ones.
   */
  seal(): void
  /**
   * Makes everything appended before the call durable with one write. One at a time: the caller awaits it before calling again;
   * appends made meanwhile go into the next batch. Rejects TRB_STREAM_WRITE_FAILED (a StreamWriteError); then EVERY record that
   * was not durable yet is discarded, those appended since the call included, in the same turn in which the promise rejects. None
   * of them is in the stream and their offsets are given again. The stream has healed itself for the next append, or it stays
   * failed, says so, and every sync() tries to heal it first.
   */
  sync(): Promise<void>
  /** Only records that are durable are ever yielded. In offset order. */
  read(options: ReadOptions): AsyncIterable<StreamRecord>
  /**
   * The same, many records at a time. Also yields where nothing was selected, so that a reader's position moves on; a read from a
   * time yields nothing before it has found its first record.
   */
  readBatches(options: ReadOptions): AsyncIterable<ReadBatch>
  stats(): StreamStats
  /**
   * Tells the listener before retention removes records, with the offset that is going to be the earliest one. What is returned ends
   * that. A stream without retention may leave it out.
   */
  beforeRemoval?(listener: (earliestOffset: Offset) => void): () => void
}
