import { ChunkPool } from '../../lib/stream/chunk-pool.ts'
import type { Offset, ReadOptions, StreamRecord } from '../../lib/stream/contract.ts'
import type { FileSystem } from '../../lib/stream/file-system.ts'
import { StreamLog } from '../../lib/stream/stream-log.ts'
import { compactionDefaults, type StreamLogOptions } from '../../lib/stream/stream-log-options.ts'
import type { Clock, Logger } from '../../lib/stream/surroundings.ts'

export const LOG_FOLDER = '/streams/log'
export const START_MS = 1_700_000_000_000

/** Time that only moves when the test says so. */
export class ManualClock implements Clock {
  nowMs = START_MS

  now(): number {
    return this.nowMs
  }
}

export interface LogLine {
  level: 'info' | 'warn' | 'error'
  details: Record<string, unknown>
  message: string
}

/** Remembers what was reported. */
export class TestLogger implements Logger {
  readonly lines: LogLine[] = []

  info(details: object, message: string): void {
    this.lines.push({ level: 'info', details: { ...details }, message })
  }

  warn(details: object, message: string): void {
    this.lines.push({ level: 'warn', details: { ...details }, message })
  }

  error(details: object, message: string): void {
    this.lines.push({ level: 'error', details: { ...details }, message })
  }

  at(level: LogLine['level']): LogLine[] {
    return this.lines.filter(line => line.level === level)
  }
}

export function openLog(fileSystem: FileSystem, options: Partial<StreamLogOptions> = {}): Promise<StreamLog> {
  return StreamLog.open({
    name: 'log',
    folder: LOG_FOLDER,
    key: 'clientId',
    partitions: 4,
    retention: { ageMs: 0, bytes: 0 },
    cleanup: 'delete',
    compaction: compactionDefaults,
    ack: 'synced',
    segmentBytesMax: 64 * 1024,
    fileSystem,
    clock: new ManualClock(),
    logger: new TestLogger(),
    pool: new ChunkPool(),
    onSync: () => undefined,
    ...options
  })
}

const none = Buffer.alloc(0)

export function append(log: StreamLog, payload: string | Buffer, timestampMs = START_MS, topic = 't', clientId = 'c'): Offset {
  const bytes = Buffer.from(payload)
  return log.append(log.source(topic, clientId), 1, false, timestampMs, 0, none, bytes, 0, bytes.length)
}

export async function appendSynced(log: StreamLog, ...payloads: string[]): Promise<void> {
  for (const payload of payloads) append(log, payload)
  await log.sync()
}

export async function collect(records: AsyncIterable<StreamRecord>): Promise<StreamRecord[]> {
  const all: StreamRecord[] = []
  for await (const record of records) all.push(record)
  return all
}

export async function payloads(
  log: { read(options: ReadOptions): AsyncIterable<StreamRecord> },
  options: ReadOptions = { from: 'earliest' }
): Promise<string[]> {
  return (await collect(log.read(options))).map(record => record.payload.toString())
}

/** `base` `0` is `/streams/log/0000000000000000.segment`. */
export function segmentFile(base: number, extension = 'segment'): string {
  return `${LOG_FOLDER}/${String(base).padStart(16, '0')}.${extension}`
}
