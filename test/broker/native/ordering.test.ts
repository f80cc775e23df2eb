import t from 'tap'
import { TestBroker, type TestBrokerOptions } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

/**
 * Section 4.6 of MQTT 5: what one publisher sends on one topic at one QoS arrives in that order, whatever way it goes. Payloads are
 * `publisher topic qos number`, so that every receiver can be asked the same question.
 */

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** Numbers that look random and are the same in every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >> 8) % below
  }
}

/** A publisher that sends without waiting and answers what QoS 2 asks for. */
class Source {
  readonly client: RawClient
  readonly name: string
  readonly #sent = new Map<string, number>()
  #nextId = 1
  /** Acknowledgements in the order they came, by kind. */
  readonly acks: Record<string, number[]> = { puback: [], pubrec: [], pubcomp: [] }
  readonly sentIds: Record<1 | 2, number[]> = { 1: [], 2: [] }
  #open = 0

  constructor(client: RawClient, name: string) {
    this.client = client
    this.name = name
    void this.#read()
  }

  send(topic: string, qos: 0 | 1 | 2, options: object = {}): void {
    const key = `${this.name} ${topic} ${qos}`
    const number = this.#sent.get(key) ?? 0
    this.#sent.set(key, number + 1)
    const messageId = qos > 0 ? this.#nextId++ : undefined
    if (qos > 0 && messageId !== undefined) {
      this.#open++
      this.sentIds[qos as 1 | 2].push(messageId)
    }
    this.client.send({
      cmd: 'publish',
      topic,
      payload: `${key} ${number}`,
      qos,
      retain: false,
      dup: false,
      messageId,
      ...options
    })
  }

  /** Everything sent is acknowledged. */
  async done(): Promise<void> {
    while (this.#open > 0) await turn()
  }

  async #read(): Promise<void> {
    for (let packet = await this.client.next(); packet !== undefined; packet = await this.client.next()) {
      const messageId = packet.messageId as number
      this.acks[packet.cmd]?.push(messageId)
      if (packet.cmd === 'pubrec') this.client.send({ cmd: 'pubrel', messageId })
      if (packet.cmd === 'puback' || packet.cmd === 'pubcomp') this.#open--
    }
  }
}

/** What a subscriber got, by the way it came; over several connections. */
class Sink {
  readonly seen = new Map<string, number[]>()
  count = 0
  client: RawClient | undefined
  /** Acknowledge, or leave it to the next connection. */
  answers = true
  readonly #dups: string[] = []

  async connect(port: number, options: object): Promise<void> {
    const { client } = await RawClient.connect(port, options)
    this.client = client
    void this.#read(client)
  }

  async cut(): Promise<void> {
    this.client?.socket.destroy()
    this.client = undefined
    await turn()
  }

  /** A topic's numbers without copies, as they first arrived; a copy has DUP. */
  first(key: string): number[] {
    return [...new Set(this.seen.get(key) ?? [])]
  }

  #take(packet: AnyPacket): void {
    const [name, topic, qos, number] = String(packet.payload).split(' ')
    const key = `${name} ${topic} ${qos}`
    const known = this.seen.get(key) ?? []
    // DUP without a copy before is right, too: the first one may have been lost with its connection.
    if (known.includes(Number(number)) && !packet.dup) this.#dups.push(String(packet.payload))
    this.seen.set(key, [...known, Number(number)])
    this.count++
  }

  get wrongDups(): readonly string[] {
    return this.#dups
  }

  async #read(client: RawClient): Promise<void> {
    for (let packet = await client.next(); packet !== undefined; packet = await client.next()) {
      if (client !== this.client) return
      if (packet.cmd === 'publish') this.#take(packet)
      if (!this.answers) continue
      const { messageId } = packet
      if (packet.cmd === 'publish' && packet.qos === 1) client.send({ cmd: 'puback', messageId })
      if (packet.cmd === 'publish' && packet.qos === 2) client.send({ cmd: 'pubrec', messageId })
      if (packet.cmd === 'pubrel') client.send({ cmd: 'pubcomp', messageId })
    }
  }
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}

