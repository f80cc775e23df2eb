import t from 'tap'
import type { CompiledPolicy, Identity, PeerIdentity, Policy } from '../../../lib/access/contract.ts'
import { topicMatches } from '../../../lib/topic/filter.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

/** Everybody may publish and subscribe below their own client id; `secret/#` is hidden from everybody but admin. */
class OwnTopicsPolicy implements Policy {
  generation = 1
  /** Set to take the right to receive away from a client id. */
  muted = ''

  compile(identity: Identity): CompiledPolicy {
    const { clientId } = identity
    const own = `${clientId}/#`
    const admin = clientId === 'admin'
    return {
      permitsAll: false,
      canPublish: topic => admin || topicMatches(own, topic),
      canSubscribe: filter => admin || filter.startsWith(`${clientId}/`) || filter === '#' || filter.startsWith('secret'),
      canReceive: topic => this.muted !== clientId && (admin || !topicMatches('secret/#', topic))
    }
  }
}

t.test('a publish that the policy denies goes nowhere: v5 is told, 3.1.1 is closed', async t => {
  const started = await TestBroker.start(t, { access: { policy: new OwnTopicsPolicy() }, streamFilter: '#' })
  const { client: admin } = await RawClient.connect(started.port, { clientId: 'admin' })
  await admin.subscribe('#', 2)
  const { client: v5 } = await RawClient.connect(started.port, { clientId: 'dev1', version: 5 })
  for (const qos of [1, 2] as const) {
    v5.send({ cmd: 'publish', topic: 'dev10/a', payload: 'x', qos, messageId: 1, retain: true })
    t.match(await v5.next(), { cmd: qos === 1 ? 'puback' : 'pubrec', reasonCode: 0x87 })
  }
  v5.send({ cmd: 'publish', topic: 'dev10/a', payload: 'x', qos: 0, retain: false })
  await v5.publish('dev1/a', 'own', 1)
  const { client: v4 } = await RawClient.connect(started.port, { clientId: 'dev1b' })
  v4.send({ cmd: 'publish', topic: 'dev1/a', payload: 'x', qos: 1, messageId: 1, retain: false })
  t.same(await v4.ended(), [])
  t.same(
    (await admin.ping()).map(packet => `${packet.topic} ${packet.payload}`),
    ['dev1/a own']
  )
  t.same(
    (await started.records()).map(record => record.topic),
    ['dev1/a'],
    'the stream has no denied record either'
  )
  t.equal(started.store.retainedCount, 0)
  t.equal(started.broker.counters.publishRefused.get('not-authorized'), 4)
})

t.test('only granted filters of a SUBSCRIBE are routed and stored', async t => {
  let started = await TestBroker.start(t, { access: { policy: new OwnTopicsPolicy() } })
  const device = { clientId: 'dev1', clean: false }
  const { client } = await RawClient.connect(started.port, device)
  client.send({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [
      { topic: 'dev1/cmd', qos: 1 },
      { topic: 'dev10/cmd', qos: 1 }
    ]
  })
  t.same((await client.expect('suback')).granted, [1, 0x80])
  await client.disconnect()
  started = await started.restart(t)
  t.same(started.broker.describeClients()[0]?.subscriptions, ['dev1/cmd'])
  const { client: admin } = await RawClient.connect(started.port, { clientId: 'admin' })
  await admin.publish('dev10/cmd', 'not for dev1', 1)
  await admin.publish('dev1/cmd', 'for dev1', 1)
  const { client: again } = await RawClient.connect(started.port, device)
  t.equal(String((await again.expect('publish')).payload), 'for dev1')
})

