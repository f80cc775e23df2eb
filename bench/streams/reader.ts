/**
 * Reads records over MQTT and prints what it saw as one line of JSON; the options are those of readerOptions, in JSON. A process of
 * its own, so that it does not share an event loop with whoever else is measured. The clock starts when `warmup` records have come;
 * it ends when all have, or none has for ten seconds. With `again` it begins anew each time it has all, until it is killed.
 */
import { connect, type Socket } from 'node:net'
import { z } from 'zod'
import { encodeConnect, encodeSubscribe } from './packets.ts'
import { processCpuSeconds } from './process-cpu.ts'
import { PublishCounter } from './publish-counter.ts'

const readerOptions = z.strictObject({
  port: z.number(),
  pid: z.number(),
  version: z.literal([4, 5]),
  qos: z.literal([0, 1]),
  /** What to subscribe to; without it the session of an earlier connection is taken up. */
  filter: z.string().optional(),
  members: z.number().default(1),
  records: z.number(),
  warmup: z.number(),
  again: z.boolean().default(false)
})

const silenceMilliseconds = 10_000
const readBytes = 256 * 1024
const none = Buffer.alloc(0)

const options = readerOptions.parse(JSON.parse(process.argv[2] ?? ''))
const counters = await readAll()
process.stdout.write(
  `${JSON.stringify({
    records: counters.records,
    measured: counters.records - counters.atBegin,
    seconds: (counters.endedMs - counters.beganMs) / 1000,
    brokerCpuSeconds: counters.brokerCpu,
    loadCpuSeconds: counters.loadCpu,
    isEachOnce: counters.sum === (options.records * (options.records - 1)) / 2 && counters.outOfOrder === 0
  })}\n`
)
process.exit(0)

async function readAll() {
  const { records: wanted, warmup, pid } = options
  const readers = Array.from({ length: options.members }, () => new PublishCounter(options.version))
  const total = () => readers.reduce((sum, { records }) => sum + records, 0)
  let beganMs = 0
  let atBegin = 0
  let brokerCpu = 0
  let loadCpu = 0
  let lastMs = performance.now()
  await new Promise<void>(resolve => {
    const look = () => {
      lastMs = performance.now()
      const count = total()
      if (beganMs === 0 && count >= warmup) {
        beganMs = lastMs
        atBegin = count
        brokerCpu = processCpuSeconds(pid)
        loadCpu = processCpuSeconds(process.pid)
      }
      if (count >= wanted) resolve()
    }
    readers.forEach((reader, i) => {
      open(reader, `reader-${i}`, look)
    })
    setInterval(() => {
      if (performance.now() - lastMs > silenceMilliseconds) resolve()
    }, 1000)
  })
  return {
    beganMs,
    endedMs: lastMs,
    atBegin,
    records: total(),
    brokerCpu: processCpuSeconds(pid) - brokerCpu,
    loadCpu: processCpuSeconds(process.pid) - loadCpu,
    sum: readers.reduce((all, { sum }) => all + sum, 0),
    // Members of a group get partitions from one another; the order of all records is a single reader's affair.
    outOfOrder: options.members > 1 ? 0 : readers[0]!.outOfOrder
  }
}

function open(counter: PublishCounter, clientId: string, look: () => void): void {
  const buffer = Buffer.allocUnsafeSlow(readBytes)
  const socket: Socket = connect({
    port: options.port,
    host: '127.0.0.1',
    noDelay: true,
    onread: {
      buffer,
      callback: count => {
        counter.feed(buffer.subarray(0, count))
        const acks = counter.takeAcks()
        if (acks !== undefined) socket.write(acks)
        if (options.again && counter.records >= options.records) {
          counter.records = 0
          socket.write(subscribePacket())
        }
        look()
        return true
      }
    }
  })
  socket.on('error', error => {
    process.stderr.write(`${error.message}\n`)
    process.exit(1)
  })
  const { filter } = options
  socket.write(Buffer.concat([encodeConnect(clientId, options.version, filter !== undefined), filter ? subscribePacket() : none]))
}

function subscribePacket(): Buffer {
  return encodeSubscribe(options.filter ?? '', options.qos, options.version)
}
