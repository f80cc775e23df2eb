import { t } from 'tap'
import { ManualClock, TestBroker } from '../support/native-broker.ts'
import { RawClient } from '../support/raw-client.ts'

const messages = 3_000

t.test('a long queue becomes dead letters in pieces, while others are served', async t => {
  const clock = new ManualClock()
  let largestRead = 0
  const broker = await TestBroker.start(t, {
    letters: {},
    clock,
    wrapStore: store =>
      new Proxy(store, {
        get(inner, key) {
          const value = Reflect.get(inner, key, inner) as unknown
          if (key !== 'readQueue' || typeof value !== 'function') return typeof value === 'function' ? value.bind(inner) : value
          return async (...args: [number, number, number]) => {
            const entries = await inner.readQueue(...args)
            largestRead = Math.max(largestRead, entries.length)
            return entries
          }
        }
      })
  })
  const { client: reader } = await RawClient.connect(broker.port, {
    version: 5,
    clientId: 'reader',
    clean: false,
    properties: { sessionExpiryInterval: 10 }
  })
  await reader.subscribe('a/#', 1)
  await reader.disconnect()
  await fill(broker, messages)
  t.equal(broker.broker.counters.queued, messages)
  const { client: other } = await RawClient.connect(broker.port, { version: 5, clientId: 'other' })
  await other.subscribe('b', 1)
  clock.advance(11_000)
  const { dropped } = broker.broker.counters
  while (!dropped.has('session-expired')) await new Promise(resolve => setImmediate(resolve))
  await other.publish('b', 'served', 0)
  t.match(await other.expect('publish'), { payload: Buffer.from('served') })
  t.ok((dropped.get('session-expired') ?? 0) < messages, 'the queue is not empty yet')
  const signal = AbortSignal.timeout(60_000)
  for await (const _ of broker.deadLetters!.stream.read({ from: 'earliest', follow: true, limit: messages, signal }));
  t.same(
    (await broker.letters()).map(({ message }) => Number(message.payload)),
    Array.from({ length: messages }, (_, i) => i)
  )
  t.ok(largestRead <= 256, `${largestRead} entries were read at once`)
})

/** Publishes without waiting for each acknowledgement. */
async function fill(broker: TestBroker, count: number): Promise<void> {
  const { client } = await RawClient.connect(broker.port, { clientId: 'filler' })
  for (let i = 0; i < count; i++)
    client.send({ cmd: 'publish', topic: 'a/1', payload: String(i), qos: 1, messageId: i + 1, retain: false })
  for (let i = 0; i < count; i++) await client.expect('puback')
  await client.disconnect()
}
