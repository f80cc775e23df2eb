import t from 'tap'
import type { DeadLetter } from '../../../lib/dead-letter/contract.ts'
import { ManualClock, TestBroker, type TestBrokerOptions } from '../../support/native-broker.ts'
import type { AnyPacket, RawClient } from '../../support/raw-client.ts'
import { connect, description, join, publish, take, text } from './group-world.ts'

const shared = '$share/workers/$stream/telemetry/earliest'

class World {
  readonly clock = new ManualClock()
  readonly letters: DeadLetter[] = []
  broker!: TestBroker

  static async start(t: { teardown(fn: () => unknown): unknown }, options: TestBrokerOptions): Promise<World> {
    const world = new World()
    const deadLetters = { add: (letter: DeadLetter) => void world.letters.push(letter) }
    world.broker = await TestBroker.start(t, { clock: world.clock, deadLetters, ...options } as TestBrokerOptions)
    return world
  }

  pass(seconds: number): void {
    this.clock.advance(seconds * 1000)
    this.broker.broker.engine.sweep(this.clock.nowMs)
  }

  get told(): object[] {
    return this.letters.map(({ reason, message, stream, group, offset, attempts, error }) => {
      return { reason, payload: String(message.payload), stream, group, offset, attempts, error }
    })
  }
}

function attemptOf(packet: AnyPacket): string | undefined {
  const { userProperties } = (packet.properties ?? {}) as { userProperties?: Record<string, string> }
  return userProperties?.attempt
}

async function member(broker: TestBroker, clientId: string): Promise<RawClient> {
  const client = await connect(broker, clientId)
  await client.subscribe(shared, 1)
  return client
}

t.test('[MQTT-3.3.1-3] what another member gets is a new PUBLISH, without DUP; MQTT 5 is told the attempt', async t => {
  const { broker } = await World.start(t, {})
  await publish(broker, 'a', 1, 2)
  const first = await member(broker, 'first')
  const [one, two] = [await first.expect('publish'), await first.expect('publish')]
  t.same([one, two].map(attemptOf), [undefined, undefined])
  await first.cut()
  const second = await member(broker, 'second')
  const again = [await second.expect('publish'), await second.expect('publish')]
  t.same(
    again.map(packet => [String(packet.payload), packet.dup, attemptOf(packet)]),
    [
      ['1', false, '2'],
      ['2', false, '2']
    ]
  )
  second.send({ cmd: 'puback', messageId: again[0]!.messageId })
  await second.ping()
  t.match(description(broker.broker.groups), { redelivered: 2, committed: 1 })
})

t.test('a record that takes its members down is a dead letter after that many attempts, and those behind it are not', async t => {
  const world = await World.start(t, { groups: { maxDeliveryAttempts: 3 } })
  const { broker } = world
  await publish(broker, 'a', 1, 3)
  for (const id of ['one', 'two', 'three']) {
    const client = await member(broker, id)
    for (let n = 1; n <= 3; n++) await client.expect('publish')
    await client.cut()
  }
  t.same(world.told, [], 'nothing is given up while nobody is there to go on')
  const client = await member(broker, 'four')
  const next = await client.expect('publish')
  t.equal(String(next.payload), '2')
  t.equal(attemptOf(next), '4', 'it was handed out as often, but waited behind the other')
  t.same(world.told, [
    {
      reason: 'delivery-attempts-exhausted',
      payload: '1',
      stream: 'telemetry',
      group: 'workers',
      offset: 0,
      attempts: 3,
      error: 'client three left'
    }
  ])
  t.match(description(broker.broker.groups), { deadLetters: 1 })
})

t.test('attempts of the record a group waits for are counted on after a restart', async t => {
  const world = await World.start(t, { groups: { maxDeliveryAttempts: 2 } })
  await publish(world.broker, 'a', 1, 2)
  const client = await member(world.broker, 'one')
  await client.expect('publish')
  await client.cut()
  // The attempt is in the store once the group's position is.
  await world.broker.broker.engine.drain()
  world.broker = await world.broker.restart(t)
  const next = await member(world.broker, 'two')
  t.equal(attemptOf(await next.expect('publish')), '2')
  await next.cut()
  const last = await member(world.broker, 'three')
  t.equal(String((await last.expect('publish')).payload), '2')
  t.match(world.told, [{ payload: '1', attempts: 2 }])
})

