import type { CommitFailure, CommitWaiter, GroupCommit } from '../../commit/group-commit.ts'
import type { ServerPacket } from '../../mqtt/packet.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import type { ReceivedState } from '../../session/session.ts'
import type { Connection } from '../connection.ts'
import { encodeFor } from '../encode-for.ts'

/**
 * Packets of one connection that may leave only when what they promise is on disk: PUBACK, PUBREC, PUBCOMP, PUBREL, and QoS 2
 * PUBLISH packets to stored sessions. In order of arrival, one bucket per commit epoch; there are two at most, the epoch being
 * synced and the open one.
 */

interface Bucket {
  readonly epoch: number
  readonly openedAt: number
  /** Acknowledgements among the packets, and how many of them are PUBACKs. */
  acks: number
  pubacks: number
  publishes: number
  bytes: Buffer
  used: number
  /** QoS 2 ids that become durable with this epoch. */
  received: ReceivedState[] | undefined
}

const bucketBytesMin = 64

/** How far the acknowledgements of one connection were handed to its transport. */
export interface WriteProgress {
  /** The last commit epoch whose packets were written. */
  writtenEpoch: number
}

export class DeferredWrites implements CommitWaiter {
  readonly #connection: Connection
  readonly #commit: GroupCommit
  readonly #buckets: Bucket[] = []
  /** QoS 1 PUBLISH packets whose PUBACK waits; with received QoS 2 ids they fill the Receive Maximum. */
  unacknowledged = 0
  /** PUBLISH packets that wait: later ones, QoS 1 too, leave behind them, as redelivery keeps their order [MQTT-4.6.0-1]. */
  publishes = 0
  readonly progress: WriteProgress = { writtenEpoch: 0 }

  constructor(connection: Connection, commit: GroupCommit) {
    this.#connection = connection
    this.#commit = commit
  }

  /** True while earlier packets wait: later ones must queue behind them to keep their order [MQTT-4.6.0-2]. */
  get waiting(): boolean {
    return this.#buckets.length > 0
  }

  /** An acknowledgement in its short form: type byte, two bytes of packet id. */
  ack(firstByte: number, packetId: number): void {
    const bucket = this.#bucket(4)
    const { bytes, used } = bucket
    bytes[used] = firstByte
    bytes[used + 1] = 2
    bytes[used + 2] = packetId >> 8
    bytes[used + 3] = packetId & 0xff
    bucket.used = used + 4
    bucket.acks++
  }

  puback(packetId: number): void {
    this.ack(0x40, packetId)
    this.#bucket(0).pubacks++
    this.unacknowledged++
  }

  /** As connection.send(), in order behind what waits already. */
  send(packet: ServerPacket): void {
    const bytes = encodeFor(this.#connection, packet)
    if (bytes !== undefined) this.write(bytes)
  }

  write(packet: Buffer): void {
    const bucket = this.#bucket(packet.length)
    packet.copy(bucket.bytes, bucket.used)
    bucket.used += packet.length
  }

  publish(packet: Buffer): void {
    this.write(packet)
    this.#bucket(0).publishes++
    this.publishes++
  }

  /** The PUBREC of a QoS 2 message; `state` learns what became of the commit. */
  pubrec(packetId: number, state: ReceivedState): void {
    this.ack(0x50, packetId)
    const bucket = this.#bucket(0)
    if (bucket.received) bucket.received.push(state)
    else bucket.received = [state]
  }

  committed(epoch: number, failure: CommitFailure | undefined): void {
    const bucket = this.#buckets.shift()
    if (bucket === undefined || bucket.epoch !== epoch) throw new Error('commit epochs out of order')
    this.unacknowledged -= bucket.pubacks
    this.publishes -= bucket.publishes
    if (bucket.received) for (const state of bucket.received) settle(state, failure)
    const connection = this.#connection
    if (failure) {
      // No ack for what is not on disk: the publisher keeps its copy and sends it again.
      connection.disconnect(reasonCode.implementationSpecificError, failure.error, 'commit-failed')
      return
    }
    if (connection.closed) return
    this.progress.writtenEpoch = epoch
    const { counters } = connection.broker
    if (bucket.acks > 0) {
      counters.acknowledged += bucket.acks
      counters.ackLatency.observe((performance.now() - bucket.openedAt) / 1000)
    }
    connection.outbound.write(bucket.used === bucket.bytes.length ? bucket.bytes : bucket.bytes.subarray(0, bucket.used))
  }

  #bucket(bytes: number): Bucket {
    const epoch = this.#commit.openEpoch
    let bucket = this.#buckets.at(-1)
    if (bucket === undefined || bucket.epoch !== epoch) {
      const size = Math.max(bucketBytesMin, bytes)
      bucket = {
        epoch,
        openedAt: performance.now(),
        acks: 0,
        pubacks: 0,
        publishes: 0,
        bytes: Buffer.allocUnsafe(size),
        used: 0,
        received: undefined
      }
      this.#buckets.push(bucket)
      this.#commit.join(this)
    } else if (bucket.used + bytes > bucket.bytes.length) {
      const bigger = Buffer.allocUnsafe(Math.max(bucket.bytes.length * 2, bucket.used + bytes))
      bucket.bytes.copy(bigger, 0, 0, bucket.used)
      bucket.bytes = bigger
    }
    return bucket
  }
}

function settle(state: ReceivedState, failure: CommitFailure | undefined): void {
  if (failure === undefined) state.durable = true
  // A message that is on disk already is not lost because a later commit fails.
  else if (!state.durable && failure.failedStreams.size > 0) state.failedStreams = failure.failedStreams
}
