import type { AnyPacket } from '../support/raw-client.ts'
import { naiveMatch } from '../topic/naive-match.ts'
import type { ModelGroups } from './model-groups.ts'

/**
 * What one session has coming and what of it arrived: the receiving half of the model. It judges every packet that reaches the
 * client and says what is wrong with it in `complain`.
 */

export interface ModelSubscription {
  filter: string
  qos: 0 | 1 | 2
  noLocal: boolean
  retainAsPublished: boolean
  subscriptionId: number
}

/** A message the broker took in. `publisher` is a client id. */
export interface ModelMessage {
  payload: string
  topic: string
  publisher: string
  qos: 0 | 1 | 2
  retain: boolean
  /** 0 = never */
  expiresAtMs: number
}

/** One message on its way to one session. */
export interface Delivery {
  readonly message: ModelMessage
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly subscriptionIds: string
  /** Order in which the broker took messages in. */
  readonly seq: number
  /** QoS 0 lives as long as this connection; 0 for the others. */
  readonly connection: number
  /** It came through a shared subscription, where order is not promised. */
  shared: boolean
  /** And the member may have given it back. */
  released: boolean
  /** `owed`: has to arrive. `optional`: may. `void`: must not. */
  state: 'owed' | 'optional' | 'void'
  received: boolean
  finished: boolean
  packetId: number
  /** May have left on an earlier connection without arriving. */
  mayBeSent: boolean
  /** Has to, or may, be sent again on the next connection. */
  again: 'no' | 'may' | 'must'
  /** Since the broker was last known to be at rest: received, and answered. */
  receivedLately: boolean
  answeredLately: boolean
  /** A crash may have taken the packet id back: a copy without DUP and with another id is no surprise. */
  afresh: boolean
  /** QoS 2: PUBREC sent. */
  recorded: boolean
}

/** What one network connection has in flight. */
export class ModelConnection {
  readonly number: number
  readonly window: number
  readonly version: 3 | 4 | 5
  /** Packet ids of PUBLISH packets that are not complete, and of PUBRELs that are not answered. */
  readonly publishes = new Set<number>()
  readonly releases = new Set<number>()
  /** Last seq by publisher, topic and QoS. */
  readonly lastSeq = new Map<string, number>()

  constructor(number: number, window: number, version: 3 | 4 | 5) {
    this.number = number
    this.window = window
    this.version = version
  }
}

export class ModelSession {
  readonly clientId: string
  readonly subscriptions = new Map<string, ModelSubscription>()
  readonly deliveries: Delivery[] = []
  /** Deliveries the client knows by their packet id and has not finished. */
  readonly inflight = new Map<number, Delivery>()
  /** Ids of QoS 2 deliveries whose PUBCOMP may not have been seen. */
  readonly #completedLately = new Set<number>()
  readonly #exactlyOnce = new Set<string>()
  readonly #firstSeq = new Map<string, number>()
  readonly #complain: (what: string) => void
  /** Looks for a message of a shared subscription that this packet can be. */
  readonly #claim: ModelGroups['claim']
  expirySeconds = 0
  /** Infinity while connected. */
  endsAtMs = Infinity

  constructor(clientId: string, complain: (what: string) => void, claim: ModelGroups['claim']) {
    this.clientId = clientId
    this.#complain = complain
    this.#claim = claim
  }

  /** What a message on its way through the broker now brings this session. Undefined = nothing. */
  expect(message: ModelMessage, seq: number, connection: number, certain: boolean): Delivery | undefined {
    const matching = [...this.subscriptions.values()].filter(
      ({ filter, noLocal }) => naiveMatch(filter, message.topic) && !(noLocal && message.publisher === this.clientId)
    )
    if (matching.length === 0) return undefined
    const retain = message.retain && matching.some(({ retainAsPublished }) => retainAsPublished)
    return this.#add(message, matching, retain, seq, connection, certain)
  }

  /** A retained message for a new subscription. */
  expectRetained(message: ModelMessage, subscription: ModelSubscription, seq: number, connection: number): void {
    this.#add(message, [subscription], true, seq, connection, true)
  }

