import { readFileSync, writeFileSync } from 'node:fs'
import { t } from 'tap'
import { catalogue } from '../../lib/metrics/catalogue.ts'
import { Counters, countUp } from '../../lib/metrics/counters.ts'
import { Metrics } from '../../lib/metrics/registry.ts'
import type { StreamStats } from '../../lib/stream/contract.ts'
import { processMetricNames, renderMetricsPage } from './metrics-page.ts'

const telemetry: StreamStats = {
  name: 'telemetry',
  earliestOffset: 10,
  nextOffset: 25,
  durableOffset: 25,
  bytes: 4096,
  segments: 2,
  earliestTimestampMs: 1_700_000_000_500,
  latestTimestampMs: 1_700_000_001_000,
  compaction: {
    ...{ running: false, dirtyRatio: 0.25, lastRunMs: 1_700_000_000_000, damagedSegments: 1 },
    ...{ runs: 4, failures: 2, removedRecords: 30, reclaimedBytes: 512 }
  }
}
const empty: StreamStats = {
  ...telemetry,
  name: 'empty',
  earliestOffset: 0,
  nextOffset: 0,
  durableOffset: 0,
  earliestTimestampMs: undefined,
  latestTimestampMs: undefined
}
delete empty.compaction

/** Samples of the exposition by `name{labels}`. */
async function scrape(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.renderMetrics()).split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return new Map(lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]))
}

t.test('a scrape shows what was counted until then', async t => {
  const counters = new Counters()
  const metrics = new Metrics({ counters, version: '1.2.3', processMetrics: false })
  counters.connectionsOpened = 3
  counters.connected = 2
  counters.publishReceived[1] += 7
  counters.bytesReceived = 512
  countUp(counters.dropped, 'queue-full')
  countUp(counters.dropped, 'queue-full', 4)
  countUp(counters.connectionsClosed, 'keep-alive')
  const samples = await scrape(metrics)
  t.equal(samples.get('tributary_connections_opened_total'), 3)
  t.equal(samples.get('tributary_connections'), 2)
  t.equal(samples.get('tributary_publishes_received_total{qos="1"}'), 7)
  t.equal(samples.get('tributary_publishes_received_total{qos="2"}'), 0)
  t.equal(samples.get('tributary_received_bytes_total'), 512)
  t.equal(samples.get('tributary_messages_dropped_total{reason="queue-full"}'), 5)
  t.equal(samples.get('tributary_connections_closed_total{reason="keep-alive"}'), 1)
  t.equal(samples.get(`tributary_build_info{version="1.2.3",node="${process.versions.node}"}`), 1)
  counters.connected = 1
  t.equal((await scrape(metrics)).get('tributary_connections'), 1)
})

t.test('durations are histograms, fsync by kind', async t => {
  const counters = new Counters()
  counters.ackLatency.observe(0.002, 50)
  counters.streamSync.observe(0.004)
  counters.storeSync.observe(20)
  const samples = await scrape(new Metrics({ counters, version: '1', processMetrics: false }))
  t.equal(samples.get('tributary_ack_latency_seconds_bucket{le="0.001"}'), 0)
  t.equal(samples.get('tributary_ack_latency_seconds_bucket{le="0.0025"}'), 50)
  t.equal(samples.get('tributary_ack_latency_seconds_bucket{le="+Inf"}'), 50)
  t.equal(samples.get('tributary_ack_latency_seconds_count'), 50)
  t.equal(samples.get('tributary_sync_duration_seconds_bucket{kind="stream",le="0.005"}'), 1)
  t.equal(samples.get('tributary_sync_duration_seconds_bucket{kind="store",le="10"}'), 0)
  t.equal(samples.get('tributary_sync_duration_seconds_bucket{kind="store",le="+Inf"}'), 1)
  t.equal(samples.get('tributary_sync_duration_seconds_sum{kind="store"}'), 20)
})

