import type { BrokerSession } from '../../lib/broker/native/broker-session.ts'
import type { NativeEngine } from '../../lib/broker/native/engine.ts'
import { ManualClock, TestBroker, type TestBrokerOptions } from '../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../support/raw-client.ts'
import { naiveMatch } from '../topic/naive-match.ts'
import { CrashableDisk } from './crashable-disk.ts'
import { type ConnectPlan, ModelClient, type Publication } from './model-client.ts'
import { ModelGroups, sharePrefix } from './model-groups.ts'
import { type Delivery, type ModelMessage, ModelSession, type ModelSubscription } from './model-session.ts'

/** Dead letters are kept, which must change nothing that a client can see. */
const letters = { cleanSessions: true, noSubscriber: true }

/**
 * A broker, its model clients, and the oracle: what the broker took in (its `publish` event tells, at the very moment), who has to
 * get it, which wills are due, what is retained. Complaints are collected; none may be left.
 */

interface Taken {
  readonly message: ModelMessage
  readonly publication: Publication | undefined
  readonly deliveries: Delivery[]
}

interface DelayedWill {
  readonly payload: string
  readonly clientId: string
  readonly dueAtMs: number
}

const traceLinesMax = 60

export class ModelWorld {
  readonly clients: ModelClient[]
  readonly complaints: string[] = []
  readonly maxInflight: number
  readonly #clock = new ManualClock()
  readonly #disk = new CrashableDisk()
  readonly #teardowns: (() => unknown)[] = []
  readonly #options: TestBrokerOptions
  readonly #publications = new Map<string, Publication>()
  readonly #groups = new ModelGroups(what => this.complain(what))
  readonly #lastTaken = new Map<string, number>()
  readonly #retained = new Map<string, ModelMessage>()
  /** As it was when the broker was last at rest. */
  #retainedAtRest = new Map<string, ModelMessage>()
  #recent: Taken[] = []
  /** Wills that have to, or may, be published now. */
  readonly #dueWills = new Map<string, 'must' | 'may'>()
  readonly #wills = new Map<string, string>()
  #delayedWills: DelayedWill[] = []
  #started!: TestBroker
  #connections = 0
  #seq = 0
  #activity = 0
  #atRest = true
  #over = false
  #trace: string[] = []

