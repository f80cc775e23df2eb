import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import mqttPacket, { type Packet } from 'mqtt-packet'
import t from 'tap'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

const qos3 = Buffer.from('36050001610001', 'hex')
const pings = Buffer.alloc(512 * 1024, Buffer.from('c000', 'hex'))

/** A connected client whose side stays open when the broker has closed its own. */
async function halfOpen(port: number, version: 4 | 5 = 5): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const packet = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clean: true, clientId: 'device', keepalive: 0 }
  socket.write(mqttPacket.generate(packet as Packet, { protocolVersion: version }))
  await once(socket, 'data')
  return socket
}

/** What arrives until the broker's side ends; rejects when the connection is reset. */
async function untilEnd(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = []
  socket.on('data', part => parts.push(part))
  await once(socket, 'end')
  return Buffer.concat(parts)
}

t.test('a client that goes on sending reads why the connection ended, and then its end: it is not reset', async t => {
  const { port, broker } = await TestBroker.start(t)
  const socket = await halfOpen(port)
  const received = untilEnd(socket)
  socket.write(Buffer.concat([qos3, pings]))
  t.equal((await received)[0], 0xe0, 'DISCONNECT')
  const sent = new Promise<Error | null | undefined>(resolve => socket.write(pings, resolve))
  t.notOk(await sent, 'what is sent after the end is taken')
  const closed = once(socket, 'close')
  socket.end()
  t.same(await closed, [false], 'no error')
  t.equal(broker.connections.size, 0)
})

t.test('a client that is refused and has sent more reads its CONNACK', async t => {
  const { port } = await TestBroker.start(t, { authenticate: (_client, _username, _password, done) => done(null, false) })
  const socket = connect({ port, host: '127.0.0.1' })
  const packet = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: true, clientId: 'device', keepalive: 0 }
  const received = untilEnd(socket)
  socket.write(Buffer.concat([mqttPacket.generate(packet as Packet, { protocolVersion: 5 }), pings]))
  t.equal((await received)[0], 0x20)
})

t.test('a client that does not close its side is cut after two seconds', async t => {
  const clock = new ManualClock()
  const { port } = await TestBroker.start(t, { clock })
  const socket = await halfOpen(port)
  const received = untilEnd(socket)
  socket.write(qos3)
  await received
  const closed = once(socket, 'close').catch(() => {})
  const other = await RawClient.open(port)
  await other.cut()
  t.notOk(socket.destroyed)
  clock.advance(2001)
  // Only by sending does a client notice that nobody is there any more.
  const notice = setInterval(() => socket.write(pings.subarray(0, 2)), 20)
  socket.on('error', () => {})
  await closed
  clearInterval(notice)
  t.ok(socket.destroyed)
})

t.test('closing the broker tells clients that go on sending, too', async t => {
  const { port, broker } = await TestBroker.start(t)
  const socket = await halfOpen(port)
  const received = untilEnd(socket)
  void received.then(() => socket.end())
  // Not read any more once the broker closes.
  socket.write(pings)
  await new Promise<void>(resolve => broker.close(() => resolve()))
  const bytes = await received
  t.equal(bytes.subarray(bytes.lastIndexOf(0xe0))[2], 0x8b)
})

t.test('closing the broker does not wait for clients that keep their side open', async t => {
  const { port, broker } = await TestBroker.start(t)
  const socket = await halfOpen(port)
  socket.on('error', () => {})
  socket.resume()
  t.teardown(() => socket.destroy())
  await new Promise<void>(resolve => broker.close(() => resolve()))
  t.notOk(socket.destroyed)
})
