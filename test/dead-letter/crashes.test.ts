import { t } from 'tap'
import { CrashableDisk } from '../properties/crashable-disk.ts'
import { FailingFileSystem } from '../support/failing-file-system.ts'
import { ManualClock, TestBroker } from '../support/native-broker.ts'
import { RawClient } from '../support/raw-client.ts'

const forAnHour = { version: 5 as const, clientId: 'reader', clean: false, properties: { sessionExpiryInterval: 3600 } }
const shortLived = { properties: { messageExpiryInterval: 5 } }

async function connect(broker: TestBroker, options: object): Promise<RawClient> {
  return (await RawClient.connect(broker.port, { version: 5, ...options })).client
}

async function letterCount(broker: TestBroker, count: number): Promise<void> {
  const signal = AbortSignal.timeout(30_000)
  for await (const _ of broker.deadLetters!.stream.read({ from: 'earliest', follow: true, limit: count, signal }));
}

t.test('a crash after the letters and before their removal leaves each message in one place', async t => {
  const disk = new CrashableDisk()
  const clock = new ManualClock()
  const first = await TestBroker.start(t, { letters: {}, clock, openDb: disk.open })
  const reader = await connect(first, forAnHour)
  await reader.subscribe('a/#', 2)
  const worker = await connect(first, { ...forAnHour, clientId: 'worker' })
  await worker.subscribe('$share/workers/a/#', 1)
  await worker.disconnect()
  await reader.disconnect()
  const writer = await connect(first, { clientId: 'writer' })
  for (let i = 0; i < 10; i++) await writer.publish('a/1', String(i), 2, i < 9 ? shortLived : {})
  clock.advance(6_000)
  // From here on the store forgets what it is told to write; the log of dead letters does not.
  disk.dead = true
  await connect(first, forAnHour)
  await connect(first, { ...forAnHour, clientId: 'worker' })
  await letterCount(first, 18)

  const second = await first.restart(t, { letters: {}, clock })
  t.equal(second.broker.counters.queued, 2, 'what is a dead letter has left the queues')
  for (const clientId of ['reader', 'worker']) {
    const again = await connect(second, { ...forAnHour, clientId })
    t.match(await again.expect('publish'), { payload: Buffer.from('9') })
  }
  t.equal((await second.letters()).length, 18, 'and it is not one twice')
})

t.test('a crash while an expired session is buried: the rest is buried after the restart', async t => {
  const disk = new CrashableDisk()
  const clock = new ManualClock()
  const first = await TestBroker.start(t, { letters: {}, clock, openDb: disk.open })
  const reader = await connect(first, forAnHour)
  await reader.subscribe('a/#', 1)
  await reader.disconnect()
  const writer = await connect(first, { clientId: 'writer' })
  const total = 150
  for (let i = 0; i < total; i++) await writer.publish(`a/${i}`, '', 1)
  const burying = first.broker.counters.dropped
  clock.advance(3_601_000)
  while (!burying.has('session-expired')) await new Promise(resolve => setImmediate(resolve))
  disk.dead = true
  const second = await first.restart(t, { letters: {}, clock })
  await letterCount(second, total)
  t.same(
    (await second.letters()).map(({ message, clientId, reason }) => `${message.topic} ${clientId} ${reason}`).sort(),
    Array.from({ length: total }, (_, i) => `a/${i} reader session-expired`).sort()
  )
  const third = await second.restart(t, { letters: {}, clock })
  t.equal(third.broker.sessionCount, 0)
  t.equal(third.broker.counters.queued, 0)
  t.equal((await third.letters()).length, total)
})

