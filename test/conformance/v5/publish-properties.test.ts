import t from 'tap'
import { field, join, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient, type RawConnectOptions } from '../../support/raw-client.ts'
import { publishBytes, recorded, userProperty, violation } from './wire.ts'

const { port } = await TestBroker.start(t)

async function connect(options: RawConnectOptions = {}): Promise<RawClient> {
  return (await RawClient.connect(port, { version: 5, ...options })).client
}

t.test(
  '[MQTT-3.3.2-1] a PUBLISH whose Topic Name is cut off or ill-formed is malformed, an empty one is a protocol error',
  async t => {
    for (const body of [[], [0], [0, 2, 0x61], [0xff, 0xff, 0x61]]) {
      t.equal(await violation(port, raw(0x30, ...body)), 0x81, `${body.length} bytes`)
    }
    t.equal(await violation(port, publishBytes(0, Buffer.from([0x61, 0xff]), [])), 0x81)
    t.equal(await violation(port, publishBytes(0, '', [])), 0x82)
  }
)

t.test('[MQTT-3.3.2-2] a Topic Name with a wildcard ends the connection with 0x90, at any QoS', async t => {
  const watcher = await connect()
  await watcher.subscribe('#')
  for (const topic of ['#', '+', 'a/+', 'a/#', '+/a', 'a/+/b', 'a+', 'a#b']) {
    t.equal(await violation(port, publishBytes(0, topic, [])), 0x90, topic)
    t.equal(await violation(port, publishBytes(2, topic, [], '', 1)), 0x90, `${topic} at QoS 1`)
    t.equal(await violation(port, publishBytes(5, topic, [], '', 1)), 0x90, `${topic} at QoS 2`)
  }
  t.same(await watcher.ping(), [])
})

t.test('[MQTT-3.3.2-3] what arrives has the Topic Name it was published to, and every filter it is for matches', async t => {
  const publisher = await connect()
  const topics = ['m', 'm/', 'm/a', 'm/a/b', '/m', 'M', 'm/\u00e9', 'm/e\u0301', '$m/a']
  const matches: Record<string, string[]> = {
    m: ['m'],
    'm/#': ['m', 'm/', 'm/a', 'm/a/b', 'm/\u00e9', 'm/e\u0301'],
    'm/+': ['m/', 'm/a', 'm/\u00e9', 'm/e\u0301'],
    'm/\u00e9': ['m/\u00e9'],
    '+/+': ['m/', 'm/a', '/m', 'm/\u00e9', 'm/e\u0301'],
    '+/a': ['m/a'],
    '$m/#': ['$m/a']
  }
  for (const [filter, expected] of Object.entries(matches)) {
    const client = await connect()
    await client.subscribe(filter, 1)
    for (const topic of topics) await publisher.publish(topic, '', 1)
    t.same(
      (await client.ping()).map(packet => packet.topic),
      topics.filter(topic => expected.includes(topic)),
      filter
    )
    await client.disconnect()
  }
})

/** What has to travel unaltered, byte for byte. */
const travelling: { title: string; forms: Buffer[] }[] = [
  { title: '[MQTT-3.3.2-4] the Payload Format Indicator', forms: [join([0x01, 0]), join([0x01, 1])] },
  {
    title: '[MQTT-3.3.2-15] the Response Topic',
    forms: [join([0x08, field('a')]), join([0x08, field('/réponse//\ufeff$x/')])]
  },
  {
    title: '[MQTT-3.3.2-16] the Correlation Data',
    forms: [
      join([0x09, field('')]),
      join([0x09, field(Buffer.from([0, 0xff, 0xc0, 0]))]),
      join([0x09, field(Buffer.alloc(60_000, 7))])
    ]
  },
  {
    title: '[MQTT-3.3.2-17] each User Property',
    forms: [
      userProperty('', ''),
      userProperty('name', ''),
      userProperty('', 'value'),
      userProperty('\ufeffé', '\u0001'.repeat(1000))
    ]
  },
  {
    title: '[MQTT-3.3.2-18] the order of User Properties',
    forms: [
      join(['b1', 'a2', 'b3', 'b1', 'a0'].map(pair => userProperty(pair[0]!, pair[1]!))),
      join(Array.from({ length: 200 }, (_, i) => userProperty(String((i * 7) % 10), String(i))))
    ]
  },
  {
    title: '[MQTT-3.3.2-20] the Content Type',
    forms: [join([0x03, field('')]), join([0x03, field('text/plain; charset=é')])]
  }
]

for (const { title, forms } of travelling) {
  t.test(`${title} reaches every subscriber unaltered: live at each QoS, queued and retained`, async t => {
    const id = title.slice(1, title.indexOf(']'))
    await Promise.all(forms.map((form, index) => travels(t, form, `travelling/${id}/${index}`)))
  })
}