t.test(
  'a granted wildcard shows nothing that the client may not receive: live, retained, queued or after rights are withdrawn',
  async t => {
    const policy = new OwnTopicsPolicy()
    const { port, broker } = await TestBroker.start(t, { access: { policy } })
    const { client: admin } = await RawClient.connect(port, { clientId: 'admin' })
    await admin.publish('secret/retained', 'x', 1, { retain: true })
    const device = { clientId: 'dev1', clean: false }
    const { client } = await RawClient.connect(port, device)
    await client.subscribe('#', 1)
    await client.subscribe('secret/retained', 1)
    await admin.publish('secret/live', 'x', 1)
    await admin.publish('open', 'shown', 1)
    const packet = await client.expect('publish')
    t.equal(String(packet.payload), 'shown')
    client.send({ cmd: 'puback', messageId: packet.messageId })
    t.same(await client.ping(), [])
    await client.disconnect()
    await admin.publish('open', 'queued while it was allowed', 1)
    policy.muted = 'dev1'
    const { client: again } = await RawClient.connect(port, device)
    while ((broker.describeClients().find(({ clientId }) => clientId === 'dev1')?.backlog ?? 0) > 0) await again.ping()
    t.same(await again.ping(), [])
    t.equal(broker.counters.dropped.get('forward-denied'), 4)
  }
)

t.test('a client whose will it may not publish is refused', async t => {
  const { port } = await TestBroker.start(t, { access: { policy: new OwnTopicsPolicy() } })
  const will = { topic: 'dev10/will', payload: Buffer.from('x'), qos: 0, retain: false }
  const v5 = await RawClient.connect(port, { clientId: 'dev1', version: 5, will })
  t.equal(v5.connack.reasonCode, 0x87)
  const v4 = await RawClient.connect(port, { clientId: 'dev1', will })
  t.equal(v4.connack.returnCode, 5)
})

t.test('a new policy generation is asked again for topics already in use', async t => {
  const policy = new OwnTopicsPolicy()
  const { port } = await TestBroker.start(t, { access: { policy } })
  const { client } = await RawClient.connect(port, { clientId: 'dev1', version: 5 })
  await client.publish('dev1/a', 'x', 1)
  policy.generation = 2
  policy.compile = () => ({ permitsAll: false, canPublish: () => false, canSubscribe: () => false, canReceive: () => false })
  client.send({ cmd: 'publish', topic: 'dev1/a', payload: 'x', qos: 1, messageId: 1, retain: false })
  t.match(await client.expect('puback'), { reasonCode: 0x87 })
})

t.test('[MQTT-3.2.2-8] refused, unavailable and banned are told apart', async t => {
  const peer: PeerIdentity = {
    listener: 'x',
    address: '127.0.0.1',
    port: 1,
    transport: 'tcp',
    anonymousAllowed: false,
    certificate: undefined
  }
  const { port } = await TestBroker.start(t, {
    peer,
    access: {
      authenticator: {
        async authenticate({ username, peer }) {
          if (username === 'broken') throw new Error('the user database does not answer')
          if (username === 'banned') return { type: 'refused', reason: 'banned', message: 'banned' }
          if (username === 'good' && peer?.listener === 'x') {
            return { type: 'granted', identity: { clientId: 'x', username, roles: [], by: 'password' } }
          }
          return { type: 'refused', reason: 'bad-credentials', message: 'unknown user or wrong password' }
        }
      }
    }
  })
  const code = async (username: string, version: 4 | 5) => {
    const { connack } = await RawClient.connect(port, { clientId: 'x', username, password: 'x', version })
    return version === 5 ? connack.reasonCode : connack.returnCode
  }
  t.same([await code('good', 4), await code('bad', 4), await code('broken', 4), await code('banned', 4)], [0, 4, 3, 5])
  t.same([await code('good', 5), await code('bad', 5), await code('broken', 5), await code('banned', 5)], [0, 0x86, 0x88, 0x8a])
})

t.test('a client is told that authentication is unavailable, not what failed inside', async t => {
  const logged: unknown[] = []
  const quiet = () => {}
  const { port, broker } = await TestBroker.start(t, {
    logger: { debug: quiet, info: quiet, warn: quiet, error: details => logged.push(details) },
    access: {
      authenticator: {
        async authenticate() {
          throw new Error('connect ECONNREFUSED postgres://broker:secret@db')
        }
      }
    }
  })
  const reported = new Promise<Error>(resolve => broker.once('clientError', (_client, error) => resolve(error)))
  const { connack } = await RawClient.connect(port, { clientId: 'x', username: 'x', password: 'x', version: 5 })
  t.match(connack, { reasonCode: 0x88, properties: { reasonString: 'authentication is unavailable' } })
  t.match(logged, [{ err: { message: /ECONNREFUSED/ }, clientId: 'x' }])
  t.match((await reported).cause, { message: /ECONNREFUSED/ })
})
