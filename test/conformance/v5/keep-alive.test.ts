import { once } from 'node:events'
import t from 'tap'
import { sweepConnections } from '../../../lib/broker/sweep.ts'
import { raw } from '../../mqtt/packets/case.ts'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'
import { publishBytes } from './wire.ts'

const clock = new ManualClock()
const { port, broker } = await TestBroker.start(t, { clock, limits: { keepAliveSecondsMax: 120 } })
const unlimited = await TestBroker.start(t, { clock })

/** Lets time pass, as the broker's sweep would notice it at the latest. */
function pass(seconds: number, of = broker): void {
  clock.advance(seconds * 1000)
  sweepConnections(of, clock.now())
}

t.test('[MQTT-3.1.2-22] a client that is silent for one and a half times its Keep Alive is closed with 0x8D', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'silent', keepalive: 10, version: 5 })
  pass(15)
  t.same(await client.ping(), [], 'not before')
  pass(15.001)
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x8d }])
})

t.test('[MQTT-3.1.2-22] any packet ends the silence', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'talking', keepalive: 10, version: 5 })
  const packets: [what: string, bytes: Buffer][] = [
    ['PUBLISH at QoS 0', publishBytes(0, 'a', [])],
    ['PUBLISH at QoS 1', publishBytes(2, 'a', [], '', 1)],
    ['PUBACK', raw(0x40, 0, 9)],
    ['PINGREQ', raw(0xc0)]
  ]
  for (const [what, bytes] of packets) {
    const before = broker.clients.talking?.bytesReceived ?? 0
    client.sendBytes(bytes)
    while (broker.clients.talking?.bytesReceived === before) await new Promise(resolve => setImmediate(resolve))
    pass(14)
    t.ok(broker.clients.talking, what)
  }
  pass(15.001)
  t.match((await client.ended()).at(-1), { cmd: 'disconnect', reasonCode: 0x8d })
})

t.test('[MQTT-3.1.2-22] it is as if the network had failed: the will is published, the session stays', async t => {
  const { client: watcher } = await RawClient.connect(port, { keepalive: 120, version: 5 })
  await watcher.subscribe('wills/#')
  const options = { clientId: 'failing', clean: false, version: 5 as const, properties: { sessionExpiryInterval: 1000 } }
  const will = { topic: 'wills/failing', payload: Buffer.from('bye'), qos: 0, retain: false }
  const { client } = await RawClient.connect(port, { ...options, keepalive: 10, will })
  pass(15.001)
  await client.ended()
  t.equal((await watcher.expect('publish')).topic, 'wills/failing')
  t.equal((await RawClient.connect(port, { ...options, keepalive: 10 })).connack.sessionPresent, true)
})

t.test('[MQTT-3.2.2-22] a Keep Alive within the limit is not answered and is what counts, 0 included', async t => {
  const { client, connack } = await RawClient.connect(port, { clientId: 'long', keepalive: 120, version: 5 })
  t.notOk('serverKeepAlive' in (connack.properties as object))
  pass(179)
  t.same(await client.ping(), [])
  pass(180.001)
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x8d }])
  const forever = await RawClient.connect(unlimited.port, { clientId: 'forever', keepalive: 0, version: 5 })
  t.notOk('serverKeepAlive' in (forever.connack.properties as object))
  pass(10_000_000, unlimited.broker)
  t.same(await forever.client.ping(), [], '0 turns it off')
})

t.test(
  '[MQTT-3.1.2-21] [MQTT-3.2.2-21] a Keep Alive above the limit, or none, is replaced by the Server Keep Alive, which then counts',
  async t => {
    for (const keepalive of [0, 121, 65_535]) {
      const { client, connack } = await RawClient.connect(port, { clientId: 'lowered', keepalive, version: 5 })
      t.match(connack.properties, { serverKeepAlive: 120 })
      pass(180)
      t.same(await client.ping(), [])
      pass(180.001)
      t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x8d }])
    }
  }
)

t.test('a client that is never heard of again is ended by the clock of the broker itself', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'swept', keepalive: 1, version: 5 })
  const timeout = once(broker, 'keepaliveTimeout')
  clock.advance(1_501)
  await timeout
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x8d }])
})
