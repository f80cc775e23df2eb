import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient, type RawConnectOptions } from '../../support/raw-client.ts'
import { publishBytes, violation } from './wire.ts'

const aliasMax = 300
const { port } = await TestBroker.start(t, { limits: { topicAliasMaximum: aliasMax } })

async function connect(options: RawConnectOptions = {}): Promise<RawClient> {
  return (await RawClient.connect(port, { version: 5, ...options })).client
}

function aliased(topic: string, alias: number, payload = '', flags = 0, packetId?: number): Buffer {
  return publishBytes(flags, topic, [0x23, alias >> 8, alias & 0xff], payload, packetId)
}

async function subscriber(filter: string): Promise<RawClient> {
  const client = await connect()
  await client.subscribe(filter, 1)
  return client
}

t.test('[MQTT-3.3.2-12] every alias from 1 to the announced maximum is accepted', async t => {
  const { client, connack } = await RawClient.connect(port, { version: 5 })
  t.match(connack.properties, { topicAliasMaximum: aliasMax })
  const watcher = await subscriber('all/#')
  for (let alias = 1; alias <= aliasMax; alias++) client.sendBytes(aliased(`all/${alias}`, alias, 'set'))
  for (let alias = aliasMax; alias >= 1; alias--) client.sendBytes(aliased('', alias, 'used'))
  await client.ping()
  const packets = await watcher.ping()
  const up = Array.from({ length: aliasMax }, (_, i) => `all/${i + 1}`)
  t.same(
    packets.map(packet => `${packet.topic} ${packet.payload}`),
    [...up.map(topic => `${topic} set`), ...up.reverse().map(topic => `${topic} used`)]
  )
})

t.test('[MQTT-3.3.2-12] an alias can be given to another topic, and is good at each QoS', async t => {
  const client = await connect()
  const watcher = await subscriber('moved/#')
  client.sendBytes(aliased('moved/a', 1, '1'))
  client.sendBytes(aliased('', 1, '2', 2, 1))
  client.sendBytes(aliased('moved/b', 1, '3', 4, 2))
  client.sendBytes(aliased('', 1, '4', 3, 3))
  client.sendBytes(aliased('moved/a', 1, '5'))
  client.sendBytes(aliased('', 1, '6'))
  await client.ping()
  t.same(
    (await watcher.ping()).map(packet => `${packet.topic} ${packet.payload}`),
    ['moved/a 1', 'moved/a 2', 'moved/b 3', 'moved/b 4', 'moved/a 5', 'moved/a 6']
  )
})

t.test('[MQTT-3.3.2-7] an alias is gone with its connection, also when the session goes on', async t => {
  const options = { clientId: 'forgetful', clean: false, properties: { sessionExpiryInterval: 100 } }
  const client = await connect(options)
  client.sendBytes(aliased('known', 1))
  await client.ping()
  await client.cut()
  const again = await connect(options)
  again.sendBytes(aliased('', 1))
  t.match(await again.ended(), [{ cmd: 'disconnect', reasonCode: 0x82 }])
})

t.test('[MQTT-3.3.2-7] an alias of one connection means nothing on another', async t => {
  const client = await connect()
  client.sendBytes(aliased('mine', 2))
  await client.ping()
  t.equal(await violation(port, aliased('', 2)), 0x82)
})

t.test('[MQTT-3.3.2-8] alias 0 ends the connection with 0x94', async t => {
  t.equal(await violation(port, aliased('a', 0)), 0x94)
  t.equal(await violation(port, aliased('', 0)), 0x94)
})

t.test('[MQTT-3.3.2-9] [MQTT-3.2.2-17] an alias above the maximum ends the connection with 0x94', async t => {
  for (const alias of [aliasMax + 1, 65_535]) t.equal(await violation(port, aliased('a', alias)), 0x94, String(alias))
})

t.test('an alias that was never set is a protocol error', async t => {
  t.equal(await violation(port, aliased('', 1)), 0x82)
})

t.test('[MQTT-3.2.2-18] a broker that takes no aliases says so by its silence or by 0, and means it', async t => {
  const none = await TestBroker.start(t, { limits: { topicAliasMaximum: 0 } })
  const { connack } = await RawClient.connect(none.port, { version: 5 })
  t.notOk((connack.properties as { topicAliasMaximum?: number }).topicAliasMaximum)
  t.equal(await violation(none.port, aliased('a', 1)), 0x94)
})