  constructor(versions: readonly (3 | 4 | 5)[], limits: { maxInflight: number; receiveMaximum: number }, commitTurns: number) {
    this.maxInflight = limits.maxInflight
    this.clients = versions.map((version, index) => new ModelClient(this, `c${index}`, version))
    this.#options = {
      clock: this.#clock,
      limits,
      streamFilter: 'no/stream/takes/this',
      openDb: this.#disk.open,
      wrapStore: store => this.#disk.slow(store, commitTurns)
    }
  }

  async start(): Promise<void> {
    this.#watch(await TestBroker.start({ teardown: fn => this.#teardowns.push(fn) }, { ...this.#options, letters }))
  }

  async stop(): Promise<void> {
    this.#over = true
    for (const client of this.clients) await client.leave()
    for (const teardown of this.#teardowns.splice(0).reverse()) await teardown()
  }

  get port(): number {
    return this.#started.port
  }

  get nowMs(): number {
    return this.#clock.nowMs
  }

  newSession(clientId: string): ModelSession {
    const complain = (what: string): void => this.complain(what)
    return new ModelSession(clientId, complain, (...args) => this.#groups.claim(...args))
  }

  nextConnection(): number {
    return ++this.#connections
  }

  complain(what: string): void {
    this.complaints.push(what)
    this.note(`!! ${what}`)
  }

  note(line: string): void {
    this.#trace.push(line)
    if (this.#trace.length > traceLinesMax) this.#trace.shift()
  }

  get trace(): string {
    return this.#trace.join('\n')
  }

  get #native(): NativeEngine {
    return this.#started.broker.engine as NativeEngine
  }

  // ---- what the broker does ---------------------------------------------------------------------------------------------------

  #watch(started: TestBroker): void {
    this.#started = started
    started.broker.on('publish', packet => {
      if (!this.#over && !this.#disk.dead && !packet.topic.startsWith('$SYS/')) this.#taken(packet as unknown as AnyPacket)
    })
  }

  #taken(packet: AnyPacket): void {
    this.#activity++
    const payload = String(packet.payload)
    const publication = this.#publications.get(payload)
    this.note(`   broker takes in ${payload || '(empty)'} on ${packet.topic}`)
    if (publication !== undefined) this.#countTaken(publication)
    else this.#willTaken(payload)
    const publisher = publication?.publisher ?? this.#wills.get(payload) ?? ''
    const expirySeconds = publication?.expirySeconds ?? 0
    const message: ModelMessage = {
      payload,
      topic: packet.topic as string,
      publisher,
      qos: packet.qos as 0 | 1 | 2,
      retain: packet.retain as boolean,
      expiresAtMs: expirySeconds === 0 ? 0 : this.nowMs + expirySeconds * 1000
    }
    const seq = this.#seq++
    const deliveries: Delivery[] = []
    for (const client of this.clients) {
      const certain = client.connecting === 0
      const delivery = client.session?.expect(message, seq, client.connection?.number ?? client.connecting, true)
      if (delivery === undefined) continue
      // While CONNACK is on its way nobody can tell whether QoS 0 gets through.
      if (delivery.qos === 0 && !certain) delivery.state = 'optional'
      if (this.#isDeaf(client)) delivery.mayBeSent = true
      deliveries.push(delivery)
    }
    this.#groups.taken(message, seq, session => this.clients.some(client => client.session === session && this.#isDeaf(client)))
    if (message.retain) {
      if (payload === '') this.#retained.delete(message.topic)
      else this.#retained.set(message.topic, message)
    }
    this.#recent.push({ message, publication, deliveries })
  }

  /** The client has left and the broker does not know yet: what it sends now arrives nowhere. */
  #isDeaf(client: ModelClient): boolean {
    return !client.connected && this.#started.broker.clients[client.clientId]?.connected === true
  }

  #countTaken(publication: Publication): void {
    publication.taken++
    const { payload, publisher, topic, qos, index } = publication
    if (publication.taken > (qos === 1 ? publication.sends : 1) && !publication.undone) {
      this.complain(`${payload} QoS ${qos} was taken in ${publication.taken} times, sent ${publication.sends} times`)
    }
    publication.undone = false
    const key = `${publisher} ${topic} ${qos}`
    if (publication.taken > 1) return
    if ((this.#lastTaken.get(key) ?? -1) > index) this.complain(`${payload}: taken in after a later one`)
    this.#lastTaken.set(key, index)
  }

  #willTaken(payload: string): void {
    if (!this.#dueWills.delete(payload)) this.complain(`will ${payload} is published and should not be`)
  }

  arrived(clientId: string, packet: AnyPacket): void {
    if (packet.cmd === 'pingresp') return
    this.#activity++
    const { cmd, messageId, qos, dup, payload } = packet as unknown as Record<string, unknown>
    this.note(
      `   ${clientId} gets ${cmd} ${messageId ?? ''}${cmd === 'publish' ? ` ${payload} QoS ${qos}${dup ? ' DUP' : ''}` : ''}`
    )
  }

  disconnected(client: ModelClient, packet: AnyPacket): void {
    // 0x8B: the broker is stopped, 0x8E: the session was taken over. Both are the script's doing, and the model knew before.
    if (packet.reasonCode === 0x8b || packet.reasonCode === 0x8e) return
    this.complain(`${client.clientId} was disconnected with ${packet.reasonCode} ${JSON.stringify(packet.properties)}`)
  }

  acknowledged(publication: Publication): void {
    publication.acknowledged = true
    if (publication.taken === 0) this.complain(`${publication.payload} was acknowledged and not taken in`)
    // What a crash made doubtful is certain again.
    for (const { publication: of, deliveries } of this.#recent.slice().reverse()) {
      if (of !== publication) continue
      for (const one of deliveries) if (one.state === 'optional' && one.qos > 0) one.state = 'owed'
      return
    }
  }

  // ---- what the script does ---------------------------------------------------------------------------------------------------

  busy(): void {
    this.#atRest = false
  }

  async connect(client: ModelClient, plan: ConnectPlan): Promise<void> {
    this.busy()
    if (client.connected) {
      client.abandon()
      this.#connectionEnded(client, true)
    }
    if (plan.clean) this.#endSession(client)
    else this.#delayedWills = this.#delayedWills.filter(({ clientId }) => clientId !== client.clientId)
    const payload = `will ${this.#wills.size}`
    if (plan.will !== undefined) this.#wills.set(payload, client.clientId)
    await client.connect(plan, payload)
  }

  async leave(client: ModelClient, disconnect: object | undefined, withWill: boolean, expirySeconds?: number): Promise<void> {
    if (!client.connected) return
    const left = client.leave(disconnect)
    if (expirySeconds !== undefined && client.session !== undefined) client.session.expirySeconds = expirySeconds
    this.#connectionEnded(client, withWill)
    this.busy()
    await left
  }

  #connectionEnded(client: ModelClient, withWill: boolean): void {
    const { session, will } = client
    if (session === undefined) return
    client.will = undefined
    if (will !== undefined && withWill) {
      const delaySeconds = Math.min(client.version === 5 ? will.plan.delaySeconds : 0, session.expirySeconds)
      if (delaySeconds === 0) this.#dueWills.set(will.payload, 'must')
      else {
        const dueAtMs = this.nowMs + delaySeconds * 1000
        this.#delayedWills.push({ payload: will.payload, clientId: client.clientId, dueAtMs })
      }
    }
    session.connectionEnded(this.#atRest)
    this.#groups.offline(session)
    session.endsAtMs = this.nowMs + session.expirySeconds * 1000
    if (session.expirySeconds === 0) this.#endSession(client)
  }

  #endSession(client: ModelClient): void {
    if (client.session !== undefined) this.#groups.ended(client.session)
    client.session = undefined
    this.#wake(({ clientId }) => clientId === client.clientId)
  }

  #wake(due: (will: DelayedWill) => boolean): void {
    for (const will of this.#delayedWills) if (due(will)) this.#dueWills.set(will.payload, 'must')
    this.#delayedWills = this.#delayedWills.filter(will => !due(will))
  }

  publish(client: ModelClient, plan: Pick<Publication, 'topic' | 'qos' | 'retain' | 'expirySeconds'>, payload?: string): void {
    const index = this.#publications.size
    const publication: Publication = {
      ...plan,
      expirySeconds: client.version === 5 ? plan.expirySeconds : 0,
      payload: payload ?? `m${index}`,
      publisher: client.clientId,
      index,
      sends: 0,
      taken: 0,
      acknowledged: false,
      undone: false
    }
    this.#publications.set(publication.payload, publication)
    this.busy()
    if (!client.publish(publication)) this.#publications.delete(publication.payload)
  }

  /** Bookkeeping of a SUBSCRIBE that is about to be sent; the broker is at rest. */
  subscribing(session: ModelSession, request: ModelSubscription, retainHandling: number): void {
    if (request.filter.startsWith(sharePrefix)) return this.#groups.join(session, request)
    const existed = session.subscriptions.has(request.filter)
    session.subscriptions.set(request.filter, request)
    if (retainHandling === 2 || (retainHandling === 1 && existed)) return
    const client = this.clients.find(one => one.session === session)
    for (const message of this.#retained.values()) {
      const alive = message.expiresAtMs === 0 || message.expiresAtMs > this.nowMs
      if (!alive) continue
      if (naiveMatch(request.filter, message.topic))
        session.expectRetained(message, request, this.#seq++, client?.connection?.number ?? 0)
    }
  }

  /** True when there was such a subscription. */
  unsubscribing(session: ModelSession, filter: string): boolean {
    if (filter.startsWith(sharePrefix)) return this.#groups.leave(session, filter)
    return session.subscriptions.delete(filter)
  }

  async passTime(seconds: number): Promise<void> {
    await this.settle()
    this.#clock.advance(seconds * 1000)
    const { nowMs } = this
    this.#groups.expire(nowMs)
    for (const client of this.clients) {
      client.session?.expire(nowMs)
      if (client.session !== undefined && client.session.endsAtMs <= nowMs) this.#endSession(client)
    }
    this.#wake(({ dueAtMs }) => dueAtMs <= nowMs)
    this.#native.sweep(nowMs)
    await this.settle()
  }

  /** Stops the broker as an operator does and starts it again. */
  async restart(): Promise<void> {
    for (const client of this.clients) {
      if (!client.connected) continue
      client.abandon()
      this.#connectionEnded(client, true)
    }
    this.busy()
    this.#groups.restarted()
    this.#watch(await this.#started.restart({ teardown: fn => this.#teardowns.push(fn) }, this.#options))
    await this.settle()
  }

  /** The broker is gone at once, with all that was not on disk. */
  async crash(): Promise<void> {
    this.#disk.dead = true
    const dying = this.#started
    const left: Promise<void>[] = []
    for (const client of this.clients) {
      if (!client.connected) continue
      left.push(client.leave())
      this.#connectionEnded(client, true)
    }
    await Promise.all(left)
    for (const { message, publication, deliveries } of this.#recent) {
      if (publication === undefined && message.payload !== '') this.#dueWills.set(message.payload, 'may')
      if (publication?.acknowledged) continue
      if (publication !== undefined) publication.undone = true
      this.#groups.undone(message)
      for (const one of deliveries) if (one.state === 'owed') one.state = 'optional'
    }
    for (const client of this.clients) client.session?.crashed()
    this.#groups.restarted()
    await dying.stop()
    this.#disk.dead = false
    this.#watch(
      await TestBroker.start({ teardown: fn => this.#teardowns.push(fn) }, { ...this.#options, folder: dying.folder, letters })
    )
    this.#checkRetained()
    this.#recent = []
    this.#native.sweep(this.nowMs)
    await this.settle()
  }

  /** Which of the retained messages made it to the disk before the crash only the disk knows; but it must be one that could. */
  #checkRetained(): void {
    const topics = new Set(this.#recent.filter(({ message }) => message.retain).map(({ message }) => message.topic))
    for (const topic of topics) {
      const candidates: (ModelMessage | undefined)[] = [this.#retainedAtRest.get(topic)]
      for (const { message, publication } of this.#recent) {
        if (message.topic !== topic || !message.retain) continue
        if (publication?.acknowledged) candidates.length = 0
        candidates.push(message.payload === '' ? undefined : message)
      }
      const found = this.#started.store.retainedByTopic(topic)?.payload.toString()
      const match = candidates.find(one => one?.payload === found)
      if (match?.payload !== found) this.complain(`retained on ${topic} after the crash is ${found}`)
      if (match === undefined) this.#retained.delete(topic)
      else this.#retained.set(topic, match)
    }
  }

  // ---- rest -------------------------------------------------------------------------------------------------------------------

  /** Waits until nothing moves any more without a client's doing, then looks whether everything is where it should be. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 2; ) {
      const before = this.#activity
      const connected = this.clients.filter(client => client.connected)
      while (this.#started.broker.connections.size !== connected.length) await turn()
      await this.#native.drain()
      for (const client of connected) await client.ping()
      await turn()
      const pumping = [...this.#native.context.sessions.values()].some(isMoving)
      quiet = before === this.#activity && !pumping ? quiet + 1 : 0
    }
    for (const [payload, need] of this.#dueWills) if (need === 'must') this.complain(`will ${payload} is not published`)
    this.#dueWills.clear()
    for (const client of this.clients) {
      if (client.connected) client.settled()
      client.session?.settled(client.connection)
    }
    this.#groups.settled(session => this.clients.some(client => client.session === session && client.windowOpen))
    this.#recent = []
    this.#retainedAtRest = new Map(this.#retained)
    this.#atRest = true
  }

  /** What a new subscriber is sent as retained is what was retained last. */
  async #lookAtRetained(): Promise<void> {
    const { client } = await RawClient.connect(this.port, { clientId: 'onlooker' })
    await client.subscribe('#', 0)
    const found = (await client.ping()).map(({ topic, payload }) => `${topic} ${payload}`).sort()
    const alive = [...this.#retained.values()].filter(({ expiresAtMs }) => expiresAtMs === 0 || expiresAtMs > this.nowMs)
    const expected = alive.map(({ topic, payload }) => `${topic} ${payload}`).sort()
    if (found.join() !== expected.join()) this.complain(`retained is ${found.join()}; expected ${expected.join()}`)
    await client.disconnect()
  }

  /** Everybody comes back and takes what is theirs; then nothing may be left anywhere. */
  async finish(): Promise<void> {
    for (const client of this.clients) {
      client.releasesAtOnce = true
      const plan = { clean: false, expirySeconds: 100_000, receiveMaximum: 20, will: undefined }
      if (!client.connected) await this.connect(client, plan)
    }
    for (let idle = false; !idle; idle = this.clients.every(client => client.idle)) {
      for (const client of this.clients) {
        client.releaseAll()
        client.answer(1000, () => 0)
      }
      this.busy()
      await this.settle()
      if (this.complaints.length > 0) return
    }
    for (const client of this.clients) client.session?.completed()
    this.#groups.completed()
    await this.#lookAtRetained()
    const { broker } = this.#started
    if (broker.counters.queued !== 0) this.complain(`${broker.counters.queued} messages are left in queues`)
    for (const client of this.clients) {
      await this.connect(client, { clean: true, expirySeconds: 0, receiveMaximum: 20, will: undefined })
      await this.leave(client, { cmd: 'disconnect' }, false)
    }
    await this.settle()
    const { sessionCount, subscriptionCount } = broker
    if (sessionCount + subscriptionCount > 0)
      this.complain(`${sessionCount} sessions, ${subscriptionCount} subscriptions are left`)
  }
}

/** Something is being read from the disk for it. */
function isMoving({ pumping, resending, groups }: BrokerSession): boolean {
  return pumping || resending || [...(groups ?? [])].some(group => group.pumping)
}

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
