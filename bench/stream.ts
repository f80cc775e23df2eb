import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ChunkPool } from '../lib/stream/chunk-pool.ts'
import type { RecordSource } from '../lib/stream/contract.ts'
import { NodeFileSystem } from '../lib/stream/file-system.ts'
import { StreamLog } from '../lib/stream/stream-log.ts'
import { compactionDefaults } from '../lib/stream/stream-log-options.ts'
import { silentLogger, systemClock } from '../lib/stream/surroundings.ts'

/**
 * The stream's hot paths against the least a disk log can do: `writev` of the same bytes and `fdatasync`, and copying the payload
 * alone. Run by hand: `node build/bench/stream.js [folder]`; the folder's disk is what is measured.
 */
const DEVICES = 50
const RECORDS_PER_SYNC = 1000
const SYNCS = 1000
const PAYLOAD_BYTES = 100
const PACKET_BYTES = 130

const folder = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'tributary-bench-'))
try {
  const packets = Buffer.alloc(PACKET_BYTES * RECORDS_PER_SYNC, 'telemetry ')
  const copyNs = measureCopy(packets)
  const baselineMs = await measureBaseline(packets)
  const log = await openLog()
  const { appendNs, syncMs } = await measureAppend(log, packets)
  const stats = log.stats()
  await log.close()
  const openedMs = performance.now()
  const again = await openLog()
  const openMs = performance.now() - openedMs
  const read = await measureRead(again)
  const readBatches = await measureReadBatches(again)
  await again.close()
  print(
    'append',
    `${appendNs.toFixed(0)} ns/record`,
    `${(appendNs / copyNs).toFixed(1)} x copying the payload (${copyNs.toFixed(0)} ns)`
  )
  print(
    'sync',
    `${syncMs.toFixed(3)} ms`,
    `${(syncMs / baselineMs).toFixed(2)} x writev + fdatasync (${baselineMs.toFixed(3)} ms)`
  )
  print('size', `${(stats.bytes / stats.nextOffset).toFixed(1)} bytes/record`, `${PAYLOAD_BYTES} of them payload`)
  print('open', `${openMs.toFixed(1)} ms`, `${stats.nextOffset} records in ${stats.segments} segments after a clean stop`)
  print('read', `${(read / 1e6).toFixed(2)} M records/s`, 'one by one')
  print('readBatches', `${(readBatches / 1e6).toFixed(2)} M records/s`, 'in arrays')
} finally {
  rmSync(folder, { recursive: true })
}

function openLog(): Promise<StreamLog> {
  return StreamLog.open({
    name: 'bench',
    folder: join(folder, 'bench'),
    key: 'clientId',
    partitions: 8,
    retention: { ageMs: 0, bytes: 0 },
    cleanup: 'delete',
    compaction: compactionDefaults,
    ack: 'synced',
    segmentBytesMax: 64 * 1024 * 1024,
    fileSystem: new NodeFileSystem(),
    clock: systemClock,
    logger: silentLogger,
    pool: new ChunkPool(),
    onSync: () => undefined
  })
}

function measureCopy(packets: Buffer): number {
  const out = Buffer.alloc(PAYLOAD_BYTES * RECORDS_PER_SYNC)
  const started = performance.now()
  for (let i = 0; i < RECORDS_PER_SYNC * 300; i++) {
    const n = i % RECORDS_PER_SYNC
    const at = n * PACKET_BYTES + 30
    out.set(packets.subarray(at, at + PAYLOAD_BYTES), n * PAYLOAD_BYTES)
  }
  return ((performance.now() - started) * 1e6) / (RECORDS_PER_SYNC * 300)
}

async function measureBaseline(packets: Buffer): Promise<number> {
  const { open } = await import('node:fs/promises')
  const file = await open(join(folder, 'baseline'), 'w')
  const bytes = packets.subarray(0, RECORDS_PER_SYNC * 106)
  const rounds = 300
  const started = performance.now()
  for (let i = 0; i < rounds; i++) {
    await file.writev([bytes])
    await file.datasync()
  }
  await file.close()
  return (performance.now() - started) / rounds
}

async function measureAppend(log: StreamLog, packets: Buffer): Promise<{ appendNs: number; syncMs: number }> {
  const sources = Array.from({ length: DEVICES }, (_, i) => log.source(`devices/${i}/telemetry`, `device-${i}`))
  const none = Buffer.alloc(0)
  let appendMs = 0
  let syncMs = 0
  for (let round = 0; round < SYNCS; round++) {
    const started = performance.now()
    appendRound(log, sources, packets, none)
    const appended = performance.now()
    await log.sync()
    const warm = round >= 50
    if (warm) appendMs += appended - started
    if (warm) syncMs += performance.now() - appended
  }
  return { appendNs: (appendMs * 1e6) / ((SYNCS - 50) * RECORDS_PER_SYNC), syncMs: syncMs / (SYNCS - 50) }
}

function appendRound(log: StreamLog, sources: RecordSource[], packets: Buffer, none: Buffer): void {
  const now = Date.now()
  for (let n = 0; n < RECORDS_PER_SYNC; n++) {
    const at = n * PACKET_BYTES + 30
    log.append(sources[n % DEVICES]!, 1, false, now, 0, none, packets, at, at + PAYLOAD_BYTES)
  }
}

async function measureRead(log: StreamLog): Promise<number> {
  const started = performance.now()
  let count = 0
  for await (const record of log.read({ from: 'earliest' })) if (record.payload.length > 0) count++
  return count / ((performance.now() - started) / 1000)
}

async function measureReadBatches(log: StreamLog): Promise<number> {
  const started = performance.now()
  let count = 0
  for await (const { records } of log.readBatches({ from: 'earliest' })) count += records.length
  return count / ((performance.now() - started) / 1000)
}

function print(what: string, value: string, comparison: string): void {
  process.stdout.write(`${what.padEnd(12)} ${value.padEnd(22)} ${comparison}\n`)
}
