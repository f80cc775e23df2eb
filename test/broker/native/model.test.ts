import fc from 'fast-check'
import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

/**
 * Subscribers with stored sessions that come, go, are cut and taken over at any moment, and acknowledge late or never, against
 * publishers that do the same. What each of them finally has is compared with what was acknowledged to the publishers.
 */

const turn = () => new Promise<void>(resolve => setImmediate(resolve))

/** A subscriber that follows the protocol, over any number of connections. */
class Subscriber {
  readonly clientId: string
  readonly window: number
  /** Payloads in the order of arrival; QoS 2 without what was sent again. */
  readonly seen: Record<1 | 2, string[]> = { 1: [], 2: [] }
  readonly violations: string[] = []
  readonly #port: number
  readonly #qos2 = new Set<number>()
  #unanswered: AnyPacket[] = []
  #held = new Set<number>()
  #client: RawClient | undefined
  #reading: Promise<void> = Promise.resolve()

  constructor(port: number, clientId: string, window: number) {
    this.#port = port
    this.clientId = clientId
    this.window = window
  }

  get connected(): boolean {
    return this.#client !== undefined
  }

  /** Also while connected: then it is a takeover. */
  async connect(): Promise<void> {
    const { client } = await RawClient.connect(this.#port, {
      clientId: this.clientId,
      clean: false,
      version: 5,
      properties: { sessionExpiryInterval: 1000, receiveMaximum: this.window }
    })
    // Taken over, the one before ends by itself.
    await this.#reading
    this.#client = client
    this.#unanswered = []
    this.#held = new Set()
    this.#reading = this.#read(client)
  }

  async subscribe(): Promise<void> {
    this.#client?.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'all/#', qos: 2 }] })
    await this.settled()
  }

  async cut(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    client?.socket.destroy()
    await this.#reading
  }

  /** Answers up to `count` of what waits for an answer. */
  answer(count: number): void {
    for (const packet of this.#unanswered.splice(0, count)) this.#answer(packet)
  }

  get idle(): boolean {
    return this.#unanswered.length === 0 && this.#held.size === 0
  }

  async settled(): Promise<void> {
    for (let i = 0; i < 5; i++) await turn()
  }

  #answer(packet: AnyPacket): void {
    const messageId = packet.messageId as number
    if (packet.cmd === 'pubrel') {
      this.#qos2.delete(messageId)
      this.#held.delete(messageId)
      this.#client?.send({ cmd: 'pubcomp', messageId })
    } else if (packet.qos === 1) {
      this.#held.delete(messageId)
      this.#client?.send({ cmd: 'puback', messageId })
    } else this.#client?.send({ cmd: 'pubrec', messageId })
  }

  async #read(client: RawClient): Promise<void> {
    for (let packet = await client.next(); packet !== undefined; packet = await client.next()) {
      if (packet.cmd === 'pubrel') this.#held.add(packet.messageId as number)
      else if (packet.cmd !== 'publish') continue
      else this.#take(packet)
      this.#unanswered.push(packet)
    }
  }

  #take(packet: AnyPacket): void {
    const messageId = packet.messageId as number
    if (this.#held.has(messageId)) this.violations.push(`packet id ${messageId} was in use`)
    this.#held.add(messageId)
    if (this.#held.size > this.window) this.violations.push(`${this.#held.size} in flight, ${this.window} allowed`)
    if (packet.qos === 2) {
      if (this.#qos2.has(messageId)) return
      this.#qos2.add(messageId)
    }
    this.seen[packet.qos as 1 | 2].push(String(packet.payload))
  }
}

/** A publisher with a stored session: sends again, in order, what was not acknowledged. */
class Publisher {
  readonly clientId: string
  readonly sent: Record<1 | 2, string[]> = { 1: [], 2: [] }
  readonly #port: number
  readonly #open = new Map<number, { payload: string; qos: 1 | 2; released: boolean }>()
  #client: RawClient | undefined
  #reading: Promise<void> = Promise.resolve()
  #next = 1

  constructor(port: number, clientId: string) {
    this.#port = port
    this.clientId = clientId
  }

  async connect(): Promise<void> {
    const { client } = await RawClient.connect(this.#port, { clientId: this.clientId, clean: false })
    // Taken over, the one before ends by itself.
    await this.#reading
    this.#client = client
    for (const [messageId, { payload, qos, released }] of this.#open) {
      if (released) client.send({ cmd: 'pubrel', messageId })
      else this.#send(messageId, payload, qos, true)
    }
    this.#reading = this.#read(client)
  }

  async cut(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    client?.socket.destroy()
    await this.#reading
  }

  get idle(): boolean {
    return this.#open.size === 0
  }

  publish(qos: 1 | 2): void {
    if (this.#client === undefined || this.#open.size > 50) return
    const messageId = this.#next++
    const payload = `${this.clientId} ${qos} ${this.sent[qos].length}`
    this.sent[qos].push(payload)
    this.#open.set(messageId, { payload, qos, released: false })
    this.#send(messageId, payload, qos, false)
  }

  #send(messageId: number, payload: string, qos: 1 | 2, dup: boolean): void {
    this.#client?.send({ cmd: 'publish', topic: `all/${this.clientId}`, payload, qos, messageId, retain: false, dup })
  }

  async #read(client: RawClient): Promise<void> {
    for (let packet = await client.next(); packet !== undefined; packet = await client.next()) {
      const messageId = packet.messageId as number
      if (packet.cmd === 'puback' || packet.cmd === 'pubcomp') this.#open.delete(messageId)
      else if (packet.cmd === 'pubrec') {
        const open = this.#open.get(messageId)
        if (open) open.released = true
        client.send({ cmd: 'pubrel', messageId })
      }
    }
  }
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('publish' as const), who: fc.nat(1), n: fc.integer({ min: 1, max: 12 }) })
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('answer' as const), who: fc.nat(1), n: fc.integer({ min: 1, max: 8 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('cutSubscriber' as const, 'cutPublisher' as const),
      who: fc.nat(1),
      n: fc.constant(0)
    })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('connectSubscriber' as const, 'connectPublisher' as const),
      who: fc.nat(1),
      n: fc.constant(0)
    })
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait' as const), who: fc.constant(0), n: fc.integer({ min: 1, max: 6 }) })
  }
)

