import { Histogram } from './histogram.ts'

/** Publishes at QoS 0, 1 and 2. */
export type ByQos = [qos0: number, qos1: number, qos2: number]

/**
 * What the broker counts while it works: plain numbers that the hot path increments and a scrape reads. The keys of the maps are
 * words of closed lists, never anything a client chose.
 */
export class Counters {
  connectionsOpened = 0
  /** By reason. */
  readonly connectionsClosed = new Map<string, number>()
  /** Clients connected now. */
  connected = 0
  /** Publishes taken from clients, refused ones included. */
  readonly publishReceived: ByQos = [0, 0, 0]
  /** Of these, by reason, those that went nowhere. */
  readonly publishRefused = new Map<string, number>()
  /** Publishes sent to clients, repetitions included. */
  readonly publishSent: ByQos = [0, 0, 0]
  /** Calls of a user's hook that threw or rejected, by hook. */
  readonly hookFailures = new Map<string, number>()
  /** Dead letters, by reason. */
  readonly deadLetters = new Map<string, number>()
  /** Deliveries that will not happen, by reason. */
  readonly dropped = new Map<string, number>()
  bytesReceived = 0
  bytesSent = 0
  /** PUBACK and PUBREC sent. */
  acknowledged = 0
  /** Messages waiting in queues of sessions now. */
  queued = 0
  /** From the arrival of a publish to its PUBACK or PUBREC. */
  readonly ackLatency = new Histogram()
  /** writev and fdatasync of streams. */
  readonly streamSync = new Histogram()
  /** Synced batches of the session store. */
  readonly storeSync = new Histogram()
}

/** Adds to one entry of a map of counts. */
export function countUp(counts: Map<string, number>, reason: string, times = 1): void {
  counts.set(reason, (counts.get(reason) ?? 0) + times)
}
