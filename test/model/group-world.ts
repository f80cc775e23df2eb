import fc from 'fast-check'
import type { NativeEngine } from '../../lib/broker/native/engine.ts'
import { CrashableDisk } from '../properties/crashable-disk.ts'
import { TestBroker, type TestBrokerOptions } from '../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../support/raw-client.ts'
import { GroupModel } from './group-model.ts'

export type GroupStep =
  | { do: 'publish'; counts: number[] }
  | { do: 'join'; who: number; receiveMaximum: number; stays: boolean }
  | { do: 'leave'; who: number; how: 'disconnect' | 'cut' }
  | { do: 'answer'; who: number; count: number; shuffle: number; waits: boolean }
  | { do: 'turns'; count: number }
  | { do: 'settle' }
  | { do: 'restart' }
  | { do: 'crash' }

export interface GroupScript {
  commitTurns: number
  steps: GroupStep[]
}

const membersMax = 5
const devices = 6
const patienceMs = 30_000

const who = fc.nat(membersMax - 1)
const join = fc.record({
  do: fc.constant('join' as const),
  who,
  receiveMaximum: fc.constantFrom(1, 2, 5, 100),
  stays: fc.boolean()
})
const publish = fc.record({
  do: fc.constant('publish' as const),
  counts: fc.array(fc.nat(4), { minLength: devices, maxLength: devices })
})

export function groupScripts(stepsMax: number, ends: { restarts: number; crashes: number }): fc.Arbitrary<GroupScript> {
  const step = fc.oneof<fc.WeightedArbitrary<GroupStep>[]>(
    { weight: 4, arbitrary: publish },
    { weight: 4, arbitrary: join },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('leave' as const),
        who,
        how: fc.constantFrom('disconnect' as const, 'cut' as const)
      })
    },
    {
      weight: 10,
      arbitrary: fc.record({
        do: fc.constant('answer' as const),
        who,
        count: fc.constantFrom(1, 2, 5, 50),
        shuffle: fc.constantFrom(0, 0, 1, 7),
        waits: fc.boolean()
      })
    },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 20 }) }) },
    { weight: 2, arbitrary: fc.constant<GroupStep>({ do: 'settle' }) },
    { weight: ends.restarts, arbitrary: fc.constant<GroupStep>({ do: 'restart' }) },
    { weight: ends.crashes, arbitrary: fc.constant<GroupStep>({ do: 'crash' }) }
  )
  return fc.record({
    commitTurns: fc.constantFrom(0, 1, 4, 12),
    // Somebody is there from the start; shrinking removes what is not needed.
    steps: fc.tuple(join, publish, fc.array(step, { maxLength: stepsMax, size: 'max' })).map(([a, b, rest]) => [a, b, ...rest])
  })
}

interface Member {
  client: RawClient
  group: GroupModel
  /** Packet ids of what it holds, by offset. */
  packetIds: Map<number, number>
  /** Acknowledged since the last round trip. */
  unsure: Set<number>
  pings: (() => void)[]
  /** It reads no more. */
  gone: boolean
}

/** A broker, members that keep to the protocol and acknowledge when they are told, and what the groups owe them. */
export class GroupWorld {
  /** Two groups read the same stream; what one does is nothing to the other. */
  readonly groups = [new GroupModel('g'), new GroupModel('h')]
  readonly #members = new Map<number, Member>()
  readonly #disk = new CrashableDisk()
  readonly #options: TestBrokerOptions
  readonly #teardowns: (() => unknown)[] = []
  readonly #events: (() => void)[] = []
  readonly #trace: string[] = []
  #started!: TestBroker
  #known = 0
  #sequence = 0

  constructor(commitTurns: number) {
    this.#options = { openDb: this.#disk.open, wrapStore: store => this.#disk.slow(store, commitTurns) }
  }

