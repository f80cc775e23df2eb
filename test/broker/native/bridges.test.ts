import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

/** Mosquitto marks the CONNECT of a bridge with the top bit of the protocol level. */
async function bridge(port: number, level: 3 | 4, clean = true): Promise<RawClient> {
  const client = await RawClient.open(port, level)
  const name = Buffer.from(level === 3 ? 'MQIsdp' : 'MQTT')
  const body = [0, name.length, ...name, 0x80 | level, clean ? 2 : 0, 0, 0, 0, 6, ...Buffer.from('bridge')]
  client.sendBytes(Buffer.from([0x10, body.length, ...body]))
  const connack = await client.expect('connack')
  if (connack.returnCode !== 0) throw new Error(`refused with ${connack.returnCode}`)
  return client
}

for (const level of [3, 4] as const) {
  t.test(
    `a bridge of protocol level ${level} never gets its own messages, and those of others with RETAIN as published`,
    async t => {
      const { port } = await TestBroker.start(t)
      const client = await bridge(port, level)
      await client.subscribe('rooms/#', 1)
      const { client: other } = await RawClient.connect(port, { clientId: 'other' })
      await other.subscribe('rooms/#', 1)
      const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
      await client.publish('rooms/1', 'from the bridge', 1, { retain: true })
      t.same(
        (await other.ping()).map(({ payload, retain }) => [String(payload), retain]),
        [['from the bridge', false]],
        'other clients are as they were'
      )
      await publisher.publish('rooms/2', 'kept', 1, { retain: true })
      await publisher.publish('rooms/2', 'not kept', 1)
      t.same(
        (await client.ping()).map(({ payload, retain }) => [String(payload), retain]),
        [
          ['kept', true],
          ['not kept', false]
        ]
      )
    }
  )
}

t.test('what makes a bridge a bridge survives a restart of the broker', async t => {
  const before = await TestBroker.start(t)
  const first = await bridge(before.port, 4, false)
  await first.subscribe('rooms/#', 1)
  await first.disconnect()
  const { port } = await before.restart(t)
  const client = await bridge(port, 4, false)
  await client.publish('rooms/1', 'own', 1)
  const { client: other } = await RawClient.connect(port, { clientId: 'other' })
  await other.publish('rooms/1', 'kept', 1, { retain: true })
  t.same(
    (await client.ping()).map(({ payload, retain }) => [String(payload), retain]),
    [['kept', true]]
  )
})
