import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import { type ClientOptions, createWebSocketStream, WebSocket } from 'ws'
import type { ListenerOptions } from '../../../lib/listener/contract.ts'
import { openTcpListener } from '../../../lib/listener/tcp.ts'
import { openTlsListener } from '../../../lib/listener/tls.ts'
import { openWebSocketListener } from '../../../lib/listener/websocket.ts'
import { makeAuthority, opensslMissing } from '../../listener/certificates.ts'
import { field, join, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'
import { payloads } from './clients.ts'

const { broker } = await TestBroker.start(t)
const options: ListenerOptions = {
  name: 'listeners[0]',
  host: '127.0.0.1',
  port: 0,
  anonymousAllowed: true,
  onConnection: (stream, request, peer) => broker.accept(stream, request, peer)
}
const listener = await openWebSocketListener(options)
t.teardown(() => listener.close())

const connect = raw(0x10, field('MQTT'), 5, 2, 0, 0, 0, field('web'))
const subscribe = raw(0x82, 0, 1, 0, field('web/+'), 0)
const pingreq = raw(0xc0)
const publish = (payload: string) => raw(0x30, field('web/a'), 0, Buffer.from(payload))

/** A WebSocket, open, and the MQTT packets that come out of it. */
async function open(url = listener.url, more: ClientOptions = {}): Promise<{ webSocket: WebSocket; client: RawClient }> {
  const webSocket = new WebSocket(url, ['mqtt'], more)
  webSocket.on('error', () => {})
  t.teardown(() => webSocket.terminate())
  const stream = createWebSocketStream(webSocket)
  // This end stays half open otherwise.
  stream.on('end', () => stream.destroy())
  const client = new RawClient(stream as unknown as Socket, 5)
  await once(webSocket, 'open')
  return { webSocket, client }
}

t.test('[MQTT-6.0.0-1] the broker sends binary frames', async t => {
  const { webSocket, client } = await open()
  const kinds: boolean[] = []
  webSocket.on('message', (_data, isBinary) => kinds.push(isBinary))
  webSocket.send(join([connect, subscribe, publish('x'), pingreq]))
  for (const cmd of ['connack', 'suback', 'publish', 'pingresp']) await client.expect(cmd)
  t.ok(kinds.length > 0)
  t.ok(kinds.every(isBinary => isBinary))
})

t.test('[MQTT-6.0.0-1] a text frame closes the connection, and what it says is not acted upon', async t => {
  const watcher = await open()
  watcher.webSocket.send(join([connect, subscribe]))
  await watcher.client.expect('connack')
  await watcher.client.expect('suback')
  const { webSocket } = await open()
  webSocket.send(join([raw(0x10, field('MQTT'), 5, 2, 0, 0, 0, field('texter')), publish('binary')]))
  t.same(payloads([await watcher.client.expect('publish')]), ['binary'])
  webSocket.send(publish('text').toString('latin1'))
  t.equal((await once(webSocket, 'close'))[0], 1003)
  watcher.webSocket.send(pingreq)
  t.equal((await watcher.client.next())?.cmd, 'pingresp')
})

t.test('[MQTT-6.0.0-2] packets begin and end anywhere in the frames', async t => {
  const stream = join([connect, subscribe, publish('one'), publish('two'), publish('three'), pingreq])
  for (const frameBytes of [1, 2, 3, 7, 20, stream.length]) {
    const { webSocket, client } = await open()
    for (let at = 0; at < stream.length; at += frameBytes) webSocket.send(stream.subarray(at, at + frameBytes))
    await client.expect('connack')
    await client.expect('suback')
    const arrived = [await client.expect('publish'), await client.expect('publish'), await client.expect('publish')]
    t.same(payloads(arrived), ['one', 'two', 'three'], `${frameBytes} bytes a frame`)
    await client.expect('pingresp')
    webSocket.terminate()
  }
})

t.test('[MQTT-6.0.0-2] a message in fragments, with a ping of the WebSocket between them, is one run of bytes', async t => {
  const { webSocket, client } = await open()
  const stream = join([connect, subscribe, publish('whole')])
  webSocket.send(stream.subarray(0, 5), { fin: false })
  webSocket.ping()
  webSocket.send(stream.subarray(5, 30), { fin: false })
  webSocket.send(stream.subarray(30), { fin: true })
  await client.expect('connack')
  await client.expect('suback')
  t.same(payloads([await client.expect('publish')]), ['whole'])
})

t.test('[MQTT-6.0.0-3] an upgrade that does not offer "mqtt" is refused', async t => {
  for (const offered of [[], ['mqtt5'], ['MQTT'], ['stomp', 'xmpp']]) {
    const webSocket = new WebSocket(listener.url, offered)
    webSocket.on('error', () => {})
    const [, response] = await once(webSocket, 'unexpected-response')
    t.equal(response.statusCode, 400, offered.join())
    response.resume()
    webSocket.terminate()
  }
})

t.test('[MQTT-6.0.0-4] of the subprotocols offered the broker selects "mqtt"', async t => {
  for (const offered of [['mqtt'], ['stomp', 'mqtt'], ['mqttv3.1', 'mqtt', 'xmpp']]) {
    const webSocket = new WebSocket(listener.url, offered)
    await once(webSocket, 'open')
    t.equal(webSocket.protocol, 'mqtt', offered.join())
    webSocket.terminate()
  }
})

t.test('[MQTT-4.2.0-1] TCP and WebSocket carry a connection', async t => {
  const tcp = await openTcpListener(options)
  t.teardown(() => tcp.close())
  const plain = new RawClient(connectTcp(tcp.port, '127.0.0.1'), 5)
  await conversation(t, plain)
  await conversation(t, (await open()).client)
})

t.test('[MQTT-4.2.0-1] TLS and WebSocket over TLS carry a connection', { skip: opensslMissing() }, async t => {
  const authority = makeAuthority(temporaryFolder(t))
  const tls = { ...authority.issue('server'), caFile: authority.caFile, clientCertificate: 'none' as const }
  const ca = readFileSync(authority.caFile)
  const secure = await openTlsListener({ ...options, tls })
  t.teardown(() => secure.close())
  const secureWeb = await openWebSocketListener({ ...options, tls })
  t.teardown(() => secureWeb.close())
  await conversation(t, new RawClient(connectTls({ port: secure.port, host: '127.0.0.1', ca }), 5))
  await conversation(t, (await open(secureWeb.url, { ca })).client)
})

/** Every kind of packet once, in order, a large one too. */
async function conversation(t: Test, client: RawClient): Promise<void> {
  client.sendConnect({ version: 5, clientId: '' })
  t.equal((await client.expect('connack')).reasonCode, 0)
  await client.subscribe('talk', 0)
  const large = 'x'.repeat(300_000)
  for (const payload of ['first', large, 'last']) await client.publish('talk', payload)
  t.same(payloads(await client.ping()), ['first', large, 'last'])
  await client.disconnect()
}