  async run(steps: readonly GroupStep[]): Promise<void> {
    this.#started = await TestBroker.start({ teardown: fn => this.#teardowns.push(fn) }, this.#options)
    try {
      for (const [i, step] of steps.entries()) {
        this.#note(`${i} ${JSON.stringify(step)}`)
        await this.#take(step)
        await this.#account()
      }
      await this.#finish()
    } finally {
      for (const { client } of this.#members.values()) client.socket.destroy()
      for (const teardown of this.#teardowns.reverse()) await teardown()
    }
  }

  async #take(step: GroupStep): Promise<void> {
    switch (step.do) {
      case 'publish':
        return this.#publish(step.counts)
      case 'join':
        return this.#join(step.who, step.receiveMaximum, step.stays)
      case 'leave':
        return this.#leave(step.who, step.how)
      case 'answer':
        return this.#answer(step)
      case 'turns':
        for (let i = 0; i < step.count; i++) await turn()
        return
      case 'settle':
        return this.#settle()
      case 'restart':
        return this.#end(false)
      case 'crash':
        return this.#end(true)
      default:
        step satisfies never
    }
  }

  async #publish(counts: readonly number[]): Promise<void> {
    await Promise.all(
      counts.map(async (count, device) => {
        if (count === 0) return
        const { client } = await RawClient.connect(this.#started.port, { clientId: `device-${device}` })
        for (let i = 0; i < count; i++) await client.publish(`devices/${device}`, `${this.#sequence++}`, 1)
        await client.disconnect()
      })
    )
  }

  async #join(who: number, receiveMaximum: number, stays: boolean): Promise<void> {
    if (this.#members.has(who)) return
    // The same client is always in the same group.
    const group = this.groups[who % 2]!
    const { client, connack } = await RawClient.connect(this.#started.port, {
      ...{ version: 5, clientId: `member-${who}`, clean: !stays },
      properties: { receiveMaximum, sessionExpiryInterval: stays ? 10_000 : 0 }
    })
    const member: Member = { client, group, packetIds: new Map(), unsure: new Set(), pings: [], gone: false }
    this.#members.set(who, member)
    const subscribed = this.#pump(`member-${who}`, member)
    if (connack.sessionPresent) return
    const filter = `$share/${group.name}/$stream/telemetry/earliest`
    client.send({ cmd: 'subscribe', messageId: 9_999, subscriptions: [{ topic: filter, qos: 1 }] })
    await subscribed
  }

