import t from 'tap'
import { field, join, properties, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'
import { answersTo, connectBytes, recorded, refusal, userProperty } from './wire.ts'

const seen: { clientId: string | null; username: unknown; password: unknown }[] = []
const { port } = await TestBroker.start(t, {
  authenticate: (client, username, password, done) => {
    seen.push({ clientId: client.id, username, password: password && String(password) })
    done(null, true)
  }
})

const flag = { clean: 0x02, will: 0x04, willQos1: 0x08, willQos2: 0x10, willRetain: 0x20, password: 0x40, username: 0x80 }
const noProperties = Buffer.from([0])
const malformed = 0x81
const protocolError = 0x82

t.test('[MQTT-3.1.0-1] a connection that begins with another packet is closed without an answer', async t => {
  const others: [what: string, bytes: Buffer][] = [
    ['PUBLISH', raw(0x30, field('a'), 0)],
    ['PUBLISH at QoS 1', raw(0x32, field('a'), 0, 1, 0)],
    ['PUBREL', raw(0x62, 0, 1)],
    ['SUBSCRIBE', raw(0x82, 0, 1, 0, field('a'), 0)],
    ['UNSUBSCRIBE', raw(0xa2, 0, 1, 0, field('a'))],
    ['PINGREQ', raw(0xc0)],
    ['DISCONNECT', raw(0xe0)],
    ['AUTH', raw(0xf0, 0x19, properties(0x15, field('method')))],
    ['type 0', raw(0x00)]
  ]
  for (const [what, bytes] of others) t.same(await answersTo(port, join([bytes, connectBytes()])), [], what)
})

t.test('[MQTT-3.1.0-2] a second CONNECT is answered with DISCONNECT 0x82 and ends the connection', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'twice', version: 5 })
  client.sendConnect({ clientId: 'twice', version: 5 })
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: protocolError }])
  const both = await answersTo(port, join([connectBytes(), connectBytes()]))
  t.match(both, [
    { cmd: 'connack', reasonCode: 0 },
    { cmd: 'disconnect', reasonCode: protocolError }
  ])
  t.equal(both.length, 2, 'also when both come at once')
})

t.test('[MQTT-3.1.2-1] a Protocol Name that is not "MQTT" ends the connection', async t => {
  for (const name of ['', 'mqtt', 'MQT', 'MQTTX', '\ufeffMQTT', 'HTTP']) {
    t.same(await answersTo(port, connectBytes({ name })), [], JSON.stringify(name))
  }
})

t.test(
  '[MQTT-3.1.2-2] an unknown Protocol Version is refused: later ones with 0x84, earlier ones in the form of 3.1.1',
  async t => {
    for (const version of [6, 7, 127]) t.equal(await refusal(port, connectBytes({ version })), 0x84, `version ${version}`)
    for (const [version, name] of [
      [0, 'MQTT'],
      [3, 'MQTT'],
      [5, 'MQIsdp']
    ] as const) {
      const client = await RawClient.open(port, 4)
      const bytes = recorded(client)
      client.sendBytes(connectBytes({ version, name }))
      await client.ended()
      t.same(bytes(), Buffer.from([0x20, 2, 0, 1]), `version ${version} of ${name}`)
    }
  }
)

t.test('[MQTT-3.1.2-3] the reserved flag of a CONNECT must be 0', async t => {
  t.equal(await refusal(port, connectBytes({ flags: flag.clean | 1 })), malformed)
})

t.test('[MQTT-3.1.2-9] with the Will Flag set, properties, topic and payload of the will must be there', async t => {
  const flags = flag.clean | flag.will
  const fields = [field('c'), noProperties, field('will'), field('bye')]
  t.equal((await answersTo(port, join([connectBytes({ flags, payload: fields }), raw(0xe0)])))[0]?.reasonCode, 0)
  for (const count of [1, 2, 3]) {
    t.equal(await refusal(port, connectBytes({ flags, payload: fields.slice(0, count) })), malformed, `${count} of 4 fields`)
  }
  t.equal(await refusal(port, connectBytes({ flags, payload: [field('c'), field('will'), field('bye')] })), malformed)
})

t.test('[MQTT-3.1.2-11] Will QoS must be 0 when there is no will', async t => {
  for (const qos of [flag.willQos1, flag.willQos2, flag.willQos1 | flag.willQos2]) {
    t.equal(await refusal(port, connectBytes({ flags: flag.clean | qos })), malformed)
  }
})

t.test('[MQTT-3.1.2-12] Will QoS 0, 1 and 2 are good, 3 is malformed', async t => {
  const payload = [field('c'), noProperties, field('will'), field('bye')]
  const answer = async (qos: number) => {
    const flags = flag.clean | flag.will | (qos << 3)
    return (await answersTo(port, join([connectBytes({ flags, payload }), raw(0xe0)])))[0]?.reasonCode
  }
  t.same([await answer(0), await answer(1), await answer(2), await answer(3)], [0, 0, 0, malformed])
})

