import type { StreamStats } from '../stream/contract.ts'
import type { ByQos, Counters } from './counters.ts'
import { type GroupState, groupMetrics } from './group-metrics.ts'
import { Histogram } from './histogram.ts'
import { type IntakeGauges, intakeMetrics } from './intake-metrics.ts'

/** What a scrape looks at. Small functions, so that metrics know no room above their own. */
export interface MetricSources {
  counters: Counters
  /** One entry per stream. */
  streams?: (() => Iterable<StreamStats>) | undefined
  sessions?: (() => SessionGauges) | undefined
  /** One entry per consumer group. */
  groups?: (() => Iterable<GroupState>) | undefined
  retainedMessages?: (() => number) | undefined
  /** One entry per stream that looks at messages before it takes them. */
  intakes?: (() => Iterable<IntakeGauges>) | undefined
  deadLetters?: (() => DeadLetterGauges) | undefined
  storage?: (() => StorageGauges) | undefined
  version: string
}

export interface SessionGauges {
  /** Sessions that exist, of clients that are away too. */
  sessions: number
  subscriptions: number
}

export interface DeadLetterGauges {
  /** Letters in the store, and of those the ones nobody has dealt with. */
  letters: number
  open: number
  bytes: number
  /** Letters that retention removed before anybody had dealt with them. */
  dropped: number
}

export interface StorageGauges {
  /** Why nothing durable is taken; undefined while it is. */
  readOnly: string | undefined
  freeBytes: number | undefined
  usedBytes: number
}

export interface Sample {
  labels?: Record<string, string | number>
  value: number
  /** Where it differs from the name of the metric: the parts of a histogram. */
  metricName?: string
}

export interface MetricDefinition {
  name: string
  type: 'counter' | 'gauge' | 'histogram'
  help: string
  labels: readonly string[]
  read(sources: MetricSources): Sample[]
}

function metric(
  type: MetricDefinition['type'],
  name: string,
  labels: readonly string[],
  help: string,
  read: MetricDefinition['read']
): MetricDefinition {
  return { name: `tributary_${name}`, type, help, labels, read }
}

function byReason(counts: ReadonlyMap<string, number>): Sample[] {
  return [...counts].map(([reason, value]) => ({ labels: { reason }, value }))
}

function byQos(counts: ByQos): Sample[] {
  return counts.map((value, qos) => ({ labels: { qos }, value }))
}

function perStream(read: (stats: StreamStats) => number | undefined): MetricDefinition['read'] {
  return ({ streams }) =>
    [...(streams?.() ?? [])].flatMap(stats => {
      const value = read(stats)
      return value === undefined ? [] : [{ labels: { stream: stats.name }, value }]
    })
}

function ofSessions(read: (gauges: SessionGauges) => number): MetricDefinition['read'] {
  return ({ sessions }) => (sessions === undefined ? [] : [{ value: read(sessions()) }])
}

function ofLetters(read: (gauges: DeadLetterGauges) => number): MetricDefinition['read'] {
  return ({ deadLetters }) => (deadLetters === undefined ? [] : [{ value: read(deadLetters()) }])
}

function ofStorage(read: (gauges: StorageGauges) => number | undefined): MetricDefinition['read'] {
  return ({ storage }) => {
    const value = storage && read(storage())
    return value === undefined ? [] : [{ value }]
  }
}

