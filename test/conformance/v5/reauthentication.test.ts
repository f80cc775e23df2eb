import t from 'tap'
import type { CompiledPolicy, Identity, Policy } from '../../../lib/access/contract.ts'
import type { RawClient } from '../../support/raw-client.ts'
import {
  codes,
  connected,
  continueCode,
  granted,
  method,
  propertiesOf,
  reAuthenticate,
  sendAuth,
  start
} from './scripted-exchange.ts'

/** A role is a topic: who has it may publish there and receive it. */
class RolesAreTopics implements Policy {
  readonly generation = 1

  compile({ roles }: Identity): CompiledPolicy {
    const has = (topic: string) => roles.includes(topic)
    return { permitsAll: false, canPublish: has, canReceive: has, canSubscribe: () => true }
  }
}

const withPolicy = { access: { policy: new RolesAreTopics() } }

/** The reason code of a QoS 1 publish: 0x87, or 0x10 as nobody subscribes. */
async function published(client: RawClient, topic: string): Promise<unknown> {
  client.send({ cmd: 'publish', topic, payload: 'x', qos: 1, messageId: 1, retain: false, dup: false })
  return (await client.expect('puback')).reasonCode
}

t.test(
  '[MQTT-4.12.1-1] [MQTT-4.12.0-5] a client authenticates again: AUTH 0x19, steps, AUTH 0x00 with method and last data',
  async t => {
    const { port, script } = await start(t)
    const client = await connected(port, { username: 'claimed' })
    sendAuth(client, reAuthenticate, 'more')
    const auth = await client.expect('auth')
    t.equal(auth.reasonCode, continueCode)
    t.same(auth.properties, { authenticationMethod: method, authenticationData: Buffer.from('go on') })
    sendAuth(client, continueCode, 'grant alice')
    const last = await client.expect('auth')
    t.equal(last.reasonCode, 0)
    t.same(last.properties, { authenticationMethod: method, authenticationData: Buffer.from('welcome') })
    t.match(script.started[1], {
      method,
      clientId: 'c',
      username: 'claimed',
      password: undefined,
      current: { username: 'alice' }
    })
    sendAuth(client, reAuthenticate, 'grant alice')
    t.equal((await client.expect('auth')).reasonCode, 0, 'as often as it likes, and in one step where that is enough')
    t.same(await client.ping(), [])
  }
)

t.test('[MQTT-4.12.1-1] an AUTH 0x19 without data, or a success without, is sound too', async t => {
  const { port, script } = await start(t)
  const client = await connected(port, {}, 'nobody')
  sendAuth(client, reAuthenticate)
  t.equal((await client.expect('auth')).reasonCode, continueCode)
  sendAuth(client, continueCode, 'nobody')
  t.same(propertiesOf(await client.expect('auth')), { authenticationMethod: method })
  t.same(script.heard, ['nobody', undefined, 'nobody'])
})

t.test(
  '[MQTT-4.12.1-1] other packets go on under the old identity while the exchange runs, and under the new one after it',
  async t => {
    const { port, script } = await start(t, withPolicy)
    const client = await connected(port, {}, 'grant alice old both')
    t.equal(await published(client, 'new'), 0x87)
    t.equal(await published(client, 'old'), 0x10)

    sendAuth(client, reAuthenticate, 'more')
    await client.expect('auth')
    t.equal(await published(client, 'new'), 0x87, 'while the client is to answer')
    t.equal(await published(client, 'old'), 0x10)
    sendAuth(client, continueCode, 'wait')
    await script.waiting()
    t.equal(await published(client, 'new'), 0x87, 'while the authenticator thinks')
    t.equal(await published(client, 'old'), 0x10)
    t.same(await client.ping(), [])

    script.answer(granted('alice', 'new', 'both'))
    t.equal((await client.expect('auth')).reasonCode, 0)
    t.equal(await published(client, 'old'), 0x87, 'a topic that was used before')
    t.equal(await published(client, 'new'), 0x10)
  }
)

