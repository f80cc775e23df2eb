import { once } from 'node:events'
import t from 'tap'
import { field, join, raw } from '../../mqtt/packets/case.ts'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'
import { answerTo, answerToFirst } from '../wire.ts'

const clock = new ManualClock()
const { port, broker } = await TestBroker.start(t, { clock })

/** A CONNECT of 3.1.1 with a Keep Alive of 60 seconds. */
function connect(flags: number, ...payload: Buffer[]): Buffer {
  return raw(0x10, join([field('MQTT'), 4, flags, 0, 60]), ...payload)
}
const flag = {
  clean: 0x02,
  will: 0x04,
  willQos1: 0x08,
  willQos3: 0x18,
  willRetain: 0x20,
  password: 0x40,
  username: 0x80
} as const
const ill = field(Buffer.from([0x61, 0xc3, 0x28]))

t.test('[MQTT-3.1.0-1] [MQTT-4.8.0-1] a connection that begins with something else than CONNECT is closed', async t => {
  t.same(await answerToFirst(port, raw(0x30, field('a'))), ['closed'])
  t.same(await answerToFirst(port, raw(0xc0)), ['closed'])
  t.same(await answerToFirst(port, raw(0xe0)), ['closed'])
})

t.test('[MQTT-3.1.0-2] a second CONNECT closes the connection, and the will is published', async t => {
  const watching = await watcher('second')
  const will = { topic: 'second', payload: 'gone', qos: 0, retain: false }
  const { client } = await RawClient.connect(port, { clientId: 'twice', will })
  client.sendConnect({ clientId: 'twice' })
  t.same(await client.ended(), [])
  t.match(await watching.expect('publish'), { topic: 'second' })
})

t.test('[MQTT-3.1.2-1] another protocol name is closed without an answer', async t => {
  for (const name of ['mqtt', 'MQTTX', 'AMQP', '']) {
    t.same(await answerToFirst(port, raw(0x10, join([field(name), 4, 2, 0, 60]), field('c'))), ['closed'], name)
  }
})

t.test('[MQTT-3.1.2-2] a protocol level that is not spoken gets return code 1', async t => {
  for (const level of [0, 2, 3]) {
    t.same(await answerToFirst(port, raw(0x10, join([field('MQTT'), level, 2, 0, 60]), field('c'))), ['connack 1', 'closed'])
  }
  t.same(await answerToFirst(port, raw(0x10, join([field('MQIsdp'), 4, 2, 0, 60]), field('c'))), ['connack 1', 'closed'])
})

t.test('[MQTT-3.1.2-3] the reserved connect flag closes the connection, but 3.1 does not look at it', async t => {
  t.same(await answerToFirst(port, connect(flag.clean | 1, field('c'))), ['closed'])
  t.same(await answerToFirst(port, raw(0x10, join([field('MQIsdp'), 3, 3, 0, 60]), field('c')), 3), ['connack 0', 'alive'])
})

t.test('[MQTT-2.2.2-2] flags in the fixed header of CONNECT close the connection', async t => {
  for (const flags of [1, 2, 4, 8]) {
    const bytes = Buffer.from(connect(flag.clean, field('c')))
    bytes[0] = 0x10 | flags
    t.same(await answerToFirst(port, bytes), ['closed'])
  }
})

t.test('[MQTT-3.1.2-9] [MQTT-3.1.4-1] a will whose topic or message is missing closes without CONNACK', async t => {
  t.same(await answerToFirst(port, connect(flag.clean | flag.will, field('c'))), ['closed'])
  t.same(await answerToFirst(port, connect(flag.clean | flag.will, field('c'), field('w'))), ['closed'])
  t.same(await answerToFirst(port, connect(flag.clean | flag.will, field('c'), field('w'), field(''))), ['connack 0', 'alive'])
})

t.test('[MQTT-3.1.2-11] will fields without Will Flag close the connection', async t => {
  t.same(await answerToFirst(port, connect(flag.clean, field('c'), field('w'), field('bye'))), ['closed'])
})

