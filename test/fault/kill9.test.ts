import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openStreamReader } from '../../lib/stream/read-only-log.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { RawClient } from '../support/raw-client.ts'
import { StubbornPublisher } from './stubborn-publisher.ts'

const rounds = 20
/** Messages after which a round may be cut short, at random. */
const messagesPerRoundMax = 400

/**
 * The first promise, with the power cut for real: publishers at QoS 1 and 2 write into a stream and into the queues of sessions
 * that are offline, the broker is killed again and again, and in the end everything that was acknowledged is there.
 */
t.test(
  `after ${rounds} kill -9 every acknowledged message is in the stream and in the offline queues`,
  { timeout: 300_000 },
  async t => {
    const broker = await BrokerProcess.create('limits: { maxQueuedMessagesPerSession: 1000000 }\nlog: { level: warn }')
    t.teardown(async () => {
      await broker.kill()
      await rm(broker.folder, { recursive: true, force: true })
    })
    await broker.start()
    const watchers = [
      { clientId: 'watcher-1', qos: 1 as const },
      { clientId: 'watcher-2', qos: 2 as const }
    ]
    for (const { clientId, qos } of watchers) {
      const { client } = await RawClient.connect(broker.port, { clientId, clean: false })
      await client.subscribe('devices/#', qos)
      await client.disconnect()
    }
    const publishers = [1, 1, 1, 2, 2, 2].map((qos, i) => new StubbornPublisher(broker.port, `device-${i}`, qos as 1 | 2, 8))

    for (let round = 0; round < rounds; round++) {
      const before = publishers.reduce((sum, publisher) => sum + publisher.acknowledged.size, 0)
      const enough = before + 1 + Math.floor(Math.random() * messagesPerRoundMax)
      const ended = publishers.map(publisher => publisher.run())
      while (publishers.reduce((sum, publisher) => sum + publisher.acknowledged.size, 0) < enough) {
        await new Promise(resolve => setImmediate(resolve))
      }
      await broker.kill()
      await Promise.all(ended)
      await broker.start()
    }
    const ended = publishers.map(publisher => publisher.run())
    await Promise.all(publishers.map(publisher => publisher.finish()))
    for (const publisher of publishers) publisher.end()
    await Promise.all(ended)
    const total = publishers.reduce((sum, publisher) => sum + publisher.sent, 0)
    t.comment(`${total} messages, ${rounds} kills`)

    for (const { clientId, qos } of watchers) {
      const { client, connack } = await RawClient.connect(broker.port, { clientId, clean: false })
      t.equal(connack.sessionPresent, true)
      const arrived = new Map<string, number[]>()
      for (;;) {
        const packets = await client.ping()
        if (packets.length === 0 && (await backlog(broker, clientId)) === 0) break
        for (const packet of packets) {
          if (packet.cmd === 'pubrel') client.send({ cmd: 'pubcomp', messageId: packet.messageId })
          if (packet.cmd !== 'publish') continue
          const list = arrived.get(String(packet.topic)) ?? []
          list.push(Number(packet.payload))
          arrived.set(String(packet.topic), list)
          if (packet.qos === 1) client.send({ cmd: 'puback', messageId: packet.messageId })
          if (packet.qos === 2) client.send({ cmd: 'pubrec', messageId: packet.messageId })
        }
      }
      for (const publisher of publishers)
        check(t, `queue of ${clientId}`, publisher, arrived.get(publisher.topic) ?? [], Math.min(publisher.qos, qos))
      await client.disconnect()
    }

    t.equal(await broker.stop(), 0, 'ends with 0 on SIGINT')
    const stored = new Map<string, number[]>()
    const reader = await openStreamReader(join(broker.dataFolder, 'streams'), 'telemetry')
    for await (const record of reader.read({ from: 'earliest' })) {
      const list = stored.get(record.topic) ?? []
      list.push(Number(record.payload.toString()))
      stored.set(record.topic, list)
    }
    await reader.close()
    for (const publisher of publishers) check(t, 'stream', publisher, stored.get(publisher.topic) ?? [], publisher.qos)
  }
)

/** Messages the broker still owes a client. */
async function backlog(broker: BrokerProcess, clientId: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${broker.adminPort}/clients/${clientId}`)
  const client = (await response.json()) as { backlog: number }
  return client.backlog
}

function check(
  t: Pick<Test, 'same' | 'ok' | 'equal'>,
  where: string,
  publisher: StubbornPublisher,
  arrived: number[],
  qos: number
): void {
  const seen = new Set(arrived)
  const lost = [...publisher.acknowledged].filter(sequence => !seen.has(sequence))
  t.same(ranges(lost), [], `${where}: ${publisher.clientId}: ${publisher.acknowledged.size} acknowledged messages, none lost`)
  const firsts = [...seen]
  t.ok(
    firsts.every((sequence, i) => i === 0 || sequence > firsts[i - 1]!),
    `${where}: ${publisher.clientId}: in order of publishing`
  )
  const twice = arrived.filter((sequence, i) => arrived.indexOf(sequence) !== i)
  if (qos === 2) t.same(twice, [], `${where}: ${publisher.clientId}: QoS 2 exactly once`)
}

/** 1, 2, 3, 7 as '1-3', '7-7'. */
function ranges(sequences: number[]): string[] {
  const found: [number, number][] = []
  for (const sequence of sequences.sort((a, b) => a - b)) {
    const last = found.at(-1)
    if (last && last[1] === sequence - 1) last[1] = sequence
    else found.push([sequence, sequence])
  }
  return found.map(([from, to]) => `${from}-${to}`)
}