t.test('streams, sessions and retained messages are asked at each scrape', async t => {
  let sessions = 1
  const metrics = new Metrics({
    counters: new Counters(),
    version: '1',
    processMetrics: false,
    streams: () => [telemetry, empty],
    sessions: () => ({ sessions, subscriptions: 9 }),
    retainedMessages: () => 4,
    storage: () => ({ readOnly: undefined, freeBytes: 5000, usedBytes: 600 })
  })
  const samples = await scrape(metrics)
  t.equal(samples.get('tributary_stream_records{stream="telemetry"}'), 15)
  t.equal(samples.get('tributary_stream_appended_records_total{stream="telemetry"}'), 25)
  t.equal(samples.get('tributary_stream_size_bytes{stream="telemetry"}'), 4096)
  t.equal(samples.get('tributary_stream_earliest_timestamp_seconds{stream="telemetry"}'), 1_700_000_000.5)
  t.equal(samples.has('tributary_stream_earliest_timestamp_seconds{stream="empty"}'), false)
  t.equal(samples.get('tributary_stream_records{stream="empty"}'), 0)
  t.equal(samples.get('tributary_stream_compaction_dirty_ratio{stream="telemetry"}'), 0.25)
  t.equal(samples.get('tributary_stream_compaction_last_run_timestamp_seconds{stream="telemetry"}'), 1_700_000_000)
  t.equal(samples.get('tributary_stream_compaction_reclaimed_bytes_total{stream="telemetry"}'), 512)
  t.equal(samples.has('tributary_stream_compaction_runs_total{stream="empty"}'), false)
  t.equal(samples.get('tributary_subscriptions'), 9)
  t.equal(samples.get('tributary_retained_messages'), 4)
  t.equal(samples.get('tributary_storage_read_only'), 0)
  t.equal(samples.get('tributary_storage_free_bytes'), 5000)
  t.equal(samples.get('tributary_storage_used_bytes'), 600)
  sessions = 2
  t.equal((await scrape(metrics)).get('tributary_sessions'), 2)
})

t.test('what nobody provides is missing, not zero', async t => {
  const samples = await scrape(new Metrics({ counters: new Counters(), version: '1', processMetrics: false }))
  for (const name of ['tributary_sessions', 'tributary_retained_messages']) t.notOk(samples.has(name), name)
})

t.test('metrics of the process are there, those the documentation names among them', async t => {
  const metrics = new Metrics({ counters: new Counters(), version: '1' })
  const text = await metrics.renderMetrics()
  for (const name of processMetricNames) t.match(text, new RegExp(`^# TYPE ${name} `, 'm'))
  t.match(metrics.contentType, /^text\/plain/)
})

t.test('names end in their unit and labels are the declared ones', async t => {
  const counters = new Counters()
  const { dropped, deadLetters, publishRefused, connectionsClosed, hookFailures } = counters
  for (const counts of [dropped, deadLetters, publishRefused, connectionsClosed, hookFailures]) countUp(counts, 'x')
  const sources = {
    counters,
    version: '1',
    streams: () => [telemetry],
    sessions: () => ({ sessions: 0, subscriptions: 0 }),
    groups: () => [
      {
        ...{ stream: 'telemetry', group: 'workers', filter: '#', lag: 3, lagSeconds: 1.5, members: ['a'] },
        ...{ committed: 4, redelivered: 5, deadLetters: 6, lost: 7 }
      }
    ],
    retainedMessages: () => 0,
    deadLetters: () => ({ letters: 3, open: 2, bytes: 4096, dropped: 1 }),
    storage: () => ({ readOnly: 'full', freeBytes: 0, usedBytes: 0 }),
    intakes: () => {
      const one = new Map([['x', 1]])
      return [{ stream: 'telemetry', validated: one, faults: one, duplicates: one, remembered: 1, rememberedBytes: 120 }]
    }
  }
  for (const definition of catalogue) {
    t.match(definition.name, /^tributary_[a-z_]+$/)
    t.equal(definition.name.endsWith('_total'), definition.type === 'counter', `${definition.name} is a ${definition.type}`)
    const samples = definition.read(sources)
    t.ok(samples.length > 0, `${definition.name} has a value`)
    for (const { labels = {} } of samples) {
      const unknown = Object.keys(labels).filter(label => !definition.labels.includes(label))
      t.same(unknown, [], `labels of ${definition.name}`)
    }
  }
})

t.test('docs/metrics.md is what the catalogue says today', async t => {
  const file = new URL('../../../docs/metrics.md', import.meta.url)
  const current = renderMetricsPage()
  if (process.env.UPDATE_DOCS === '1') writeFileSync(file, current)
  t.equal(readFileSync(file, 'utf8'), current, 'run this test with UPDATE_DOCS=1 to write the file')
})