t.test('while dead letters cannot be written the message stays, and afterwards it is a dead letter once', async t => {
  const fileSystem = new FailingFileSystem()
  fileSystem.path = '$dead-letter'
  const clock = new ManualClock()
  const failures: (string | undefined)[] = []
  const onCommit = (part: string, error: Error | undefined) => {
    if (part === '$store') failures.push(error?.message)
  }
  const broker = await TestBroker.start(t, { letters: {}, clock, fileSystem, onCommit })
  const reader = await connect(broker, forAnHour)
  await reader.subscribe('a/#', 1)
  await reader.disconnect()
  const writer = await connect(broker, { clientId: 'writer' })
  await writer.publish('a/1', 'short', 1, shortLived)
  await writer.publish('a/2', 'long', 1)
  clock.advance(6_000)
  fileSystem.failure = 'ENOSPC'
  const again = await RawClient.open(broker.port, 5)
  again.sendConnect(forAnHour)
  t.equal((await again.expect('connack')).reasonCode, 0)
  failures.length = 0
  t.match(await again.expect('publish'), { payload: Buffer.from('long') })
  // A session that is stored must be on disk before its CONNACK, and the store waits for the letter.
  const late = await RawClient.open(broker.port, 5)
  late.sendConnect({ ...forAnHour, clientId: 'late' })
  t.match(await late.expect('connack'), { reasonCode: 0x88 })
  t.ok(failures.length > 0 && failures.every(message => message !== undefined), 'the store was not written meanwhile')
  t.same(await broker.letters(), [])
  fileSystem.failure = undefined
  await letterCount(broker, 1)
  t.match(await broker.letters(), [{ id: 0, reason: 'message-expired', message: { payload: Buffer.from('short') } }])
  const next = await connect(broker, { ...forAnHour, clientId: 'next' })
  await next.disconnect()
  t.equal(failures.at(-1), undefined)
  const restarted = await broker.restart(t, { letters: {}, clock })
  t.equal((await restarted.letters()).length, 1)
  t.equal(restarted.broker.counters.queued, 1)
})

t.test('a broker that stops while dead letters cannot be written leaves their messages in the queue', async t => {
  const fileSystem = new FailingFileSystem()
  fileSystem.path = '$dead-letter'
  const clock = new ManualClock()
  const broker = await TestBroker.start(t, { letters: {}, clock, fileSystem })
  const reader = await connect(broker, forAnHour)
  await reader.subscribe('a/#', 1)
  await reader.disconnect()
  const writer = await connect(broker, { clientId: 'writer' })
  await writer.publish('a/1', 'short', 1, shortLived)
  await writer.disconnect()
  clock.advance(6_000)
  const again = await connect(broker, forAnHour)
  fileSystem.failure = 'ENOSPC'
  const { dropped } = broker.broker.counters
  while (!dropped.has('message-expired')) await new Promise(resolve => setImmediate(resolve))
  again.socket.destroy()
  await t.rejects(broker.stop())
  fileSystem.failure = undefined
  const restarted = await broker.restart(t, { letters: {}, clock })
  t.same(await restarted.letters(), [])
  t.equal(restarted.broker.counters.queued, 1)
  await connect(restarted, forAnHour)
  await letterCount(restarted, 1)
})

t.test('a QoS 2 message to a stream and a dead letter in one commit are both there after a crash', async t => {
  const disk = new CrashableDisk()
  const options = { letters: {}, limits: { maxQueuedMessagesPerSession: 1 }, openDb: disk.open }
  const first = await TestBroker.start(t, options)
  const reader = await connect(first, forAnHour)
  await reader.subscribe('devices/#', 2)
  await reader.disconnect()
  const writer = await connect(first, { ...forAnHour, clientId: 'writer' })
  for (const payload of ['kept', 'lost 1', 'lost 2']) await writer.publish('devices/1', payload, 2)
  disk.dead = true
  const second = await first.restart(t, { ...options, openDb: new CrashableDisk().open })
  t.same(
    (await second.records()).map(({ payload }) => payload.toString()),
    ['kept', 'lost 1', 'lost 2']
  )
  t.same(
    (await second.letters()).map(({ message }) => message.payload.toString()),
    ['lost 1', 'lost 2']
  )
})