  #add(
    message: ModelMessage,
    matching: readonly ModelSubscription[],
    retain: boolean,
    seq: number,
    connection: number,
    certain: boolean
  ): Delivery | undefined {
    const qos = Math.min(message.qos, Math.max(...matching.map(({ qos }) => qos))) as 0 | 1 | 2
    if (qos === 0 && connection === 0) return undefined
    const ids = matching.map(({ subscriptionId }) => subscriptionId).filter(id => id > 0)
    const subscriptionIds = ids.sort((a, b) => a - b).join()
    const delivery = this.#create(message, qos, retain, subscriptionIds, seq, connection)
    if (!certain) delivery.state = 'optional'
    return delivery
  }

  /** A message of a shared subscription that came to this member. */
  adopt(
    message: ModelMessage,
    qos: 0 | 1 | 2,
    retain: boolean,
    subscriptionIds: string,
    seq: number,
    connection: number
  ): Delivery {
    const delivery = this.#create(message, qos, retain, subscriptionIds, seq, connection)
    delivery.shared = true
    return delivery
  }

  #create(
    message: ModelMessage,
    qos: 0 | 1 | 2,
    retain: boolean,
    subscriptionIds: string,
    seq: number,
    connection: number
  ): Delivery {
    const delivery: Delivery = {
      message,
      qos,
      retain,
      subscriptionIds,
      seq,
      connection: qos === 0 ? connection : 0,
      shared: false,
      released: false,
      state: 'owed',
      received: false,
      finished: false,
      packetId: 0,
      mayBeSent: false,
      again: 'no',
      receivedLately: false,
      answeredLately: false,
      afresh: false,
      recorded: false
    }
    this.deliveries.push(delivery)
    return delivery
  }

  onPublish(packet: AnyPacket, connection: ModelConnection, nowMs: number): Delivery | undefined {
    const arrived = describe(packet, connection.version)
    const delivery = packet.qos === 0 ? this.#atMostOnce(packet, connection) : this.#numbered(packet, connection)
    if (delivery === undefined) return undefined
    const { message } = delivery
    if (message.expiresAtMs !== 0) {
      const left = Math.max(0, Math.ceil((message.expiresAtMs - nowMs) / 1000))
      const told = (packet.properties as { messageExpiryInterval?: number } | undefined)?.messageExpiryInterval
      if (connection.version === 5 && told !== left) this.#complain(`${arrived}: Message Expiry Interval is ${told}, not ${left}`)
      if (left === 0 && !delivery.received && !delivery.mayBeSent) this.#complain(`${arrived}: expired before it was sent`)
    }
    this.#inOrder(delivery, connection, arrived)
    if (!delivery.received && delivery.qos === 2 && !delivery.retain && !delivery.shared) {
      if (this.#exactlyOnce.has(message.payload)) this.#complain(`${arrived}: QoS 2 for the second time`)
      this.#exactlyOnce.add(message.payload)
    }
    delivery.received = true
    delivery.receivedLately = true
    delivery.recorded = false
    delivery.released = false
    delivery.again = 'no'
    if (delivery.qos === 0) delivery.finished = true
    return delivery
  }

  #atMostOnce(packet: AnyPacket, connection: ModelConnection): Delivery | undefined {
    if (packet.dup) this.#complain(`${describe(packet, connection.version)}: DUP at QoS 0 [MQTT-3.3.1-2]`)
    const candidates = this.deliveries.filter(
      one => one.connection === connection.number && isFor(one, packet, connection.version) && !one.received
    )
    const found = candidates.find(({ state }) => state === 'owed') ?? candidates[0]
    const one = found ?? this.#claim(this, packet, connection, idsOf(packet))
    if (one === undefined) this.#complain(`${describe(packet, connection.version)}: not expected; ${this.#expected(packet)}`)
    return one
  }

  #numbered(packet: AnyPacket, connection: ModelConnection): Delivery | undefined {
    const arrived = describe(packet, connection.version)
    const packetId = packet.messageId as number
    if (connection.publishes.has(packetId) || connection.releases.has(packetId)) {
      this.#complain(`${arrived}: the packet id is in flight on this connection`)
    }
    connection.publishes.add(packetId)
    if (connection.publishes.size > connection.window) {
      this.#complain(`${arrived}: ${connection.publishes.size} in flight, ${connection.window} allowed`)
    }
    const known = this.inflight.get(packetId)
    const candidates = this.deliveries.filter(
      one => one.connection === 0 && isFor(one, packet, connection.version) && one.state !== 'void'
    )
    let found: Delivery | undefined
    if (packet.dup) {
      // What a member that unsubscribed has not acknowledged is sent again without the identifier of the subscription that is gone.
      const left = this.deliveries.find(
        one => one.shared && one.packetId === packetId && one.message.payload === String(packet.payload)
      )
      found =
        candidates.find(one => one.again !== 'no' && one.packetId === packetId) ??
        (left !== undefined && left.again !== 'no' ? left : undefined) ??
        candidates.find(one => one.mayBeSent && !one.received) ??
        this.#claim(this, packet, connection, idsOf(packet))
      if (found === undefined) this.#complain(`${arrived}: DUP on what was not sent before; ${this.#expected(packet)}`)
    } else {
      // What a crash made doubtful is a guess; what is owed is not.
      found =
        candidates.find(one => !one.received && one.state === 'owed') ??
        this.#claim(this, packet, connection, idsOf(packet)) ??
        candidates.find(one => !one.received) ??
        candidates.find(one => one.afresh)
      if (found === undefined) this.#complain(`${arrived}: not expected; ${this.#expected(packet)}`)
    }
    if (found === undefined) return undefined
    if (known !== undefined && known !== found) this.#complain(`${arrived}: the packet id belongs to ${known.message.payload}`)
    if (found.received && found.finished && found.qos === 2) this.#complain(`${arrived}: sent again after it was released`)
    found.packetId = packetId
    found.finished = false
    found.afresh = false
    this.#completedLately.delete(packetId)
    this.inflight.set(packetId, found)
    return found
  }

  #inOrder(delivery: Delivery, connection: ModelConnection, arrived: string): void {
    if (delivery.state !== 'owed' || delivery.shared) return
    const key = `${delivery.message.publisher} ${delivery.message.topic} ${delivery.qos}`
    if ((connection.lastSeq.get(key) ?? -1) > delivery.seq) this.#complain(`${arrived}: overtaken on this connection`)
    connection.lastSeq.set(key, delivery.seq)
    if (delivery.received) return
    if ((this.#firstSeq.get(key) ?? -1) > delivery.seq) this.#complain(`${arrived}: a later message arrived first`)
    this.#firstSeq.set(key, delivery.seq)
  }

  onPubrel(packetId: number, connection: ModelConnection): void {
    const known = this.inflight.get(packetId)
    if (known === undefined && !this.#completedLately.has(packetId)) this.#complain(`PUBREL ${packetId}: nothing to release`)
    if (known !== undefined && !known.recorded) this.#complain(`PUBREL ${packetId}: before PUBREC`)
    if (known !== undefined) known.again = 'no'
    connection.releases.add(packetId)
  }

  puback(packetId: number, connection: ModelConnection): void {
    connection.publishes.delete(packetId)
    this.#finish(packetId)
  }

  pubrec(packetId: number): void {
    const delivery = this.inflight.get(packetId)
    if (delivery === undefined) return
    delivery.recorded = true
    delivery.answeredLately = true
  }

  pubcomp(packetId: number, connection: ModelConnection): void {
    connection.publishes.delete(packetId)
    connection.releases.delete(packetId)
    this.#finish(packetId)
    this.#completedLately.add(packetId)
  }

  #finish(packetId: number): void {
    const delivery = this.inflight.get(packetId)
    this.inflight.delete(packetId)
    if (delivery === undefined) return
    delivery.finished = true
    delivery.answeredLately = true
  }

  /** The connection is gone and the session stays. `settled`: the broker was at rest, so nothing was under way. */
  connectionEnded(settled: boolean): void {
    for (const one of this.deliveries) {
      if (one.connection !== 0) one.state = 'void'
      else if (!one.received) one.mayBeSent ||= !settled
      else if (one.qos === 1) one.again = one.finished ? (one.answeredLately ? 'may' : one.again) : 'must'
      else if (!one.recorded) one.again = 'must'
      else if (!one.finished) one.again = one.answeredLately ? 'may' : 'no'
    }
  }

  /** The broker's memory is gone; what it had not synced is gone from its disk too. */
  crashed(): void {
    for (const one of this.deliveries) {
      if (one.qos !== 1 || !one.receivedLately) continue
      one.afresh = true
      if (one.again === 'must' && one.state === 'optional') one.again = 'may'
      this.inflight.delete(one.packetId)
    }
  }

  /** Everything that was sent has arrived and was processed, on both sides. */
  settled(connection: ModelConnection | undefined): void {
    for (const one of this.deliveries) {
      one.receivedLately = false
      one.answeredLately = false
      if (one.finished) one.afresh = false
    }
    this.#completedLately.clear()
    if (connection === undefined) return
    const windowOpen = connection.publishes.size + connection.releases.size < connection.window
    for (const one of this.deliveries) {
      const missing = one.state === 'owed' && !one.received && (one.qos === 0 ? one.connection === connection.number : windowOpen)
      if (missing) this.#complain(`${this.clientId} waits for ${tell(one)} with an open window`)
      if (windowOpen && one.again === 'must') this.#complain(`${this.clientId} waits for ${tell(one)} to be sent again`)
    }
  }

  expire(nowMs: number): void {
    for (const one of this.deliveries) {
      if (one.received || one.message.expiresAtMs === 0 || one.message.expiresAtMs > nowMs) continue
      one.state = one.mayBeSent && one.state !== 'void' ? 'optional' : 'void'
    }
  }

  /** At the very end: everything owed was received and finished. */
  completed(): void {
    for (const one of this.deliveries) {
      if (one.qos === 0 || one.state !== 'owed' || (one.received && one.finished)) continue
      // The group answers for what went to another member.
      if (one.shared && one.qos === 1) continue
      this.#complain(`${this.clientId} never got ${tell(one)} to its end`)
    }
  }

  #expected(packet: AnyPacket): string {
    const same = this.deliveries.filter(({ message }) => message.payload === String(packet.payload))
    return same.length === 0 ? 'nothing of that payload is' : `known are ${same.map(tell).join(', ')}`
  }
}

