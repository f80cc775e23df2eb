import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { keyPartition } from '../../../lib/stream/key-partition.ts'
import { ManualClock, TestBroker, type TestBrokerOptions } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient, type RawConnectOptions } from '../../support/raw-client.ts'

type Teardown = { teardown(fn: () => unknown): unknown }

const group = '$share/workers/$stream/telemetry/earliest'
const devices = Array.from({ length: 12 }, (_, i) => `device-${i}`)

async function connect(broker: TestBroker, clientId: string, options: RawConnectOptions = {}): Promise<RawClient> {
  return (await RawClient.connect(broker.port, { version: 5, clientId, ...options })).client
}

/** Devices that each publish numbers from `first` on; the stream is keyed by device, so each is in one partition. */
async function publish(broker: TestBroker, first: number, last: number): Promise<void> {
  await Promise.all(
    devices.map(async id => {
      const device = await connect(broker, id)
      for (let n = first; n <= last; n++) await device.publish(`devices/${id}`, String(n), 1)
      await device.disconnect()
    })
  )
}

async function start(t: Teardown, options: TestBrokerOptions = {}): Promise<TestBroker> {
  return TestBroker.start(t, options)
}

/** A member that acknowledges at once and remembers what it got, by device. */
class Member {
  readonly client: RawClient
  readonly got = new Map<string, string[]>()
  readonly #total: { count: number; waiting: Set<() => void> }

  constructor(client: RawClient, total: { count: number; waiting: Set<() => void> }) {
    this.client = client
    this.#total = total
    void this.#run()
  }

  async #run(): Promise<void> {
    for (let packet = await this.client.next(); packet !== undefined; packet = await this.client.next()) {
      if (packet.cmd !== 'publish') continue
      this.client.send({ cmd: 'puback', messageId: packet.messageId })
      const device = String(packet.topic).split('/')[1]!
      this.got.set(device, [...(this.got.get(device) ?? []), String(packet.payload)])
      this.#total.count++
      for (const look of this.#total.waiting) look()
    }
  }
}

class Members {
  readonly all: Member[] = []
  readonly #total = { count: 0, waiting: new Set<() => void>() }

