import type { LoadResult } from './result.ts'
import { ratio } from './statistics.ts'

/** Options of load.c, without their dashes; its usage text explains them. */
export type LoadOptions = Readonly<Record<string, string | number>>

export interface Measure {
  unit: string
  better: 'higher' | 'lower'
  of(result: LoadResult): number
}

/** What the project promises for a workload. Against a peer the value is a ratio, otherwise in the measure's own unit. */
export interface Target {
  of: 'measure' | 'cpu' | 'p99'
  comparison: 'at least' | 'at most'
  value: number
  against: 'mosquitto' | 'itself'
}

export interface Workload {
  name: string
  title: string
  measure: Measure
  load: LoadOptions
  /** The bare prototype that shows what a Node process can do with this work at most. */
  limit?: 'limit-durable' | 'limit-memory'
  targets: readonly Target[]
  /** Part of `--quick` and of the comparison of two checkouts. */
  quick: boolean
}

const ackedPerSecond: Measure = { unit: 'acked/s', better: 'higher', of: result => ratio(result.measured.acked, result.seconds) }
const receivedPerSecond: Measure = {
  unit: 'recv/s',
  better: 'higher',
  of: result => ratio(result.measured.received, result.seconds)
}
const connectionsPerSecond: Measure = {
  unit: 'connects/s',
  better: 'higher',
  of: ({ connections }) => ratio(connections.open, connections.seconds)
}
const kibPerConnection: Measure = {
  unit: 'KiB each',
  better: 'lower',
  of: ({ connections, residentKib }) => ratio(residentKib.connected - residentKib.before, connections.open)
}

/** Topics of the stream that the benchmark's configuration declares: everything published here is durable. */
export const streamFilter = 'devices/+/telemetry'
const streamTopic = 'devices/%d/telemetry'
const plainTopic = 'plain/%d/data'

export const workloads: readonly Workload[] = [
  {
    name: 'ingest',
    title: 'QoS 1 into a stream, 50 × window 20',
    measure: ackedPerSecond,
    load: { publishers: 50, qos: 1, window: 20, topic: streamTopic },
    limit: 'limit-durable',
    targets: [{ of: 'measure', comparison: 'at least', value: 3, against: 'mosquitto' }],
    quick: true
  },
  {
    name: 'ingest-window-1',
    title: 'QoS 1 into a stream, 50 × window 1',
    measure: ackedPerSecond,
    load: { publishers: 50, qos: 1, window: 1, topic: streamTopic },
    limit: 'limit-durable',
    targets: [],
    quick: true
  },
  {
    name: 'plain-window-1',
    title: 'QoS 1, not durable, 50 × window 1',
    measure: ackedPerSecond,
    load: { publishers: 50, qos: 1, window: 1, topic: plainTopic },
    limit: 'limit-memory',
    targets: [{ of: 'cpu', comparison: 'at most', value: 1, against: 'mosquitto' }],
    quick: true
  },
  {
    // Open loop: publishers keep going however far the subscriber is behind, as long as their own messages are acknowledged.
    name: 'fan-in',
    title: 'QoS 1 fan-in, 50 × window 20 → 1',
    measure: receivedPerSecond,
    load: { publishers: 50, subscribers: 1, qos: 1, window: 20, topic: plainTopic, filter: 'plain/#', deliveries: 1, drain: 20 },
    limit: 'limit-memory',
    targets: [{ of: 'measure', comparison: 'at least', value: 4, against: 'mosquitto' }],
    quick: true
  },
  {
    // Closed loop: the same, but publishers wait while 2,000 messages are undelivered, so no broker works for its own queue.
    name: 'fan-in-closed',
    title: 'QoS 1 fan-in, ≤ 2 000 undelivered',
    measure: receivedPerSecond,
    load: {
      publishers: 50,
      subscribers: 1,
      qos: 1,
      window: 20,
      topic: plainTopic,
      filter: 'plain/#',
      deliveries: 1,
      outstanding: 2000
    },
    limit: 'limit-memory',
    targets: [],
    quick: false
  },
  {
    name: 'pairs',
    title: 'QoS 1, 50 pairs, window 5',
    measure: receivedPerSecond,
    load: { publishers: 50, subscribers: 50, qos: 1, window: 5, topic: plainTopic, filter: 'plain/%d/#', deliveries: 1 },
    limit: 'limit-memory',
    targets: [{ of: 'measure', comparison: 'at least', value: 1.3, against: 'mosquitto' }],
    quick: true
  },
  {
    // Closed loop too: an open one would only fill the socket of the single publisher and measure seconds of kernel buffer.
    name: 'fan-out',
    title: 'QoS 0 fan-out 1 → 500, ≤ 64 undelivered',
    measure: receivedPerSecond,
    load: {
      publishers: 1,
      subscribers: 500,
      qos: 0,
      topic: plainTopic,
      filter: 'plain/#',
      deliveries: 500,
      outstanding: 64
    },
    limit: 'limit-memory',
    targets: [
      { of: 'measure', comparison: 'at least', value: 1.1, against: 'mosquitto' },
      { of: 'p99', comparison: 'at most', value: 1, against: 'mosquitto' }
    ],
    quick: true
  },
  {
    name: 'fan-out-paced',
    title: 'QoS 0 fan-out 1 → 500 at 50 000/s',
    measure: receivedPerSecond,
    load: { publishers: 1, subscribers: 500, qos: 0, topic: plainTopic, filter: 'plain/#', deliveries: 500, rate: 100 },
    limit: 'limit-memory',
    targets: [{ of: 'p99', comparison: 'at most', value: 1, against: 'mosquitto' }],
    quick: false
  },
  {
    name: 'idle',
    title: '10 000 idle connections',
    measure: kibPerConnection,
    load: { idle: 10_000, hold: 2 },
    limit: 'limit-memory',
    targets: [{ of: 'measure', comparison: 'at most', value: 6, against: 'itself' }],
    quick: true
  },
  {
    name: 'connect',
    title: 'connect 10 000, 100 at a time',
    measure: connectionsPerSecond,
    load: { idle: 10_000, connecting: 100 },
    limit: 'limit-memory',
    targets: [],
    quick: true
  }
]
