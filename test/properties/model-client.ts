import { type AnyPacket, RawClient } from '../support/raw-client.ts'
import { ModelConnection, type ModelSession } from './model-session.ts'
import type { ModelWorld } from './model-world.ts'

export interface ConnectPlan {
  clean: boolean
  /** Session Expiry Interval; 3.x sessions that are not clean never end. */
  expirySeconds: number
  receiveMaximum: number
  will: WillPlan | undefined
}

export interface WillPlan {
  topic: string
  qos: 0 | 1 | 2
  retain: boolean
  delaySeconds: number
}

/** One publish() call and what became of it. */
export interface Publication {
  readonly payload: string
  readonly topic: string
  readonly publisher: string
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly expirySeconds: number
  readonly index: number
  /** Times it was sent, times the broker took it in. */
  sends: number
  taken: number
  acknowledged: boolean
  /** A crash may have undone that it was taken in. */
  undone: boolean
}

interface Outgoing {
  readonly publication: Publication
  state: 'sent' | 'received' | 'released'
  /** PUBREL went out on an earlier connection: the broker may have forgotten the id since. */
  releasedBefore: boolean
}

type Answer = { cmd: 'puback' | 'pubrec' | 'pubcomp'; messageId: number }

const unlimited = 65535

/** A client that keeps to the protocol, with a session of its own, over any number of connections. */
export class ModelClient {
  readonly clientId: string
  readonly version: 3 | 4 | 5
  readonly #world: ModelWorld
  session: ModelSession | undefined
  connection: ModelConnection | undefined
  /** Between CONNECT and CONNACK: number of the connection being opened. */
  connecting = 0
  will: { payload: string; plan: WillPlan } | undefined
  /** PUBRELs leave by themselves, not when the script says so. */
  releasesAtOnce = true
  #client: RawClient | undefined
  #reading: Promise<void> = Promise.resolve()
  #unanswered: Answer[] = []
  #pings: (() => void)[] = []
  #serverReceiveMaximum = unlimited
  /** Sent and not complete, in order; the sender's half of the session state. */
  readonly #outgoing = new Map<number, Outgoing>()
  #nextPacketId = 1
  /** Ids whose acknowledgement comes next, one queue per kind [MQTT-4.6.0-2]. */
  #awaited: Record<'puback' | 'pubrec' | 'pubcomp', number[]> = { puback: [], pubrec: [], pubcomp: [] }
  #waiting: ((packet: AnyPacket) => void) | undefined

  constructor(world: ModelWorld, clientId: string, version: 3 | 4 | 5) {
    this.#world = world
    this.clientId = clientId
    this.version = version
  }

  get connected(): boolean {
    return this.connection !== undefined
  }

  get windowOpen(): boolean {
    const { connection } = this
    return connection !== undefined && connection.publishes.size + connection.releases.size < connection.window
  }

  get idle(): boolean {
    return this.#unanswered.length === 0 && this.#outgoing.size === 0 && (this.session?.inflight.size ?? 0) === 0
  }

  /** Opens a connection; session and will of an earlier one are settled by the world before. */
  async connect(plan: ConnectPlan, willPayload: string): Promise<void> {
    const world = this.#world
    const number = world.nextConnection()
    const { clean, expirySeconds, receiveMaximum, will } = plan
    const expected = !clean && this.session !== undefined
    if (!expected) this.#begin()
    this.connecting = number
    const v5 = this.version === 5
    const { client, connack } = await RawClient.connect(world.port, {
      clientId: this.clientId,
      clean,
      version: this.version,
      ...(v5 ? { properties: { sessionExpiryInterval: expirySeconds, receiveMaximum } } : {}),
      ...(will === undefined ? {} : { will: willPacket(will, willPayload, v5) })
    })
    await this.#reading
    this.#client = client
    const present = this.version === 3 ? expected : connack.sessionPresent === true
    if (present !== expected) world.complain(`${this.clientId}: session present is ${present} [MQTT-3.2.2-2]`)
    if (present !== expected && !present) this.#begin()
    const session = this.session!
    session.expirySeconds = v5 ? expirySeconds : clean ? 0 : Infinity
    session.endsAtMs = Infinity
    this.will = will && { payload: willPayload, plan: will }
    this.connection = new ModelConnection(number, Math.min(v5 ? receiveMaximum : unlimited, world.maxInflight), this.version)
    this.connecting = 0
    this.#unanswered = []
    this.#awaited = { puback: [], pubrec: [], pubcomp: [] }
    this.#serverReceiveMaximum = v5 ? ((connack.properties as { receiveMaximum?: number }).receiveMaximum ?? unlimited) : 30
    this.#reading = this.#read(client, this.connection, session)
    this.#resend()
  }