  async join(broker: TestBroker, clientId: string, filter = group, options: RawConnectOptions = {}): Promise<Member> {
    const client = await connect(broker, clientId, options)
    await client.subscribe(filter, 1)
    const member = new Member(client, this.#total)
    this.all.push(member)
    return member
  }

  /** Resolves when the members have got this many records together. */
  received(count: number): Promise<void> {
    return new Promise(resolve => {
      const look = () => {
        if (this.#total.count < count) return
        this.#total.waiting.delete(look)
        resolve()
      }
      this.#total.waiting.add(look)
      look()
    })
  }

  /** What each device's records look like, members one after the other. */
  byDevice(): Record<string, string[]> {
    const found: Record<string, string[]> = {}
    for (const id of devices) found[id] = this.all.flatMap(({ got }) => got.get(id) ?? [])
    return found
  }
}

const numbers = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => String(first + i))
const everyDevice = (list: string[]) => Object.fromEntries(devices.map(id => [id, list]))

for (const version of [4, 5] as const) {
  t.test(
    `members share the partitions: each record goes to one, each device to the same, in order (version ${version})`,
    async t => {
      const broker = await start(t)
      await publish(broker, 1, 20)
      const members = new Members()
      for (const id of ['a', 'b', 'c']) await members.join(broker, id, group, { version })
      await publish(broker, 21, 40)
      await members.received(devices.length * 40)
      const owners = devices.map(id => members.all.filter(({ got }) => (got.get(id)?.length ?? 0) > 0).length)
      t.ok(owners.every(count => count >= 1))
      for (const { got } of members.all)
        for (const list of got.values())
          t.same(
            list,
            [...list].sort((x, y) => Number(x) - Number(y))
          )
      t.same(
        Object.fromEntries(
          Object.entries(members.byDevice()).map(([id, list]) => [id, list.sort((x, y) => Number(x) - Number(y))])
        ),
        everyDevice(numbers(1, 40)),
        'everything, and nothing twice'
      )
      t.equal(broker.broker.describeGroups()[0]?.members.length, 3)
    }
  )
}

t.test('a member that joins takes partitions over without a gap, a repeat or a change of order', async t => {
  const broker = await start(t)
  const members = new Members()
  await members.join(broker, 'a')
  const publishing = publish(broker, 1, 60)
  await members.received(100)
  await members.join(broker, 'b')
  await publishing
  await members.received(devices.length * 60)
  t.same(members.byDevice(), everyDevice(numbers(1, 60)), 'the first member has the beginning, the second the rest')
  const [{ partitions } = { partitions: [] }] = broker.broker.describeGroups()
  t.same(['a', 'b'].map(id => partitions.filter(({ member }) => member === id).length).sort(), [2, 2])
})

t.test('what a member that leaves did not acknowledge goes to another one, in order', async t => {
  const broker = await start(t)
  await publish(broker, 1, 10)
  const leaving = await connect(broker, 'leaving', { properties: { receiveMaximum: 20 } })
  await leaving.subscribe(group, 1)
  const got: AnyPacket[] = []
  while (got.length < 20) got.push(await leaving.expect('publish'))
  for (const packet of got.slice(0, 7)) leaving.send({ cmd: 'puback', messageId: packet.messageId })
  await leaving.ping()
  await leaving.cut()
  const members = new Members()
  await members.join(broker, 'next')
  await members.received(devices.length * 10 - 7)
  const acknowledged = got.slice(0, 7).map(({ topic, payload }) => `${String(topic).split('/')[1]} ${String(payload)}`)
  for (const id of devices) {
    t.same(
      members.byDevice()[id],
      numbers(1, 10).filter(n => !acknowledged.includes(`${id} ${n}`)),
      id
    )
  }
})

t.test('a group goes on where it was when all have left, over a restart, whoever comes', async t => {
  let broker = await start(t)
  await publish(broker, 1, 5)
  const first = new Members()
  const member = await first.join(broker, 'first')
  await first.received(devices.length * 5)
  await member.client.ping()
  await member.client.cut()
  await publish(broker, 6, 8)
  broker = await broker.restart(t)
  t.match(broker.broker.describeGroups(), [
    { stream: 'telemetry', group: 'workers', filter: '#', members: [], lag: devices.length * 3 }
  ])
  const second = new Members()
  await second.join(broker, 'second')
  await second.received(devices.length * 3)
  t.same(second.byDevice(), everyDevice(numbers(6, 8)))
})

t.test('a group whose stream was taken away from the folder reads what comes into the new one', async t => {
  let broker = await start(t)
  await publish(broker, 1, 5)
  const first = new Members()
  const member = await first.join(broker, 'first')
  await first.received(devices.length * 5)
  await member.client.ping()
  await member.client.cut()
  await broker.stop()
  await rm(join(broker.folder, 'streams', 'telemetry'), { recursive: true })
  broker = await broker.restart(t)
  await publish(broker, 6, 8)
  const second = new Members()
  await second.join(broker, 'second')
  await second.received(devices.length * 3)
  t.same(second.byDevice(), everyDevice(numbers(6, 8)))
})

t.test('a group goes on where it was although a member with a session of its own was there before it', async t => {
  let broker = await start(t)
  await publish(broker, 1, 3)
  const session = { clean: false, properties: { sessionExpiryInterval: 1000 } }
  const before = new Members()
  const member = await before.join(broker, 'stays', group, session)
  await before.received(devices.length * 3)
  await member.client.ping()
  broker = await broker.restart(t)
  await publish(broker, 4, 4)
  const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'stays', ...session })
  const got: string[] = []
  while (got.length < devices.length) {
    const { messageId, payload } = await client.expect('publish')
    client.send({ cmd: 'puback', messageId })
    got.push(String(payload))
  }
  t.same(new Set(got), new Set(['4']), 'and nothing from before')
})

