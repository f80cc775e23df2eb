import t from 'tap'
import type { Broker } from '../../lib/broker/broker.ts'
import { startContractBroker } from '../support/contract-broker.ts'
import { TestBroker, type TestBrokerOptions } from '../support/native-broker.ts'
import { RawClient } from '../support/raw-client.ts'

/** A hook of the embedding program that throws, or rejects, on both engines: it ends the connection it was asked about, no more. */

type Hooks = Pick<
  TestBrokerOptions,
  'preConnect' | 'authenticate' | 'authorizePublish' | 'authorizeSubscribe' | 'authorizeForward' | 'published'
>
type Start = (t: { teardown(fn: () => unknown): unknown }, hooks: Hooks) => Promise<{ port: number; broker: Broker }>

const engines: [string, Start][] = [
  ['native engine', (t, hooks) => TestBroker.start(t, hooks)],
  ['contract engine', (t, hooks) => startContractBroker(t, hooks)]
]

const ways: [string, () => unknown][] = [
  [
    'throws',
    () => {
      throw new Error('a secret of the program')
    }
  ],
  ['rejects', () => Promise.reject(new Error('a secret of the program'))]
]

for (const [engine, start] of engines) {
  for (const [way, fail] of ways) {
    const failing = fail as () => never

    t.test(
      `${engine}: preConnect or authenticate ${way}: CONNACK 0x83, return code 3 for 3.1.1, and the broker lives on`,
      async t => {
        for (const hook of ['preConnect', 'authenticate'] as const) {
          let broken = true
          const { port, broker } = await start(t, {
            [hook]: (...args: unknown[]) => {
              if (broken) return failing()
              const done = args.at(-1) as (error: null, success: boolean) => void
              done(null, true)
            }
          })
          const { client: v5, connack } = await RawClient.connect(port, { clientId: 'a', version: 5 })
          t.equal(connack.reasonCode, 0x83)
          t.equal((connack.properties as { reasonString: string }).reasonString, `the ${hook} hook failed`)
          t.same(await v5.ended(), [])
          const { client: v4, connack: older } = await RawClient.connect(port, { clientId: 'b' })
          t.equal(older.returnCode, 3)
          t.same(await v4.ended(), [])
          t.equal(broker.counters.hookFailures.get(hook), 2)
          broken = false
          const { client } = await RawClient.connect(port, { clientId: 'c' })
          await client.publish('a', 'x', 1)
        }
      }
    )

    t.test(`${engine}: authorizePublish ${way}: no ack, DISCONNECT 0x83, and others go on`, async t => {
      const { port, broker } = await start(t, {
        authorizePublish: (_client, packet, done) => (packet.topic === 'bad' ? failing() : done(null))
      })
      const { client: other } = await RawClient.connect(port, { clientId: 'other' })
      const { client } = await RawClient.connect(port, { clientId: 'device', version: 5 })
      const errors: Error[] = []
      broker.on('clientError', (_client, error) => errors.push(error))
      client.send({ cmd: 'publish', topic: 'bad', payload: 'x', qos: 1, messageId: 1, retain: false, dup: false })
      const ended = await client.ended()
      t.match(ended, [{ cmd: 'disconnect', reasonCode: 0x83 }])
      t.equal(ended.length, 1)
      t.match(errors, [{ message: 'the authorizePublish hook failed', cause: { message: 'a secret of the program' } }])
      t.equal(broker.counters.connectionsClosed.get('hook-failed'), 1)
      const { client: older } = await RawClient.connect(port, { clientId: 'older' })
      older.send({ cmd: 'publish', topic: 'bad', payload: 'x', qos: 2, messageId: 1, retain: false, dup: false })
      t.same(await older.ended(), [])
      await other.publish('good', 'x', 2)
    })

    t.test(`${engine}: authorizePublish ${way} over a will: the will is dropped and counted`, async t => {
      const { port, broker } = await start(t, {
        authorizePublish: (_client, packet, done) => (packet.topic === 'bad' ? failing() : done(null))
      })
      const { client: watcher } = await RawClient.connect(port, { clientId: 'watcher' })
      await watcher.subscribe('#', 0)
      const will = { topic: 'bad', payload: Buffer.from('x'), qos: 0, retain: false }
      const { client } = await RawClient.connect(port, { clientId: 'device', will })
      await client.cut()
      while (broker.counters.dropped.get('will-denied') !== 1) await new Promise(resolve => setImmediate(resolve))
      t.same(await watcher.ping(), [])
    })

    t.test(`${engine}: authorizeSubscribe ${way}: DISCONNECT 0x83 and no subscription`, async t => {
      const { port, broker } = await start(t, {
        authorizeSubscribe: (_client, subscription, done) => (subscription.topic === 'bad' ? failing() : done(null, subscription))
      })
      const { client } = await RawClient.connect(port, { clientId: 'device', version: 5 })
      client.send({ cmd: 'subscribe', messageId: 1, subscriptions: ['good', 'bad'].map(topic => ({ topic, qos: 1 })) })
      t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x83 }])
      t.equal(broker.subscriptionCount, 0)
      const { client: next } = await RawClient.connect(port, { clientId: 'next' })
      t.same((await next.subscribe('good', 1)).granted, [1])
    })

    t.test(`${engine}: authorizeForward ${way}: the receiver's connection ends, its stored session loses nothing`, async t => {
      let broken = true
      const { port, broker } = await start(t, {
        authorizeForward: (client, packet) => (broken && client.id === 'receiver' ? failing() : packet)
      })
      const receiver = { clientId: 'receiver', clean: false }
      const { client: first } = await RawClient.connect(port, receiver)
      await first.subscribe('#', 1)
      const { client: other } = await RawClient.connect(port, { clientId: 'other' })
      await other.publish('a', 'live', 1)
      t.same(await first.ended(), [], 'ended, with nothing sent')
      const { client: second } = await RawClient.connect(port, receiver)
      t.same(await second.ended(), [], 'asked again, failed again')
      t.ok((broker.counters.hookFailures.get('authorizeForward') ?? 0) >= 2)
      broken = false
      const { client: third } = await RawClient.connect(port, receiver)
      t.equal(String((await third.expect('publish')).payload), 'live')
    })

    t.test(`${engine}: published ${way}: counted, and the message was taken in all the same`, async t => {
      const { port, broker } = await start(t, { published: failing })
      const { client } = await RawClient.connect(port, { clientId: 'device' })
      await client.subscribe('a', 0)
      client.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 1, retain: false, dup: false })
      const answers = [await client.next(), await client.next()].map(packet => packet?.cmd).sort()
      t.same(answers, ['puback', 'publish'])
      await client.ping()
      t.ok((broker.counters.hookFailures.get('published') ?? 0) >= 1)
    })
  }
}

t.test('authorizeForward as an async function is refused: nobody could wait for its answer', async t => {
  const { port } = await TestBroker.start(t, { authorizeForward: (async (_client: unknown, packet: unknown) => packet) as never })
  const { client } = await RawClient.connect(port, { clientId: 'device', version: 5 })
  await client.subscribe('a', 0)
  client.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 0, retain: false, dup: false })
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x83 }])
})

t.test('a hook that answers and then throws has answered', async t => {
  const { port, broker } = await TestBroker.start(t, {
    authorizePublish: (_client, _packet, done) => {
      done(null)
      throw new Error('too late')
    }
  })
  const { client } = await RawClient.connect(port, { clientId: 'device' })
  await client.publish('a', 'x', 1)
  t.equal(broker.counters.hookFailures.get('authorizePublish'), 1)
})
