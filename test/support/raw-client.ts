import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import mqttPacket, { type Packet } from 'mqtt-packet'

/** Packets as mqtt-packet gives them, loosely typed: tests look at single fields. */
export type AnyPacket = Packet & Record<string, unknown>

export interface RawConnectOptions {
  clientId?: string
  clean?: boolean
  version?: 3 | 4 | 5
  keepalive?: number
  username?: string
  password?: string
  will?: object
  properties?: object
}

/**
 * A client for tests that does nothing on its own: it sends what it is told and shows every packet that arrives, in order.
 * Built on mqtt-packet, so that our codec is never checked against itself.
 */
export class RawClient {
  readonly socket: Socket
  readonly #version: 3 | 4 | 5
  readonly #arrived: AnyPacket[] = []
  #wanted: ((packet: AnyPacket | undefined) => void) | undefined
  #ended = false
  #nextPacketId = 1

  constructor(socket: Socket, version: 3 | 4 | 5) {
    this.socket = socket
    this.#version = version
    const parser = mqttPacket.parser({ protocolVersion: version })
    parser.on('packet', packet => this.#push(packet as AnyPacket))
    socket.on('data', bytes => parser.parse(bytes))
    socket.on('error', () => {})
    socket.on('close', () => this.#push(undefined))
  }

  /** Opens a TCP connection without sending anything. */
  static async open(port: number, version: 3 | 4 | 5 = 4): Promise<RawClient> {
    const socket = connectTcp(port, '127.0.0.1')
    await once(socket, 'connect')
    return new RawClient(socket, version)
  }

  /** Opens, sends CONNECT and returns the client with its CONNACK. */
  static async connect(port: number, options: RawConnectOptions = {}): Promise<{ client: RawClient; connack: AnyPacket }> {
    const client = await RawClient.open(port, options.version ?? 4)
    client.sendConnect(options)
    const connack = await client.next()
    if (connack?.cmd !== 'connack') throw new Error(`expected connack, got ${connack?.cmd ?? 'the end of the connection'}`)
    return { client, connack }
  }

  sendConnect(options: RawConnectOptions): void {
    const version = options.version ?? 4
    this.send({
      cmd: 'connect',
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: version,
      clean: options.clean ?? true,
      clientId: options.clientId ?? '',
      keepalive: options.keepalive ?? 0,
      ...(options.username === undefined ? {} : { username: options.username }),
      ...(options.password === undefined ? {} : { password: Buffer.from(options.password) }),
      ...(options.will === undefined ? {} : { will: options.will }),
      ...(options.properties === undefined ? {} : { properties: options.properties })
    })
  }

  send(packet: object): void {
    this.socket.write(mqttPacket.generate(packet as Packet, { protocolVersion: this.#version }))
  }

  sendBytes(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  /** The next packet; undefined when the connection ended. */
  next(): Promise<AnyPacket | undefined> {
    const packet = this.#arrived.shift()
    if (packet !== undefined || this.#ended) return Promise.resolve(packet)
    return new Promise(resolve => {
      this.#wanted = resolve
    })
  }

  /** The next packet, which must be of this kind. */
  async expect(cmd: string): Promise<AnyPacket> {
    const packet = await this.next()
    if (packet?.cmd !== cmd) throw new Error(`expected ${cmd}, got ${JSON.stringify(packet ?? 'the end of the connection')}`)
    return packet
  }

  /** Resolves when the broker ended the connection; packets that arrive before are returned. */
  async ended(): Promise<AnyPacket[]> {
    const packets: AnyPacket[] = []
    for (let packet = await this.next(); packet !== undefined; packet = await this.next()) packets.push(packet)
    return packets
  }

  async subscribe(topic: string, qos: 0 | 1 | 2 = 0, options: object = {}, properties?: object): Promise<AnyPacket> {
    this.send({
      cmd: 'subscribe',
      messageId: this.#packetId(),
      subscriptions: [{ topic, qos, ...options }],
      ...(properties === undefined ? {} : { properties })
    })
    return this.expect('suback')
  }

  /** Sends a PUBLISH and, at QoS 1 and 2, waits for the end of the handshake. */
  async publish(topic: string, payload: string | Buffer, qos: 0 | 1 | 2 = 0, options: object = {}): Promise<void> {
    const messageId = qos > 0 ? this.#packetId() : undefined
    this.send({ cmd: 'publish', topic, payload, qos, retain: false, dup: false, messageId, ...options })
    if (qos === 1) await this.expect('puback')
    if (qos === 2) {
      await this.expect('pubrec')
      this.send({ cmd: 'pubrel', messageId })
      await this.expect('pubcomp')
    }
  }

  /** A round trip: everything the broker sent before is among the packets that arrived. */
  async ping(): Promise<AnyPacket[]> {
    this.send({ cmd: 'pingreq' })
    const before: AnyPacket[] = []
    for (;;) {
      const packet = await this.next()
      if (packet === undefined) throw new Error('the connection ended')
      if (packet.cmd === 'pingresp') return before
      before.push(packet)
    }
  }

  /** DISCONNECT, then wait for the end. */
  async disconnect(): Promise<void> {
    this.send({ cmd: 'disconnect' })
    await this.ended()
  }

  /** Cuts the connection as a network failure would. */
  async cut(): Promise<void> {
    this.socket.destroy()
    await this.ended()
  }

  #packetId(): number {
    const id = this.#nextPacketId
    this.#nextPacketId = id === 65535 ? 1 : id + 1
    return id
  }

  #push(packet: AnyPacket | undefined): void {
    if (packet === undefined) this.#ended = true
    const wanted = this.#wanted
    this.#wanted = undefined
    if (wanted) wanted(packet)
    else if (packet) this.#arrived.push(packet)
  }
}
