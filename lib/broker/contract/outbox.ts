import { deliveryProperties, publishLength, writePublish } from '../../mqtt/encode-publish.ts'
import type { Qos } from '../../mqtt/packet.ts'
import { encodeMessageProperties } from '../../mqtt/properties.ts'
import { fromAedesProperties } from '../aedes-packet.ts'
import type { Done } from '../engine.ts'
import type { ContractClient } from './client.ts'
import type { ContractContext } from './context.ts'
import type { ContractPacket } from './plug-ins.ts'

/** One message on its way to one client. */
export interface Delivery {
  /** As this client gets it; qos is the delivery's. */
  packet: ContractPacket
  qos: Qos
  subscriptionIds: readonly number[]
  /** It stands in the client's stored queue: its packet id is stored before it is sent. */
  queued: boolean
  /** 0 = not assigned yet. */
  packetId: number
  /** Called when it was sent, dropped, or waits for nothing but the client's acknowledgements; undefined once called. */
  done: Done | undefined
  /** Replayed from the queue: read on only when this one was sent. */
  replayed: boolean
  ready: boolean
}

export function delivery(packet: ContractPacket, qos: Qos, queued: boolean, done: Done): Delivery {
  return { packet, qos, subscriptionIds: noIds, queued, packetId: 0, done, replayed: false, ready: false }
}

const noIds: readonly number[] = []
const noBytes = Buffer.alloc(0)

/**
 * Everything one client gets, in order: packet ids, the window of unacknowledged messages, ids stored before they are used, and
 * backpressure. What waits for the window waits here, up to limits.maxQueuedMessagesPerSession.
 */
export class Outbox {
  nextId = 1
  readonly #client: ContractClient
  readonly #context: ContractContext
  /** In order of sending; the first #prepared of them have a packet id. */
  readonly #waiting: Delivery[] = []
  #prepared = 0
  /** Written while the transport was full; over when it drains. */
  #sent: Delivery[] = []
  /** Packet ids in use; true = the message stands in the stored queue. */
  readonly #inflight = new Map<number, boolean>()
  /** What arrives before CONNACK and the stored queue went out [MQTT-3.2.0-1]. */
  #held: Delivery[] | undefined = []
  #closed = false
  #pumping = false

  constructor(client: ContractClient, context: ContractContext) {
    this.#client = client
    this.#context = context
  }

  get inflightCount(): number {
    return this.#inflight.size
  }