const storedSession = (clientId: string, receiveMaximum: number) => ({
  clientId,
  clean: false,
  version: 5 as const,
  properties: { sessionExpiryInterval: 1000, receiveMaximum }
})

t.test('[MQTT-4.6.0-6] order holds from live to queued, over redelivery and a restart, and back to live', async t => {
  let started = await TestBroker.start(t, { limits: { maxInflight: 6 } })
  const sinks = [new Sink(), new Sink()]
  const options = [storedSession('narrow', 4), storedSession('wide', 50)]
  const connectAll = async (): Promise<void> => {
    for (const [i, sink] of sinks.entries()) await sink.connect(started.port, options[i]!)
  }
  for (const one of options) {
    const { client } = await RawClient.connect(started.port, one)
    await client.subscribe('t/#', 2)
    await client.disconnect()
  }
  await connectAll()
  const random = numbers(7)
  let sources: Source[] = []
  const openSources = async (): Promise<void> => {
    sources = []
    for (const name of ['p', 'q']) {
      const { client } = await RawClient.connect(started.port, { clientId: `${name}${random(1e6)}` })
      sources.push(new Source(client, name))
    }
  }
  const sent = new Map<string, number>()
  const publishSome = async (count: number): Promise<void> => {
    await openSources()
    for (let i = 0; i < count; i++) {
      const source = sources[random(2)]!
      const [topic, qos] = [`t/${random(2)}`, random(2) === 0 ? 1 : 2] as const
      const key = `${source.name} ${topic} ${qos}`
      const number = sent.get(key) ?? 0
      sent.set(key, number + 1)
      source.send(topic, qos, { payload: `${key} ${number}` })
      if (random(4) === 0) await turn()
    }
    for (const source of sources) await source.done()
  }
  await publishSome(40)
  for (const sink of sinks) sink.answers = false
  await publishSome(40)
  for (const sink of sinks) await sink.cut()
  await publishSome(40)
  await connectAll()
  await publishSome(40)
  started = await started.restart(t)
  for (const sink of sinks) sink.answers = true
  await connectAll()
  await publishSome(40)
  while (started.broker.counters.queued > 0) await turn()
  await publishSome(30)
  while (started.broker.counters.queued > 0) await turn()
  for (const sink of sinks) {
    for (const [key, count] of sent) t.same(sink.first(key), upTo(count), key)
    t.same(sink.wrongDups, [], 'no copy without DUP')
  }
})

t.test('[MQTT-4.6.0-2] [MQTT-4.6.0-6] a hook that answers at random turns changes neither order nor order of acks', async t => {
  const random = numbers(3)
  const options: TestBrokerOptions = {
    authorizePublish: (_client, _packet, done) => {
      const wait = (left: number): void => void (left === 0 ? done(null) : setImmediate(() => wait(left - 1)))
      wait(random(8))
    },
    authorizeForward: (_client, packet) => ({ ...packet, payload: Buffer.from(String(packet.payload)) })
  }
  const { port, broker } = await TestBroker.start(t, options)
  const live = new Sink()
  await live.connect(port, { clientId: 'live' })
  live.client?.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 2 }] })
  const stored = new Sink()
  await stored.connect(port, storedSession('stored', 3))
  stored.client?.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 2 }] })
  while (broker.subscriptionCount < 2) await turn()
  const sources: Source[] = []
  for (const name of ['p', 'q', 'r']) {
    const { client } = await RawClient.connect(port, { clientId: name })
    sources.push(new Source(client, name))
  }
  for (let i = 0; i < 90; i++) sources[random(3)]!.send(`t/${random(2)}`, random(3) as 0 | 1 | 2)
  for (const source of sources) await source.done()
  while (broker.counters.queued > 0) await turn()
  while (live.count < 90 || stored.count < 90) await turn()
  for (const sink of [live, stored]) {
    for (const [key, arrived] of sink.seen) t.same(arrived, upTo(arrived.length), key)
  }
  for (const { acks, sentIds } of sources) {
    t.same(acks.puback, sentIds[1])
    t.same(acks.pubrec, sentIds[2])
    t.same(acks.pubcomp, sentIds[2])
  }
})

