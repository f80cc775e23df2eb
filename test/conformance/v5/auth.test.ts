import t from 'tap'
import { challengesMax } from '../../../lib/broker/enhanced-authentication.ts'
import { field, properties, raw } from '../../mqtt/packets/case.ts'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'
import {
  authProperties,
  codes,
  connect,
  connected,
  continueCode,
  granted,
  method,
  propertiesOf,
  reAuthenticate,
  sendAuth,
  start
} from './scripted-exchange.ts'

t.test('[MQTT-4.12.0-1] a method the broker does not know is refused with 0x8C and the connection closed', async t => {
  const { port } = await start(t)
  for (const other of ['OTHER', 'script', 'constructor', '']) {
    const client = await RawClient.open(port, 5)
    client.sendConnect({ version: 5, clientId: 'c', properties: authProperties('grant alice', other) })
    t.same(codes(await client.ended()), ['connack 140'], other)
  }
  const { port: plain } = await TestBroker.start(t)
  const client = await connect(plain, 'grant alice')
  t.same(codes(await client.ended()), ['connack 140'], 'without any method at all')
})

t.test(
  '[MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-3.2.0-1] each step is an AUTH 0x18 with the method, and the CONNACK has method and last data',
  async t => {
    const { port, script, broker } = await start(t)
    const client = await connect(port, 'more')
    for (const words of ['more', 'silence']) {
      const auth = await client.expect('auth')
      t.equal(auth.reasonCode, continueCode)
      t.same(auth.properties, { authenticationMethod: method, authenticationData: Buffer.from('go on') })
      sendAuth(client, continueCode, words)
    }
    const silent = await client.expect('auth')
    t.same(silent.properties, { authenticationMethod: method }, 'an AUTH may have no data')
    t.equal(broker.connectedClients, 0)
    sendAuth(client, continueCode, 'grant alice')
    const connack = await client.expect('connack')
    t.equal(connack.reasonCode, 0)
    t.match(connack.properties, { authenticationMethod: method, authenticationData: Buffer.from('welcome') })
    t.same(script.heard, ['more', 'more', 'silence', 'grant alice'])
    t.match(script.started, [{ method, clientId: 'c', username: undefined, current: undefined }])
    t.match(broker.describeClients(), [{ clientId: 'c', username: 'alice' }])
    t.same(await client.ping(), [], 'the connection is open for everything now')
  }
)

t.test('[MQTT-4.12.0-5] a CONNACK of a stored session that waits for the disk has the method too', async t => {
  const { port } = await start(t)
  for (const sessionPresent of [false, true]) {
    const client = await connect(port, 'nobody', { clean: false, properties: { sessionExpiryInterval: 60 } })
    const connack = await client.expect('connack')
    t.equal(connack.sessionPresent, sessionPresent)
    t.equal(propertiesOf(connack).authenticationMethod, method)
    t.notOk('authenticationData' in propertiesOf(connack), 'there was nothing to say')
    await client.disconnect()
  }
})

t.test('[MQTT-4.12.0-4] [MQTT-3.2.2-7] a refusal at any step is a CONNACK that says why, and the end', async t => {
  const { port, broker } = await start(t)
  const expected = { 'bad-credentials': 0x86, 'not-authorized': 0x87, banned: 0x8a, away: 0x88, 'no such word': 0x88 }
  for (const [words, code] of Object.entries(expected)) {
    const first = await connect(port, words)
    t.same(codes(await first.ended()), [`connack ${code}`], `${words} at CONNECT`)
    const second = await connect(port, 'more')
    await second.expect('auth')
    sendAuth(second, continueCode, words)
    t.same(codes(await second.ended()), [`connack ${code}`], `${words} at AUTH`)
  }
  t.equal(broker.sessionCount, 0)
})

t.test('[MQTT-4.12.0-6] who names no method gets neither AUTH nor a method', async t => {
  const { port, script } = await start(t)
  for (const version of [4, 5] as const) {
    const { client, connack } = await RawClient.connect(port, { version, username: 'alice', password: 'x' })
    t.notOk('authenticationMethod' in propertiesOf(connack))
    t.same(await client.ping(), [])
  }
  t.equal(script.started.length, 0)
})

t.test('[MQTT-4.12.0-7] AUTH of a client that named no method in CONNECT is a protocol error', async t => {
  const { port, script } = await start(t)
  for (const code of [continueCode, reAuthenticate]) {
    const { client } = await RawClient.connect(port, { version: 5, clientId: 'c' })
    sendAuth(client, code, 'grant alice')
    t.same(codes(await client.ended()), ['disconnect 130'])
  }
  const { client: old } = await RawClient.connect(port, { version: 4, clientId: 'c' })
  old.sendBytes(raw(0xf0, continueCode, properties(0x15, field(method))))
  t.same(await old.ended(), [], '3.1.1 knows no such packet')
  t.equal(script.started.length, 0)
})