t.test('[MQTT-4.12.1-1] what may be received follows the new identity at once', async t => {
  const { port, broker } = await start(t, withPolicy)
  const client = await connected(port, {}, 'grant alice old')
  await client.subscribe('#', 0)
  const publish = (topic: string) =>
    new Promise<void>(resolve =>
      broker.publish({ cmd: 'publish', topic, payload: topic, qos: 0, retain: false }, () => resolve())
    )
  await publish('old')
  await publish('new')
  t.same(
    (await client.ping()).map(({ topic }) => topic),
    ['old']
  )
  sendAuth(client, reAuthenticate, 'grant alice new')
  await client.expect('auth')
  await publish('old')
  await publish('new')
  t.same(
    (await client.ping()).map(({ topic }) => topic),
    ['new']
  )
})

t.test(
  '[MQTT-4.12.1-2] [MQTT-3.14.2-1] a failure is a DISCONNECT with a code of that packet, and the end of the connection',
  async t => {
    const { port, broker } = await start(t)
    const expected = { 'bad-credentials': 0x87, 'not-authorized': 0x87, banned: 0x87, away: 0x89, 'no such word': 0x89 }
    for (const [words, code] of Object.entries(expected)) {
      const client = await connected(port)
      sendAuth(client, reAuthenticate, 'more')
      await client.expect('auth')
      sendAuth(client, continueCode, words)
      t.same(codes(await client.ended()), [`disconnect ${code}`], words)
    }
    t.equal(broker.counters.connectionsClosed.get('reauthentication-failed'), Object.keys(expected).length)
  }
)

t.test('[MQTT-4.12.1-2] nobody becomes somebody else on a live connection', async t => {
  const { port } = await start(t)
  for (const [before, after] of [
    ['grant alice', 'grant bob'],
    ['grant alice', 'nobody'],
    ['nobody', 'grant alice']
  ] as const) {
    const client = await connected(port, {}, before)
    sendAuth(client, reAuthenticate, after)
    t.same(codes(await client.ended()), ['disconnect 135'], `${before}, then ${after}`)
  }
})

t.test('[MQTT-4.12.1-1] an AUTH that names another method, or none, is a protocol error', async t => {
  const { port } = await start(t)
  for (const code of [continueCode, reAuthenticate]) {
    const client = await connected(port)
    sendAuth(client, code, 'grant alice', 'OTHER')
    t.same(codes(await client.ended()), ['disconnect 130'])
    const none = await connected(port)
    none.sendBytes(Buffer.from([0xf0, 2, code, 0]))
    t.same(codes(await none.ended()), ['disconnect 130'])
  }
})

t.test('[MQTT-4.12.1-1] a second AUTH 0x19 while one runs is a protocol error, whoever is to answer', async t => {
  const { port, script } = await start(t)
  const waiting = await connected(port)
  sendAuth(waiting, reAuthenticate, 'more')
  await waiting.expect('auth')
  sendAuth(waiting, reAuthenticate, 'grant alice')
  t.same(codes(await waiting.ended()), ['disconnect 130'])

  const thinking = await connected(port)
  sendAuth(thinking, reAuthenticate, 'wait')
  await script.waiting()
  sendAuth(thinking, reAuthenticate, 'grant alice')
  t.same(codes(await thinking.ended()), ['disconnect 130'])
  script.answer(granted('alice'))
})

t.test('[MQTT-4.12.0-3] an AUTH 0x18 that answers nothing is a protocol error', async t => {
  const { port, script } = await start(t)
  const idle = await connected(port)
  sendAuth(idle, continueCode, 'grant alice')
  t.same(codes(await idle.ended()), ['disconnect 130'], 'no exchange is under way')
  const hasty = await connected(port)
  sendAuth(hasty, reAuthenticate, 'wait')
  await script.waiting()
  sendAuth(hasty, continueCode, 'grant alice')
  t.same(codes(await hasty.ended()), ['disconnect 130'], 'the authenticator thinks')
})

t.test('[MQTT-3.14.4-3] a client that says goodbye while the authenticator thinks is gone, whatever the answer', async t => {
  const { port, script, broker } = await start(t)
  const client = await connected(port)
  sendAuth(client, reAuthenticate, 'wait')
  await script.waiting()
  await client.disconnect()
  script.answer(granted('alice'))
  t.equal(broker.counters.connectionsClosed.get('client-disconnect'), 1)
  t.equal(broker.sessionCount, 0)
})
