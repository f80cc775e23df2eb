import { once } from 'node:events'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { generate, type Packet, parser } from 'mqtt-packet'
import { t } from 'tap'
import { parseConfig } from '../../lib/config/load.ts'
import { Server } from '../../lib/server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const require = createRequire(import.meta.url)
/** What Aedes' documentation recommends on the other end. */
const connect: (url: string, subprotocol: string) => Duplex = require('websocket-stream')

async function start(t: { testdir(): string; teardown(fn: () => unknown): unknown }): Promise<{ server: Server; url: string }> {
  const yaml = 'data: data\nlisteners: [{ type: ws, port: 0 }]\nadmin: false\n'
  const server = await Server.start(parseConfig(yaml, join(temporaryFolder(t), 'tributary.yaml')))
  t.teardown(() => server.close())
  return { server, url: server.addresses[0]!.url }
}

/** The packets that arrive on a stream, in order. */
function packetsOf(stream: Duplex): () => Promise<Packet> {
  const packets: Packet[] = []
  const incoming = parser({ protocolVersion: 4 })
  incoming.on('packet', (packet: Packet) => {
    packets.push(packet)
    stream.emit('packet')
  })
  stream.on('data', chunk => incoming.parse(chunk))
  return async () => {
    while (packets.length === 0) await once(stream, 'packet')
    return packets.shift()!
  }
}

t.test('websocket-stream runs on the ws that this project pins, not on the ws 3 it asks for', async t => {
  const own = createRequire(require.resolve('websocket-stream'))
  t.match(own('ws/package.json').version, /^8\./)
})

t.test('a websocket-stream client connects, subscribes and receives what it publishes', async t => {
  const { url } = await start(t)
  const stream = connect(url, 'mqtt')
  t.teardown(() => stream.destroy())
  const next = packetsOf(stream)
  stream.write(generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'old', clean: true, keepalive: 0 }))
  t.match(await next(), { cmd: 'connack', returnCode: 0 })
  stream.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'room/#', qos: 0 }] }))
  t.match(await next(), { cmd: 'suback', granted: [0] })

  const payload = Buffer.alloc(200_000, 'x')
  stream.write(generate({ cmd: 'publish', topic: 'room/1', payload, qos: 1, dup: false, retain: false, messageId: 2 }))
  const arrived = [await next(), await next()]
  t.match(
    arrived.find(({ cmd }) => cmd === 'puback'),
    { messageId: 2 }
  )
  const publish = arrived.find(packet => packet.cmd === 'publish')
  t.ok(publish?.cmd === 'publish' && payload.equals(publish.payload as Buffer))
})

t.test('[MQTT-6.0.0-2] packets need not be aligned with WebSocket frames', async t => {
  const { url } = await start(t)
  const stream = connect(url, 'mqtt')
  t.teardown(() => stream.destroy())
  const next = packetsOf(stream)
  const bytes = Buffer.concat([
    generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'old', clean: true, keepalive: 0 }),
    generate({ cmd: 'pingreq' }),
    generate({ cmd: 'pingreq' })
  ])
  // A frame per byte at first, then several packets in one frame.
  for (const byte of bytes.subarray(0, 10)) stream.write(Buffer.from([byte]))
  stream.write(bytes.subarray(10))
  t.match(await next(), { cmd: 'connack' })
  t.match(await next(), { cmd: 'pingresp' })
  t.match(await next(), { cmd: 'pingresp' })
})

t.test('the end of one side is the end of the other', async t => {
  const { server, url } = await start(t)
  const stream = connect(url, 'mqtt')
  stream.on('error', () => {})
  const next = packetsOf(stream)
  stream.write(generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'old', clean: true, keepalive: 0 }))
  await next()
  const gone = new Promise(resolve => server.broker.once('clientDisconnect', resolve))
  stream.end(generate({ cmd: 'disconnect' }))
  await gone

  const second = connect(url, 'mqtt')
  second.on('error', () => {})
  const nextOfSecond = packetsOf(second)
  second.write(generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'old', clean: true, keepalive: 0 }))
  await nextOfSecond()
  const closed = new Promise(resolve => second.once('close', resolve))
  await server.close()
  await closed
  t.equal(server.broker.connections.size, 0)
})