  add(one: Delivery): void {
    if (this.#closed) return this.#release(one)
    const waiting = this.#held ?? this.#waiting
    if (waiting.length - (this.#held ? 0 : this.#prepared) >= this.#context.broker.limits.maxQueuedMessagesPerSession) {
      this.#context.dropped('queue-full')
      this.forgetQueued(one)
      return this.#release(one)
    }
    waiting.push(one)
    if (!this.#held) this.pump()
  }

  /** A message of the stored queue; resolves when it was sent. */
  replay(packet: ContractPacket, qos: Qos): Promise<void> {
    return new Promise(resolve => {
      const one = delivery(packet, qos, true, () => resolve())
      one.replayed = true
      one.packetId = packet.messageId ?? 0
      if (this.#closed) return this.#release(one)
      // An id that was stored may have been used: the client can have the message already [MQTT-3.3.1-1].
      packet.dup = one.packetId !== 0
      this.#waiting.push(one)
      this.pump()
    })
  }

  /** A QoS 2 message of the stored queue whose PUBREC came: only its PUBREL is still owed. */
  replayRelease(packetId: number): void {
    this.#inflight.set(packetId, true)
    this.#client.send({ cmd: 'pubrel', messageId: packetId, reasonCode: 0, properties: {} })
  }

  /** The stored queue went out; what was held follows unless it was in the queue too. */
  open(wasReplayed: (packet: ContractPacket) => boolean): void {
    const held = this.#held
    if (held === undefined) return
    this.#held = undefined
    for (const one of held) {
      if (one.queued && wasReplayed(one.packet)) this.#release(one)
      else this.add(one)
    }
  }

  /** The transport drained. */
  drained(): void {
    const sent = this.#sent
    this.#sent = []
    for (const one of sent) this.#release(one)
    this.pump()
  }

  /** Sends what may be sent now. */
  pump(): void {
    if (this.#pumping || this.#closed) return
    this.#pumping = true
    while (this.#prepareNext() || this.#sendNext()) {
      if (this.#closed) break
    }
    this.#pumping = false
    // What waits for acknowledgements must not occupy a place in mqemitter: the client may take its time.
    for (let i = this.#waiting.length - 1; i >= this.#prepared; i--) {
      const one = this.#waiting[i]!
      if (one.done === undefined || one.replayed) break
      this.#release(one)
    }
  }

  /** The client has it, and the queue does not any more: the id is free. */
  acknowledged(packetId: number): void {
    if (this.#inflight.delete(packetId)) this.pump()
  }

  isInflight(packetId: number): boolean {
    return this.#inflight.has(packetId)
  }

  /** May the stored queue hold a message of this id? One that is not in flight may be of an earlier connection. */
  mayBeQueued(packetId: number): boolean {
    return this.#client.stored && this.#inflight.get(packetId) !== false
  }

  /** Nothing is sent any more; nobody waits for it. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    const left = [...this.#sent, ...this.#waiting, ...(this.#held ?? [])]
    this.#waiting.length = 0
    this.#prepared = 0
    this.#held = undefined
    for (const one of left) this.#release(one)
  }

  /** Forgets what waits; used when the stored queue is emptied. */
  clear(): void {
    const left = this.#waiting.splice(0)
    this.#prepared = 0
    this.#inflight.clear()
    for (const one of left) this.#release(one)
  }

  /** Takes a message that will not be sent out of the stored queue, where it can only be named by a packet id. */
  forgetQueued(one: Delivery): void {
    if (!one.queued) return
    const client = this.#client
    const { persistence } = this.#context
    const messageId = one.packetId || this.#allocate(one)
    const packet = { ...one.packet, messageId }
    const stored = one.packetId ? Promise.resolve() : persistence.outgoingUpdate(client, packet).catch(unlessMissing)
    const cleared = stored.then(() => persistence.outgoingClearMessageId(client, packet))
    client.track(cleared.finally(() => this.acknowledged(messageId)))
  }

  async forgetStored(packet: ContractPacket): Promise<void> {
    const one = delivery(packet, packet.qos, true, noop)
    one.packetId = packet.messageId ?? 0
    this.forgetQueued(one)
  }

  #prepareNext(): boolean {
    const one = this.#waiting[this.#prepared]
    if (one === undefined) return false
    if (one.qos === 0) {
      one.ready = true
      this.#prepared++
      return true
    }
    if (this.#inflight.size >= this.#window) return false
    this.#prepared++
    if (one.packetId !== 0) {
      this.#inflight.set(one.packetId, one.queued)
      one.ready = true
      return true
    }
    one.packetId = this.#allocate(one, one.packet.messageId)
    if (!one.queued) {
      one.ready = true
      return true
    }
    this.#storeId(one).then(
      () => {
        one.ready = true
        this.pump()
      },
      (error: Error) => {
        if (!this.#closed) this.#client.emit('error', error)
      }
    )
    return true
  }

  async #storeId(one: Delivery): Promise<void> {
    const { persistence } = this.#context
    const client = this.#client
    const packet = { ...one.packet, messageId: one.packetId }
    try {
      await persistence.outgoingUpdate(client, packet)
    } catch (error) {
      // The subscription came between the look at the store and the delivery: it is not in the queue yet.
      unlessMissing(error)
      await persistence.outgoingEnqueue({ clientId: client.id ?? '' }, one.packet)
      await persistence.outgoingUpdate(client, packet)
    }
  }

  #sendNext(): boolean {
    if (this.#prepared === 0) return false
    const one = this.#waiting[0]!
    const client = this.#client
    if (!one.ready || client.congestedSinceMs !== 0) return false
    if (!client.connected && !client.closed) {
      client.emit('error', new Error('connection closed'))
      return false
    }
    this.#waiting.shift()
    this.#prepared--
    const refused = this.#write(one)
    if (refused !== undefined) {
      this.#context.dropped(refused)
      this.forgetQueued(one)
      if (!one.queued) this.#inflight.delete(one.packetId)
    }
    // The transport did not take it all: whoever sent it waits, as does everybody who sends to this client from now on.
    if (client.congestedSinceMs === 0) this.#release(one)
    else this.#sent.push(one)
    return true
  }

  /** Writes the PUBLISH, or says why this client does not get it. */
  #write(one: Delivery): string | undefined {
    const client = this.#client
    const { packet, qos, packetId, subscriptionIds } = one
    const version = client.version === 5 ? 5 : 4
    const { messageExpiry = 0 } = packet
    let remainingSeconds = -1
    if (messageExpiry !== 0) {
      remainingSeconds = Math.ceil((messageExpiry - this.#context.now()) / 1000)
      if (remainingSeconds <= 0) return 'message-expired'
    }
    const v5 = version === 5
    const properties = v5 && packet.properties ? encodeMessageProperties(fromAedesProperties(packet.properties)) : noBytes
    const extra = v5 ? deliveryProperties(remainingSeconds, subscriptionIds, 0) : noBytes
    const topic = Buffer.from(packet.topic)
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload
    const length = publishLength(topic.length, qos, version, extra.length + properties.length, payload.length)
    if (length > client.maximumPacketSize) return 'packet-too-large'
    const { outbound } = client
    const firstByte = 0x30 | (packet.dup ? 8 : 0) | (qos << 1) | (packet.retain ? 1 : 0)
    const out = outbound.room(length)
    const at = outbound.position
    outbound.filled(writePublish(out, at, firstByte, topic, packetId, version, extra, properties, payload, 0, payload.length))
    this.#context.broker.counters.publishSent[qos]++
    client.flush()
    return undefined
  }

  #release(one: Delivery): void {
    const { done } = one
    if (done === undefined) return
    one.done = undefined
    this.#context.settle(done)
  }

  /** Unacknowledged messages allowed at a time [MQTT-3.3.4-9]. */
  get #window(): number {
    return Math.min(this.#client.receiveMaximum, this.#context.broker.limits.maxInflight, 65_000)
  }

  /** A free packet id: the one an authorizeForward hook asked for if that is free, else the next. */
  #allocate({ queued }: Delivery, wanted = 0): number {
    if (wanted > 0 && wanted <= 65_535 && !this.#inflight.has(wanted)) {
      this.#inflight.set(wanted, queued)
      return wanted
    }
    let packetId = this.nextId
    while (this.#inflight.has(packetId)) packetId = packetId >= 65_535 ? 1 : packetId + 1
    this.nextId = packetId >= 65_535 ? 1 : packetId + 1
    this.#inflight.set(packetId, queued)
    return packetId
  }
}

/** Aedes persistences have one error that is not a failure of the store. */
function unlessMissing(error: unknown): void {
  if (!(error instanceof Error) || error.message !== 'no such packet') throw error
}

function noop(): void {}
