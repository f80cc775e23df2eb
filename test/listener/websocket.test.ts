import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import { connect as connectTcp } from 'node:net'
import { t } from 'tap'
import { type ClientOptions, WebSocket } from 'ws'
import { openWebSocketListener, type WebSocketListenerOptions } from '../../lib/listener/websocket.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { makeAuthority, opensslMissing } from './certificates.ts'
import { closed, Guests } from './guests.ts'

type Test = Pick<typeof t, 'teardown'>
type Overrides = Partial<WebSocketListenerOptions>

async function open(t: Test, options: Overrides = {}) {
  const guests = new Guests()
  const listener = await openWebSocketListener({ ...guests.options, ...options })
  t.teardown(() => listener.close())
  return { listener, guests }
}

function dial(t: Test, url: string, options: ClientOptions = {}, subprotocols: string | string[] = 'mqtt'): WebSocket {
  const socket = new WebSocket(url, subprotocols, options)
  socket.on('error', () => {})
  t.teardown(() => socket.terminate())
  return socket
}

/** Status and body of the answer to an upgrade that is refused. */
async function refusal(socket: WebSocket): Promise<{ status: number; body: string }> {
  const [, response] = await once(socket, 'unexpected-response')
  let body = ''
  for await (const chunk of response) body += chunk
  return { status: response.statusCode, body }
}

t.test('bytes pass both ways, and the upgrade request is handed on with them', async t => {
  const { listener, guests } = await open(t)
  t.equal(listener.url, `ws://127.0.0.1:${listener.port}/mqtt`)
  const client = dial(t, `${listener.url}?from=test`)
  const { stream, peer, request } = await guests.next()
  t.match(peer, { transport: 'ws', address: '127.0.0.1', listener: 'listeners[0]', certificate: undefined })
  t.equal(request?.url, '/mqtt?from=test')
  await once(client, 'open')
  t.equal(client.protocol, 'mqtt', '[MQTT-6.0.0-4]')

  client.send(Buffer.from('up'))
  t.equal(String((await once(stream, 'data'))[0]), 'up')
  stream.write('down')
  const [data, isBinary] = await once(client, 'message')
  t.equal(String(data), 'down')
  t.equal(isBinary, true, '[MQTT-6.0.0-1]')
})

t.test('the subprotocol of MQTT 3.1 is accepted, and "mqtt" preferred when both are offered', async t => {
  const { listener } = await open(t)
  const old = dial(t, listener.url, {}, 'mqttv3.1')
  await once(old, 'open')
  t.equal(old.protocol, 'mqttv3.1')
  const both = dial(t, listener.url, {}, ['mqttv3.1', 'mqtt'])
  await once(both, 'open')
  t.equal(both.protocol, 'mqtt')
})

t.test('[MQTT-6.0.0-3] an upgrade that does not offer the subprotocol is refused', async t => {
  const { listener, guests } = await open(t)
  t.match(await refusal(dial(t, listener.url, {}, [])), { status: 400, body: /must be "mqtt"/ })
  t.match(await refusal(dial(t, listener.url, {}, 'stomp')), { status: 400 })
  t.same(guests.refusals, ['subprotocol', 'subprotocol'])
  t.equal(listener.counts.accepted, 0)
})

t.test('another path is refused and told the right one', async t => {
  const { listener, guests } = await open(t, { path: '/broker' })
  t.match(await refusal(dial(t, `ws://127.0.0.1:${listener.port}/mqtt`)), { status: 404, body: /at \/broker/ })
  t.equal(await guests.nextRefusal(), 'path')
  await once(dial(t, listener.url), 'open')
})

t.test('with a list of origins, pages of other origins are refused and programs pass', async t => {
  const { listener, guests } = await open(t, { origins: ['https://dash.example'] })
  t.match(await refusal(dial(t, listener.url, { origin: 'https://evil.example' })), { status: 403 })
  t.match(await refusal(dial(t, listener.url, { origin: 'http://localhost:3000' })), { status: 403 })
  t.match(await refusal(dial(t, listener.url, { origin: 'null' })), { status: 403 })
  t.same(guests.refusals, ['origin', 'origin', 'origin'])
  await once(dial(t, listener.url, { origin: 'https://DASH.example' }), 'open')
  await once(dial(t, listener.url), 'open')
})