t.test('[MQTT-3.1.2-13] [MQTT-3.1.2-15] Will QoS and Will Retain without Will Flag close the connection', async t => {
  t.same(await answerToFirst(port, connect(flag.clean | flag.willQos1, field('c'))), ['closed'])
  t.same(await answerToFirst(port, connect(flag.clean | flag.willRetain, field('c'))), ['closed'])
})

t.test('[MQTT-3.1.2-14] Will QoS 3 closes the connection', async t => {
  t.same(await answerToFirst(port, connect(flag.clean | flag.will | flag.willQos3, field('c'), field('w'), field('m'))), [
    'closed'
  ])
})

t.test('[MQTT-3.1.2-18] [MQTT-3.1.2-20] fields for a user name or password whose flag is 0 close the connection', async t => {
  t.same(await answerToFirst(port, connect(flag.clean, field('c'), field('me'))), ['closed'])
  t.same(await answerToFirst(port, connect(flag.clean | flag.username, field('c'), field('me'), field('pw'))), ['closed'])
})

t.test(
  '[MQTT-3.1.2-19] [MQTT-3.1.2-21] a user name or password that is missing though flagged closes the connection',
  async t => {
    t.same(await answerToFirst(port, connect(flag.clean | flag.username, field('c'))), ['closed'])
    t.same(await answerToFirst(port, connect(flag.clean | flag.username | flag.password, field('c'), field('me'))), ['closed'])
  }
)

t.test('[MQTT-3.1.2-22] a password without a user name closes the connection', async t => {
  t.same(await answerToFirst(port, connect(flag.clean | flag.password, field('c'), field('pw'))), ['closed'])
})

t.test(
  '[MQTT-3.1.2-24] silence for one and a half times the Keep Alive ends the connection, and the will is published',
  async t => {
    const watching = await watcher('silent')
    const will = { topic: 'silent', payload: 'gone', qos: 0, retain: false }
    const { client } = await RawClient.connect(port, { clientId: 'silent', keepalive: 10, will })
    const timeouts: number[] = []
    broker.on('keepaliveTimeout', () => timeouts.push(clock.now()))
    clock.advance(14_000)
    t.same(await client.ping(), [], 'any packet begins a new period')
    clock.advance(14_999)
    await Promise.all([swept(), watching.ping()])
    t.same(timeouts, [])
    clock.advance(2)
    t.same(await client.ended(), [])
    t.match(await watching.expect('publish'), { topic: 'silent' })
  }
)

t.test('a Keep Alive of 0 is never too long', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'patient', keepalive: 0 })
  clock.advance(1_000_000_000)
  await swept()
  t.same(await client.ping(), [])
})

t.test('[MQTT-3.1.3-1] the fields of the payload are read in their order', async t => {
  const seen = new Promise<object>(resolve => {
    broker.preConnect = (_client, packet, done) => {
      resolve(packet)
      done(null, true)
    }
  })
  const flags = flag.clean | flag.will | flag.username | flag.password
  const bytes = connect(flags, field('first'), field('second'), field('third'), field('fourth'), field('fifth'))
  t.same(await answerToFirst(port, bytes), ['connack 0', 'alive'])
  t.match(await seen, {
    clientId: 'first',
    will: { topic: 'second', payload: Buffer.from('third') },
    username: 'fourth',
    password: Buffer.from('fifth')
  })
})

t.test('[MQTT-3.1.3-3] a CONNECT without a Client Identifier closes the connection', async t => {
  t.same(await answerToFirst(port, connect(flag.clean)), ['closed'])
})

t.test(
  '[MQTT-3.1.3-4] [MQTT-3.1.3-10] [MQTT-3.1.3-11] [MQTT-1.5.3-1] strings that are not UTF-8 close the connection',
  async t => {
    t.same(await answerToFirst(port, connect(flag.clean, ill)), ['closed'])
    t.same(await answerToFirst(port, connect(flag.clean | flag.will, field('c'), ill, field('m'))), ['closed'])
    t.same(await answerToFirst(port, connect(flag.clean | flag.username, field('c'), ill)), ['closed'])
    t.same(await answerToFirst(port, connect(flag.clean, field(Buffer.from([0xed, 0xa0, 0x80])))), ['closed'], 'a surrogate')
    t.same(await answerToFirst(port, connect(flag.clean, field(Buffer.from([0xc0, 0xaf])))), ['closed'], 'an overlong form')
  }
)

