import type { SubscribePacket } from '../../mqtt/packet.ts'
import type { ReadFrom, Stream } from '../../stream/contract.ts'
import { parseReadFrom, parseStreamFilter, streamFilterPrefix } from '../../stream/read-from.ts'
import { parseSharedFilter } from '../../topic/filter.ts'
import type { Connection } from '../connection.ts'
import { type BrokerSession, type RoutedSubscription, storedSubscription } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import { MovedPositions } from './moved-positions.ts'
import type { OutgoingPublish } from './publish-writer.ts'
import { ReadTurns } from './read-turns.ts'
import { GroupReading } from './stream-group.ts'
import { StreamGroups } from './stream-groups.ts'
import { type Reading, StreamReading } from './stream-reading.ts'
import { recordPacket, ToldProperties } from './stream-record.ts'
import { type RunHost, StreamRun } from './stream-run.ts'

/** Is this Topic Filter one that reads a stream, alone or in a group? */
export function readsStream(filter: string): boolean {
  if (filter.startsWith(streamFilterPrefix)) return true
  return filter.startsWith('$share/') && parseSharedFilter(filter)?.filter.startsWith(streamFilterPrefix) === true
}

/** Of those: a stream that the broker itself writes, such as the one of dead letters? */
export function readsOwnStream(filter: string): boolean {
  return (parseSharedFilter(filter)?.filter ?? filter).startsWith(`${streamFilterPrefix}$`)
}

/**
 * Reading a stream over MQTT: `$stream/{name}[/{from}[/{filter}]]` as a Topic Filter, with `$share/{group}/` before it as a member of a
 * consumer group. Records come under their original topic, paced
 * by the client's window: first what is in the stream, then what becomes durable, in the order of the stream, without gap or repeat.
 */
export class StreamSubscriptions {
  readonly #context: NativeContext
  readonly groups: StreamGroups
  readonly #host: RunHost
  readonly #draining = new WeakSet<Connection>()
  readonly #moved = new MovedPositions<StreamReading>(reading => this.#storePosition(reading))

  constructor(context: NativeContext, deliverer: Deliverer) {
    this.#context = context
    this.groups = new StreamGroups(context, reading => this.#restart(reading))
    const { limits, counters } = context
    this.#host = {
      context,
      deliverer,
      turns: new ReadTurns(limits.streamReadRecordsPerTurn, counters.publishReceived),
      awaitDrain: (session, connection) => this.#awaitDrain(session, connection),
      restart: reading => this.#restart(reading)
    }
  }

  /** Puts every position that has moved into the store's batch, for the last commit. */
  storePositions(): void {
    this.#moved.flush()
  }

  /** What is wrong with the filter or the `from` property of a SUBSCRIBE; undefined when nothing is. */
  problem(filter: string, packet: SubscribePacket): string | undefined {
    const parsed = parseStreamFilter(parseSharedFilter(filter)?.filter ?? filter)
    if (typeof parsed === 'string') return parsed
    const stream = this.#context.streams.get(parsed.stream)
    if (stream === undefined) return `there is no stream ${JSON.stringify(parsed.stream)}`
    const asked = fromProperty(packet)
    const start = asked === undefined ? parsed.from : parseReadFrom(asked)
    if (asked !== undefined && start === undefined) {
      return `user property from: expected earliest, latest, an offset, an ISO time or @ and epoch milliseconds, not ${JSON.stringify(asked)}`
    }
    if (typeof start === 'object' && 'offset' in start && start.offset > stream.nextOffset) {
      return `offset ${start.offset} does not exist yet; the next one will be ${stream.nextOffset}`
    }
    return undefined
  }

  /** Would it make a consumer group more than limits.maxStreamGroups allows? */
  exceedsGroups(filter: string): boolean {
    const shared = parseSharedFilter(filter)
    const parsed = parseStreamFilter(shared?.filter ?? filter)
    if (shared === undefined || typeof parsed === 'string') return false
    return this.groups.wouldExceed({ stream: parsed.stream, group: shared.group, filter: parsed.filter })
  }

  /** A SUBSCRIBE was granted: the reading begins where it says, once online() is called. */
  begin(subscription: RoutedSubscription, packet: SubscribePacket): void {
    const asked = fromProperty(packet)
    const found = this.#find(subscription)
    if (found === undefined) return
    const start = (asked === undefined ? found.from : parseReadFrom(asked)) ?? 'latest'
    const reading = this.#open(subscription, found, start)
    // A group knows its positions itself; and until its first record is found, a reading that begins at a time has none.
    if (reading instanceof StreamReading && reading.timed === undefined) subscription.position = reading.next
    else delete subscription.position
  }

