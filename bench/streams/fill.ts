import { join } from 'node:path'
import { Streams } from '../../lib/stream/streams.ts'

/** What the broker's configuration (peers/tributary.ts) calls the stream that is measured. */
const streamName = 'telemetry'
const filter = 'devices/+/telemetry'
const partitions = 8
const devices = 50
/** As many records as one sync holds when devices publish at full speed. */
const recordsPerSync = 1000

/** Payloads begin with the record's number in four bytes, so that a reader can tell whether it got each once. */
export const payloadBytes = 100

export interface Filled {
  records: number
  bytes: number
}

/**
 * Fills the stream of a data folder that no broker has open, as `records` publishes of 50 devices in turn would have. The stream
 * is closed as a clean stop closes it.
 */
export async function fillStream(dataFolder: string, records: number, beforeClosing?: () => Promise<void>): Promise<Filled> {
  const streams = await openStreams(dataFolder)
  try {
    const stream = streams.get(streamName)!
    const sources = Array.from({ length: devices }, (_, i) => stream.source(`devices/${i}/telemetry`, `device-${i}`))
    const payload = Buffer.alloc(payloadBytes, 'telemetry ')
    const none = Buffer.alloc(0)
    for (let n = 0; n < records; n++) {
      payload.writeUInt32BE(n)
      stream.append(sources[n % devices]!, 1, false, Date.now(), 0, none, payload, 0, payloadBytes)
      if (n % recordsPerSync === recordsPerSync - 1) await stream.sync()
    }
    await stream.sync()
    await beforeClosing?.()
    return { records, bytes: stream.stats().bytes }
  } finally {
    await streams.close()
  }
}

/** Opens the stream as the broker would; the time it takes is one of the figures. */
export function openStreams(dataFolder: string): Promise<Streams> {
  return Streams.open({
    folder: join(dataFolder, 'streams'),
    declarations: [{ name: streamName, filter, key: 'clientId', partitions, retention: { ageMs: 0, bytes: 0 }, ack: 'synced' }],
    retentionIntervalMs: 0
  })
}
