import { rm } from 'node:fs/promises'
import { t } from 'tap'
import { BrokerProcess } from '../../support/broker-process.ts'
import { RawClient } from '../../support/raw-client.ts'

const total = 240
/** PUBLISH packets on the way; below Receive Maximum, as a client has to. */
const window = 20
/** The last acks before each cut are not believed to have come: the publisher sends those messages again. */
const acksLost = 5

/** Sends `from` and all later ones until `until` are acknowledged; returns the first that is to be sent again. */
async function publish(port: number, from: number, sentBefore: number, until: number): Promise<{ from: number; sent: number }> {
  const { client } = await RawClient.connect(port, {
    clientId: 'sensor',
    clean: false,
    version: 5,
    properties: { sessionExpiryInterval: 3600 }
  })
  let sent = from
  let acknowledged = from
  while (acknowledged < until) {
    while (sent < total && sent - acknowledged < window) {
      // Every other message is known by its message-id only, the rest by its Packet Identifier.
      const properties = sent % 2 === 0 ? { properties: { userProperties: { 'message-id': `m${sent}` } } } : {}
      const dup = sent < sentBefore
      client.send({ cmd: 'publish', topic: 'devices/1', payload: `${sent}`, qos: 1, dup, messageId: sent + 1, ...properties })
      sent++
    }
    await client.expect('puback')
    acknowledged++
  }
  client.socket.destroy()
  return { from: acknowledged === total ? total : Math.max(from, acknowledged - acksLost), sent: Math.max(sent, sentBefore) }
}

t.test('over kill -9 a publisher that sends again leaves each message in the stream once', async t => {
  const broker = await BrokerProcess.create("streams: { telemetry: { filter: 'devices/#', deduplicate: { window: 1h } } }")
  t.teardown(async () => {
    await broker.kill()
    await rm(broker.folder, { recursive: true, force: true })
  })
  let state = { from: 0, sent: 0 }
  for (const until of [120, total]) {
    await broker.start()
    state = await publish(broker.port, state.from, state.sent, until)
    await broker.kill()
  }
  await broker.start()
  const { client: reader } = await RawClient.connect(broker.port, { version: 5 })
  await reader.subscribe('$stream/telemetry/earliest', 0)
  const seen: string[] = []
  while (seen.length < total) seen.push(String((await reader.expect('publish')).payload))
  // One more that is new tells where the end is.
  const { client } = await RawClient.connect(broker.port)
  await client.publish('devices/1', 'end', 1)
  t.equal(String((await reader.expect('publish')).payload), 'end')
  t.same(
    seen,
    Array.from({ length: total }, (_, i) => `${i}`),
    'in their order, too'
  )
})
