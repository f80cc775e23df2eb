import { mkdtempSync, rmSync } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { crc32 } from 'node:zlib'
import { ChunkPool } from '../lib/stream/chunk-pool.ts'
import type { RecordSource } from '../lib/stream/contract.ts'
import { NodeFileSystem } from '../lib/stream/file-system.ts'
import { StreamLog } from '../lib/stream/stream-log.ts'
import { compactionDefaults } from '../lib/stream/stream-log-options.ts'
import { silentLogger, systemClock } from '../lib/stream/surroundings.ts'

const DEVICES = 50
const RECORDS_PER_SYNC = 1000
const PAYLOAD_BYTES = 100
const PACKET_BYTES = 130
const BLOCK_BYTES = 256 * 1024
const WARMUP_SYNCS = 50

/** What the log costs, beside the least that the same could cost. */
export interface StreamLogCosts {
  records: number
  segments: number
  appendNs: number
  /** Copying the payload alone. */
  copyNs: number
  syncMs: number
  /** `writev` of the same bytes and `fdatasync`. */
  plainSyncMs: number
  bytesPerRecord: number
  openCleanMs: number
  /** As after kill -9: nothing was closed. */
  openKilledMs: number
  /** Records a second, one by one. */
  read: number
  readBatches: number
  /** With a `select` that takes one of the fifty devices. */
  readSelected: number
  /** The same, if reading the files' bytes and their CRC were all there is to it. */
  readPlain: number
}

/** Fills a log with `records` of 100 bytes from 50 devices in a new folder below `parent`, whose disk is what is measured. */
export async function measureStreamLog(parent: string, records: number): Promise<StreamLogCosts> {
  const folder = mkdtempSync(join(parent, 'tributary-bench-'))
  try {
    const packets = Buffer.alloc(PACKET_BYTES * RECORDS_PER_SYNC, 'telemetry ')
    const copyNs = measureCopy(packets)
    const plainSyncMs = await measureBaseline(folder, packets)
    const log = await openLog(folder)
    const appended = await measureAppend(log, packets, Math.ceil(records / RECORDS_PER_SYNC))
    const { bytes, nextOffset, segments } = log.stats()
    const [killed, openKilledMs] = await timed(() => openLog(folder))
    await log.close()
    await killed.close()
    const [again, openCleanMs] = await timed(() => openLog(folder))
    const rate = async (count: () => Promise<number>): Promise<number> => {
      const [counted, ms] = await timed(count)
      return (counted * 1000) / ms
    }
    const oneDevice = async (): Promise<number> => {
      for await (const batch of again.readBatches({ from: 'earliest', select: ({ clientId }) => clientId === 'device-7' }))
        void batch
      return nextOffset
    }
    const costs = {
      ...{ records: nextOffset, segments, copyNs, plainSyncMs, ...appended, openKilledMs, openCleanMs },
      bytesPerRecord: bytes / nextOffset,
      read: await rate(() => countRecords(again)),
      readBatches: await rate(() => countBatches(again)),
      readSelected: await rate(oneDevice),
      readPlain: await rate(async () => {
        await readPlain(folder)
        return nextOffset
      })
    }
    await again.close()
    return costs
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export function formatStreamLog(costs: StreamLogCosts): string {
  const { records, segments, appendNs, copyNs, syncMs, plainSyncMs, bytesPerRecord, openCleanMs, openKilledMs, readPlain } = costs
  const line = (what: string, value: string, comparison: string): string =>
    `${what.padEnd(14)} ${value.padEnd(20)} ${comparison}\n`
  const reading = (what: string, rate: number): string =>
    line(what, `${(rate / 1e6).toFixed(2)} M records/s`, `${(rate / readPlain).toFixed(2)} x reading the bytes and their CRC`)
  const left = `${records} records in ${segments} segments`
  return (
    line(
      'append',
      `${appendNs.toFixed(0)} ns/record`,
      `${(appendNs / copyNs).toFixed(1)} x copying the payload (${copyNs.toFixed(0)} ns)`
    ) +
    line(
      'sync',
      `${syncMs.toFixed(3)} ms`,
      `${(syncMs / plainSyncMs).toFixed(2)} x writev + fdatasync (${plainSyncMs.toFixed(3)} ms)`
    ) +
    line('size', `${bytesPerRecord.toFixed(1)} bytes/record`, `${(bytesPerRecord / PAYLOAD_BYTES).toFixed(2)} x the payload`) +
    line('open', `${openCleanMs.toFixed(1)} ms`, `${left} after a clean stop`) +
    line('open', `${openKilledMs.toFixed(1)} ms`, `${left} as after kill -9`) +
    reading('read', costs.read) +
    reading('readBatches', costs.readBatches) +
    reading('one device', costs.readSelected)
  )
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [parent = tmpdir(), records = '1000000'] = process.argv.slice(2)
  process.stdout.write(formatStreamLog(await measureStreamLog(parent, Number(records))))
}

function openLog(folder: string): Promise<StreamLog> {
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

async function measureBaseline(folder: string, packets: Buffer): Promise<number> {
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

async function measureAppend(log: StreamLog, packets: Buffer, syncs: number): Promise<{ appendNs: number; syncMs: number }> {
  const sources = Array.from({ length: DEVICES }, (_, i) => log.source(`devices/${i}/telemetry`, `device-${i}`))
  const none = Buffer.alloc(0)
  let appendMs = 0
  let syncMs = 0
  for (let round = 0; round < syncs; round++) {
    const started = performance.now()
    appendRound(log, sources, packets, none)
    const appended = performance.now()
    await log.sync()
    const warm = round >= WARMUP_SYNCS
    if (warm) appendMs += appended - started
    if (warm) syncMs += performance.now() - appended
  }
  return { appendNs: (appendMs * 1e6) / ((syncs - WARMUP_SYNCS) * RECORDS_PER_SYNC), syncMs: syncMs / (syncs - WARMUP_SYNCS) }
}

function appendRound(log: StreamLog, sources: RecordSource[], packets: Buffer, none: Buffer): void {
  const now = Date.now()
  for (let n = 0; n < RECORDS_PER_SYNC; n++) {
    const at = n * PACKET_BYTES + 30
    log.append(sources[n % DEVICES]!, 1, false, now, 0, none, packets, at, at + PAYLOAD_BYTES)
  }
}

async function countRecords(log: StreamLog): Promise<number> {
  let count = 0
  for await (const record of log.read({ from: 'earliest' })) if (record.payload.length > 0) count++
  return count
}

async function countBatches(log: StreamLog): Promise<number> {
  let count = 0
  for await (const { records } of log.readBatches({ from: 'earliest' })) count += records.length
  return count
}

async function readPlain(folder: string): Promise<void> {
  for (const name of await readdir(join(folder, 'bench'))) {
    const file = await open(join(folder, 'bench', name))
    for (let position = 0; ; position += BLOCK_BYTES) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(BLOCK_BYTES), 0, BLOCK_BYTES, position)
      if (bytesRead === 0) break
      crc32(buffer)
    }
    await file.close()
  }
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const started = performance.now()
  const result = await work()
  return [result, performance.now() - started]
}