  /** Neither side knows anything of an earlier session. */
  #begin(): void {
    this.session = this.#world.newSession(this.clientId)
    this.#outgoing.clear()
  }

  #resend(): void {
    for (const [messageId, outgoing] of this.#outgoing) {
      if (outgoing.state === 'sent') this.#sendPublish(messageId, outgoing.publication, true)
      else {
        outgoing.releasedBefore = outgoing.state === 'released'
        this.#release(messageId, outgoing)
      }
    }
  }

  /** Ends the transport, with a DISCONNECT before it when given; resolves when nothing more arrives. */
  async leave(disconnect?: object): Promise<void> {
    const client = this.#client
    if (client === undefined) return
    this.abandon()
    if (disconnect === undefined) client.socket.destroy()
    else client.send(disconnect)
    await this.#reading
  }

  /** The broker is about to end this connection, and whatever it still says is lost. */
  abandon(): void {
    this.#client = undefined
    this.connection = undefined
    for (const pong of this.#pings.splice(0)) pong()
  }

  async ping(): Promise<void> {
    const client = this.#client
    if (client === undefined) return
    await new Promise<void>(resolve => {
      this.#pings.push(resolve)
      client.send({ cmd: 'pingreq' })
    })
  }

  /** SUBSCRIBE or UNSUBSCRIBE; returns the answer. */
  async ask(packet: object): Promise<AnyPacket> {
    const answer = new Promise<AnyPacket>(resolve => {
      this.#waiting = resolve
    })
    this.#client?.send(packet)
    return answer
  }

  /** True when the window allowed it. */
  publish(publication: Publication): boolean {
    if (this.#client === undefined) return false
    if (publication.qos === 0) {
      this.#sendPublish(0, publication, false)
      return true
    }
    if (this.#outgoing.size >= Math.min(this.#serverReceiveMaximum, 30)) return false
    while (this.#outgoing.has(this.#nextPacketId)) this.#nextPacketId++
    const messageId = this.#nextPacketId
    // Small numbers come back soon, as they would on a device.
    this.#nextPacketId = messageId >= 12 ? 1 : messageId + 1
    this.#outgoing.set(messageId, { publication, state: 'sent', releasedBefore: false })
    this.#sendPublish(messageId, publication, false)
    return true
  }

  #sendPublish(messageId: number, publication: Publication, dup: boolean): void {
    const { topic, payload, qos, retain, expirySeconds } = publication
    publication.sends++
    if (qos > 0) this.#awaited[qos === 1 ? 'puback' : 'pubrec'].push(messageId)
    const properties = this.version === 5 && expirySeconds > 0 ? { properties: { messageExpiryInterval: expirySeconds } } : {}
    const id = qos > 0 ? { messageId } : {}
    this.#client?.send({ cmd: 'publish', topic, payload, qos, retain, dup, ...id, ...properties })
  }

  /** Sends the PUBRELs that are due. */
  releaseAll(): void {
    for (const [messageId, outgoing] of this.#outgoing) if (outgoing.state === 'received') this.#release(messageId, outgoing)
  }

  #release(messageId: number, outgoing: Outgoing): void {
    outgoing.state = 'released'
    this.#awaited.pubcomp.push(messageId)
    this.#client?.send({ cmd: 'pubrel', messageId })
  }

  /** Answers up to `count` packets: the oldest ones, or any. */
  answer(count: number, pick: (length: number) => number): void {
    const { connection, session } = this
    if (connection === undefined || session === undefined) return
    for (let left = Math.min(count, this.#unanswered.length); left > 0; left--) {
      const [answer] = this.#unanswered.splice(pick(this.#unanswered.length), 1)
      if (answer === undefined) return
      this.#client?.send(answer)
      if (answer.cmd === 'puback') session.puback(answer.messageId, connection)
      else if (answer.cmd === 'pubrec') session.pubrec(answer.messageId)
      else session.pubcomp(answer.messageId, connection)
    }
  }

  /** Everything the broker owed this publisher is here. */
  settled(): void {
    const { puback, pubrec, pubcomp } = this.#awaited
    if (puback.length + pubrec.length + pubcomp.length === 0) return
    this.#world.complain(`${this.clientId} waits for PUBACK ${puback}, PUBREC ${pubrec}, PUBCOMP ${pubcomp}`)
  }

  async #read(client: RawClient, connection: ModelConnection, session: ModelSession): Promise<void> {
    for (let packet = await client.next(); packet !== undefined; packet = await client.next()) {
      // What arrives after the client cut the line is lost to it.
      if (this.connection === connection || packet.cmd === 'disconnect') this.#onPacket(packet, connection, session)
    }
  }

  #onPacket(packet: AnyPacket, connection: ModelConnection, session: ModelSession): void {
    const world = this.#world
    const messageId = packet.messageId as number
    world.arrived(this.clientId, packet)
    switch (packet.cmd) {
      case 'publish': {
        session.onPublish(packet, connection, world.nowMs)
        if (packet.qos === 1) this.#unanswered.push({ cmd: 'puback', messageId })
        if (packet.qos === 2) this.#unanswered.push({ cmd: 'pubrec', messageId })
        return
      }
      case 'pubrel':
        session.onPubrel(messageId, connection)
        this.#unanswered.push({ cmd: 'pubcomp', messageId })
        return
      case 'puback':
      case 'pubrec':
      case 'pubcomp':
        return this.#onAck(packet.cmd, messageId, packet.reasonCode as number | undefined)
      case 'pingresp':
        return this.#pings.shift()?.()
      case 'suback':
      case 'unsuback':
        return this.#waiting?.(packet)
      case 'disconnect':
        return world.disconnected(this, packet)
      default:
        world.complain(`${this.clientId}: ${packet.cmd} is not for a client`)
    }
  }

  #onAck(cmd: 'puback' | 'pubrec' | 'pubcomp', messageId: number, code = 0): void {
    const world = this.#world
    if (this.#awaited[cmd].shift() !== messageId)
      world.complain(`${this.clientId}: ${cmd} ${messageId} out of order [MQTT-4.6.0-2]`)
    const outgoing = this.#outgoing.get(messageId)
    const unknown = code === 0x92 && cmd === 'pubcomp' && outgoing?.releasedBefore
    if (code >= 0x80 && !unknown) world.complain(`${this.clientId}: ${cmd} ${messageId} says ${code}`)
    if (outgoing === undefined) return world.complain(`${this.clientId}: ${cmd} ${messageId} for nothing`)
    if (cmd !== 'pubcomp') world.acknowledged(outgoing.publication)
    if (cmd !== 'pubrec') this.#outgoing.delete(messageId)
    else {
      outgoing.state = 'received'
      if (this.releasesAtOnce) this.#release(messageId, outgoing)
    }
  }
}

function willPacket({ topic, qos, retain, delaySeconds }: WillPlan, payload: string, v5: boolean): object {
  return { topic, qos, retain, payload: Buffer.from(payload), ...(v5 ? { properties: { willDelayInterval: delaySeconds } } : {}) }
}
