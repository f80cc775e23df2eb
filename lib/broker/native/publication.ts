import type { MessageRef } from '../../../persistence/contract.ts'
import type { Message } from '../../mqtt/message.ts'
import type { Qos } from '../../mqtt/packet.ts'
import type { TopicRoute } from './topic-routes.ts'

/**
 * One message on its way through the broker, its payload still where it was read. Only what must outlive the read (a queue entry,
 * a retained message, an event) is copied, once, by message().
 */
export class Publication {
  route!: TopicRoute
  bytes!: Buffer
  payloadStart = 0
  payloadEnd = 0
  qos: Qos = 0
  retain = false
  /** Sent again, says the client. */
  dup = false
  properties!: Buffer
  expiresAtMs = 0
  nowMs = 0
  publisherId = ''
  /** The store's handle on the body, made with the first queue entry; shared by all of them. */
  ref: MessageRef | undefined
  #message: Message | undefined
  /** Encoded once for many QoS 0 subscribers: 3.x and 5, without and with the RETAIN flag. */
  readonly shared: (Buffer | undefined)[] = [undefined, undefined, undefined, undefined]

  begin(route: TopicRoute, nowMs: number, publisherId: string): void {
    this.route = route
    this.nowMs = nowMs
    this.publisherId = publisherId
    this.#message = undefined
    this.ref = undefined
    const { shared } = this
    if (shared[0] || shared[1] || shared[2] || shared[3]) shared.fill(undefined)
  }

  /** Takes over a message that lives in memory already; `nowMs` says how old it is by now, when it was not published just now. */
  beginMessage(message: Message, route: TopicRoute, nowMs = message.publishedAtMs): void {
    this.begin(route, nowMs, message.publisherId)
    this.bytes = message.payload
    this.payloadStart = 0
    this.payloadEnd = message.payload.length
    this.qos = message.qos
    this.retain = message.retain
    this.dup = false
    this.properties = message.properties
    this.expiresAtMs = message.expiresAtMs
    this.#message = message
  }

  /** The message by itself, safe to keep. */
  message(): Message {
    this.#message ??= {
      topic: this.route.topic,
      payload: Buffer.from(this.bytes.subarray(this.payloadStart, this.payloadEnd)),
      qos: this.qos,
      retain: this.retain,
      properties: this.properties,
      expiresAtMs: this.expiresAtMs,
      publishedAtMs: this.nowMs,
      publisherId: this.publisherId
    }
    return this.#message
  }

  /** Whole seconds left until expiry, to be forwarded [MQTT-3.3.2-6]; -1 = no expiry. */
  remainingSeconds(nowMs: number): number {
    return this.expiresAtMs === 0 ? -1 : Math.max(0, Math.ceil((this.expiresAtMs - nowMs) / 1000))
  }
}
