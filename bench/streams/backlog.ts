import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { payloadBytes } from './fill.ts'
import { encodeConnect, encodePublish, encodeSubscribe } from './packets.ts'

const devices = 50
const publishesPerWrite = 500
const patienceMilliseconds = 60_000

/**
 * The nearest thing to a stream that every broker has: makes a session for `clientId` and fills its queue with `records` QoS 1
 * publishes of the same topics and payloads as fillStream() writes. Whoever takes the session up then gets them all.
 */
export async function fillBacklog(port: number, clientId: string, qos: 0 | 1, records: number): Promise<void> {
  const reader = await open(port)
  reader.write(Buffer.concat([encodeConnect(clientId, 4, false), encodeSubscribe('devices/+/telemetry', qos, 4)]))
  await bytesFrom(reader, 4 + 5)
  reader.end(Buffer.from([0xe0, 0]))
  await once(reader, 'close')
  const publisher = await open(port)
  publisher.write(encodeConnect('publisher', 4, true))
  await bytesFrom(publisher, 4)
  const templates = Array.from({ length: devices }, (_, i) => encodePublish(`devices/${i}/telemetry`, payloadBytes))
  for (let sent = 0; sent < records; ) {
    const parts: Buffer[] = []
    for (; parts.length < publishesPerWrite && sent < records; sent++) {
      const { bytes, idAt, payloadAt } = templates[sent % devices]!
      const packet = Buffer.from(bytes)
      packet.writeUInt16BE((sent % 60_000) + 1, idAt)
      packet.writeUInt32BE(sent, payloadAt)
      parts.push(packet)
    }
    publisher.write(Buffer.concat(parts))
    // Each is acknowledged with four bytes; the next ones leave when these have been.
    await bytesFrom(publisher, parts.length * 4)
  }
  publisher.destroy()
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').setNoDelay()
  await once(socket, 'connect')
  return socket
}

function bytesFrom(socket: Socket, wanted: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let count = 0
    const timer = setTimeout(() => done(new Error(`${count} of ${wanted} bytes came back`)), patienceMilliseconds)
    const onData = (bytes: Buffer) => {
      count += bytes.length
      if (count >= wanted) done()
    }
    const onClose = () => done(new Error('the broker closed the connection'))
    const done = (error?: Error) => {
      clearTimeout(timer)
      socket.off('data', onData).off('close', onClose)
      if (error) reject(error)
      else resolve()
    }
    socket.on('data', onData).once('close', onClose)
  })
}
