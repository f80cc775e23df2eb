import { setImmediate as turnEnd } from 'node:timers/promises'
import type { SubscribePacket } from '../../mqtt/packet.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import type { ReadFrom, Stream, StreamGap, StreamRecord } from '../../stream/contract.ts'
import { parseReadFrom, parseStreamFilter, streamFilterPrefix } from '../../stream/read-from.ts'
import { parseSharedFilter, topicMatches } from '../../topic/filter.ts'
import { endAfterHookError, HookError } from '../ask-hook.ts'
import type { Connection } from '../connection.ts'
import { type BrokerSession, type RoutedSubscription, storedSubscription } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import type { OutgoingPublish } from './publish-writer.ts'
import { GroupReading } from './stream-group.ts'
import { StreamGroups } from './stream-groups.ts'
import { type Reading, StreamReading } from './stream-reading.ts'
import { recordPacket, recordShownTo, withAttempt } from './stream-record.ts'

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
  readonly #deliverer: Deliverer
  readonly groups: StreamGroups

  constructor(context: NativeContext, deliverer: Deliverer) {
    this.#context = context
    this.#deliverer = deliverer
    this.groups = new StreamGroups(context, reading => this.#restart(reading))
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
    this.#open(subscription, found, position === undefined ? (found.from ?? 'latest') : { offset: position })
  }

  #open(subscription: RoutedSubscription, found: Found, start: ReadFrom): Reading {
    this.remove(subscription)
    const { stream, filter, group } = found
    const reading =
      group === undefined
        ? new StreamReading(subscription, stream, filter, start, moved => this.#moved(moved))
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
    else if (reading.next !== undefined) reading.passed(reading.next)
  }

  /** The client is there: readings that do not run yet start. */
  online(session: BrokerSession): void {
    const { connection } = session
    if (session.readings === undefined || connection === undefined) return
    for (const reading of session.readings.values()) {
      if (reading instanceof GroupReading) this.groups.join(reading)
      else if (reading.stop === undefined) void this.#run(reading, session, connection)
    }
  }

  /** A member of a group has other partitions now. */
  #restart(reading: GroupReading): void {
    const { session } = reading.subscription
    stop(reading)
    if (session.connection !== undefined && reading.next !== undefined) void this.#run(reading, session, session.connection)
  }

  /** The connection is over, or the session. */
  offline(session: BrokerSession): void {
    for (const reading of session.readings?.values() ?? []) this.#leave(reading)
  }

  /** The window may be open again. */
  serve(session: BrokerSession): void {
    if (session.readings) for (const reading of session.readings.values()) reading.wake?.()
  }

  /** The packet of an offset that was sent on an earlier connection; undefined when retention has removed it. */
  async again(reading: StreamReading, offset: number, packetId: number): Promise<OutgoingPublish | undefined> {
    const { stream, subscription } = reading
    for await (const record of stream.read({ from: { offset }, limit: 1, outOfRange: 'earliest', onGap: () => {} })) {
      if (record.offset !== offset) break
      const packet = recordPacket(record, subscription, stream.name, undefined, this.#context.now())
      return { ...packet, packetId, qos: 1, dup: true }
    }
    return undefined
  }

  async #run(reading: Reading, session: BrokerSession, connection: Connection): Promise<void> {
    const abort = new AbortController()
    reading.stop = abort
    const { signal } = abort
    // A time is looked for once; what the others mean was settled when the subscription was made.
    const from = reading.timed ?? { offset: reading.next ?? 0 }
    let gap: StreamGap | undefined
    const onGap = (lost: StreamGap) => {
      gap = { fromOffset: gap?.fromOffset ?? lost.fromOffset, toOffset: lost.toOffset }
    }
    try {
      // To the client it is the same whether damage or retention took them.
      const batches = reading.stream.readBatches({
        ...{ from, follow: true, signal, outOfRange: 'earliest', onGap },
        onRemoved: onGap
      })
      for await (const { records, nextOffset } of batches) {
        reading.began()
        for (const record of records) {
          if (!this.#wanted(reading, session, record)) continue
          if (!this.#mayTake(session, connection)) {
            do await this.#room(reading, session, connection)
            while (!this.#mayTake(session, connection))
            // Another member of the group may have got its partition meanwhile.
            if (!signal.aborted && !reading.takes(record)) continue
          }
          if (signal.aborted) return
          this.#send(reading, session, connection, record, gap)
          gap = undefined
        }
        // The reading began anew elsewhere while records of this batch were handed out.
        if (signal.aborted) return
        reading.passed(nextOffset)
      }
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof HookError) return endAfterHookError(connection, error)
      this.#context.broker.logger?.error(
        { err: error, clientId: session.clientId, stream: reading.stream.name },
        'a stream cannot be read'
      )
      connection.disconnect(reasonCode.implementationSpecificError, error as Error, 'stream-unavailable')
    } finally {
      if (reading.stop === abort) reading.stop = undefined
    }
  }

  #wanted(reading: Reading, { policy, clientId }: BrokerSession, record: StreamRecord): boolean {
    const { filter, subscription } = reading
    if (!reading.takes(record)) return false
    if (filter !== '#' && !topicMatches(filter, record.topic)) return false
    if (subscription.noLocal && record.clientId === clientId) return false
    return policy === undefined || policy.permitsAll || policy.canReceive(record.topic)
  }

  #mayTake(session: BrokerSession, connection: Connection): boolean {
    if (session.connection !== connection || connection.closed) return true // the loop looks itself
    if (session.resends || !this.#deliverer.windowOpen(session, connection)) return false
    return connection.outbound.waitingBytes <= this.#context.limits.maxOutboundBufferBytes
  }

  /** Resolves when there may be room. What waits is handed to the transport at the end of the turn, which may be all it needs. */
  async #room(reading: Reading, session: BrokerSession, connection: Connection): Promise<void> {
    await turnEnd()
    if (this.#mayTake(session, connection) || reading.stop === undefined || reading.stop.signal.aborted) return
    await new Promise<void>(resolve => {
      reading.wake = resolve
    })
    reading.wake = undefined
  }

  #send(
    reading: Reading,
    session: BrokerSession,
    connection: Connection,
    record: StreamRecord,
    gap: StreamGap | undefined
  ): void {
    const { subscription, stream } = reading
    const shown = recordShownTo(this.#context.broker, connection, record)
    if (shown === undefined) return
    const packet = recordPacket(shown, subscription, stream.name, gap, this.#context.now())
    const attempt = reading.attempt?.(record) ?? 1
    if (attempt > 1 && session.version === 5) packet.properties = withAttempt(packet.properties, attempt)
    const source = reading.taken(record, subscription.qos > 0)
    if (subscription.qos === 0) {
      this.#deliverer.send(connection, packet)
      return
    }
    packet.qos = 1
    packet.packetId = session.inflight.allocate()
    session.inflight.sent(packet.packetId, record.offset, 1, source)
    if (!this.#deliverer.send(connection, packet)) this.#deliverer.forget(session, packet.packetId)
  }

  /** The position is stored with the subscription; a crash repeats what was acknowledged since the last commit. */
  #moved(reading: StreamReading): void {
    const { subscription } = reading
    const { session, filter } = subscription
    if (session.readings?.get(filter) !== reading) return
    subscription.position = reading.position
    if (!session.stored) return
    this.#context.store.putSubscription(session.key, storedSubscription(subscription))
    this.#context.commit.schedule()
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
  reading.stop?.abort()
  reading.stop = undefined
  reading.wake?.()
}

function fromProperty({ properties }: SubscribePacket): string | undefined {
  return properties.userProperties?.find(([name]) => name === 'from')?.[1]
}
