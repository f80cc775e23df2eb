import { setImmediate as turnEnd } from 'node:timers/promises'
import type { SubscribePacket } from '../../mqtt/packet.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import type { ReadFrom, Stream, StreamGap, StreamRecord } from '../../stream/contract.ts'
import { parseReadFrom, parseStreamFilter, streamFilterPrefix } from '../../stream/read-from.ts'
import { topicMatches } from '../../topic/filter.ts'
import type { Connection } from '../connection.ts'
import { type BrokerSession, type RoutedSubscription, storedSubscription } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import type { OutgoingPublish } from './publish-writer.ts'
import { StreamReading } from './stream-reading.ts'
import { recordPacket, recordShownTo } from './stream-record.ts'

/** Is this Topic Filter one that reads a stream? */
export function readsStream(filter: string): boolean {
  return filter.startsWith(streamFilterPrefix)
}

/**
 * Reading a stream over MQTT: `$stream/{name}[/{from}[/{filter}]]` as a Topic Filter. Records come under their original topic, paced
 * by the client's window: first what is in the stream, then what becomes durable, in the order of the stream, without gap or repeat.
 */
export class StreamSubscriptions {
  readonly #context: NativeContext
  readonly #deliverer: Deliverer

  constructor(context: NativeContext, deliverer: Deliverer) {
    this.#context = context
    this.#deliverer = deliverer
  }

  /** What is wrong with the filter or the `from` property of a SUBSCRIBE; undefined when nothing is. */
  problem(filter: string, packet: SubscribePacket): string | undefined {
    const parsed = parseStreamFilter(filter)
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

  /** A SUBSCRIBE was granted: the reading begins where it says, once online() is called. */
  begin(subscription: RoutedSubscription, packet: SubscribePacket): void {
    const asked = fromProperty(packet)
    const found = this.#find(subscription)
    if (found === undefined) return
    this.#open(subscription, found, (asked === undefined ? found.from : parseReadFrom(asked)) ?? 'latest')
    const { start, next } = subscription.session.readings!.get(subscription.filter)!
    // Until its first record is found, a reading that begins at a time has no position.
    if (typeof start === 'object' && 'timeMs' in start) delete subscription.position
    else subscription.position = next
  }

  /** Found in the store at start: goes on where the client has acknowledged. */
  restore(subscription: RoutedSubscription): void {
    const found = this.#find(subscription)
    // The stream is not declared any more; the subscription stays, in case it comes back.
    if (found === undefined) return
    const { position } = subscription
    this.#open(subscription, found, position === undefined ? (found.from ?? 'latest') : { offset: position })
  }

  #open(subscription: RoutedSubscription, { stream, filter }: { stream: Stream; filter: string }, start: ReadFrom): void {
    this.remove(subscription)
    const reading = new StreamReading(subscription, stream, filter, start, moved => this.#moved(moved))
    const { session } = subscription
    session.readings ??= new Map()
    session.readings.set(subscription.filter, reading)
  }

  #find(subscription: RoutedSubscription) {
    const parsed = parseStreamFilter(subscription.filter)
    if (typeof parsed === 'string') return undefined
    const stream = this.#context.streams.get(parsed.stream)
    return stream === undefined ? undefined : { ...parsed, stream }
  }

  remove({ session, filter }: RoutedSubscription): void {
    const reading = session.readings?.get(filter)
    if (reading === undefined) return
    stop(reading)
    session.readings!.delete(filter)
  }

  /** The client is there: readings that do not run yet start. */
  online(session: BrokerSession): void {
    const { connection } = session
    if (session.readings === undefined || connection === undefined) return
    for (const reading of session.readings.values()) if (reading.stop === undefined) void this.#run(reading, session, connection)
  }

  /** The connection is over, or the session. */
  offline(session: BrokerSession): void {
    if (session.readings === undefined) return
    for (const reading of session.readings.values()) {
      stop(reading)
      reading.passed(reading.next)
    }
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

  async #run(reading: StreamReading, session: BrokerSession, connection: Connection): Promise<void> {
    const abort = new AbortController()
    reading.stop = abort
    const { signal } = abort
    const from = reading.start ?? { offset: reading.next }
    let gap: StreamGap | undefined
    const onGap = (lost: StreamGap) => {
      gap = { fromOffset: gap?.fromOffset ?? lost.fromOffset, toOffset: lost.toOffset }
    }
    try {
      // A time is looked for once; 'latest' was, when the subscription was made.
      const begin = typeof from === 'object' && 'timeMs' in from ? from : { offset: reading.next }
      const batches = reading.stream.readBatches({ from: begin, follow: true, signal, outOfRange: 'earliest', onGap })
      for await (const records of batches) {
        if (reading.start === undefined || begin !== from) {
          const first = records[0]!.offset
          if (first > reading.next && gap === undefined) onGap({ fromOffset: reading.next, toOffset: first })
        }
        reading.start = undefined
        for (const record of records) {
          if (!this.#wanted(reading, session, record)) continue
          while (!this.#mayTake(session, connection)) await this.#room(reading, session, connection)
          if (signal.aborted) return
          this.#send(reading, session, connection, record, gap)
          gap = undefined
        }
        reading.passed(records.at(-1)!.offset + 1)
      }
    } catch (error) {
      if (signal.aborted) return
      this.#context.broker.logger?.error(
        { err: error, clientId: session.clientId, stream: reading.stream.name },
        'a stream cannot be read'
      )
      connection.disconnect(reasonCode.implementationSpecificError, error as Error, 'stream-unavailable')
    } finally {
      if (reading.stop === abort) reading.stop = undefined
    }
  }

  #wanted({ filter, subscription }: StreamReading, { policy, clientId }: BrokerSession, record: StreamRecord): boolean {
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
  async #room(reading: StreamReading, session: BrokerSession, connection: Connection): Promise<void> {
    await turnEnd()
    if (this.#mayTake(session, connection) || reading.stop === undefined || reading.stop.signal.aborted) return
    await new Promise<void>(resolve => {
      reading.wake = resolve
    })
    reading.wake = undefined
  }

  #send(
    reading: StreamReading,
    session: BrokerSession,
    connection: Connection,
    record: StreamRecord,
    gap: StreamGap | undefined
  ): void {
    const { subscription, stream } = reading
    const shown = recordShownTo(this.#context.broker, connection, record)
    if (shown === undefined) return
    const packet = recordPacket(shown, subscription, stream.name, gap, this.#context.now())
    if (subscription.qos === 0) {
      reading.next = record.offset + 1
      this.#deliverer.send(connection, packet)
      return
    }
    packet.qos = 1
    packet.packetId = session.inflight.allocate()
    reading.sent(record.offset)
    session.inflight.sent(packet.packetId, record.offset, 1, reading)
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

function stop(reading: StreamReading): void {
  reading.stop?.abort()
  reading.stop = undefined
  reading.wake?.()
}

function fromProperty({ properties }: SubscribePacket): string | undefined {
  return properties.userProperties?.find(([name]) => name === 'from')?.[1]
}