t.test('[MQTT-3.1.2-13] Will Retain must be 0 when there is no will', async t => {
  t.equal(await refusal(port, connectBytes({ flags: flag.clean | flag.willRetain })), malformed)
})

t.test('[MQTT-3.1.2-16] [MQTT-3.1.2-18] User Name and Password must not be there without their flags', async t => {
  const me = field('me')
  const secret = field('secret')
  t.equal(await refusal(port, connectBytes({ payload: [field('c'), me] })), malformed, 'User Name, no flag')
  t.equal(await refusal(port, connectBytes({ payload: [field('c'), me, secret] })), malformed, 'both, no flag')
  const flags = flag.clean | flag.username
  t.equal(await refusal(port, connectBytes({ flags, payload: [field('c'), me, secret] })), malformed, 'Password, no flag')
})

t.test('[MQTT-3.1.2-17] [MQTT-3.1.2-19] User Name and Password must be there with their flags', async t => {
  const username = flag.clean | flag.username
  const password = flag.clean | flag.password
  t.equal(await refusal(port, connectBytes({ flags: username, payload: [field('c')] })), malformed, 'no User Name')
  t.equal(await refusal(port, connectBytes({ flags: password, payload: [field('c')] })), malformed, 'no Password')
  const both = connectBytes({ flags: username | password, payload: [field('c'), field('me')] })
  t.equal(await refusal(port, both), malformed, 'User Name, no Password')
})

t.test('a Password without a User Name is allowed since MQTT 5 and reaches the authenticator', async t => {
  const bytes = connectBytes({ flags: flag.clean | flag.password, payload: [field('token bearer'), field('secret')] })
  const [connack] = await answersTo(port, join([bytes, raw(0xe0)]))
  t.equal(connack?.reasonCode, 0)
  t.same(seen.at(-1), { clientId: 'token bearer', username: undefined, password: 'secret' })
})

t.test('[MQTT-3.1.3-1] the fields of the payload are read in their order', async t => {
  const { client: watcher } = await RawClient.connect(port, { version: 5 })
  await watcher.subscribe('last/words')
  const payload = [field('orderly'), noProperties, field('last/words'), field('bye'), field('me'), field('secret')]
  // DISCONNECT 0x04 asks for the will.
  await answersTo(port, join([connectBytes({ flags: 0xc6, payload }), raw(0xe0, 4)]))
  t.same(seen.at(-1), { clientId: 'orderly', username: 'me', password: 'secret' })
  const will = await watcher.expect('publish')
  t.equal(String(will.payload), 'bye')
})

t.test('[MQTT-3.1.3-3] [MQTT-3.1.3-4] the Client Identifier must be there, in UTF-8', async t => {
  t.equal(await refusal(port, connectBytes({ payload: [noProperties] })), malformed, 'half a length')
  t.equal(await refusal(port, raw(0x10, field('MQTT'), 5, 2, 0, 0, 0)), malformed, 'nothing')
  t.equal(await refusal(port, connectBytes({ payload: [field(Buffer.from([0xc3, 0x28]))] })), malformed, 'ill-formed')
})

t.test('[MQTT-3.1.3-5] letters and digits up to 23 bytes are good as Client Identifier, and so is anything else', async t => {
  const letters = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
  const identifiers = [...letters, letters.slice(0, 23), letters.slice(23, 46), letters, 'x'.repeat(65_535), 'a/b+c#$d e', '水']
  for (const id of identifiers) {
    const [connack] = await answersTo(port, join([connectBytes({ payload: [field(id)] }), raw(0xe0)]))
    t.equal(connack?.reasonCode, 0, id.slice(0, 30))
    t.equal(seen.at(-1)?.clientId, id)
  }
})

t.test('[MQTT-3.1.3-11] the Will Topic must be UTF-8, and a topic that can be published to', async t => {
  const connect = (topic: string | Buffer) =>
    connectBytes({ flags: flag.clean | flag.will, payload: [field('c'), noProperties, field(topic), field('bye')] })
  t.equal(await refusal(port, connect(Buffer.from([0x61, 0xff]))), malformed)
  t.equal(await refusal(port, connect('a\u0000')), malformed)
  for (const topic of ['', 'a/+', '#']) t.equal(await refusal(port, connect(topic)), 0x90, JSON.stringify(topic))
})

t.test('[MQTT-3.1.3-12] the User Name must be UTF-8, the Password may be any bytes', async t => {
  const flags = flag.clean | flag.username | flag.password
  const bytes = Buffer.from([0x00, 0xff, 0xfe])
  t.equal(await refusal(port, connectBytes({ flags, payload: [field('c'), field(bytes), field('x')] })), malformed)
  const good = connectBytes({ flags, payload: [field('c'), field('me'), field(bytes)] })
  t.equal((await answersTo(port, join([good, raw(0xe0)])))[0]?.reasonCode, 0)
})