function isFor({ message, qos, retain, subscriptionIds }: Delivery, packet: AnyPacket, version: 3 | 4 | 5): boolean {
  return (
    message.payload === String(packet.payload) &&
    message.topic === packet.topic &&
    qos === packet.qos &&
    retain === packet.retain &&
    (version === 5 ? subscriptionIds : '') === idsOf(packet)
  )
}

function idsOf(packet: AnyPacket): string {
  const ids = (packet.properties as { subscriptionIdentifier?: number | number[] } | undefined)?.subscriptionIdentifier ?? []
  return [ids]
    .flat()
    .sort((a, b) => a - b)
    .join()
}

function describe(packet: AnyPacket, version: 3 | 4 | 5): string {
  const { topic, qos, retain, dup, messageId } = packet as unknown as Record<string, unknown>
  const ids = version === 5 ? ` ids [${idsOf(packet)}]` : ''
  return `PUBLISH ${String(packet.payload)} on ${topic} QoS ${qos} id ${messageId ?? 0}${dup ? ' DUP' : ''}${retain ? ' RETAIN' : ''}${ids}`
}

function tell(one: Delivery): string {
  const { message, qos, retain, subscriptionIds, state, received, packetId, again, mayBeSent, finished, recorded } = one
  const facts = Object.entries({ retain, received, finished, recorded, mayBeSent, afresh: one.afresh })
    .filter(([, fact]) => fact)
    .map(([name]) => name)
  return `{${message.payload} on ${message.topic} QoS ${qos} ids [${subscriptionIds}] ${state} id ${packetId} again ${again} ${facts.join(' ')}}`
}
