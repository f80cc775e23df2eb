import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { WebSocket } from 'ws'
import { openTlsListener } from '../../../lib/listener/tls.ts'
import { openWebSocketListener } from '../../../lib/listener/websocket.ts'
import { makeAuthority, opensslMissing } from '../../listener/certificates.ts'
import { field, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const started = await TestBroker.start(t)
const options = {
  name: 'listeners[0]',
  host: '127.0.0.1',
  port: 0,
  anonymousAllowed: true,
  onConnection: (...[stream, request, peer]: Parameters<typeof started.broker.accept>) => {
    started.broker.accept(stream, request, peer)
  },
  onRefused: () => {}
}
const listener = await openWebSocketListener(options)
t.teardown(() => listener.close())

const connect = raw(0x10, field('MQTT'), 4, 2, 0, 60, field('web'))
const connack = raw(0x20, 0, 0)
const pingreq = raw(0xc0)
const pingresp = raw(0xd0)

async function dial(subprotocols: string[] = ['mqtt']): Promise<WebSocket> {
  const socket = new WebSocket(listener.url, subprotocols)
  t.teardown(() => socket.terminate())
  await once(socket, 'open')
  return socket
}

/** Everything that arrives until there are this many bytes; fails when a frame is not binary. */
async function received(socket: WebSocket, bytes: number): Promise<Buffer> {
  let all = Buffer.alloc(0)
  while (all.length < bytes) {
    const [data, isBinary] = (await once(socket, 'message')) as [Buffer, boolean]
    if (!isBinary) t.fail('a frame that is not binary')
    all = Buffer.concat([all, data])
  }
  return all
}

t.test('[MQTT-6.0.0-1] packets travel in binary frames, and a text frame ends the connection', async t => {
  const socket = await dial()
  socket.send(connect)
  t.same(await received(socket, 4), connack)
  const closed = once(socket, 'close')
  socket.send('text')
  await closed
  await RawClient.connect(started.port, { clientId: 'after' })
  t.equal(started.broker.clients.web, undefined, 'and the client with it')
})

t.test('[MQTT-6.0.0-2] packets need not begin and end with frames', async t => {
  const socket = await dial()
  for (const byte of connect) socket.send(Buffer.from([byte]))
  t.same(await received(socket, 4), connack)
  socket.send(Buffer.concat([pingreq, pingreq, pingreq.subarray(0, 1)]))
  t.same(await received(socket, 4), Buffer.concat([pingresp, pingresp]))
  socket.send(Buffer.concat([pingreq.subarray(1), raw(0x82, 0, 1, field('a'), 0)]))
  t.same(await received(socket, 7), Buffer.concat([pingresp, raw(0x90, 0, 1, 0)]))
})

t.test('[MQTT-6.0.0-3] [MQTT-6.0.0-4] the subprotocol is mqtt, and an upgrade without it is refused', async t => {
  t.equal((await dial(['mqtt'])).protocol, 'mqtt')
  t.equal((await dial(['other', 'mqtt'])).protocol, 'mqtt')
  for (const subprotocols of [[], ['other']]) {
    const socket = new WebSocket(listener.url, subprotocols)
    socket.on('error', () => {})
    const [, response] = await once(socket, 'unexpected-response')
    t.equal(response.statusCode, 400)
    response.resume()
  }
})

t.test('[MQTT-7.1.1-1] TCP and WebSocket carry the same session', async t => {
  const { client } = await RawClient.connect(started.port, { clientId: 'tcp' })
  await client.subscribe('over')
  const socket = await dial()
  socket.send(Buffer.concat([connect, raw(0x30, field('over'), Buffer.from('the web'))]))
  t.equal(String((await client.expect('publish')).payload), 'the web')
})

t.test('[MQTT-7.1.1-1] TLS carries it too', { skip: opensslMissing() }, async t => {
  const authority = makeAuthority(temporaryFolder(t))
  const { certFile, keyFile } = authority.issue('server')
  const tls = await openTlsListener({ ...options, tls: { certFile, keyFile, clientCertificate: 'none' } })
  t.teardown(() => tls.close())
  const socket = connectTls({ port: tls.port, host: '127.0.0.1', ca: readFileSync(authority.caFile) })
  t.teardown(() => socket.destroy())
  const data = once(socket, 'data')
  socket.write(connect)
  t.same((await data)[0], connack)
})

t.test('[MQTT-7.0.0-1] nothing but the command line opens connections, so the broker is never a client', async t => {
  const root = fileURLToPath(new URL('../../../../', import.meta.url))
  const dialing = /import\s*\{[^}]*\bconnect\b[^}]*\}\s*from 'node:(net|tls)'|new WebSocket\(|\b(createConnection|fetch)\(/
  const found = readdirSync(`${root}lib`, { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts'))
    .filter(file => dialing.test(readFileSync(`${root}lib/${file}`, 'utf8')))
  t.ok(found.length > 0, 'the pattern finds those of the command line')
  t.same(
    found.filter(file => !file.startsWith('cli/')),
    []
  )
})
