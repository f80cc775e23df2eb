import { Duplex } from 'node:stream'
import mqttPacket, { type Packet } from 'mqtt-packet'
import t from 'tap'
import { PublisherRoutes } from '../../../lib/broker/native/publisher-routes.ts'
import { TopicRoutes } from '../../../lib/broker/native/topic-routes.ts'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

/** A peer in this process that never takes a byte. */
class DeafPeer extends Duplex {
  paused = false

  override _read(): void {}
  override _write(_chunk: Buffer, _encoding: string, _done: () => void): void {}
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    done(error)
  }
}

const turn = () => new Promise(resolve => setImmediate(resolve))

t.test('a client that asks and never reads the answers is not read any more', async t => {
  const limit = 64 * 1024
  const { broker } = await TestBroker.start(t, { limits: { maxOutboundBufferBytes: limit } })
  const peer = new DeafPeer()
  const connection = broker.accept(peer, undefined, undefined)
  peer.push(
    mqttPacket.generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: 'deaf' } as Packet)
  )
  await turn()
  const pings = Buffer.alloc(limit, Buffer.from([0xc0, 0]))
  for (let i = 0; i < 20; i++) {
    peer.push(pings)
    await turn()
    await turn()
  }
  t.ok(connection.outbound.waitingBytes <= 3 * limit, `${connection.outbound.waitingBytes} bytes wait for a peer that reads none`)
  connection.close()
})

t.test('a CONNECT that arrives byte by byte does not outlive the connect timeout', async t => {
  const clock = new ManualClock()
  const { port, broker } = await TestBroker.start(t, { clock, limits: { connectTimeoutMs: 10_000 } })
  const client = await RawClient.open(port)
  const ended = client.ended()
  for (const byte of [0x10, 0x80, 0x20, 0, 4]) {
    const seen = [...broker.connections].reduce((sum, { bytesReceived }) => sum + bytesReceived, 0)
    client.sendBytes(Buffer.from([byte]))
    while (broker.connections.size > 0 && [...broker.connections][0]!.bytesReceived === seen) await turn()
    clock.advance(4_000)
  }
  await ended
  t.equal(broker.counters.connectionsClosed.get('connect-timeout'), 1)
})

t.test('topics that publishers make up are remembered up to a number of bytes, not only of topics', t => {
  const long = (i: number) => String(i).padEnd(60_000, 'x')
  const routes = new TopicRoutes()
  const first = routes.route(long(0))
  t.equal(routes.route(long(0)), first)
  for (let i = 1; i < 300; i++) routes.route(long(i))
  t.not(routes.route(long(0)), first, 'forgotten')
  const publisher = new PublisherRoutes(0)
  const remember = (i: number) => {
    const key = Buffer.from(long(i))
    publisher.remember({ key, route: first, streams: [], awaitsStore: true, allowed: true, guarded: false })
    return key
  }
  const key = remember(0)
  t.ok(publisher.find(key, 0, key.length))
  for (let i = 1; i < 5; i++) remember(i)
  t.notOk(publisher.find(key, 0, key.length), 'forgotten')
  t.end()
})