function histogramSamples(name: string, histogram: Histogram, labels: Record<string, string> = {}): Sample[] {
  const buckets = histogram.cumulative().map((value, index) => ({
    metricName: `tributary_${name}_bucket`,
    labels: { ...labels, le: Histogram.bounds[index]! },
    value
  }))
  return [
    ...buckets,
    { metricName: `tributary_${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: histogram.count },
    { metricName: `tributary_${name}_sum`, labels, value: histogram.sum },
    { metricName: `tributary_${name}_count`, labels, value: histogram.count }
  ]
}

/** Every metric of our own. docs/metrics.md is made from this list. */
export const catalogue: readonly MetricDefinition[] = [
  metric('gauge', 'build_info', ['version', 'node'], 'Always 1; the labels say what runs.', ({ version }) => [
    { labels: { version, node: process.versions.node }, value: 1 }
  ]),
  metric('gauge', 'connections', [], 'Clients connected now.', ({ counters }) => [{ value: counters.connected }]),
  metric('counter', 'connections_opened_total', [], 'Connections that were taken from listeners.', ({ counters }) => [
    { value: counters.connectionsOpened }
  ]),
  metric('counter', 'connections_closed_total', ['reason'], 'Connections that ended, by reason.', ({ counters }) =>
    byReason(counters.connectionsClosed)
  ),
  metric('counter', 'received_bytes_total', [], 'Bytes read from clients, before TLS and WebSocket framing.', ({ counters }) => [
    { value: counters.bytesReceived }
  ]),
  metric('counter', 'sent_bytes_total', [], 'Bytes written to clients, before TLS and WebSocket framing.', ({ counters }) => [
    { value: counters.bytesSent }
  ]),
  metric(
    'counter',
    'publishes_received_total',
    ['qos'],
    'Publishes that arrived from clients, refused ones included.',
    ({ counters }) => byQos(counters.publishReceived)
  ),
  metric(
    'counter',
    'publishes_refused_total',
    ['reason'],
    'Publishes that arrived and went nowhere, by reason.',
    ({ counters }) => byReason(counters.publishRefused)
  ),
  metric('counter', 'publishes_sent_total', ['qos'], 'Publishes sent to clients, repetitions included.', ({ counters }) =>
    byQos(counters.publishSent)
  ),
  metric('counter', 'publishes_acknowledged_total', [], 'PUBACK and PUBREC packets sent.', ({ counters }) => [
    { value: counters.acknowledged }
  ]),
  metric('counter', 'messages_dropped_total', ['reason'], 'Deliveries that will not happen, by reason.', ({ counters }) =>
    byReason(counters.dropped)
  ),
  metric('counter', 'dead_letters_total', ['reason'], 'Deliveries that became dead letters, by reason.', ({ counters }) =>
    byReason(counters.deadLetters)
  ),
  metric(
    'gauge',
    'dead_letters',
    [],
    'Dead letters in the store, those included that were re-driven or discarded.',
    ofLetters(({ letters }) => letters)
  ),
  metric(
    'gauge',
    'dead_letters_open',
    [],
    'Dead letters in the store that nobody has re-driven or discarded.',
    ofLetters(({ open }) => open)
  ),
  metric(
    'gauge',
    'dead_letters_size_bytes',
    [],
    'Bytes of the store of dead letters.',
    ofLetters(({ bytes }) => bytes)
  ),
  metric(
    'counter',
    'dead_letters_dropped_total',
    [],
    'Dead letters that retention removed before anybody had re-driven or discarded them.',
    ofLetters(({ dropped }) => dropped)
  ),
  metric(
    'counter',
    'hook_failures_total',
    ['hook'],
    'Calls of a hook of the embedding program that threw or rejected.',
    ({ counters }) => [...counters.hookFailures].map(([hook, value]) => ({ labels: { hook }, value }))
  ),
  metric('gauge', 'queued_messages', [], 'Messages waiting in the queues of all sessions.', ({ counters }) => [
    { value: counters.queued }
  ]),
  metric(
    'histogram',
    'ack_latency_seconds',
    ['le'],
    'Time from the arrival of a QoS 1 or 2 publish to its PUBACK or PUBREC.',
    ({ counters }) => histogramSamples('ack_latency_seconds', counters.ackLatency)
  ),
  metric(
    'histogram',
    'sync_duration_seconds',
    ['kind', 'le'],
    'Time of one write and fdatasync: `stream` for all dirty segments, `store` for a batch of the session store.',
    ({ counters }) => [
      ...histogramSamples('sync_duration_seconds', counters.streamSync, { kind: 'stream' }),
      ...histogramSamples('sync_duration_seconds', counters.storeSync, { kind: 'store' })
    ]
  ),
  metric(
    'gauge',
    'sessions',
    [],
    'Sessions, those of clients that are away included.',
    ofSessions(({ sessions }) => sessions)
  ),
  metric(
    'gauge',
    'subscriptions',
    [],
    'Subscriptions of all sessions.',
    ofSessions(({ subscriptions }) => subscriptions)
  ),
  metric('gauge', 'retained_messages', [], 'Retained messages.', ({ retainedMessages }) =>
    retainedMessages === undefined ? [] : [{ value: retainedMessages() }]
  ),
  metric(
    'gauge',
    'storage_read_only',
    [],
    '1 while nothing that needs the disk is taken, because the disk or the quota of the streams is full; else 0.',
    ofStorage(({ readOnly }) => (readOnly === undefined ? 0 : 1))
  ),
  metric(
    'gauge',
    'storage_free_bytes',
    [],
    'Bytes that are free on the disk of the data folder.',
    ofStorage(({ freeBytes }) => freeBytes)
  ),
  metric(
    'gauge',
    'storage_used_bytes',
    [],
    'Bytes of all segments of all streams, which is what the quota is about.',
    ofStorage(({ usedBytes }) => usedBytes)
  ),
  metric(
    'gauge',
    'stream_size_bytes',
    ['stream'],
    'Bytes of all segments of a stream.',
    perStream(({ bytes }) => bytes)
  ),
  metric(
    'gauge',
    'stream_segments',
    ['stream'],
    'Segment files of a stream.',
    perStream(({ segments }) => segments)
  ),
  metric(
    'gauge',
    'stream_records',
    ['stream'],
    'Offsets a stream spans, from its earliest record to its end.',
    perStream(({ earliestOffset, nextOffset }) => nextOffset - earliestOffset)
  ),
  metric(
    'counter',
    'stream_appended_records_total',
    ['stream'],
    'Records ever appended to a stream, which is the offset the next one gets.',
    perStream(({ nextOffset }) => nextOffset)
  ),
  metric(
    'gauge',
    'stream_earliest_timestamp_seconds',
    ['stream'],
    'Unix time of the oldest record of a stream; missing while the stream is empty.',
    perStream(({ earliestTimestampMs }) => (earliestTimestampMs === undefined ? undefined : earliestTimestampMs / 1000))
  ),
  metric(
    'gauge',
    'stream_compaction_dirty_ratio',
    ['stream'],
    'Which part of the bytes of a compacted stream came since the last run, 0 to 1; the active segment does not count.',
    perStream(({ compaction }) => compaction?.dirtyRatio)
  ),
  metric(
    'gauge',
    'stream_compaction_last_run_timestamp_seconds',
    ['stream'],
    'Unix time of the last run of compaction; missing before the first.',
    perStream(({ compaction }) => (compaction?.lastRunMs === undefined ? undefined : compaction.lastRunMs / 1000))
  ),
  metric(
    'counter',
    'stream_compaction_runs_total',
    ['stream'],
    'Runs of compaction that came to their end.',
    perStream(({ compaction }) => compaction?.runs)
  ),
  metric(
    'counter',
    'stream_compaction_failures_total',
    ['stream'],
    'Runs of compaction that the disk made fail. What was there before stays in force.',
    perStream(({ compaction }) => compaction?.failures)
  ),
  metric(
    'counter',
    'stream_compaction_removed_records_total',
    ['stream'],
    'Records that compaction has removed.',
    perStream(({ compaction }) => compaction?.removedRecords)
  ),
  metric(
    'counter',
    'stream_compaction_reclaimed_bytes_total',
    ['stream'],
    'Bytes that segments have become smaller by compaction.',
    perStream(({ compaction }) => compaction?.reclaimedBytes)
  ),
  metric(
    'gauge',
    'stream_compaction_damaged_segments',
    ['stream'],
    'Segments that are left as they are because records in them are damaged.',
    perStream(({ compaction }) => compaction?.damagedSegments)
  ),
  ...groupMetrics,
  ...intakeMetrics
]
