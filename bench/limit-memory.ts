/**
 * How fast one Node process can route MQTT in memory: routes cached per topic, a chunk's acknowledgements together, one write per
 * connection and turn. node limit-memory.js PORT
 */
import { createServer, type Socket } from 'node:net'
import { BareConnection, connack } from './limit-frames.ts'

interface Subscription {
  connection: MemoryConnection
  /** The filter without its `#`; the benchmark uses no other wildcard. */
  prefix: string
  qos: number
}

const subscriptions = new Set<Subscription>()
const routes = new Map<string, Subscription[]>()
let dirty: MemoryConnection[] = []

function routeOf(topic: string): Subscription[] {
  let route = routes.get(topic)
  if (!route) {
    route = [...subscriptions].filter(subscription => topic.startsWith(subscription.prefix))
    routes.set(topic, route)
  }
  return route
}

function flushAll(): void {
  const connections = dirty
  dirty = []
  for (const connection of connections) connection.flush()
}

class MemoryConnection extends BareConnection {
  readonly #socket: Socket
  readonly #subscriptions: Subscription[] = []
  #out: Buffer | undefined
  #used = 0
  #packetId = 0

  constructor(socket: Socket) {
    super()
    this.#socket = socket
  }

  protected packet(bytes: Buffer, first: number, body: number, end: number): void {
    switch (bytes[first]! >> 4) {
      case 1:
        this.#socket.write(connack)
        break
      case 3:
        this.#publish(bytes, first, body, end)
        break
      case 8:
        this.#subscribe(bytes, body)
        break
    }
  }

  protected chunkEnd(): void {}

  #publish(bytes: Buffer, first: number, body: number, end: number): void {
    const qos = (bytes[first]! >> 1) & 3
    const topicEnd = body + 2 + ((bytes[body]! << 8) | bytes[body + 1]!)
    if (qos) {
      const at = this.reserve(4)
      const out = this.#out!
      out[at] = 0x40
      out[at + 1] = 2
      out[at + 2] = bytes[topicEnd]!
      out[at + 3] = bytes[topicEnd + 1]!
    }
    for (const { connection, qos: granted } of routeOf(bytes.toString('latin1', body + 2, topicEnd))) {
      if (qos && granted) connection.forward(bytes, first, topicEnd, end)
      else connection.forwardQos0(bytes, body, topicEnd, qos ? topicEnd + 2 : topicEnd, end)
    }
  }

  #subscribe(bytes: Buffer, body: number): void {
    const filterEnd = body + 4 + bytes.readUInt16BE(body + 2)
    const subscription = { connection: this, prefix: bytes.toString('latin1', body + 4, filterEnd - 1), qos: bytes[filterEnd]! }
    subscriptions.add(subscription)
    this.#subscriptions.push(subscription)
    routes.clear()
    this.#socket.write(Buffer.from([0x90, 3, bytes[body]!, bytes[body + 1]!, subscription.qos]))
  }

  /** QoS 1 to QoS 1: the same packet with another identifier. */
  forward(bytes: Buffer, first: number, id: number, end: number): void {
    const at = this.reserve(end - first)
    const out = this.#out!
    bytes.copy(out, at, first, end)
    this.#packetId = (this.#packetId % 65535) + 1
    out[at + id - first] = this.#packetId >> 8
    out[at + id - first + 1] = this.#packetId & 255
  }

  forwardQos0(bytes: Buffer, body: number, topicEnd: number, payload: number, end: number): void {
    let length = topicEnd - body + end - payload
    let at = this.reserve(length + 5)
    const reservedEnd = at + length + 5
    const out = this.#out!
    out[at++] = 0x30
    do {
      out[at++] = length > 127 ? (length & 127) | 128 : length
      length >>= 7
    } while (length)
    at += bytes.copy(out, at, body, topicEnd)
    at += bytes.copy(out, at, payload, end)
    this.#used -= reservedEnd - at
  }

  /** Makes room in what this turn will send and returns where it begins. */
  reserve(length: number): number {
    if (!this.#out || this.#used + length > this.#out.length) {
      const larger = Buffer.allocUnsafe(Math.max(1024, 2 * (this.#used + length)))
      this.#out?.copy(larger, 0, 0, this.#used)
      this.#out = larger
    }
    if (this.#used === 0) {
      if (dirty.length === 0) setImmediate(flushAll)
      dirty.push(this)
    }
    this.#used += length
    return this.#used - length
  }

  flush(): void {
    this.#socket.write(this.#out!.subarray(0, this.#used))
    // The socket may keep the bytes until the kernel takes them.
    this.#out = undefined
    this.#used = 0
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscriptions.delete(subscription)
    routes.clear()
  }
}

createServer({ noDelay: true }, socket => {
  const connection = new MemoryConnection(socket)
  socket.on('data', chunk => connection.data(chunk))
  socket.on('error', () => socket.destroy())
  socket.on('close', () => connection.close())
}).listen(Number(process.argv[2]), '127.0.0.1')