t.test(
  'acknowledged messages arrive at stored sessions at least once, at QoS 2 exactly once, in order, within the window',
  async t => {
    const started = await TestBroker.start(t, { limits: { maxInflight: 20 } })
    const { port, broker } = started
    let round = 0
    const property = fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async steps => {
      round++
      const subscribers = [new Subscriber(port, `s${round}a`, 3), new Subscriber(port, `s${round}b`, 20)]
      const publishers = [new Publisher(port, `p${round}a`), new Publisher(port, `p${round}b`)]
      for (const subscriber of subscribers) {
        await subscriber.connect()
        await subscriber.subscribe()
      }
      for (const publisher of publishers) await publisher.connect()
      while (broker.subscriptionCount < 2) await turn()
      for (const { do: what, who, n } of steps) {
        const subscriber = subscribers[who]!
        const publisher = publishers[who]!
        if (what === 'publish') for (let i = 0; i < n; i++) publisher.publish(i % 2 === 0 ? 1 : 2)
        else if (what === 'answer') subscriber.answer(n)
        else if (what === 'cutSubscriber') await subscriber.cut()
        else if (what === 'cutPublisher') await publisher.cut()
        else if (what === 'connectSubscriber') await subscriber.connect()
        else if (what === 'connectPublisher') await publisher.connect()
        else for (let i = 0; i < n; i++) await turn()
      }
      for (const publisher of publishers) await publisher.connect()
      for (const subscriber of subscribers) await subscriber.connect()
      while (!publishers.every(({ idle }) => idle) || broker.counters.queued > 0) {
        for (const subscriber of subscribers) subscriber.answer(100)
        await turn()
      }
      for (const subscriber of subscribers) {
        if (subscriber.violations.length > 0) throw new Error(subscriber.violations.join('; '))
        for (const publisher of publishers) compare(subscriber, publisher)
      }
      // Clean sessions for the next round: nothing of this one may be left.
      for (const one of [...subscribers, ...publishers]) {
        await one.cut()
        await (await RawClient.connect(port, { clientId: one.clientId, clean: true })).client.disconnect()
      }
      while (broker.sessionCount > 0) await turn()
      if (broker.counters.queued !== 0 || broker.subscriptionCount !== 0) throw new Error('something is left behind')
    })
    await fc.assert(property, {
      numRuns: Number(process.env.RUNS ?? 25),
      seed: Number(process.env.SEED ?? 20240607),
      endOnFailure: true
    })
    t.pass(`${round} rounds`)
  }
)

function compare(subscriber: Subscriber, publisher: Publisher): void {
  for (const qos of [1, 2] as const) {
    const arrived = subscriber.seen[qos].filter(payload => payload.startsWith(publisher.clientId))
    // At QoS 1 copies are allowed; first arrivals keep the order.
    const once = qos === 1 ? [...new Set(arrived)] : arrived
    if (once.join() !== publisher.sent[qos].join()) {
      throw new Error(`${subscriber.clientId} QoS ${qos}: sent ${publisher.sent[qos].join()}; arrived ${arrived.join()}`)
    }
  }
}