const once: [name: string, bytes: (number | Buffer)[]][] = [
  ['Session Expiry Interval', [0x11, 0, 0, 0, 1]],
  ['Receive Maximum', [0x21, 0, 1]],
  ['Maximum Packet Size', [0x27, 0, 1, 0, 0]],
  ['Topic Alias Maximum', [0x22, 0, 1]],
  ['Request Response Information', [0x19, 1]],
  ['Request Problem Information', [0x17, 1]],
  ['Authentication Method', [0x15, field('m')]],
  ['Authentication Data', [0x15, field('m'), 0x16, field('d')]]
]
const willOnce: [name: string, bytes: (number | Buffer)[]][] = [
  ['Will Delay Interval', [0x18, 0, 0, 0, 1]],
  ['Payload Format Indicator', [0x01, 0]],
  ['Message Expiry Interval', [0x02, 0, 0, 0, 1]],
  ['Content Type', [0x03, field('t')]],
  ['Response Topic', [0x08, field('t')]],
  ['Correlation Data', [0x09, field('d')]]
]
const foreign: [name: string, bytes: (number | Buffer)[]][] = [
  ['Assigned Client Identifier', [0x12, field('c')]],
  ['Server Keep Alive', [0x13, 0, 1]],
  ['Response Information', [0x1a, field('i')]],
  ['Server Reference', [0x1c, field('s')]],
  ['Reason String', [0x1f, field('r')]],
  ['Topic Alias', [0x23, 0, 1]],
  ['Maximum QoS', [0x24, 1]],
  ['Retain Available', [0x25, 1]],
  ['Wildcard Subscription Available', [0x28, 1]],
  ['Subscription Identifier', [0x0b, 1]],
  ['Shared Subscription Available', [0x2a, 1]],
  ['0x00', [0x00]],
  ['0x7f', [0x7f]]
]

function withWill(...content: (number | Buffer)[]): Buffer {
  const payload = [field('c'), properties(...content), field('will'), field('bye')]
  return connectBytes({ flags: flag.clean | flag.will, payload })
}

t.test('[MQTT-3.1.4-1] a property that comes twice is a protocol error, User Property alone may repeat', async t => {
  for (const [name, bytes] of once) {
    t.equal(await refusal(port, connectBytes({ properties: [...bytes, ...bytes] })), protocolError, name)
  }
  for (const [name, bytes] of willOnce)
    t.equal(await refusal(port, withWill(...bytes, ...bytes)), protocolError, `${name} of the will`)
  const pairs = [userProperty('a', 'b'), userProperty('a', 'b')]
  const payload = [field('c'), properties(...pairs), field('will'), field('bye')]
  const good = connectBytes({ flags: flag.clean | flag.will, properties: pairs, payload })
  t.equal((await answersTo(port, join([good, raw(0xe0)])))[0]?.reasonCode, 0)
})

t.test('[MQTT-3.1.4-1] a property that has no place in a CONNECT, or in a will, is malformed', async t => {
  for (const [name, bytes] of [...foreign, ...willOnce]) {
    t.equal(await refusal(port, connectBytes({ properties: bytes })), malformed, name)
  }
  for (const [name, bytes] of [...foreign, ...once])
    t.equal(await refusal(port, withWill(...bytes)), malformed, `${name} in the will`)
})

t.test('[MQTT-3.1.4-1] values that section 3.1 forbids are protocol errors', async t => {
  const forbidden: [what: string, bytes: Buffer][] = [
    ['Receive Maximum 0', connectBytes({ properties: [0x21, 0, 0] })],
    ['Maximum Packet Size 0', connectBytes({ properties: [0x27, 0, 0, 0, 0] })],
    ['Request Response Information 2', connectBytes({ properties: [0x19, 2] })],
    ['Request Problem Information 2', connectBytes({ properties: [0x17, 2] })],
    ['Authentication Data without Method', connectBytes({ properties: [0x16, field('d')] })],
    ['Payload Format Indicator 2', withWill(0x01, 2)],
    ['a wildcard in the Response Topic of the will', withWill(0x08, field('a/#'))]
  ]
  for (const [what, bytes] of forbidden) t.equal(await refusal(port, bytes), protocolError, what)
})

t.test('[MQTT-3.1.4-1] a CONNECT that ends too soon, or goes on after its end, is malformed', async t => {
  const whole = connectBytes({ flags: 0xc6, payload: [field('c'), noProperties, field('w'), field('p'), field('u'), field('s')] })
  const body = whole.subarray(2)
  // From the Protocol Version on it is known that MQTT 5 is spoken.
  for (let length = 7; length < body.length; length++) {
    t.equal(await refusal(port, raw(0x10, body.subarray(0, length))), malformed, `${length} of ${body.length} bytes`)
  }
  for (let length = 0; length < 7; length++)
    t.same(await answersTo(port, raw(0x10, body.subarray(0, length))), [], `${length} bytes`)
  t.equal(await refusal(port, raw(0x10, body, 0)), malformed, 'one byte more')
})
