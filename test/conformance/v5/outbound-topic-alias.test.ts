import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

/** Topic and Topic Alias of a PUBLISH as they stand in the packet. */
function seen(packet: AnyPacket): [topic: unknown, alias: unknown] {
  return [packet.topic, (packet.properties as { topicAlias?: number } | undefined)?.topicAlias]
}

/** Resolves aliases as a client has to, and fails over one that was not defined before. */
class AliasTable {
  readonly #topics = new Map<number, string>()

  topicOf(packet: AnyPacket): string {
    const [topic, alias] = seen(packet) as [string, number | undefined]
    if (alias === undefined) return topic
    if (topic !== '') this.#topics.set(alias, topic)
    const known = this.#topics.get(alias)
    if (known === undefined) throw new Error(`alias ${alias} is used before it was set`)
    return known
  }
}

function subscriber(port: number, topicAliasMaximum: number | undefined, more: object = {}, session: object = {}) {
  const properties = { ...(topicAliasMaximum === undefined ? {} : { topicAliasMaximum }), ...more }
  return RawClient.connect(port, { clientId: 'subscriber', version: 5, properties, ...session })
}

t.test(
  '[MQTT-3.1.2-26] [MQTT-3.3.2-11] the first topics get aliases up to Topic Alias Maximum, further ones are named',
  async t => {
    const { port } = await TestBroker.start(t)
    const { client } = await subscriber(port, 2)
    await client.subscribe('rooms/#', 2)
    const { client: publisher } = await RawClient.connect(port, { version: 5 })
    for (let round = 0; round < 2; round++) for (const room of ['a', 'b', 'c']) await publisher.publish(`rooms/${room}`, 'x', 1)
    t.same((await client.ping()).map(seen), [
      ['rooms/a', 1],
      ['rooms/b', 2],
      ['rooms/c', undefined],
      ['', 1],
      ['', 2],
      ['rooms/c', undefined]
    ])
  }
)

t.test('[MQTT-3.1.2-27] a client that announced no Topic Alias Maximum, or 0, is sent no alias', async t => {
  const { port } = await TestBroker.start(t)
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  for (const maximum of [undefined, 0]) {
    const { client } = await subscriber(port, maximum)
    await client.subscribe('rooms/#', 0)
    await publisher.publish('rooms/a', 'x', 1)
    await publisher.publish('rooms/a', 'x', 1)
    t.same((await client.ping()).map(seen), [
      ['rooms/a', undefined],
      ['rooms/a', undefined]
    ])
    await client.disconnect()
  }
})

t.test('an alias set by one QoS is used by the others, with expiry and subscription identifiers beside it', async t => {
  const { port } = await TestBroker.start(t)
  const { client } = await subscriber(port, 5)
  await client.subscribe('rooms/+', 2, {}, { subscriptionIdentifier: 300 })
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  const properties = { messageExpiryInterval: 60, userProperties: { unit: 'kelvin' } }
  for (const qos of [0, 1, 2] as const) await publisher.publish('rooms/1', `q${qos}`, qos, { properties })
  const packets = await client.ping()
  t.same(packets.map(seen), [
    ['rooms/1', 1],
    ['', 1],
    ['', 1]
  ])
  for (const [qos, packet] of packets.entries()) {
    t.match(packet, { qos, properties: { messageExpiryInterval: 60, subscriptionIdentifier: 300 } })
    t.same({ ...(packet.properties as { userProperties: object }).userProperties }, { unit: 'kelvin' })
    t.equal(String(packet.payload), `q${qos}`)
  }
})

t.test('limits.outboundTopicAliasMaximum is a bound below what the client allows, and 0 switches aliases off', async t => {
  for (const [outboundTopicAliasMaximum, expected] of [
    [1, [1, undefined]],
    [0, [undefined, undefined]]
  ] as const) {
    const { port } = await TestBroker.start(t, { limits: { outboundTopicAliasMaximum } })
    const { client } = await subscriber(port, 65_535)
    await client.subscribe('rooms/#', 0)
    const { client: publisher } = await RawClient.connect(port, { version: 5 })
    await publisher.publish('rooms/a', 'x', 1)
    await publisher.publish('rooms/b', 'x', 1)
    t.same(
      (await client.ping()).map(packet => seen(packet)[1]),
      expected
    )
  }
})

t.test('[MQTT-3.3.2-7] [MQTT-4.4.0-1] aliases end with the connection: what is sent again names its topic', async t => {
  const { port } = await TestBroker.start(t)
  const session = { clean: false }
  const more = { sessionExpiryInterval: 100 }
  const first = await subscriber(port, 5, more, session)
  await first.client.subscribe('rooms/#', 1)
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  await publisher.publish('rooms/a', '1', 1)
  await publisher.publish('rooms/a', '2', 1)
  t.same((await first.client.ping()).map(seen), [
    ['rooms/a', 1],
    ['', 1]
  ])
  await first.client.cut()
  await publisher.publish('rooms/a', '3', 1)

  const second = await subscriber(port, 5, more, session)
  const again = [
    await second.client.expect('publish'),
    await second.client.expect('publish'),
    await second.client.expect('publish')
  ]
  t.same(again.map(seen), [
    ['rooms/a', 1],
    ['', 1],
    ['', 1]
  ])
  t.same(
    again.map(({ payload, dup }) => [String(payload), dup]),
    [
      ['1', true],
      ['2', true],
      ['3', false]
    ]
  )
  await second.client.cut()

  const third = await subscriber(port, 0, more, session)
  const plain = [await third.client.expect('publish'), await third.client.expect('publish'), await third.client.expect('publish')]
  t.same(plain.map(seen), [
    ['rooms/a', undefined],
    ['rooms/a', undefined],
    ['rooms/a', undefined]
  ])
})

