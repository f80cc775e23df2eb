import { connect, type Socket } from 'node:net'
import mqttPacket, { type Packet } from 'mqtt-packet'

/**
 * A publisher that does what the standard asks of a client with a persistent session: it numbers its messages, keeps what is not
 * acknowledged, and after each reconnect sends it again, in order, with the same packet ids [MQTT-4.4.0-1].
 */
export class StubbornPublisher {
  readonly clientId: string
  readonly qos: 1 | 2
  /** Sequence numbers whose handshake the broker completed (PUBACK or PUBREC). */
  readonly acknowledged = new Set<number>()
  readonly #port: number
  readonly #window: number
  #next = 0
  /** By packet id, in the order they were first sent. */
  readonly #inflight = new Map<number, { sequence: number; state: 'published' | 'released' }>()
  #packetId = 0
  #socket: Socket | undefined
  #publishing = true
  #drained: (() => void) | undefined

  constructor(port: number, clientId: string, qos: 1 | 2, window: number) {
    this.#port = port
    this.clientId = clientId
    this.qos = qos
    this.#window = window
  }

  get topic(): string {
    return `devices/${this.clientId}/telemetry`
  }

  /** How many messages were made up so far. */
  get sent(): number {
    return this.#next
  }

  /** Connects and publishes until the connection ends, which the promise resolves with. */
  run(): Promise<void> {
    const socket = connect(this.#port, '127.0.0.1')
    this.#socket = socket
    const parser = mqttPacket.parser({ protocolVersion: 4 })
    parser.on('packet', packet => this.#onPacket(packet))
    socket.on('connect', () => {
      this.#send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: false, clientId: this.clientId, keepalive: 0 })
    })
    socket.on('data', bytes => parser.parse(bytes))
    socket.on('error', () => {})
    return new Promise(resolve => socket.on('close', () => resolve()))
  }

  /** Stops making new messages and resolves when the old ones are through. */
  finish(): Promise<void> {
    this.#publishing = false
    return new Promise(resolve => {
      this.#drained = resolve
      this.#settle()
    })
  }

  end(): void {
    this.#socket?.destroy()
  }

  #onPacket(packet: Packet): void {
    const id = packet.messageId ?? 0
    switch (packet.cmd) {
      case 'connack':
        for (const [packetId, { sequence, state }] of this.#inflight) {
          if (state === 'released') this.#send({ cmd: 'pubrel', messageId: packetId })
          else this.#publish(packetId, sequence, true)
        }
        break
      case 'puback':
        this.#acknowledge(id)
        this.#inflight.delete(id)
        break
      case 'pubrec': {
        this.#acknowledge(id)
        const entry = this.#inflight.get(id)
        if (entry) entry.state = 'released'
        this.#send({ cmd: 'pubrel', messageId: id })
        break
      }
      case 'pubcomp':
        this.#inflight.delete(id)
        break
      default:
        throw new Error(`unexpected ${packet.cmd}`)
    }
    while (this.#publishing && this.#inflight.size < this.#window) {
      this.#packetId = (this.#packetId % 65535) + 1
      this.#inflight.set(this.#packetId, { sequence: this.#next, state: 'published' })
      this.#publish(this.#packetId, this.#next++, false)
    }
    this.#settle()
  }

  #acknowledge(packetId: number): void {
    const entry = this.#inflight.get(packetId)
    if (entry) this.acknowledged.add(entry.sequence)
  }

  #publish(messageId: number, sequence: number, dup: boolean): void {
    this.#send({ cmd: 'publish', topic: this.topic, payload: String(sequence), qos: this.qos, retain: false, dup, messageId })
  }

  #send(packet: object): void {
    this.#socket?.write(mqttPacket.generate(packet as Packet, { protocolVersion: 4 }))
  }

  #settle(): void {
    if (!this.#publishing && this.#inflight.size === 0) this.#drained?.()
  }
}
