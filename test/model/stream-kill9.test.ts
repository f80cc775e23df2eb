import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { t } from 'tap'
import type { StreamRecord } from '../../lib/stream/contract.ts'
import { openStreamReader } from '../../lib/stream/read-only-log.ts'
import { StubbornPublisher } from '../fault/stubborn-publisher.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { ResumingReader } from './resuming-reader.ts'

const rounds = Number(process.env.RUNS ?? 4)
const messagesPerRoundMax = 500

/** Segments of a few dozen records, and a quota that removes them all the time. */
const config = `
streams:
  telemetry: { filter: 'devices/#', partitions: 4, segmentBytes: 4KiB }
storage: { quota: 12KiB, whenFull: delete-oldest, checkIntervalMs: 10 }
log: { level: warn }`

t.test(
  `after each of ${rounds} kill -9 while segments are made and removed, the log has every acknowledged record from its beginning on, and a reader misses nothing that it is not told`,
  { timeout: 600_000 },
  async t => {
    const broker = await BrokerProcess.create(config)
    t.teardown(async () => {
      await broker.kill()
      await rm(broker.folder, { recursive: true, force: true })
    })
    await broker.start()
    const publishers = Array.from({ length: 4 }, (_, i) => new StubbornPublisher(broker.port, `device-${i}`, 1, 8))
    const acknowledged = () => publishers.reduce((sum, publisher) => sum + publisher.acknowledged.size, 0)
    const reader = new ResumingReader(broker.port, '$stream/telemetry/earliest')
    /** By publisher: what it had sent and not got acknowledged at some kill; only that may be there twice. */
    const doubtful = publishers.map(() => new Set<number>())
    let earliest = 0
    let end = 0
    for (let round = 0; round < rounds; round++) {
      // Every other time it is away, and retention overtakes it.
      const reading = round % 2 === 0 ? reader.run() : undefined
      const ended = publishers.map(publisher => publisher.run())
      const enough = acknowledged() + 200 + Math.floor(Math.random() * messagesPerRoundMax)
      while (acknowledged() < enough) await new Promise(resolve => setImmediate(resolve))
      await broker.kill()
      await Promise.all([...ended, reading])
      for (const [i, { sent, acknowledged }] of publishers.entries()) {
        for (let sequence = 0; sequence < sent; sequence++) if (!acknowledged.has(sequence)) doubtful[i]!.add(sequence)
      }
      const log = await read(broker)
      t.strictSame(log.gaps, [], 'nothing is damaged')
      t.ok(log.earliest >= earliest, 'what was removed does not come back')
      t.ok(log.records.at(-1)!.offset + 1 >= end, 'offsets go on')
      t.strictSame(wrongOffsets(log.records, log.earliest), [], 'offsets have no holes')
      for (const [i, publisher] of publishers.entries()) {
        t.strictSame(complaints(log.records, log.earliest, publisher, doubtful[i]!), [], publisher.clientId)
      }
      earliest = log.earliest
      end = log.records.at(-1)!.offset + 1
      await broker.start()
    }
    // Rounds may be too short for retention to overtake the reader: here it certainly does.
    const ended = publishers.map(publisher => publisher.run())
    while ((await read(broker)).earliest <= reader.expected) await new Promise(resolve => setImmediate(resolve))
    await Promise.all(publishers.map(publisher => publisher.finish()))
    for (const publisher of publishers) publisher.end()
    await Promise.all(ended)
    const log = await read(broker)
    const reading = reader.run()
    await reader.reached(log.records.at(-1)!.offset + 1)
    reader.end()
    await reading
    t.strictSame(reader.complaints, [], 'the reader')
    t.ok(reader.told > 0, 'it was told what is gone')
    t.equal(await broker.stop(), 0)
    t.comment(
      `${acknowledged()} acknowledged, ${reader.delivered} delivered, ${reader.repeats} again, ${reader.told} told to be removed`
    )
  }
)

async function read(broker: BrokerProcess): Promise<{ records: StreamRecord[]; earliest: number; gaps: unknown[] }> {
  const log = await openStreamReader(join(broker.dataFolder, 'streams'), 'telemetry')
  const records: StreamRecord[] = []
  const gaps: unknown[] = [...log.gaps]
  const { earliestOffset } = log.stats()
  for await (const record of log.read({ from: 'earliest', outOfRange: 'earliest', onGap: gap => gaps.push(gap) }))
    records.push(record)
  log.close()
  return { records, earliest: earliestOffset, gaps }
}

function wrongOffsets(records: readonly StreamRecord[], earliest: number): number[] {
  return records.filter(({ offset }, i) => offset !== earliest + i).map(({ offset }) => offset)
}

/** What is wrong with one publisher's records. */
function complaints(
  records: readonly StreamRecord[],
  earliest: number,
  { topic, acknowledged }: StubbornPublisher,
  doubtful: ReadonlySet<number>
): string[] {
  const found: string[] = []
  const seen = new Set<number>()
  let last = -1
  for (const record of records) {
    if (record.topic !== topic) continue
    const sequence = Number(record.payload.toString())
    if (seen.has(sequence)) {
      if (!doubtful.has(sequence)) found.push(`${sequence} is there twice`)
      continue
    }
    if (sequence < last) found.push(`${sequence} comes after ${last}`)
    last = sequence
    seen.add(sequence)
  }
  // What is before the first one there was removed, if anything was.
  const first = earliest === 0 ? 0 : Math.min(...seen)
  const lost = [...acknowledged].filter(sequence => sequence >= first && !seen.has(sequence))
  if (lost.length > 0) found.push(`acknowledged and not there: ${lost.join(' ')}`)
  return found
}
