import { t } from 'tap'
import { fileSystemOf } from '../../bench/machine.ts'
import { failedMeasurement, type Measurement, measurementOf } from '../../bench/measurement.ts'
import { parseOptions } from '../../bench/options.ts'
import { benchmarkConfig } from '../../bench/peers/tributary.ts'
import { formatOverview, formatRemarks, judge, summarize } from '../../bench/report.ts'
import { failuresOf, type LoadResult, parseLoadResult } from '../../bench/result.ts'
import { median, ratio, spread } from '../../bench/statistics.ts'
import { formatNumber, formatTable } from '../../bench/table.ts'
import { type Workload, workloads } from '../../bench/workload.ts'
import { parseConfig } from '../../lib/config/load.ts'

const good: LoadResult = {
  connections: { wanted: 51, open: 51, failed: 0, lost: 0, seconds: 0.02, brokerCpuSeconds: 0.01 },
  seconds: 2,
  measured: { sent: 2000, acked: 2000, refused: 0, received: 1000 },
  total: { sent: 3000, acked: 3000, refused: 0, received: 3000 },
  expected: 3000,
  outOfOrder: 0,
  unexpectedAcks: 0,
  strangers: 0,
  brokerCpuSeconds: 0.01,
  loadCpuSeconds: 1,
  residentKib: { before: 1000, connected: 1510, after: 2000 },
  ackMicroseconds: { count: 2000, p50: 500, p99: 2000, p999: 3000, max: 4000 },
  endToEndMicroseconds: { count: 1000, p50: 1500, p99: 9000, p999: 9500, max: 9900 },
  connectMicroseconds: { count: 51, p50: 100, p99: 200, p999: 200, max: 210 },
  drain: { seconds: 0.5, complete: true },
  firstFailure: ''
}

const workload = (name: string): Workload => workloads.find(candidate => candidate.name === name)!
const measured = (value: number, failures: string[] = []): Measurement => ({ ...failedMeasurement(''), value, failures })

t.test('the median of an even number of values lies between the two in the middle, and missing values do not count', async t => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 3, 2]), 2.5)
  t.equal(median([Number.NaN, 5]), 5)
  t.ok(Number.isNaN(median([])))
})

t.test('a spread keeps the extremes', async t => {
  t.strictSame(spread([30, 10, 20]), { median: 20, min: 10, max: 30 })
  t.ok(Number.isNaN(spread([Number.NaN]).min))
})

t.test('a ratio to nothing is no ratio', async t => {
  t.equal(ratio(6, 2), 3)
  t.ok(Number.isNaN(ratio(1, 0)))
  t.ok(Number.isNaN(ratio(1, Number.NaN)))
  t.ok(Number.isNaN(ratio(Number.NaN, 1)))
})

t.test('numbers are shown with three digits or grouped thousands', async t => {
  const shown = [0, 0.716, 1.4249, 14.25, 999.4, 999.6, 14200, 1319000, Number.NaN].map(formatNumber)
  t.strictSame(shown, ['0', '0.716', '1.42', '14.3', '999', '1 000', '14 200', '1 319 000', '–'])
})

t.test('a table lines up and refuses a row of the wrong length', async t => {
  const columns = [
    { title: 'name', align: 'left' },
    { title: 'n', align: 'right' }
  ] as const
  t.equal(
    formatTable(columns, [
      ['a', '12 345'],
      ['longer', '1']
    ]),
    ['| name   |      n |', '| ------ | -----: |', '| a      | 12 345 |', '| longer |      1 |'].join('\n')
  )
  t.throws(() => formatTable(columns, [['only one']]), RangeError)
})

t.test('the JSON of the load generator is read as it is and refused when it is anything else', async t => {
  t.strictSame(parseLoadResult(JSON.stringify(good)), good)
  t.throws(() => parseLoadResult(''), /did not print JSON: \(nothing\)/)
  t.throws(() => parseLoadResult('{}'), /printed something else/)
  t.throws(() => parseLoadResult(JSON.stringify({ ...good, surprise: 1 })), /surprise/)
})

t.test('a run without faults has no failures', async t => {
  t.strictSame(failuresOf(good, 10), [])
})

t.test('no fault of a run stays unsaid', async t => {
  const with_ = (change: Partial<LoadResult>) => failuresOf({ ...good, ...change }, 10)
  const total = good.total
  t.match(with_({ connections: { ...good.connections, open: 49, failed: 2 }, firstFailure: 'CONNACK refused (5)' }), [
    '2 of 51 connections not opened (first: CONNACK refused (5))'
  ])
  t.match(with_({ connections: { ...good.connections, lost: 1 } }), ['1 of 51 connections lost'])
  t.match(with_({ total: { ...total, acked: 2990, refused: 10 } }), ['10 messages refused'])
  t.match(with_({ total: { ...total, acked: 2999 } }), ['1 of 3000 messages never acknowledged'])
  t.match(with_({ total: { ...total, received: 2999 } }), ['1 of 3000 deliveries lost'])
  t.match(with_({ total: { ...total, received: 2000 }, drain: { seconds: 10, complete: false } }), [
    '1000 of 3000 deliveries not yet delivered after 10 s'
  ])
  t.match(with_({ total: { ...total, received: 3001 } }), ['1 deliveries too many'])
  t.match(with_({ outOfOrder: 3 }), ['3 deliveries repeated or out of order'])
  t.match(with_({ unexpectedAcks: 1 }), ['1 acknowledgements of nothing in flight'])
  t.match(with_({ strangers: 1 }), ['1 deliveries nobody sent'])
})

