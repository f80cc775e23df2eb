import { Streams } from '../../lib/stream/streams.ts'
import { keyAt, payloadAt } from './kill9-records.ts'

/** Appends, syncs and compacts until it is killed. After each sync it prints the offset below which everything is promised. */
const [folder] = process.argv.slice(2)
const streams = await Streams.open({
  folder: folder!,
  retentionIntervalMs: 0,
  declarations: [
    {
      ...{ name: 'log', filter: '#', key: 'clientId', partitions: 4, ack: 'synced', cleanup: 'compact' },
      ...{ retention: { ageMs: 0, bytes: 0 }, segmentBytesMax: 16 * 1024 },
      compaction: { tombstoneAgeMs: 20, minDirtyRatio: 0, maxLagMs: 1e12, memoryBytes: 1 << 20, bytesPerSecond: 1e12 }
    }
  ]
})
const log = streams.get('log')!
process.stdout.write(`${log.nextOffset}\n`)

let compacted = Promise.resolve()

/** A run is always under way. `compacted` is settled by the end of the present one. */
async function compactForEver(): Promise<never> {
  for (;;) {
    const run = log.compact()
    compacted = run.then(() => {})
    await run
  }
}

void compactForEver()
for (let round = 0; ; round++) {
  for (let i = 0; i < 1 + (round % 30); i++) {
    const key = keyAt(log.nextOffset)
    const payload = Buffer.from(payloadAt(log.nextOffset))
    log.append(log.source(`t/${key}`, key), 1, false, Date.now(), 0, Buffer.alloc(0), payload, 0, payload.length)
  }
  const promised = log.nextOffset
  await log.sync()
  process.stdout.write(`${promised}\n`)
  // Compaction takes a part of the time only, and appending would leave it far behind on a machine that has nothing else to do.
  if (round % 10 === 9) await compacted
}
