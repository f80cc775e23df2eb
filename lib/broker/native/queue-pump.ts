import type { QueueEntry } from '../../../persistence/contract.ts'
import type { DeadLetterReason } from '../../dead-letter/contract.ts'
import type { Message } from '../../mqtt/message.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import { endAfterHookError, HookError } from '../ask-hook.ts'
import type { Connection } from '../connection.ts'
import { forwarded } from '../message-hooks.ts'
import type { BrokerSession } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import { deniedError, expiredError, lostFrom } from './lost-deliveries.ts'
import { type OutgoingPublish, tooLargeFor } from './publish-writer.ts'
import type { Subscriptions } from './subscriptions.ts'

/** Entries read from disk at a time: bounds the memory a backlog takes, whatever its length. */
const readEntriesMax = 64

/**
 * Moves waiting messages out while the window has room: from disk for stored sessions, from memory for the others. Also sends
 * again, in order, what an earlier connection left unacknowledged [MQTT-4.4.0-1], [MQTT-4.6.0-1].
 */
export class QueuePump {
  readonly #context: NativeContext
  readonly #deliverer: Deliverer
  readonly #subscriptions: Subscriptions

  constructor(context: NativeContext, deliverer: Deliverer, subscriptions: Subscriptions) {
    this.#context = context
    this.#deliverer = deliverer
    this.#subscriptions = subscriptions
  }

  /** The window opened, or the connection did. */
  pump(session: BrokerSession): void {
    const { connection } = session
    if (connection === undefined || !connection.connected || connection.closed) return
    if (session.stored) this.#pumpStored(session, connection)
    else if (session.pending !== undefined) this.#pumpMemory(session, connection)
    this.#subscriptions.serve(session)
  }