const tooEarly: Record<string, Buffer> = {
  PUBLISH: raw(0x30, field('devices/a'), properties(), Buffer.from('x')),
  SUBSCRIBE: raw(0x82, 0, 1, properties(), field('#'), 0),
  PINGREQ: raw(0xc0),
  CONNECT: raw(0x10, field('MQTT'), 5, 2, 0, 0, properties(), field('other'))
}

t.test(
  '[MQTT-3.1.2-30] [MQTT-3.14.0-1] before the CONNACK anything but AUTH and DISCONNECT is a protocol error, told by CONNACK, and has no effect',
  async t => {
    const { port, started, broker } = await start(t)
    for (const [name, bytes] of Object.entries(tooEarly)) {
      const client = await connect(port, 'more')
      await client.expect('auth')
      client.sendBytes(bytes)
      t.same(codes(await client.ended()), ['connack 130'], `${name} instead of AUTH`)
      const hasty = await RawClient.open(port, 5)
      hasty.socket.cork()
      hasty.sendConnect({ version: 5, clientId: 'c', properties: authProperties('grant alice') })
      hasty.sendBytes(bytes)
      hasty.socket.uncork()
      t.same(codes(await hasty.ended()), ['connack 130'], `${name} right behind CONNECT`)
    }
    t.same(await started.records(), [])
    t.equal(broker.sessionCount, 0)
  }
)

t.test('[MQTT-3.1.2-30] DISCONNECT may come before the CONNACK, and ends the exchange in silence', async t => {
  const { port, broker } = await start(t)
  const client = await connect(port, 'more')
  await client.expect('auth')
  client.send({ cmd: 'disconnect', reasonCode: 0 })
  t.same(await client.ended(), [])
  t.equal(broker.counters.connectionsClosed.get('client-disconnect'), 1)
})

t.test('[MQTT-4.12.0-3] an AUTH that is not the answer asked for ends the exchange', async t => {
  const { port, script } = await start(t)
  const again = await connect(port, 'more')
  await again.expect('auth')
  sendAuth(again, reAuthenticate, 'grant alice')
  t.same(codes(await again.ended()), ['connack 130'], 'Re-authenticate before there was a CONNACK')

  const hasty = await connect(port, 'more')
  await hasty.expect('auth')
  hasty.socket.cork()
  sendAuth(hasty, continueCode, 'wait')
  sendAuth(hasty, continueCode, 'grant alice')
  hasty.socket.uncork()
  await script.waiting()
  script.answer(granted('alice'))
  t.same(codes(await hasty.ended()), ['connack 130'], 'one more than was asked for')
})

t.test('[MQTT-4.12.0-5] an AUTH that names another method, or none, ends the exchange', async t => {
  const { port } = await start(t)
  const other = await connect(port, 'more')
  await other.expect('auth')
  sendAuth(other, continueCode, 'grant alice', 'OTHER')
  t.same(codes(await other.ended()), ['connack 140'])
  const none = await connect(port, 'more')
  await none.expect('auth')
  none.sendBytes(raw(0xf0, continueCode, properties(0x16, field('grant alice'))))
  t.same(codes(await none.ended()), ['connack 130'])
})

t.test('[MQTT-3.15.1-1] an AUTH with a flag set is malformed: CONNACK 0x81 in the exchange, DISCONNECT 0x81 later', async t => {
  const { port } = await start(t)
  for (const flags of [1, 2, 4, 8, 15]) {
    const bytes = raw(0xf0 | flags, continueCode, properties(0x15, field(method), 0x16, field('grant alice')))
    const client = await connect(port, 'more')
    await client.expect('auth')
    client.sendBytes(bytes)
    t.same(codes(await client.ended()), ['connack 129'])
    const live = await connected(port)
    live.sendBytes(bytes)
    t.same(codes(await live.ended()), ['disconnect 129'])
  }
})

t.test('[MQTT-3.15.2-1] an AUTH of a client says 0x18 or 0x19 and nothing else', async t => {
  const { port } = await start(t)
  const others = [0x00, 0x01, 0x17, 0x1a, 0x82, 0x87, 0xff]
  for (const bytes of [...others.map(code => raw(0xf0, code, properties(0x15, field(method)))), raw(0xf0)]) {
    const client = await connect(port, 'more')
    await client.expect('auth')
    client.sendBytes(bytes)
    t.same(codes(await client.ended()), ['connack 130'], bytes.toString('hex'))
    const live = await connected(port)
    live.sendBytes(bytes)
    t.same(codes(await live.ended()), ['disconnect 130'], bytes.toString('hex'))
  }
})