t.test('what a member waits to send when its partition goes to another one is not sent twice', async t => {
  const broker = await start(t)
  const inPartition = (partition: number) => devices.find(id => keyPartition('clientId', '', id, 4) === partition)!
  // The first member keeps the lower partitions when another one comes.
  for (const id of [inPartition(0), inPartition(3)]) {
    const device = await connect(broker, id)
    await device.publish(`devices/${id}`, id, 1)
    await device.disconnect()
  }
  const slow = await connect(broker, 'slow', { properties: { receiveMaximum: 1 } })
  await slow.subscribe(group, 1)
  const { messageId } = await slow.expect('publish')
  const quick = await connect(broker, 'quick')
  await quick.subscribe(group, 1)
  t.equal(String((await quick.expect('publish')).payload), inPartition(3))
  slow.send({ cmd: 'puback', messageId })
  for (let round = 0; round < 10; round++) t.same(await slow.ping(), [])
})

t.test('groups do not know of each other; the beginning counts when a group is made', async t => {
  const clock = new ManualClock()
  const broker = await start(t, { clock })
  await publish(broker, 1, 3)
  clock.advance(5000)
  const atMs = clock.nowMs
  await publish(broker, 4, 5)
  const one = new Members()
  await one.join(broker, 'one', '$share/one/$stream/telemetry/earliest')
  const two = new Members()
  await two.join(broker, 'two', `$share/two/$stream/telemetry/@${atMs}`)
  const three = new Members()
  await three.join(broker, 'three', '$share/three/$stream/telemetry')
  await publish(broker, 6, 6)
  await one.received(devices.length * 6)
  await two.received(devices.length * 3)
  await three.received(devices.length)
  t.same(one.byDevice(), everyDevice(numbers(1, 6)))
  t.same(two.byDevice(), everyDevice(numbers(4, 6)))
  t.same(three.byDevice(), everyDevice(['6']))
})

t.test('groups beyond maxStreamGroups are refused; those that exist take members', async t => {
  const broker = await start(t, { limits: { maxStreamGroups: 1 } })
  const client = await connect(broker, 'a')
  t.same((await client.subscribe('$share/one/$stream/telemetry', 1)).granted, [1])
  t.same((await client.subscribe('$share/two/$stream/telemetry', 1)).granted, [0x97])
  const other = await connect(broker, 'b')
  t.same((await other.subscribe('$share/one/$stream/telemetry', 1)).granted, [1])
})

t.test('a member that comes and goes while partitions wait to be handed to it leaves no gap', async t => {
  const broker = await start(t)
  await publish(broker, 1, 3)
  const staying = await connect(broker, 'staying')
  await staying.subscribe(group, 1)
  const first: AnyPacket[] = []
  while (first.length < devices.length * 3) first.push(await staying.expect('publish'))
  const coming = await connect(broker, 'coming')
  await coming.subscribe(group, 1)
  // Read while its partitions wait for the other member, and passed over.
  await publish(broker, 4, 5)
  const kept: AnyPacket[] = await staying.ping()
  await coming.disconnect()
  for (const { messageId } of [...first, ...kept]) staying.send({ cmd: 'puback', messageId })
  while (first.length + kept.length < devices.length * 5) {
    const packet = await staying.expect('publish')
    staying.send({ cmd: 'puback', messageId: packet.messageId })
    kept.push(packet)
  }
  const got = kept.map(({ topic, payload }) => `${topic} ${payload}`).sort()
  t.same(got, devices.flatMap(id => ['4', '5'].map(n => `devices/${id} ${n}`)).sort(), 'each of the later ones, once')
})

t.test('a group is where it was after a restart, also when a member with a session comes back', async t => {
  let broker = await start(t)
  await publish(broker, 1, 4)
  const options = { clean: false, properties: { sessionExpiryInterval: 1000 } }
  const before = new Members()
  const member = await before.join(broker, 'member', group, options)
  await before.received(devices.length * 4)
  await member.client.ping()
  await member.client.disconnect()
  await publish(broker, 5, 5)
  broker = await broker.restart(t)
  const { client } = await RawClient.connect(broker.port, { version: 5, clientId: 'member', ...options })
  const got: string[] = []
  while (got.length < devices.length) {
    const packet = await client.expect('publish')
    client.send({ cmd: 'puback', messageId: packet.messageId })
    got.push(String(packet.payload))
  }
  t.same(got, new Array(devices.length).fill('5'), 'what it had acknowledged does not come again')
})