  /** Found in the store at start: goes on where the client has acknowledged. */
  restore(subscription: RoutedSubscription): void {
    const found = this.#find(subscription)
    // The stream is not declared any more; the subscription stays, in case it comes back.
    if (found === undefined) return
    const { position } = subscription
    const { name, nextOffset } = found.stream
    if (position === undefined) this.#open(subscription, found, found.from ?? 'latest')
    else if (position <= nextOffset) this.#open(subscription, found, { offset: position })
    else {
      // The stream was taken away, or put back from a copy. Now is when its end tells what the client has read.
      const what = 'a client was further than its stream goes, and reads on from the end of the stream'
      this.#context.broker.logger?.warn({ clientId: subscription.session.clientId, stream: name, position, nextOffset }, what)
      const reading = this.#open(subscription, found, { offset: nextOffset })
      if (reading instanceof StreamReading) this.#moved.add(reading)
    }
  }

  #open(subscription: RoutedSubscription, found: Found, start: ReadFrom): Reading {
    this.remove(subscription)
    const { stream, filter, group } = found
    const reading =
      group === undefined
        ? new StreamReading(subscription, stream, filter, start, moved => {
            if (subscription.session.stored) this.#moved.add(moved)
          })
        : this.groups.reading(subscription, group, stream, filter, start)
    const { session } = subscription
    session.readings ??= new Map()
    session.readings.set(subscription.filter, reading)
    return reading
  }

  #find(subscription: RoutedSubscription): Found | undefined {
    const shared = parseSharedFilter(subscription.filter)
    const parsed = parseStreamFilter(shared?.filter ?? subscription.filter)
    if (typeof parsed === 'string') return undefined
    const stream = this.#context.streams.get(parsed.stream)
    return stream === undefined ? undefined : { ...parsed, stream, group: shared?.group }
  }

  remove({ session, filter }: RoutedSubscription): void {
    const reading = session.readings?.get(filter)
    if (reading === undefined) return
    this.#leave(reading)
    session.readings!.delete(filter)
  }

  #leave(reading: Reading): void {
    stop(reading)
    if (reading instanceof GroupReading) reading.leave()
    // Until the first record is found, a reading that begins at a time has no position.
    else if (reading.timed === undefined && reading.next !== undefined) reading.passed(reading.next)
  }

  /** The client is there: readings that do not run yet start. */
  online(session: BrokerSession): void {
    const { connection } = session
    if (session.readings === undefined || connection === undefined) return
    for (const reading of session.readings.values()) {
      if (reading instanceof GroupReading) this.groups.join(reading)
      else if (reading.run === undefined) this.#run(reading, connection)
    }
  }

  /** A member of a group has other partitions now, or a client other rights. */
  #restart(reading: Reading): void {
    const { connection } = reading.subscription.session
    stop(reading)
    if (connection !== undefined && reading.next !== undefined) this.#run(reading, connection)
  }

  /** The connection is over, or the session. */
  offline(session: BrokerSession): void {
    for (const reading of session.readings?.values() ?? []) this.#leave(reading)
  }

  /** The window may be open again. */
  serve(session: BrokerSession): void {
    if (session.readings) for (const reading of session.readings.values()) reading.run?.wake()
  }

  /** The packet of an offset that was sent on an earlier connection; undefined when retention has removed it. */
  async again(reading: StreamReading, offset: number, packetId: number): Promise<OutgoingPublish | undefined> {
    const { stream, subscription } = reading
    for await (const record of stream.read({ from: { offset }, limit: 1, outOfRange: 'earliest', onGap: () => {} })) {
      if (record.offset !== offset) break
      const packet = recordPacket(record, subscription, new ToldProperties(stream.name), undefined, this.#context.now())
      return { ...packet, packetId, qos: 1, dup: true }
    }
    return undefined
  }

  #run(reading: Reading, connection: Connection): void {
    reading.run = new StreamRun(this.#host, reading, connection)
  }

  /** The position is stored with the subscription; a crash repeats what was acknowledged since the last commit. */
  #storePosition(reading: StreamReading): void {
    const { subscription } = reading
    const { session, filter } = subscription
    if (session.readings?.get(filter) !== reading) return
    subscription.position = reading.position
    this.#context.store.putSubscription(session.key, storedSubscription(subscription))
    this.#context.commit.schedule()
  }

  #awaitDrain(session: BrokerSession, connection: Connection): void {
    if (this.#draining.has(connection)) return
    this.#draining.add(connection)
    connection.conn.once('drain', () => {
      this.#draining.delete(connection)
      if (session.connection === connection) this.serve(session)
    })
  }
}

/** A subscription's filter taken apart. */
interface Found {
  stream: Stream
  filter: string
  from: ReadFrom | undefined
  /** The ShareName of a group. */
  group: string | undefined
}

function stop(reading: Reading): void {
  reading.run?.stop()
  reading.run = undefined
}

function fromProperty({ properties }: SubscribePacket): string | undefined {
  return properties.userProperties?.find(([name]) => name === 'from')?.[1]
}