t.test('[MQTT-1.5.3-2] U+0000 in a string closes the connection', async t => {
  t.same(await answerToFirst(port, connect(flag.clean, field('a\u0000b'))), ['closed'])
  t.same(await answerToFirst(port, connect(flag.clean | flag.will, field('c'), field('w\u0000'), field('m'))), ['closed'])
  t.same(await answerToFirst(port, connect(flag.clean | flag.username, field('c'), field('\u0000'))), ['closed'])
})

t.test('[MQTT-3.1.3-5] every Client Identifier of up to 23 letters and digits is accepted, and longer ones too', async t => {
  const characters = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
  for (let at = 0; at < characters.length; at += 23) {
    const clientId = characters.slice(at, at + 23)
    t.same(await answerToFirst(port, connect(flag.clean, field(clientId))), ['connack 0', 'alive'], clientId)
  }
  for (const character of characters) {
    if ((await answerToFirst(port, connect(flag.clean, field(character))))[0] !== 'connack 0') t.fail(character)
  }
  t.same(await answerToFirst(port, connect(flag.clean, field('größer/als-23 Zeichen '.repeat(20)))), ['connack 0', 'alive'])
})

t.test('[MQTT-3.1.3-6] an empty Client Identifier with Clean Session 1 gets one that nobody else has', async t => {
  const before = new Set(Object.keys(broker.clients))
  const { client: first } = await RawClient.connect(port, { clientId: '' })
  const { client: second } = await RawClient.connect(port, { clientId: '' })
  t.same([await first.ping(), await second.ping()], [[], []], 'neither takes the place of the other')
  const assigned = Object.keys(broker.clients).filter(id => !before.has(id))
  t.equal(assigned.length, 2)
  t.notOk(assigned.includes(''))
})

t.test(
  '[MQTT-3.1.3-7] [MQTT-3.1.3-8] [MQTT-3.2.2-4] [MQTT-3.2.2-5] an empty Client Identifier with Clean Session 0 gets return code 2',
  async t => {
    t.same(await answerToFirst(port, connect(0, field(''))), ['connack 2', 'closed'])
    const client = await RawClient.open(port)
    client.sendBytes(connect(0, field('')))
    t.match(await client.next(), { cmd: 'connack', returnCode: 2, sessionPresent: false })
    t.equal(await client.next(), undefined)
  }
)

t.test('[MQTT-3.1.3-9] a Client Identifier that is refused gets return code 2', async t => {
  const authenticate = broker.authenticate
  t.teardown(() => {
    broker.authenticate = authenticate
  })
  broker.authenticate = (_client, _username, _password, done) => done(Object.assign(new Error('taken'), { returnCode: 2 }), false)
  t.same(await answerToFirst(port, connect(flag.clean, field('c'))), ['connack 2', 'closed'])
})

t.test('[MQTT-3.1.4-2] a second connection with a Client Identifier ends the first', async t => {
  const { client: first } = await RawClient.connect(port, { clientId: 'one' })
  const { client: second } = await RawClient.connect(port, { clientId: 'one' })
  t.same(await first.ended(), [])
  t.same(await second.ping(), [])
})

t.test('[MQTT-3.1.4-4] a valid CONNECT is answered with return code 0', async t => {
  const client = await RawClient.open(port)
  const bytes = once(client.socket, 'data')
  client.sendBytes(connect(flag.clean, field('valid')))
  t.same((await bytes)[0], Buffer.from([0x20, 2, 0, 0]))
  await client.cut()
})

t.test('[MQTT-3.1.4-5] what follows a refused CONNECT in the same segment is not looked at', async t => {
  const watching = await watcher('refused/#')
  const publish = raw(0x30, field('refused/a'), Buffer.from('x'))
  t.same(await answerToFirst(port, Buffer.concat([connect(0, field('')), publish])), ['connack 2', 'closed'])
  t.same(await answerToFirst(port, Buffer.concat([raw(0x10, field('mqtt'), 4, 2, 0, 0, field('c')), publish])), ['closed'])
  t.same(await watching.ping(), [])
})

