import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { DenyingPolicy } from '../../support/policies.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

const publish = { cmd: 'publish', topic: 'denied/x', payload: 'x', qos: 1, messageId: 9, retain: false, dup: false }
const subscribe = { cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'a', qos: 0 }, { topic: 'denied/#', qos: 0 }] } // biome-ignore format: one line
const unsubscribe = { cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['a/#/b'] }

/** What is refused without the connection ending, and what it is answered. `bytes`: the answer without any property. */
const refusals = [
  { name: 'PUBACK', request: publish, answer: 'puback', codes: 0x87, bytes: 5, reason: /not authorized to publish/ },
  {
    name: 'PUBREC',
    request: { ...publish, qos: 2 },
    answer: 'pubrec',
    codes: 0x87,
    bytes: 5,
    reason: /not authorized to publish/
  },
  { name: 'SUBACK', request: subscribe, answer: 'suback', codes: [0, 0x87], bytes: 7, reason: /topic filter 2: not authorized/ },
  { name: 'UNSUBACK', request: unsubscribe, answer: 'unsuback', codes: [0x8f], bytes: 6, reason: /not a topic filter/ }
]

async function start(t: { teardown(fn: () => unknown): unknown }) {
  const access = { policy: new DenyingPolicy().deny({ publish: ['denied'], subscribe: ['denied'] }) }
  return TestBroker.start(t, { access })
}

function codesOf(packet: AnyPacket): unknown {
  return packet.granted ?? packet.reasonCode
}

function reasonOf(packet: AnyPacket | undefined): string | undefined {
  return (packet?.properties as { reasonString?: string } | undefined)?.reasonString
}

async function answerTo(port: number, properties: object, request: object, answer: string): Promise<AnyPacket> {
  const { client } = await RawClient.connect(port, { clientId: 'c', version: 5, properties })
  client.send(request)
  const packet = await client.expect(answer)
  await client.ping()
  await client.disconnect()
  return packet
}

t.test('what is refused says why in a Reason String', async t => {
  const { port } = await start(t)
  for (const { name, request, answer, codes, reason } of refusals) {
    const packet = await answerTo(port, {}, request, answer)
    t.same(codesOf(packet), codes, name)
    t.match(reasonOf(packet), reason, name)
  }
})

t.test('what is granted says nothing', async t => {
  const { port } = await start(t)
  const { client } = await RawClient.connect(port, { version: 5 })
  t.equal(reasonOf(await client.subscribe('a', 2)), undefined)
  client.send({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['a', 'never'] })
  const unsuback = await client.expect('unsuback')
  t.same([unsuback.granted, reasonOf(unsuback)], [[0, 0x11], undefined])
})

t.test('[MQTT-3.1.2-29] with Request Problem Information 0 no answer has a Reason String', async t => {
  const { port } = await start(t)
  for (const { name, request, answer, codes } of refusals) {
    const packet = await answerTo(port, { requestProblemInformation: false }, request, answer)
    t.same(codesOf(packet), codes, name)
    t.equal(reasonOf(packet), undefined, name)
  }
  const { client } = await RawClient.connect(port, { version: 5, properties: { requestProblemInformation: false } })
  client.send({ cmd: 'pubrel', messageId: 3 })
  t.equal(reasonOf(await client.expect('pubcomp')), undefined)
  client.sendBytes(Buffer.from([0xc1, 0]))
  const [disconnect] = await client.ended()
  t.equal(disconnect?.reasonCode, 0x81)
  t.equal(reasonOf(disconnect), undefined, 'nor the DISCONNECT, which might')
})

t.test(
  '[MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.9.2-1] [MQTT-3.11.2-1] a Reason String that would make the answer too large is left out',
  async t => {
    const { port } = await start(t)
    for (const { name, request, answer, codes, bytes } of refusals) {
      const whole = await answerTo(port, {}, request, answer)
      const wholeBytes = (whole.length as number) + 2
      const fits = await answerTo(port, { maximumPacketSize: wholeBytes }, request, answer)
      t.equal(reasonOf(fits), reasonOf(whole), `${name}: there is just room for it`)
      const cut = await answerTo(port, { maximumPacketSize: wholeBytes - 1 }, request, answer)
      t.same([codesOf(cut), reasonOf(cut), (cut.length as number) + 2], [codes, undefined, bytes], `${name}: a byte too much`)
    }
  }
)