  #pumpStored(session: BrokerSession, connection: Connection): void {
    if (session.sendSeq >= session.nextSeq) return
    if (session.pumping) {
      session.pumpAgain = true
      return
    }
    session.pumping = true
    void this.#readAndSend(session, connection)
  }

  #pumpMemory(session: BrokerSession, connection: Connection): void {
    const { pending } = session
    while (pending !== undefined && this.#deliverer.windowOpen(session, connection)) {
      const delivery = pending.shift()
      if (delivery === undefined) break
      const { message, qos, retain, subscriptionIds } = delivery
      const nowMs = this.#context.now()
      if (message.expiresAtMs !== 0 && message.expiresAtMs <= nowMs) {
        this.#context.lost.entry('message-expired', lostFrom(session), delivery, 0, expiredError)
        continue
      }
      const packetId = session.inflight.allocate()
      session.inflight.sent(packetId, 0, qos)
      const entry = { message, qos, retain, subscriptionIds }
      if (this.#deliverer.send(connection, outgoingOf(entry, packetId, false, nowMs))) continue
      session.inflight.complete(packetId)
      this.#context.lost.keepEntry('packet-too-large', lostFrom(session), delivery, 0, tooLargeFor(connection))
    }
    if (pending?.length === 0) session.pending = undefined
  }

  async #readAndSend(session: BrokerSession, connection: Connection): Promise<void> {
    try {
      while (this.#mayPump(session, connection)) {
        const knownEnd = session.nextSeq
        const entries = await this.#context.store.readQueue(session.key, session.sendSeq, readEntriesMax)
        if (session.connection !== connection) break
        // Nothing left below what was enqueued before the read; what came during it is read next.
        if (entries.length === 0) session.sendSeq = Math.max(session.sendSeq, knownEnd)
        for (const entry of entries) {
          if (!this.#mayPump(session, connection)) break
          // The queue was emptied while it was read.
          if (entry.seq < session.sendSeq) continue
          this.#sendEntry(session, connection, entry)
          session.sendSeq = entry.seq + 1
        }
      }
      this.#releaseRest(session, connection)
    } catch (error) {
      // What the hook was asked about stays in the queue.
      if (error instanceof HookError) endAfterHookError(connection, error)
      const cause = error instanceof Error ? error : new Error(String(error))
      connection.disconnect(reasonCode.implementationSpecificError, cause, 'queue-unavailable')
    } finally {
      session.pumping = false
    }
    if (session.pumpAgain) {
      session.pumpAgain = false
      this.pump(session)
    } else this.#subscriptions.serve(session)
  }

  /** Full is the window for PUBLISH only: a PUBREL of an earlier connection does not wait behind those [MQTT-3.3.4-10]. */
  #releaseRest(session: BrokerSession, connection: Connection): void {
    const { inflight } = session
    if (inflight.size === inflight.outstanding || session.connection !== connection) return
    if (!connection.connected || connection.closed || connection.congestedSinceMs !== 0) return
    for (const [packetId, { state, outstanding }] of inflight.entries()) {
      if (state === 'released' && !outstanding) this.#release(session, connection, packetId)
    }
  }

  #release(session: BrokerSession, connection: Connection, packetId: number): void {
    session.inflight.resent(packetId)
    connection.send({ cmd: 'pubrel', messageId: packetId, reasonCode: 0, properties: {} })
  }

  #mayPump(session: BrokerSession, connection: Connection): boolean {
    return (
      session.connection === connection &&
      connection.connected &&
      !connection.closed &&
      session.sendSeq < session.nextSeq &&
      this.#deliverer.windowOpen(session, connection)
    )
  }

  #sendEntry(session: BrokerSession, connection: Connection, entry: QueueEntry): void {
    const { inflight } = session
    const nowMs = this.#context.now()
    if (entry.packetId !== 0) {
      const known = inflight.get(entry.packetId)
      if (known === undefined || known.seq !== entry.seq) return // acknowledged while it was being read
      if (known.state === 'released') {
        if (!known.outstanding) this.#release(session, connection, entry.packetId)
        return
      }
      inflight.resent(entry.packetId)
      const shown = this.#shownTo(connection, entry.message)
      if (shown === undefined) {
        this.#context.lost.entry('forward-denied', lostFrom(session), entry, 1, deniedError)
        return this.#deliverer.forget(session, entry.packetId)
      }
      // DUP marks a delivery attempt that may not be the first [MQTT-3.3.1-1]; an unfinished one is sent even if it expired since.
      const packet = outgoingOf({ ...entry, message: shown }, entry.packetId, true, nowMs)
      if (!this.#deliverer.send(connection, packet)) this.#tooLarge(session, connection, entry, entry.packetId, 1)
      return
    }
    const { policy } = session
    const { message } = entry
    if (message.expiresAtMs !== 0 && message.expiresAtMs <= nowMs)
      return this.#drop(session, entry, 'message-expired', expiredError)
    // Rights may have been withdrawn since the message was queued.
    const denied = policy !== undefined && !policy.permitsAll && !policy.canReceive(message.topic)
    const shown = denied ? undefined : this.#shownTo(connection, message)
    if (shown === undefined) return this.#drop(session, entry, 'forward-denied', deniedError)
    const packetId = inflight.allocate()
    inflight.sent(packetId, entry.seq, entry.qos)
    this.#context.store.markSent(session.key, entry.seq, packetId)
    this.#context.commit.schedule()
    const packet = outgoingOf({ ...entry, message: shown }, packetId, false, nowMs)
    if (!this.#deliverer.sendStored(connection, packet)) this.#tooLarge(session, connection, entry, packetId, 0)
  }

  #shownTo(connection: Connection, message: Message): Message | undefined {
    const { broker } = this.#context
    return broker.hasForwardHook ? forwarded(broker, connection, message) : message
  }

  #drop(session: BrokerSession, entry: QueueEntry, reason: DeadLetterReason, error: string): void {
    this.#context.lost.entry(reason, lostFrom(session), entry, 0, error)
    this.#deliverer.dequeue(session, entry.seq)
  }

  #tooLarge(session: BrokerSession, connection: Connection, entry: QueueEntry, packetId: number, attempts: number): void {
    this.#context.lost.keepEntry('packet-too-large', lostFrom(session), entry, attempts, tooLargeFor(connection))
    this.#deliverer.forget(session, packetId)
  }
}

function outgoingOf(
  entry: Pick<QueueEntry, 'message' | 'qos' | 'retain' | 'subscriptionIds'>,
  packetId: number,
  dup: boolean,
  nowMs: number
): OutgoingPublish {
  const { message } = entry
  return {
    topicName: message.topic,
    topic: Buffer.from(message.topic),
    qos: entry.qos,
    retain: entry.retain,
    dup,
    packetId,
    remainingSeconds: message.expiresAtMs === 0 ? -1 : Math.max(0, Math.ceil((message.expiresAtMs - nowMs) / 1000)),
    subscriptionIds: entry.subscriptionIds,
    properties: message.properties,
    bytes: message.payload,
    payloadStart: 0,
    payloadEnd: message.payload.length
  }
}