t.test('an authorizeSubscribe hook that answers late comes between the publishes around it', async t => {
  const random = numbers(5)
  const { port } = await TestBroker.start(t, {
    authorizeSubscribe: (_client, subscription, done) => {
      const wait = (left: number): void => void (left === 0 ? done(null, subscription) : setImmediate(() => wait(left - 1)))
      wait(1 + random(6))
    }
  })
  const { client } = await RawClient.connect(port, { clientId: 'a' })
  client.socket.cork()
  for (let i = 0; i < 10; i++) {
    const send = (payload: string, messageId: number) =>
      client.send({ cmd: 'publish', topic: `t/${i}`, payload, qos: 1, messageId, retain: false, dup: false })
    send('before', 2 * i + 1)
    client.send({ cmd: 'subscribe', messageId: 100 + i, subscriptions: [{ topic: `t/${i}`, qos: 0 }] })
    send('after', 2 * i + 2)
  }
  client.socket.uncork()
  const packets: AnyPacket[] = []
  for (let i = 0; i < 40; i++) packets.push((await client.next())!)
  const delivered = packets.filter(({ cmd }) => cmd === 'publish').map(({ topic, payload }) => `${topic} ${payload}`)
  t.same(
    delivered,
    upTo(10).map(i => `t/${i} after`)
  )
  t.same(
    packets.filter(({ cmd }) => cmd === 'puback').map(({ messageId }) => messageId),
    upTo(20).map(i => i + 1)
  )
  t.same(
    packets.filter(({ cmd }) => cmd === 'suback').map(({ messageId }) => messageId),
    upTo(10).map(i => 100 + i)
  )
})

for (const qos of [0, 1, 2] as const) {
  t.test(
    `QoS ${qos}: while retained messages are looked for, no older one follows a newer one, and nothing comes twice`,
    async t => {
      const { port, broker } = await TestBroker.start(t)
      const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
      const topics = upTo(300).map(i => `r/${i}`)
      for (const topic of topics) {
        publisher.send({ cmd: 'publish', topic, payload: '0', qos: 0, retain: true, dup: false })
      }
      await publisher.ping()
      await broker.engine.drain()
      const { client } = await RawClient.connect(port, { ...storedSession('subscriber', 1000), clean: true })
      client.send({
        cmd: 'subscribe',
        messageId: 1,
        subscriptions: [
          { topic: 'r/#', qos },
          { topic: 'r/7', qos }
        ]
      })
      for (let version = 1; version <= 3; version++) {
        for (const [i, topic] of topics.entries()) {
          if (i % 3 === 0)
            publisher.send({ cmd: 'publish', topic, payload: String(version), qos, messageId: i + 1, retain: true, dup: false })
        }
        await turn()
        await turn()
      }
      await publisher.ping()
      await broker.engine.drain()
      const seen = new Map<string, number[]>()
      for (const packet of await settledPackets(client)) {
        if (packet.cmd !== 'publish') continue
        const topic = String(packet.topic)
        seen.set(topic, [...(seen.get(topic) ?? []), Number(packet.payload)])
      }
      const wrong = [...seen].filter(([topic, versions]) => {
        const sorted = [...versions].sort((a, b) => a - b)
        const copies = versions.length - new Set(versions).size
        // r/7 matches two filters of the SUBSCRIBE, and its retained message may come for each of them.
        return versions.join() !== sorted.join() || copies > (topic === 'r/7' ? 1 : 0)
      })
      t.same(wrong, [])
      t.equal(seen.size, topics.length)
    }
  )
}

/** Everything that has arrived when a few round trips bring nothing new. */
async function settledPackets(client: RawClient): Promise<AnyPacket[]> {
  const packets: AnyPacket[] = []
  for (let quiet = 0; quiet < 5; ) {
    const more = await client.ping()
    for (const { cmd, qos, messageId } of more) {
      if (cmd === 'publish' && qos === 1) client.send({ cmd: 'puback', messageId })
      if (cmd === 'publish' && qos === 2) client.send({ cmd: 'pubrec', messageId })
      if (cmd === 'pubrel') client.send({ cmd: 'pubcomp', messageId })
    }
    packets.push(...more)
    quiet = more.length === 0 ? quiet + 1 : 0
  }
  return packets
}