t.test('without a list, a loopback listener takes pages loaded from this machine, whatever the Host header says', async t => {
  const { listener } = await open(t)
  await once(dial(t, listener.url, { origin: 'http://localhost:3000' }), 'open')
  await once(dial(t, listener.url, { origin: 'http://[::1]:3000' }), 'open')
  const rebound = { origin: 'http://evil.example:8083', headers: { host: 'evil.example:8083' } }
  t.match(await refusal(dial(t, listener.url, rebound)), { status: 403 })
})

t.test('without a list, a public listener takes pages of the same host', async t => {
  const { listener } = await open(t, { host: '0.0.0.0' })
  const url = `ws://127.0.0.1:${listener.port}/mqtt`
  await once(dial(t, url, { origin: 'https://hub.example', headers: { host: 'hub.example:8083' } }), 'open')
  t.match(await refusal(dial(t, url, { origin: 'https://evil.example', headers: { host: 'hub.example:8083' } })), { status: 403 })
})

t.test('origin "*" takes every page', async t => {
  const { listener } = await open(t, { origins: ['*'] })
  await once(dial(t, listener.url, { origin: 'https://anywhere.example' }), 'open')
})

t.test('[MQTT-6.0.0-1] a text frame closes the connection with 1003', async t => {
  const { listener, guests } = await open(t)
  const client = dial(t, listener.url)
  const { stream } = await guests.next()
  await once(client, 'open')
  let bytes = 0
  stream.on('data', chunk => (bytes += chunk.length))
  client.send('text')
  const [code] = await once(client, 'close')
  t.equal(code, 1003)
  await closed(stream)
  t.equal(bytes, 0)
})

t.test('a message above the limit closes the connection with 1009', async t => {
  const { listener, guests } = await open(t, { messageBytesMax: 1000 })
  const client = dial(t, listener.url)
  const { stream } = await guests.next()
  const gone = closed(stream)
  await once(client, 'open')
  client.send(Buffer.alloc(1001))
  t.equal((await once(client, 'close'))[0], 1009)
  await gone
})

t.test('a peer that leaves ends and closes the stream', async t => {
  const { listener, guests } = await open(t)
  const client = dial(t, listener.url)
  const { stream } = await guests.next()
  await once(client, 'open')
  stream.resume()
  client.close()
  await Promise.all([once(stream, 'end'), once(stream, 'close')])
  t.equal(stream.errored, null)
})

t.test('a stream that is destroyed takes its socket with it at once', async t => {
  const { listener, guests } = await open(t)
  const client = dial(t, listener.url)
  const { stream } = await guests.next()
  await once(client, 'open')
  stream.destroy()
  t.equal((await once(client, 'close'))[0], 1006)
})

t.test('a stream that is ended sends what was written and then a close frame', async t => {
  const { listener, guests } = await open(t)
  const client = dial(t, listener.url)
  const { stream } = await guests.next()
  stream.resume()
  stream.end('last words')
  const messages: string[] = []
  client.on('message', data => messages.push(String(data)))
  const [code] = await once(client, 'close')
  t.equal(code, 1005)
  t.same(messages, ['last words'])
})

t.test('when the client does not read, writes stop being taken; when it reads again, all of it arrives in order', async t => {
  const { listener, guests } = await open(t)
  const client = dial(t, listener.url)
  const { stream } = await guests.next()
  await once(client, 'open')
  client.pause()
  // Numbered 64 KiB blocks until the stream says stop: kernel buffers first, then ours.
  let written = 0
  let flowing = true
  const block = () => Buffer.alloc(65_536, written++ % 251)
  while (flowing && written < 10_000) {
    stream.write(block())
    await new Promise(resolve => setImmediate(resolve))
    flowing = !stream.writableNeedDrain
  }
  t.equal(flowing, false)
  t.ok(written < 10_000, 'a client that reads nothing fills buffers, not the heap')

  const drained = once(stream, 'drain')
  let received = 0
  let inOrder = true
  client.on('message', (data: Buffer) => {
    for (let at = 0; at < data.length; at += 65_536) inOrder &&= data[at] === Math.floor((received + at) / 65_536) % 251
    received += data.length
  })
  client.resume()
  await drained
  stream.end()
  stream.resume()
  await once(client, 'close')
  t.equal(received, written * 65_536)
  t.equal(inOrder, true)
})

