import { ratio } from '../statistics.ts'
import { workloads } from '../workload.ts'
import { fillBacklog } from './backlog.ts'
import { payloadBytes } from './fill.ts'
import type { LabBroker, ReadOutcome, ReadRequest, StreamLab } from './lab.ts'

/** One run of one entrant. Figures that do not exist are NaN. */
export interface StreamMeasurement {
  value: number
  /** Processor time of the measured process per record, microseconds. */
  cpuMicroseconds: number
  failures: string[]
}

export interface Entrant {
  name: string
  measure(lab: StreamLab, scale: Scale): Promise<StreamMeasurement>
}

/** How much is read, and how long publishers publish: less in a quick run. */
export interface Scale {
  records: number
  /** Of a baseline that has to be filled through its front door. */
  backlogRecords: number
  openRecords: number
  seconds: number
}

export interface StreamBenchmark {
  name: string
  title: string
  unit: string
  /** Ours first, then what it is compared with. */
  entrants: [Entrant, ...Entrant[]]
  /** What the project promises: of the value, or of its ratio to the first baseline. */
  target?: { of: 'value' | 'ratio'; comparison: 'at least' | 'at most'; value: number }
  quick: boolean
}

const everything = '$stream/telemetry/earliest'

function replay(name: string, title: string, request: Pick<ReadRequest, 'version' | 'qos' | 'members'>): Entrant {
  const filter = request.members ? `$share/readers/${everything}` : everything
  return {
    name,
    measure: async (lab, { records }) => {
      const data = await lab.filled(records)
      return lab.withBroker(data, async broker => {
        return ofRead(await lab.read(broker, { ...request, filter, records, warmup: records / 5 }), records, title)
      })
    }
  }
}

function mosquittoBacklog(qos: 0 | 1): Entrant {
  return {
    name: 'mosquitto',
    measure: (lab, { backlogRecords: records }) =>
      lab.withMosquitto(async broker => {
        await fillBacklog(broker.port, 'reader-0', qos, records)
        return ofRead(await lab.read(broker, { version: 4, qos, records, warmup: records / 5 }), records, 'its queue')
      })
  }
}

const replayQos1 = replay('one reader', 'one reader at QoS 1', { version: 4, qos: 1 })

export const streamBenchmarks: readonly StreamBenchmark[] = [
  {
    name: 'replay-qos0',
    title: 'replay over MQTT, QoS 0',
    unit: 'records/s',
    entrants: [replay('tributary', 'QoS 0', { version: 4, qos: 0 }), mosquittoBacklog(0)],
    target: { of: 'value', comparison: 'at least', value: 300_000 },
    quick: true
  },
  {
    name: 'replay-qos1',
    title: 'replay over MQTT, QoS 1',
    unit: 'records/s',
    entrants: [replay('tributary', 'QoS 1', { version: 4, qos: 1 }), mosquittoBacklog(1)],
    quick: true
  },
  {
    name: 'replay-v5-qos0',
    title: 'replay over MQTT 5, QoS 0, four properties told',
    unit: 'records/s',
    entrants: [replay('tributary', 'MQTT 5', { version: 5, qos: 0 }), replay('as 3.1.1', 'QoS 0', { version: 4, qos: 0 })],
    quick: true
  },
  {
    name: 'replay-v5-qos1',
    title: 'replay over MQTT 5, QoS 1, four properties told',
    unit: 'records/s',
    entrants: [replay('tributary', 'MQTT 5', { version: 5, qos: 1 }), replay('as 3.1.1', 'QoS 1', { version: 4, qos: 1 })],
    quick: false
  },
  {
    name: 'group-of-4',
    title: 'group of 4 over MQTT, QoS 1, committed',
    unit: 'records/s',
    entrants: [replay('tributary', 'a group of 4', { version: 4, qos: 1, members: 4 }), replayQos1],
    target: { of: 'value', comparison: 'at least', value: 100_000 },
    quick: true
  },
  {
    name: 'read-http',
    title: 'read over HTTP, NDJSON',
    unit: 'records/s',
    entrants: [{ name: 'tributary', measure: readHttp }],
    target: { of: 'value', comparison: 'at least', value: 200_000 },
    quick: true
  },
  {
    name: 'read-node',
    title: 'sequential read in Node',
    unit: 'records/s',
    entrants: [tool('tributary', 'read'), tool('reading the files', 'readFiles')],
    target: { of: 'value', comparison: 'at least', value: 1_000_000 },
    quick: true
  },
  {
    name: 'ingest-beside-reader',
    title: 'ingest beside a reader that replays',
    unit: 'acked/s',
    entrants: [
      { name: 'tributary', measure: (lab, scale) => ingest(lab, scale, true) },
      { name: 'no reader', measure: (lab, scale) => ingest(lab, scale, false) }
    ],
    target: { of: 'ratio', comparison: 'at least', value: 0.85 },
    quick: true
  },
  {
    name: 'disk-bytes',
    title: `disk per record of ${payloadBytes} bytes`,
    unit: 'bytes',
    entrants: [{ name: 'tributary', measure: diskBytes }],
    target: { of: 'value', comparison: 'at most', value: 150 },
    quick: true
  },
  {
    name: 'open-after-stop',
    title: 'opening a log after a clean stop',
    unit: 's',
    entrants: [{ name: 'tributary', measure: (lab, scale) => opening(lab, scale, 'fill') }],
    target: { of: 'value', comparison: 'at most', value: 1 },
    quick: true
  },
  {
    name: 'open-after-kill',
    title: 'opening a log after kill -9',
    unit: 's',
    entrants: [{ name: 'tributary', measure: (lab, scale) => opening(lab, scale, 'fillAndDie') }],
    target: { of: 'value', comparison: 'at most', value: 5 },
    quick: true
  }
]