  /** Resolves with the SUBACK; goes on reading. */
  #pump(name: string, member: Member): Promise<void> {
    return new Promise(resolve => {
      const read = async (): Promise<void> => {
        for (;;) {
          const packet = await member.client.next()
          if (packet === undefined || member.gone) return
          if (packet.cmd === 'suback') resolve()
          else if (packet.cmd === 'pingresp') member.pings.shift()?.()
          else if (packet.cmd === 'publish') this.#arrived(name, member, packet)
        }
      }
      void read()
    })
  }

  #arrived(name: string, member: Member, packet: AnyPacket): void {
    const { userProperties } = packet.properties as { userProperties: Record<string, string> }
    const place = { offset: Number(userProperties.offset), partition: Number(userProperties.partition) }
    member.packetIds.set(place.offset, Number(packet.messageId))
    // Judged once it is known what is in the stream.
    this.#events.push(() => {
      this.#note(`   ${name} gets ${place.offset} of ${place.partition}`)
      member.group.delivered(name, place)
    })
  }

  /** Brings the model up to date with everything that has happened, in its order. */
  async #account(): Promise<void> {
    const events = this.#events.splice(0)
    const places: { offset: number; partition: number }[] = []
    const stream = this.#started.streams.get('telemetry')!
    for await (const { offset, partition } of stream.read({ from: { offset: this.#known } })) places.push({ offset, partition })
    this.#known += places.length
    for (const group of this.groups) group.added(places)
    for (const event of events) event()
    const complaints = this.groups.flatMap(group => group.complaints)
    if (complaints.length > 0)
      throw new Error(`${complaints.join('\n')}\n\nWhat happened:\n${this.#trace.slice(-80).join('\n')}\n`)
  }

  async #answer({ who, count, shuffle, waits }: Extract<GroupStep, { do: 'answer' }>): Promise<void> {
    const member = this.#members.get(who)
    if (member === undefined) return
    await this.#account()
    const held = member.group.heldBy(`member-${who}`)
    let state = shuffle
    for (let i = 0; i < count && held.length > 0; i++) {
      const at = shuffle === 0 ? 0 : (state = (state * 31 + 17) % 1009) % held.length
      const [offset] = held.splice(at, 1)
      this.#acknowledge(member, offset!)
    }
    if (waits) await this.#roundTrip(member)
  }

  #acknowledge(member: Member, offset: number): void {
    this.#note(`   acknowledges ${offset} to ${member.group.name}`)
    member.unsure.add(offset)
    member.client.send({ cmd: 'puback', messageId: member.packetIds.get(offset), reasonCode: 0 })
    member.group.acknowledged(offset)
  }

  async #roundTrip(member: Member): Promise<void> {
    const sent = new Set(member.unsure)
    await new Promise<void>((resolve, reject) => {
      member.pings.push(resolve)
      if (member.client.socket.closed) reject(new Error('the broker ended the connection of a member'))
      member.client.send({ cmd: 'pingreq' })
    })
    for (const offset of sent) member.unsure.delete(offset)
  }

  async #leave(who: number, how: 'disconnect' | 'cut'): Promise<void> {
    const member = this.#members.get(who)
    if (member === undefined) return
    // What has arrived has arrived before it left.
    await this.#account()
    this.#members.delete(who)
    member.gone = true
    if (how === 'disconnect') member.client.send({ cmd: 'disconnect', reasonCode: 0 })
    else member.client.socket.destroy()
    // A connection that is closed in order is read to its end by the broker.
    this.#events.push(() => member.group.left(`member-${who}`, how === 'cut' ? member.unsure : new Set()))
    await new Promise<void>(resolve =>
      member.client.socket.closed ? resolve() : member.client.socket.once('close', () => resolve())
    )
  }

  /** Everything acknowledged is processed and on disk. */
  async #settle(): Promise<void> {
    for (const member of this.#members.values()) await this.#roundTrip(member)
    await (this.#started.broker.engine as NativeEngine).drain()
    await this.#account()
    for (const group of this.groups) group.settled()
  }

  async #end(crash: boolean): Promise<void> {
    if (crash) this.#disk.dead = true
    else for (const member of this.#members.values()) await this.#roundTrip(member)
    const { folder } = this.#started
    await this.#account()
    const members = [...this.#members]
    this.#members.clear()
    const gone = members.map(([, { client }]) => new Promise(resolve => client.socket.once('close', resolve)))
    await this.#started.stop()
    await Promise.all(gone)
    await this.#started.streams.close()
    this.#disk.dead = false
    // What arrived while the broker went down, and then that it is down.
    this.#events.push(() => {
      for (const [who, { group, unsure }] of members) group.left(`member-${who}`, unsure)
      for (const group of this.groups) crash ? group.crashed() : group.stopped()
    })
    this.#started = await TestBroker.start({ teardown: fn => this.#teardowns.push(fn) }, { ...this.#options, folder })
  }

  /** Everybody takes what is left; nothing of it comes again after a restart. */
  async #finish(): Promise<void> {
    const deadline = Date.now() + patienceMs
    for (const who of [0, 1]) await this.#join(who, 20, false)
    for (;;) {
      await this.#account()
      const owed = this.groups.map(group => group.owed)
      if (owed.every(list => list.length === 0)) break
      if (Date.now() > deadline) throw new Error(`never delivered: ${JSON.stringify(owed)}\n${this.#trace.slice(-80).join('\n')}`)
      for (const who of this.#members.keys()) await this.#answer({ do: 'answer', who, count: 1000, shuffle: 0, waits: true })
    }
    await this.#settle()
    await this.#end(false)
    for (const who of [0, 1]) await this.#join(who, 20, false)
    await this.#publish(Array.from({ length: devices }, () => 1))
    for (const last = this.#known + devices; this.#known < last || this.groups.some(group => group.owed.length > 0); ) {
      await this.#account()
      if (Date.now() > deadline + patienceMs) throw new Error('what was published last is never delivered')
      for (const who of this.#members.keys()) await this.#answer({ do: 'answer', who, count: 1000, shuffle: 0, waits: true })
    }
  }

  #note(line: string): void {
    this.#trace.push(line)
  }
}

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