t.test('[MQTT-3.14.2-3] [MQTT-3.14.2-4] a DISCONNECT leaves out what would make it too large', async t => {
  const { port, broker } = await start(t)
  const options = { reason: 'maintenance', userProperties: [['ticket', '12']] as [string, string][] }
  const end = async (maximumPacketSize: number) => {
    const { client } = await RawClient.connect(port, { clientId: 'c', version: 5, properties: { maximumPacketSize } })
    broker.disconnectClient('c', options)
    return (await client.ended())[0]!
  }
  const whole = await end(1000)
  t.match(whole, { reasonCode: 0x98, properties: { reasonString: 'maintenance', userProperties: { ticket: '12' } } })
  const wholeBytes = (whole.length as number) + 2
  t.match(await end(wholeBytes), { properties: { reasonString: 'maintenance' } })
  const cut = await end(wholeBytes - 1)
  t.equal(cut.reasonCode, 0x98)
  t.notOk(cut.properties && Object.keys(cut.properties).length > 0)
})

t.test('[MQTT-3.2.2-19] a refusing CONNACK leaves its Reason String out where it has no room', async t => {
  const { port } = await TestBroker.start(t, {
    authenticate: (_client, _username, _password, done) => done(Object.assign(new Error('not today'), { returnCode: 5 }), null)
  })
  const refused = async (properties: object) => {
    const client = await RawClient.open(port, 5)
    client.sendConnect({ version: 5, clientId: 'c', properties })
    return (await client.ended())[0]!
  }
  const whole = await refused({})
  t.match(whole, { cmd: 'connack', reasonCode: 0x87, properties: { reasonString: 'not today' } })
  const bytes = (whole.length as number) + 2
  t.equal(reasonOf(await refused({ maximumPacketSize: bytes })), 'not today')
  const cut = await refused({ maximumPacketSize: bytes - 1 })
  t.same([cut.reasonCode, reasonOf(cut)], [0x87, undefined])
})

t.test('a refused PUBLISH is answered behind the acknowledgements that wait for the disk, in the same words', async t => {
  const { port } = await start(t)
  const { client } = await RawClient.connect(port, { version: 5 })
  client.socket.cork()
  client.send({ ...publish, topic: 'devices/1', messageId: 1 })
  client.send({ ...publish, messageId: 2 })
  client.send({ ...publish, topic: 'devices/1', messageId: 3 })
  client.socket.uncork()
  const answers = [await client.expect('puback'), await client.expect('puback'), await client.expect('puback')]
  t.same(
    answers.map(({ messageId, reasonCode }) => [messageId, reasonCode]),
    [
      [1, 0],
      [2, 0x87],
      [3, 0]
    ]
  )
  t.match(reasonOf(answers[1]), /not authorized/)
})

t.test('a reason that no property can hold is made one that can', async t => {
  const reasons = ['nul \0 here', 'long '.repeat(20_000), 'half a pair \ud800']
  const { port } = await TestBroker.start(t, {
    // Later, so that nobody is there to catch what is thrown.
    authenticate: (client, _username, _password, done) => {
      setImmediate(() => done(Object.assign(new Error(reasons[Number(client.id)]), { returnCode: 4 }), null))
    }
  })
  for (const [n, expected] of [/^nul {3}here$/, /^(long ){204}long$/, /^half a pair \ufffd$/].entries()) {
    const client = await RawClient.open(port, 5)
    client.sendConnect({ version: 5, clientId: String(n) })
    const connack = await client.expect('connack')
    t.equal(connack.reasonCode, 0x86)
    t.match(reasonOf(connack), expected)
  }
})