t.test('[MQTT-4.8.2-6] what an MQTT member refuses goes to nobody else: it is a dead letter', async t => {
  const world = await World.start(t, {})
  await publish(world.broker, 'a', 1, 2)
  const client = await member(world.broker, 'picky')
  const [one, two] = [await client.expect('publish'), await client.expect('publish')]
  const reasonString = 'cannot be parsed'
  client.send({ cmd: 'puback', messageId: one.messageId, reasonCode: 0x99, properties: { reasonString } })
  client.send({ cmd: 'puback', messageId: two.messageId })
  await publish(world.broker, 'a', 3, 3)
  t.equal(String((await client.expect('publish')).payload), '3')
  t.match(world.told, [{ payload: '1', attempts: 1, error: 'refused by picky with reason code 0x99: cannot be parsed' }])
})

t.test('with refused: retry it comes again after the delay, and what is behind it waits', async t => {
  const world = await World.start(t, { groups: { refused: 'retry', maxDeliveryAttempts: 2, retryDelayMs: 5000 } })
  const { broker } = world
  await publish(broker, 'a', 1, 1)
  const client = await member(broker, 'picky')
  const first = await client.expect('publish')
  client.send({ cmd: 'puback', messageId: first.messageId, reasonCode: 0x80 })
  await client.ping()
  await publish(broker, 'a', 2, 2)
  t.same(await client.ping(), [], 'nothing before the delay is over')
  world.pass(5)
  const again = await client.expect('publish')
  t.same([String(again.payload), again.dup, attemptOf(again)], ['1', false, '2'])
  t.same(await client.ping(), [], 'nor while it is tried again')
  client.send({ cmd: 'puback', messageId: again.messageId, reasonCode: 0x80 })
  t.equal(String((await client.expect('publish')).payload), '2')
  t.match(world.told, [{ payload: '1', attempts: 2 }])
})

t.test('a consumer that refuses a record gets it again, and later ones of that key behind it', async t => {
  const world = await World.start(t, { groups: { maxDeliveryAttempts: 3, retryDelayMs: 1000 } })
  const { broker } = world
  await publish(broker, 'a', 1, 4)
  const consumer = await join(broker)
  const [one, two] = await take(consumer, 2)
  await consumer.nack(one!, new Error('database is away'))
  await consumer.commit(two!)
  const waiting = take(consumer, 1)
  world.pass(1)
  const [again] = await waiting
  t.equal(text(again!), 'a 1', 'before what is behind it')
  t.equal(consumer.attempt(again!), 2)
  await consumer.commit(again!)
  t.same((await take(consumer, 2)).map(text), ['a 3', 'a 4'], 'what was committed meanwhile does not come again')
  await consumer.nack(two!)
  t.equal(consumer.inFlight, 2, 'to refuse what is committed means nothing')
})

t.test('what is not acknowledged in time goes to another member; with nobody else it comes again', async t => {
  const world = await World.start(t, { groups: { ackTimeoutMs: 10_000 } })
  const { broker } = world
  await publish(broker, 'a', 1, 2)
  const slow = await member(broker, 'slow')
  const [one] = [await slow.expect('publish'), await slow.expect('publish')]
  world.pass(10)
  const alone = [await slow.expect('publish'), await slow.expect('publish')]
  t.same(alone.map(attemptOf), ['2', '2'], 'alone, it gets them again')
  slow.send({ cmd: 'puback', messageId: one!.messageId })
  await slow.ping()
  t.equal(description(broker.broker.groups).committed, 1, 'and the late acknowledgement of the first time counts')
  const other = await member(broker, 'other')
  world.pass(10)
  const taken = await other.expect('publish')
  t.same([String(taken.payload), attemptOf(taken)], ['2', '3'])
  t.match(
    description(broker.broker.groups).members.map(({ id, state }) => `${id} ${state}`),
    ['slow stalled', 'other active']
  )
  slow.send({ cmd: 'puback', messageId: alone[1]!.messageId })
  await slow.ping()
  t.equal(description(broker.broker.groups).members[0]?.state, 'active', 'it shows life')
  t.equal(description(broker.broker.groups).committed, 1, 'but the record is not its own any more')
})

t.test('without a limit a record is handed out again for ever, and never given up', async t => {
  const world = await World.start(t, { groups: { retryDelayMs: 0 } })
  const { broker } = world
  await publish(broker, 'a', 1, 1)
  const consumer = await join(broker)
  for (let attempt = 1; attempt <= 20; attempt++) {
    const [record] = await take(consumer, 1)
    if (consumer.attempt(record!) !== attempt) t.fail(`attempt ${attempt} says it is ${consumer.attempt(record!)}`)
    await consumer.nack(record!)
    world.pass(0)
  }
  t.same(world.told, [])
  t.equal(text((await take(consumer, 1))[0]!), 'a 1')
})
