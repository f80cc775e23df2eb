import { type EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import mqtt, { type IClientOptions, type IConnackPacket, type IPublishPacket, type MqttClient } from 'mqtt'
import type { EveryTransport, Transport } from './every-transport.ts'

export type Version = 3 | 4 | 5

export type MqttJsOptions = IClientOptions & { protocolVersion: Version }

interface Teardown {
  teardown(fn: () => unknown): unknown
}

/** MQTT.js with its CONNACK, an inbox, and the packets that came over the wire. */
export class MqttJs {
  readonly client: MqttClient
  connack: IConnackPacket | undefined
  /** PUBLISH packets as they came, in order: a topic that an alias stands for is empty here. */
  readonly onTheWire: IPublishPacket[] = []
  readonly #inbox: IPublishPacket[] = []

  private constructor(client: MqttClient) {
    this.client = client
    client.on('connect', connack => {
      this.connack = connack
    })
    client.on('packetreceive', packet => {
      if (packet.cmd === 'publish') this.onTheWire.push({ ...packet })
    })
    client.on('message', (topic, _payload, packet) => this.#inbox.push({ ...packet, topic }))
  }

  /** Connects over one of the transports. */
  static connect(t: Teardown, broker: EveryTransport, transport: Transport, options: MqttJsOptions): Promise<MqttJs> {
    const secure = transport === 'tls' || transport === 'wss'
    return MqttJs.open(t, broker.url(transport), secure ? { ca: readFileSync(broker.caFile), ...options } : options)
  }

  static async open(t: Teardown, url: string, options: MqttJsOptions): Promise<MqttJs> {
    const client = mqtt.connect(url, {
      reconnectPeriod: 0,
      ...(options.protocolVersion === 3 ? { protocolId: 'MQIsdp' as const } : {}),
      ...options
    })
    t.teardown(() => client.endAsync(true))
    const opened = new MqttJs(client)
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve())
      client.once('error', reject)
      client.once('close', () => reject(new Error('the connection was closed')))
    })
    client.on('error', () => {})
    return opened
  }

  /** The arguments of the next event of that name. */
  event(name: 'message' | 'close' | 'disconnect' | 'connect' | 'packetreceive'): Promise<unknown[]> {
    // Its own type of emitter is none to Node's types.
    return once(this.client as unknown as EventEmitter, name)
  }

  /** The next message that arrives. */
  async next(): Promise<IPublishPacket> {
    while (this.#inbox.length === 0) await this.event('message')
    return this.#inbox.shift()!
  }

  /** The payloads of the messages up to, and without, the one that says `last`. */
  async until(last: string): Promise<string[]> {
    const payloads: string[] = []
    for (;;) {
      const payload = String((await this.next()).payload)
      if (payload === last) return payloads
      payloads.push(payload)
    }
  }

  /** A round trip: what the broker sent before has arrived. */
  async ping(): Promise<void> {
    this.client.sendPing()
    for (;;) {
      const [packet] = (await this.event('packetreceive')) as [{ cmd: string }]
      if (packet.cmd === 'pingresp') return
    }
  }

  /** Ends the transport without a DISCONNECT. */
  async cut(): Promise<void> {
    const closed = this.event('close')
    this.client.stream.destroy()
    await closed
  }
}
