import { type EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import mqtt, { type IClientOptions, type IConnackPacket, type IPublishPacket, type MqttClient } from 'mqtt'
import type { EveryTransport, Transport } from './every-transport.ts'

export type Version = 3 | 4 | 5

/** MQTT.js with its CONNACK and an inbox. */
export class MqttJs {
  readonly client: MqttClient
  readonly connack: IConnackPacket
  readonly #inbox: IPublishPacket[] = []

  private constructor(client: MqttClient, connack: IConnackPacket) {
    this.client = client
    this.connack = connack
  }

  static async connect(
    t: { teardown(fn: () => unknown): unknown },
    broker: EveryTransport,
    transport: Transport,
    options: IClientOptions & { protocolVersion: Version }
  ): Promise<MqttJs> {
    const secure = transport === 'tls' || transport === 'wss'
    const client = mqtt.connect(broker.url(transport), {
      reconnectPeriod: 0,
      ...(options.protocolVersion === 3 ? { protocolId: 'MQIsdp' as const } : {}),
      ...(secure ? { ca: readFileSync(broker.caFile) } : {}),
      ...options
    })
    t.teardown(() => client.endAsync(true))
    const early: IPublishPacket[] = []
    const keep = (_topic: string, _payload: Buffer, packet: IPublishPacket) => early.push(packet)
    // A resumed session's messages may arrive with the CONNACK.
    client.on('message', keep)
    const connack = await new Promise<IConnackPacket>((resolve, reject) => {
      client.once('connect', resolve)
      client.once('error', reject)
      client.once('close', () => reject(new Error('the connection was closed')))
    })
    const connected = new MqttJs(client, connack)
    connected.#inbox.push(...early)
    client.off('message', keep)
    client.on('message', (_topic, _payload, packet) => connected.#inbox.push(packet))
    client.on('error', () => {})
    return connected
  }

  /** The arguments of the next event of that name; 'error' is no special case. */
  event(name: 'message' | 'close' | 'disconnect' | 'error' | 'packetreceive'): Promise<unknown[]> {
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

  /** Ends the transport without a DISCONNECT. */
  async cut(): Promise<void> {
    const closed = this.event('close')
    this.client.stream.destroy()
    await closed
  }
}