t.test('[MQTT-3.2.2-6] where no return code fits the connection is closed without CONNACK', async t => {
  const preConnect = broker.preConnect
  t.teardown(() => {
    broker.preConnect = preConnect
  })
  broker.preConnect = (_client, _packet, done) => done(new Error('not today'), false)
  t.same(await answerToFirst(port, connect(flag.clean, field('c'))), ['closed'])
})

t.test('[MQTT-3.2.2-6] a Keep Alive that is longer than the broker allows has no return code either', async t => {
  const { port } = await TestBroker.start(t, { limits: { keepAliveSecondsMax: 59 } })
  t.same(await answerToFirst(port, connect(flag.clean, field('c'))), ['closed'])
  const { connack } = await RawClient.connect(port, { clientId: 'v5', version: 5, keepalive: 60 })
  t.match(connack, { reasonCode: 0, properties: { serverKeepAlive: 59 } })
})

t.test('[MQTT-3.12.4-1] PINGREQ is answered with PINGRESP', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'ping' })
  const bytes = once(client.socket, 'data')
  client.sendBytes(Buffer.from([0xc0, 0]))
  t.same((await bytes)[0], Buffer.from([0xd0, 0]))
})

t.test('[MQTT-3.14.1-1] [MQTT-2.2.2-2] DISCONNECT with reserved flags is an error, and the will is published', async t => {
  const watching = await watcher('flags')
  const will = { topic: 'flags', payload: 'gone', qos: 0, retain: false }
  const { client } = await RawClient.connect(port, { clientId: 'flags', will })
  client.sendBytes(Buffer.from([0xe1, 0]))
  t.same(await client.ended(), [])
  t.match(await watching.expect('publish'), { topic: 'flags' })
})

t.test('[MQTT-3.14.4-3] DISCONNECT discards the will, and nothing after it is read', async t => {
  const watching = await watcher('bye/#')
  const will = { topic: 'bye/will', payload: 'gone', qos: 0, retain: false }
  const { client } = await RawClient.connect(port, { clientId: 'bye', will })
  client.sendBytes(Buffer.concat([Buffer.from([0xe0, 0]), raw(0x30, field('bye/late'))]))
  t.same(await client.ended(), [])
  t.same(await watching.ping(), [])
})

t.test('[MQTT-7.0.0-2] a client needs nothing but what the standard defines', async t => {
  t.same(await answerToFirst(port, connect(flag.clean, field('plain'))), ['connack 0', 'alive'])
})

t.test('3.1: a Client Identifier has 1 to 23 characters, everything else gets return code 2', async t => {
  const connect31 = (clientId: string) => raw(0x10, join([field('MQIsdp'), 3, 2, 0, 60]), field(clientId))
  t.same(await answerToFirst(port, connect31('x'.repeat(23)), 3), ['connack 0', 'alive'])
  t.same(await answerToFirst(port, connect31('x'.repeat(24)), 3), ['connack 2', 'closed'])
  t.same(await answerToFirst(port, connect31(''), 3), ['connack 2', 'closed'])
})

t.test('3.1: flags that have no meaning there are ignored', async t => {
  t.same(await answerTo(port, raw(0xc8), 3), ['alive'], 'PINGREQ with DUP')
  t.same(await answerTo(port, raw(0x8a, 0, 1, field('a'), 0), 3), ['suback', 'alive'], 'SUBSCRIBE with DUP')
})

async function watcher(filter: string): Promise<RawClient> {
  const { client } = await RawClient.connect(port, { clientId: `watching ${filter}` })
  await client.subscribe(filter)
  return client
}

/** The broker has looked at its clock since this was called: a connection opened now is too old for it by then. */
async function swept(): Promise<void> {
  const idle = await RawClient.open(port)
  const { connectTimeoutMs } = broker.limits
  broker.limits.connectTimeoutMs = -1
  await idle.ended()
  broker.limits.connectTimeoutMs = connectTimeoutMs
}