async function travels(t: { ok(value: unknown, message: string): unknown }, form: Buffer, topic: string): Promise<void> {
  const publisher = await connect()
  const live = [await connect(), await connect(), await connect()]
  for (const [qos, client] of live.entries()) await client.subscribe(topic, qos as 0 | 1 | 2)
  const persistent = { clientId: topic, clean: false, properties: { sessionExpiryInterval: 100 } }
  const away = await connect(persistent)
  await away.subscribe(topic, 1)
  await away.disconnect()
  const heard = live.map(recorded)
  publisher.sendBytes(publishBytes(5, topic, [form], 'x', 1))
  await publisher.expect('pubrec')
  for (const [qos, client] of live.entries()) {
    await client.expect('publish')
    t.ok(heard[qos]?.().includes(form), `live at QoS ${qos}`)
  }
  const back = await RawClient.open(port, 5)
  const queued = recorded(back)
  back.sendConnect({ version: 5, ...persistent })
  await back.expect('connack')
  await back.expect('publish')
  t.ok(queued().includes(form), 'queued')
  const late = await connect()
  const retained = recorded(late)
  await late.subscribe(topic)
  await late.expect('publish')
  t.ok(retained().includes(form), 'retained')
  for (const client of [publisher, ...live, back, late]) await client.cut()
}

t.test(
  '[MQTT-3.3.2-17] [MQTT-3.3.2-18] properties of all kinds, mixed with those that stay behind, keep their order',
  async t => {
    const client = await connect()
    await client.subscribe('mixed')
    const bytes = recorded(client)
    const before = [userProperty('z', '1'), join([0x03, field('type')]), userProperty('a', '2')]
    const between = [join([0x09, field('data')]), userProperty('z', '0')]
    const after = [join([0x08, field('answers')]), join([0x01, 1]), userProperty('a', '3')]
    const alias = join([0x23, 0, 1])
    client.sendBytes(publishBytes(0, 'mixed', [...before, alias, ...between, 0x02, 0, 0, 0, 9, ...after], 'x'))
    await client.expect('publish')
    t.ok(bytes().includes(join([...before, ...between, ...after])))
    t.notOk(bytes().includes(alias), 'a Topic Alias is for one connection')
  }
)

t.test('[MQTT-3.3.2-17] [MQTT-3.3.2-18] hooks that leave the properties alone leave them as they are', async t => {
  const hooked = await TestBroker.start(t, {
    authorizePublish: (_client, packet, done) => {
      if (packet.topic === 'hooked/more') packet.properties = { ...packet.properties, contentType: 'from the hook' }
      done(null)
    },
    authorizeForward: (client, packet) => (client.id === 'rewritten' ? { ...packet, payload: Buffer.from('rewritten') } : packet)
  })
  const pairs = join(['b1', 'a2', 'b3', '90', '10', 'a2'].map(pair => userProperty(pair[0]!, pair[1]!)))
  const clients = []
  for (const clientId of ['plain', 'rewritten']) {
    const { client } = await RawClient.connect(hooked.port, { clientId, version: 5 })
    await client.subscribe('hooked/#')
    clients.push({ client, bytes: recorded(client) })
  }
  const { client: publisher } = await RawClient.connect(hooked.port, { version: 5 })
  publisher.sendBytes(publishBytes(0, 'hooked/as it is', [pairs], 'x'))
  for (const { client, bytes } of clients) {
    await client.expect('publish')
    t.ok(bytes().includes(pairs))
  }
  publisher.sendBytes(publishBytes(0, 'hooked/more', [pairs], 'x'))
  for (const { client, bytes } of clients) {
    t.match((await client.expect('publish')).properties, { contentType: 'from the hook' })
    t.ok(bytes().includes(pairs, bytes().lastIndexOf('from the hook')), 'beside others that it changed')
  }
})

t.test('[MQTT-3.3.2-13] [MQTT-3.3.2-14] a Response Topic must be UTF-8, and a topic that can be published to', async t => {
  t.equal(await violation(port, publishBytes(0, 'a', [0x08, field(Buffer.from([0xff]))])), 0x81)
  for (const topic of ['', '+', '#', 'a/+/b', 'a/#', 'a+']) {
    t.equal(await violation(port, publishBytes(0, 'a', [0x08, field(topic)])), 0x82, JSON.stringify(topic))
  }
})

t.test('[MQTT-3.3.2-19] a Content Type must be UTF-8', async t => {
  for (const bytes of [Buffer.from([0xff]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from([0])]) {
    t.equal(await violation(port, publishBytes(0, 'a', [0x03, field(bytes)])), 0x81)
  }
})

t.test('a property that comes twice in a PUBLISH is a protocol error, one that has no place there is malformed', async t => {
  const once: [name: string, bytes: Buffer][] = [
    ['Payload Format Indicator', join([0x01, 0])],
    ['Message Expiry Interval', join([0x02, 0, 0, 0, 1])],
    ['Content Type', join([0x03, field('t')])],
    ['Response Topic', join([0x08, field('t')])],
    ['Correlation Data', join([0x09, field('d')])],
    ['Topic Alias', join([0x23, 0, 1])]
  ]
  for (const [name, bytes] of once) t.equal(await violation(port, publishBytes(0, 'a', [bytes, bytes])), 0x82, name)
  const known = new Set([0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x23, 0x26])
  for (const id of [...Array(0x30).keys(), 0x7f, 0x80, 0xff]) {
    if (known.has(id)) continue
    t.equal(await violation(port, publishBytes(0, 'a', [id, 0, 0, 0, 0])), 0x81, `0x${id.toString(16)}`)
  }
  t.equal(await violation(port, publishBytes(0, 'a', [0x01, 2])), 0x82, 'Payload Format Indicator 2')
})