t.test('messages sent at QoS 1 of which none came back acknowledged are a failure', async t => {
  const silent = { ...good.measured, acked: 0 }
  const result = { ...good, measured: silent, total: { ...good.total, acked: 0 }, expected: 0, ackMicroseconds: null }
  t.match(measurementOf(workload('ingest'), result).failures, ['3000 of 3000 messages never acknowledged', 'nothing measured'])
})

t.test('nobody acknowledges QoS 0, and that is no failure', async t => {
  const counters = { sent: 6, acked: 0, refused: 0, received: 3000 }
  t.strictSame(measurementOf(workload('fan-out'), { ...good, measured: counters, total: counters }).failures, [])
})

t.test('a measurement counts CPU per message handled and takes the end-to-end latency where there is one', async t => {
  const fanIn = measurementOf(workload('fan-in'), good)
  t.equal(fanIn.value, 500)
  t.equal(fanIn.cpuMicrosecondsPerMessage, 5)
  t.equal(fanIn.p99Milliseconds, 9)
  t.equal(fanIn.generatorBusy, 0.5)
  t.equal(measurementOf(workload('ingest'), { ...good, endToEndMicroseconds: null }).p99Milliseconds, 2)
})

t.test('idle connections are measured in KiB each', async t => {
  t.equal(measurementOf(workload('idle'), good).value, 10)
})

t.test('targets are met, missed, or unknown when a figure cannot be believed', async t => {
  const target = { of: 'measure', comparison: 'at least', value: 3, against: 'mosquitto' } as const
  const of = (value: number, failures?: string[]) => summarize([measured(value, failures)])
  t.strictSame(judge(target, of(300), of(100)), { reached: 3, verdict: 'met' })
  t.equal(judge(target, of(299), of(100)).verdict, 'missed')
  t.equal(judge(target, of(300, ['lost']), of(100)).verdict, 'unknown')
  t.equal(judge(target, of(300), of(100, ['lost'])).verdict, 'unknown')
  t.equal(judge(target, of(300), undefined).verdict, 'unknown')
  const absolute = { of: 'measure', comparison: 'at most', value: 6, against: 'itself' } as const
  t.equal(judge(absolute, of(5), undefined).verdict, 'met')
})

t.test('a figure from a run that failed is marked in the overview and explained below', async t => {
  const peers = new Map([
    ['tributary', [measured(400), measured(500, ['2 deliveries lost']), measured(600)]],
    ['mosquitto', [measured(100)]],
    ['limit-memory', [measured(1000)]]
  ])
  const run = { workload: workload('fan-in'), peers, notes: ['a note'] }
  const line = formatOverview([run], 'tributary', [...peers.keys()]).split('\n')[2]!
  const cells = line.split('|').map(cell => cell.trim())
  t.strictSame(cells.slice(2, -1), ['recv/s', '500 !', '100', '5', '0.5', '≥ 4 ×: unknown'])
  t.match(formatRemarks([run]), '**fan-in, tributary, marked !: 2 deliveries lost**')
  t.match(formatRemarks([run]), '- fan-in: a note')
})

t.test('a peer that never ran leaves a gap, not a zero', async t => {
  const run = { workload: workload('ingest'), peers: new Map([['mosquitto', [measured(100)]]]), notes: [] }
  t.match(formatOverview([run], 'tributary', ['tributary', 'mosquitto']), /\| acked\/s +\| +– \| +100 \| +– \| +– \| ≥ 3 × +\|/)
})

t.test('the file system of a folder is that of the closest mount point', async t => {
  const mounts = '/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmpfiles xfs rw 0 0\n'
  t.equal(fileSystemOf('/home/me', mounts), 'ext4')
  t.equal(fileSystemOf('/tmp/x', mounts), 'tmpfs')
  t.equal(fileSystemOf('/tmpfiles', mounts), 'xfs')
})

t.test('options choose workloads and peers, and nonsense is refused', async t => {
  const quick = parseOptions(['--quick', '--with', 'aedes'])
  t.ok(quick.workloads.length > 0 && quick.workloads.every(chosen => chosen.quick))
  t.strictSame(quick.peers, ['tributary', 'mosquitto', 'aedes'])
  t.strictSame(parseOptions(['--only', 'idle']).workloads, [workload('idle')])
  t.throws(() => parseOptions(['--only', 'nothing']), /no workload is called nothing/)
  t.throws(() => parseOptions(['--rounds', '0']), RangeError)
  t.throws(() => parseOptions(['--fast']), TypeError)
})

t.test('every workload has a name of its own', async t => {
  t.equal(new Set(workloads.map(({ name }) => name)).size, workloads.length)
})

t.test('the configuration that is measured is valid, and its stream is durable', async t => {
  const config = parseConfig(benchmarkConfig(1883, 9883, '/tmp/data'), '/tmp/tributary.yaml')
  t.strictSame(
    Object.values(config.streams).map(stream => stream.ack),
    ['synced']
  )
})