t.test('when nobody reads the stream, the client is held back', async t => {
  const { listener, guests } = await open(t, { messageBytesMax: 1_000_000 })
  const client = dial(t, listener.url)
  const { stream } = await guests.next()
  await once(client, 'open')
  const block = Buffer.alloc(500_000)
  let blocks = 0
  while (client.bufferedAmount < 4_000_000 && blocks < 1_000) {
    client.send(block)
    blocks++
    await new Promise(resolve => setImmediate(resolve))
  }
  t.ok(blocks < 1_000, 'bytes pile up at the client')
  t.ok(stream.readableLength < 3_000_000, `${stream.readableLength} bytes wait in the stream`)
  let received = 0
  stream.on('data', chunk => (received += chunk.length))
  client.close()
  await once(client, 'close')
  t.equal(received, blocks * block.length)
})

t.test('a plain HTTP request is told what this port is for', async t => {
  const { listener } = await open(t)
  const [response] = await once(get(`http://127.0.0.1:${listener.port}/`), 'response')
  t.equal(response.statusCode, 426)
  t.match(String((await once(response, 'data'))[0]), /MQTT over WebSocket at \/mqtt/)
})

t.test('bytes that are not HTTP are counted and hurt nobody', async t => {
  const { listener, guests } = await open(t)
  const stranger = connectTcp(listener.port, '127.0.0.1')
  const gone = closed(stranger)
  stranger.write(Buffer.from([0x10, 0x0c, 0x00, 0x04]))
  t.equal(await guests.nextRefusal(), 'handshake')
  await gone
  await once(dial(t, listener.url), 'open')
})

t.test('a connection that never asks for anything is cut off', async t => {
  const { listener, guests } = await open(t, { handshakeTimeoutMs: 40 })
  const silent = connectTcp(listener.port, '127.0.0.1')
  await closed(silent)
  t.equal(await guests.nextRefusal(), 'handshake')
})

t.test('connections above connectionsMax are refused', async t => {
  const { listener, guests } = await open(t, { connectionsMax: 1 })
  await once(dial(t, listener.url), 'open')
  dial(t, listener.url)
  t.equal(await guests.nextRefusal(), 'limit')
})

t.test('close drops what has not upgraded and leaves WebSockets alone', async t => {
  const { listener, guests } = await open(t)
  const idle = connectTcp(listener.port, '127.0.0.1')
  const idleGone = closed(idle)
  await once(idle, 'connect')
  const client = dial(t, listener.url)
  const { stream } = await guests.next()
  await once(client, 'open')
  await listener.close()
  await idleGone
  stream.write('open')
  t.equal(String((await once(client, 'message'))[0]), 'open')
})

t.test('wss carries the identity of the client certificate and refuses foreign ones', { skip: opensslMissing() }, async t => {
  const folder = temporaryFolder(t)
  const authority = makeAuthority(folder)
  const device = authority.issue('device-9')
  const ca = readFileSync(authority.caFile)
  const pem = (files: { certFile: string; keyFile: string }) => ({
    cert: readFileSync(files.certFile),
    key: readFileSync(files.keyFile)
  })
  const tls = { ...authority.issue('server'), caFile: authority.caFile, clientCertificate: 'request' as const }
  const { listener, guests } = await open(t, { tls })
  t.match(listener.url, /^wss:/)

  dial(t, listener.url, { ca, ...pem(device) })
  t.match((await guests.next()).peer, { transport: 'wss', certificate: { commonName: 'device-9' } })
  dial(t, listener.url, { ca })
  t.match((await guests.next()).peer, { transport: 'wss', certificate: undefined })
  const foreign = makeAuthority(folder, 'foreign').issue('device-9')
  t.match(await refusal(dial(t, listener.url, { ca, ...pem(foreign) })), { status: 403 })
  t.equal(await guests.nextRefusal(), 'certificate')
  await listener.reload()
  await once(dial(t, listener.url, { ca }), 'open')
})