t.test(
  '[MQTT-3.15.2-2] [MQTT-3.15.2-3] [MQTT-3.1.2-24] an AUTH never exceeds Maximum Packet Size: it carries no text to leave out, and one that is too large is not sent',
  async t => {
    const { port } = await start(t)
    const small = { properties: { maximumPacketSize: 100 } }
    const client = await connect(port, 'more', small)
    t.same(Object.keys(propertiesOf(await client.expect('auth'))).sort(), ['authenticationData', 'authenticationMethod'])
    sendAuth(client, continueCode, 'large')
    t.same(codes(await client.ended()), ['connack 149'])
    const live = await connected(port, small)
    sendAuth(live, reAuthenticate, 'large')
    t.same(codes(await live.ended()), ['disconnect 149'])
  }
)

t.test('[MQTT-4.12.0-4] an exchange has a last step', async t => {
  const { port, script } = await start(t)
  const client = await connect(port, 'more')
  for (let i = 0; i < challengesMax; i++) {
    await client.expect('auth')
    sendAuth(client, continueCode, 'more')
  }
  t.same(codes(await client.ended()), ['connack 135'])
  t.equal(script.heard.length, challengesMax + 1)
})

t.test('[MQTT-4.12.0-4] an exchange ends when its time is over, whoever is late', async t => {
  const clock = new ManualClock()
  const { port, script } = await start(t, { clock, limits: { connectTimeoutMs: 10_000 } })
  const client = await connect(port, 'more')
  await client.expect('auth')
  clock.advance(9_000)
  sendAuth(client, continueCode, 'more')
  await client.expect('auth')
  clock.advance(1_001)
  t.same(codes(await client.ended()), ['connack 135'], 'the client, who had time since it connected')

  const patient = await connect(port, 'wait')
  await script.waiting()
  clock.advance(10_001)
  t.same(codes(await patient.ended()), ['connack 136'], 'the authenticator')
  script.answer(granted('alice'))

  const live = await connected(port)
  sendAuth(live, reAuthenticate, 'more')
  await live.expect('auth')
  clock.advance(10_001)
  t.same(codes(await live.ended()), ['disconnect 135'], 'when authenticating again')
})

t.test('[MQTT-3.2.0-2] an answer that comes when the client was refused, or is gone, lets nobody in', async t => {
  const { port, script, broker } = await start(t)
  const late = await connect(port, 'wait')
  await script.waiting()
  for (const { authentication } of broker.connections) t.equal(authentication?.sweep(Number.MAX_SAFE_INTEGER, 0), true)
  script.answer(granted('alice'))
  t.same(codes(await late.ended()), ['connack 136'])

  const client = await connect(port, 'wait')
  await script.waiting()
  for (const connection of broker.connections) connection.close()
  script.answer(granted('alice'))
  t.same(await client.ended(), [])
  t.equal(broker.sessionCount, 0)
})

t.test(
  "a client with a method is asked for no password, and Aedes' authenticate hook hears the name that was proved",
  async t => {
    const asked: unknown[] = []
    const { port } = await start(t, {
      access: {
        authenticator: {
          authenticate: () => {
            throw new Error('must not be asked')
          }
        }
      },
      authenticate: (client, username, password, done) => {
        asked.push([client.id, username, password])
        done(null, username === 'alice')
      }
    })
    const client = await connected(port, { username: 'claimed', password: 'x' })
    await client.disconnect()
    t.same(asked, [['c', 'alice', Buffer.from('x')]])
    const bob = await connect(port, 'grant bob')
    t.same(codes(await bob.ended()), ['connack 135'], 'the hook has the last word')
    const nobody = await connect(port, 'nobody', { username: 'alice' })
    t.same(codes(await nobody.ended()), ['connack 135'], 'a User Name that nothing proved is not believed')
  }
)

t.test(
  '[MQTT-3.1.4-3] [MQTT-3.1.2-7] a client that is not let in takes no session over, and its will is not published',
  async t => {
    const { port } = await start(t)
    const first = await connected(port)
    await first.subscribe('#')
    const will = { topic: 'devices/will', payload: Buffer.from('x'), qos: 0, retain: false }
    const second = await connect(port, 'more', { will })
    await second.expect('auth')
    sendAuth(second, continueCode, 'bad-credentials')
    t.same(codes(await second.ended()), ['connack 134'])
    t.same(await first.ping(), [])
  }
)