t.test('no alias is used before it was set, although QoS 2 deliveries wait for the disk and QoS 0 overtakes them', async t => {
  const { port } = await TestBroker.start(t)
  const { client } = await subscriber(port, 2, { sessionExpiryInterval: 100 }, { clean: false })
  await client.subscribe('rooms/#', 2)
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  publisher.socket.cork()
  const sent: string[] = []
  for (let id = 1; id <= 30; id++) {
    const topic = `rooms/${id % 3}`
    const qos = id % 2 === 0 ? 0 : 2
    sent.push(`${topic} ${id}`)
    publisher.send({ cmd: 'publish', topic, payload: String(id), qos, messageId: id, retain: false, dup: false })
  }
  publisher.socket.uncork()
  const table = new AliasTable()
  const arrived: string[] = []
  let aliased = 0
  for (let n = 0; n < sent.length; n++) {
    const packet = await client.expect('publish')
    if (packet.topic === '') aliased++
    arrived.push(`${table.topicOf(packet)} ${packet.payload}`)
  }
  t.same(arrived.sort(), sent.sort())
  t.ok(aliased > 0, 'aliases were used')
})

t.test('a QoS 2 delivery to a stored session uses an alias that was set before it', async t => {
  const { port } = await TestBroker.start(t)
  const { client } = await subscriber(port, 2, { sessionExpiryInterval: 100 }, { clean: false })
  await client.subscribe('rooms/#', 2)
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  await publisher.publish('rooms/a', 'x', 2)
  t.same(seen(await client.expect('publish')), ['rooms/a', undefined])
  await publisher.publish('rooms/a', 'x', 1)
  t.same(seen(await client.expect('publish')), ['rooms/a', 1])
  await publisher.publish('rooms/a', 'x', 2)
  t.same(seen(await client.expect('publish')), ['', 1])
})

t.test('[MQTT-3.1.2-24] a message that has room only without the alias is sent without, and sets none', async t => {
  const { port } = await TestBroker.start(t)
  const { client } = await subscriber(port, 2, { maximumPacketSize: 60 })
  await client.subscribe('rooms/#', 0)
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  // 2 bytes of fixed header, 2 + 7 of topic, 1 of properties: 48 bytes of payload are left, 45 beside an alias.
  for (const bytes of [48, 46, 45, 52, 53]) await publisher.publish('rooms/a', 'x'.repeat(bytes), 1)
  const packets = await client.ping()
  t.same(
    packets.map(packet => [...seen(packet), (packet.payload as Buffer).length, (packet.length as number) + 2]),
    [
      ['rooms/a', undefined, 48, 60],
      ['rooms/a', undefined, 46, 58],
      ['rooms/a', 1, 45, 60],
      ['', 1, 52, 60]
    ],
    'the alias makes room for 52 bytes; 53 are too many'
  )
})

t.test('a fan-out that shares its bytes still gives each client its own aliases', async t => {
  const { port } = await TestBroker.start(t)
  const clients: RawClient[] = []
  for (let n = 0; n < 8; n++) {
    const version = n === 7 ? 4 : 5
    const properties = n % 2 === 0 ? { topicAliasMaximum: 1 } : {}
    const { client } = await RawClient.connect(port, { clientId: `s${n}`, version, ...(version === 5 ? { properties } : {}) })
    await client.subscribe('rooms/#', 0)
    clients.push(client)
  }
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  const large = 'x'.repeat(5000)
  await publisher.publish('rooms/a', 'x', 1)
  await publisher.publish('rooms/a', 'y', 1)
  await publisher.publish('rooms/a', large, 1)
  for (const [n, client] of clients.entries()) {
    const packets = await client.ping()
    t.same(
      packets.map(({ payload }) => String(payload)),
      ['x', 'y', large]
    )
    const topics =
      n % 2 === 0
        ? [
            ['rooms/a', 1],
            ['', 1],
            ['rooms/a', undefined]
          ]
        : Array(3).fill(['rooms/a', undefined])
    t.same(packets.map(seen), topics)
  }
})

t.test('retained messages take no aliases, and short topics none that would make them longer', async t => {
  const { port } = await TestBroker.start(t)
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  for (let n = 0; n < 5; n++) await publisher.publish(`rooms/${n}`, 'x', 1, { retain: true })
  const { client } = await subscriber(port, 2)
  await client.subscribe('rooms/#', 0)
  t.same(
    (await client.ping()).map(packet => seen(packet)[1]),
    Array(5).fill(undefined)
  )
  await client.subscribe('a/+', 0)
  await publisher.publish('a/b', 'x', 1)
  await publisher.publish('rooms/4', 'x', 1)
  t.same((await client.ping()).map(seen), [
    ['a/b', undefined],
    ['rooms/4', 1]
  ])
})
