/**
 * What is measured without a broker, each in a process of its own so that nothing is warm and nothing is left: node tool.js COMMAND
 * FOLDER RECORDS. Prints one line of JSON: what came out, in seconds of the clock and of the processor.
 */
import { readdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { fillStream, openStreams } from './fill.ts'

const blockBytes = 256 * 1024

const commands: Record<string, (folder: string, records: number) => Promise<Record<string, number>>> = {
  fill: async (folder, records) => ({ ...(await fillStream(folder, records)) }),
  /** As `kill -9` leaves it: everything is synced, and nothing was closed. */
  fillAndDie: async (folder, records) => {
    await fillStream(folder, records, async () => {
      await new Promise<void>(done => process.stdout.write(`${JSON.stringify({ records })}\n`, () => done()))
      process.kill(process.pid, 'SIGKILL')
    })
    return {}
  },
  open: async folder => {
    const measure = stopwatch()
    const streams = await openStreams(folder)
    const figures = measure()
    const { nextOffset } = streams.get('telemetry')!.stats()
    await streams.close()
    return { records: nextOffset, ...figures }
  },
  read: async folder => {
    const streams = await openStreams(folder)
    const stream = streams.get('telemetry')!
    let records = 0
    let bytes = 0
    const measure = stopwatch()
    for await (const { payload } of stream.read({ from: 'earliest' })) {
      records++
      bytes += payload.length
    }
    const figures = measure()
    await streams.close()
    return { records, bytes, ...figures }
  },
  /** The same files block by block, and nothing made of it: what the disk and the copy into memory take. */
  readFiles: async (folder, records) => {
    const streamFolder = join(folder, 'streams', 'telemetry')
    const block = Buffer.allocUnsafeSlow(blockBytes)
    const measure = stopwatch()
    for (const name of readdirSync(streamFolder).filter(file => file.endsWith('.segment'))) {
      const file = await open(join(streamFolder, name))
      while ((await file.read(block, 0, blockBytes)).bytesRead > 0);
      await file.close()
    }
    return { records, ...measure() }
  }
}

function stopwatch(): () => { seconds: number; cpuSeconds: number } {
  const beganMs = performance.now()
  const cpu = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(cpu)
    return { seconds: (performance.now() - beganMs) / 1000, cpuSeconds: (user + system) / 1e6 }
  }
}

const [name = '', folder = '', records = '0'] = process.argv.slice(2)
const command = commands[name]
if (command === undefined) throw new Error(`no command is called ${name}`)
process.stdout.write(`${JSON.stringify(await command(folder, Number(records)))}\n`)
