import t from 'tap'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'
import { arrivals, connect, connectStored, payloads, publishPacket } from './clients.ts'

const clock = new ManualClock()
const { port, broker } = await TestBroker.start(t, { clock })
const publisher = await connect(port, 'publisher')

t.test('[MQTT-4.1.0-1] the session lives as long as its connection, however long that is', async t => {
  const client = await connectStored(port, 'patient', { sessionExpiryInterval: 1 })
  await client.subscribe('patient', 1)
  client.send(publishPacket('elsewhere', 'x', 2, 7))
  await client.expect('pubrec')
  await publisher.publish('patient', 'unanswered', 1)
  const { messageId } = await client.expect('publish')
  const bystander = await connectStored(port, 'bystander', { sessionExpiryInterval: 1 })
  await bystander.disconnect()
  clock.advance(1_000_000)
  // The sweep has run when the session of the bystander is gone.
  while (broker.describeClients().some(({ clientId }) => clientId === 'bystander')) await turn()
  await publisher.publish('patient', 'later', 1)
  t.same(payloads(await arrivals(client, 1)), ['later'], 'the subscription is there')
  client.send({ cmd: 'puback', messageId })
  client.send({ cmd: 'pubrel', messageId: 7 })
  t.match(await client.expect('pubcomp'), { messageId: 7, reasonCode: 0x00 }, 'and the QoS 2 id')
})

t.test('[MQTT-4.1.0-2] the session is discarded when the expiry interval has passed since the connection closed', async t => {
  const client = await connectStored(port, 'brief', { sessionExpiryInterval: 10 })
  await client.subscribe('brief', 1)
  await client.cut()
  await publisher.publish('brief', 'too late', 1)
  clock.advance(9_999)
  t.ok(broker.describeClients().some(({ clientId }) => clientId === 'brief'))
  clock.advance(2)
  while (broker.describeClients().some(({ clientId }) => clientId === 'brief')) await turn()
  publisher.send(publishPacket('brief', 'later still', 1, 9))
  t.match(await publisher.expect('puback'), { reasonCode: 0x10 }, 'its subscription went with it')
  const again = await RawClient.connect(port, { clientId: 'brief', version: 5, clean: false })
  t.equal(again.connack.sessionPresent, false)
  t.same(await again.client.ping(), [])
})

t.test('[MQTT-4.5.0-1] a message is added to every session that subscribed to it, connected or not', async t => {
  const away = await connectStored(port, 'away')
  await away.subscribe('everybody/#', 2)
  await away.disconnect()
  const here = await connectStored(port, 'here')
  await here.subscribe('everybody/+', 1)
  const fleeting = await connect(port, 'fleeting')
  await fleeting.subscribe('+/message', 0)
  const unconcerned = await connectStored(port, 'unconcerned')
  await unconcerned.subscribe('everybody', 1)
  await publisher.publish('everybody/message', 'hello', 2)
  t.match(await here.expect('publish'), { qos: 1 })
  t.match(await fleeting.expect('publish'), { qos: 0 })
  t.same(await unconcerned.ping(), [])
  t.match(await (await connectStored(port, 'away')).expect('publish'), { qos: 2, topic: 'everybody/message' })
})

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