function ofRead(read: ReadOutcome, wanted: number, who: string): StreamMeasurement {
  const failures: string[] = []
  if (read.records !== wanted) failures.push(`${who}: ${read.records} of ${wanted} records came`)
  else if (!read.isEachOnce) failures.push(`${who}: records came twice, not at all or out of order`)
  return {
    value: ratio(read.measured, read.seconds),
    cpuMicroseconds: ratio(read.brokerCpuSeconds * 1e6, read.measured),
    failures
  }
}

async function readHttp(lab: StreamLab, { records }: Scale): Promise<StreamMeasurement> {
  const data = await lab.filled(records)
  return lab.withBroker(data, async broker => {
    await lab.countLines(broker, `/streams/telemetry/records?from=earliest&limit=${records / 5}`)
    const { lines, seconds, cpuSeconds } = await lab.countLines(broker, '/streams/telemetry/records?from=earliest')
    return {
      value: ratio(lines, seconds),
      cpuMicroseconds: ratio(cpuSeconds * 1e6, lines),
      failures: lines === records ? [] : [`${lines} of ${records} records came`]
    }
  })
}

function tool(name: string, command: string): Entrant {
  return {
    name,
    measure: async (lab, scale) => {
      const { records = 0, seconds = 0, cpuSeconds = 0 } = await lab.tool(command, await lab.filled(scale.records), scale.records)
      return {
        value: ratio(records, seconds),
        cpuMicroseconds: ratio(cpuSeconds * 1e6, records),
        failures: records === scale.records ? [] : [`${records} of ${scale.records} records came`]
      }
    }
  }
}

/** Publishers at full speed into a stream whose history somebody reads over and over, or nobody does. */
async function ingest(lab: StreamLab, scale: Scale, withReader: boolean): Promise<StreamMeasurement> {
  const { records } = scale
  // Reading and publishing at once is compiled while it runs: a shorter measurement is one of the compiler.
  const seconds = Math.max(3, scale.seconds)
  const { load } = workloads.find(({ name }) => name === 'ingest')!
  return lab.withFolder(async data => {
    await lab.tool('fill', data, records)
    return lab.withBroker(data, async (broker: LabBroker) => {
      const options = { ...load, seconds, warmup: 3, drain: 10 }
      const publish = () => lab.generator.run(broker.port, [broker.pid], options, seconds + 60)
      const reading: ReadRequest = { version: 4, qos: 0, filter: everything, records, warmup: 0 }
      const { measured, total, brokerCpuSeconds, ...run } = withReader
        ? await lab.besideReader(broker, reading, publish)
        : await publish()
      return {
        value: ratio(measured.acked, run.seconds),
        cpuMicroseconds: ratio(brokerCpuSeconds * 1e6, measured.acked),
        failures: total.acked === total.sent ? [] : [`${total.sent - total.acked} of ${total.sent} publishes not acknowledged`]
      }
    })
  })
}

async function diskBytes(lab: StreamLab, { records }: Scale): Promise<StreamMeasurement> {
  const { bytes = Number.NaN } = await lab.withFolder(folder => lab.tool('fill', folder, records))
  return { value: bytes / records, cpuMicroseconds: Number.NaN, failures: [] }
}

async function opening(lab: StreamLab, { openRecords }: Scale, fill: 'fill' | 'fillAndDie'): Promise<StreamMeasurement> {
  return lab.withFolder(async folder => {
    await lab.tool(fill, folder, openRecords)
    const { records = 0, seconds = Number.NaN } = await lab.tool('open', folder, 0)
    const failures = records === openRecords ? [] : [`${records} of ${openRecords} records are there`]
    return { value: seconds, cpuMicroseconds: Number.NaN, failures }
  })
}
