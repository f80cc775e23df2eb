import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { t } from 'tap'
import { readLetter } from '../../lib/dead-letter/letter-record.ts'
import { openStreamReader } from '../../lib/stream/read-only-log.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { RawClient } from '../support/raw-client.ts'

const messages = 2_000
const killsMax = 3

t.test(
  'a queue that is being turned into dead letters while the broker is killed again and again: each message once',
  { timeout: 120_000 },
  async t => {
    const broker = await BrokerProcess.create('limits: { maxQueuedMessagesPerSession: 100000 }\nlog: { level: warn }')
    t.teardown(async () => {
      await broker.kill()
      await rm(broker.folder, { recursive: true, force: true })
    })
    await broker.start()
    const { client: reader } = await RawClient.connect(broker.port, { clientId: 'reader', clean: false })
    await reader.subscribe('orders/#', 1)
    await reader.disconnect()
    await fill(broker)
    // The clean start discards the queue.
    const { client: again } = await RawClient.connect(broker.port, { clientId: 'reader', clean: true })
    let kills = 0
    let kept = await letters(broker)
    while (kept < messages && kills < killsMax) {
      const enough = kept + Math.floor(Math.random() * 800)
      while (kept < Math.min(enough, messages)) kept = await letters(broker)
      await broker.kill()
      kills++
      await broker.start()
      kept = await letters(broker)
    }
    t.comment(`${kills} kills`)
    while (kept < messages) kept = await letters(broker)
    again.socket.destroy()
    await broker.stop()

    const log = await openStreamReader(join(broker.dataFolder, 'streams'), '$dead-letter')
    const found: string[] = []
    for await (const record of log.read({ from: 'earliest' })) {
      const { reason, clientId, message } = readLetter(record)
      found.push(`${reason} ${clientId} ${message.payload}`)
    }
    log.close()
    t.same(
      found,
      Array.from({ length: messages }, (_, i) => `session-discarded reader ${i}`)
    )
  }
)

async function letters(broker: BrokerProcess): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${broker.adminPort}/streams/$dead-letter`)
  return ((await answer.json()) as { records: number }).records
}

async function fill(broker: BrokerProcess): Promise<void> {
  const { client } = await RawClient.connect(broker.port, { clientId: 'filler' })
  for (let i = 0; i < messages; i++) {
    client.send({ cmd: 'publish', topic: 'orders/1', payload: String(i), qos: 1, messageId: i + 1, retain: false })
  }
  for (let i = 0; i < messages; i++) await client.expect('puback')
  await client.disconnect()
}
