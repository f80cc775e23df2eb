import { Streams } from '../../lib/stream/streams.ts'

/** Appends and syncs until it is killed. After each sync it prints the offset below which everything is promised. */
const [folder, batchRecordsMax] = process.argv.slice(2)
const retention = { ageMs: 0, bytes: 0 }
const streams = await Streams.open({
  folder: folder!,
  declarations: [
    { name: 'log', filter: '#', key: 'clientId', partitions: 4, retention, ack: 'synced', segmentBytesMax: 256 * 1024 }
  ]
})
const log = streams.get('log')!
const source = log.source('devices/1/telemetry', 'device-1')
process.stdout.write(`${log.nextOffset}\n`)
for (let round = 0; ; round++) {
  const count = 1 + (round % Number(batchRecordsMax))
  for (let i = 0; i < count; i++) {
    const payload = Buffer.from(`record ${log.nextOffset} ${'x'.repeat(log.nextOffset % 300)}`)
    log.append(source, 1, false, Date.now(), 0, Buffer.alloc(0), payload, 0, payload.length)
  }
  const promised = log.nextOffset
  await log.sync()
  process.stdout.write(`${promised}\n`)
}
