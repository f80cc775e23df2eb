import { failuresOf, type LoadResult } from './result.ts'
import { ratio } from './statistics.ts'
import type { Workload } from './workload.ts'

/** One run of one workload against one peer, as the report needs it. Figures that do not exist for the workload are NaN. */
export interface Measurement {
  value: number
  cpuMicrosecondsPerMessage: number
  p50Milliseconds: number
  p99Milliseconds: number
  /** Share of the measured time in which the load generator itself was busy; near 1 it is the one being measured. */
  generatorBusy: number
  failures: string[]
  result: LoadResult | undefined
}

export const drainSecondsDefault = 10

export function measurementOf(workload: Workload, result: LoadResult): Measurement {
  const isPublishing = Boolean(workload.load.publishers)
  const latency = isPublishing ? (result.endToEndMicroseconds ?? result.ackMicroseconds) : result.connectMicroseconds
  const cpuSeconds = isPublishing ? result.brokerCpuSeconds : result.connections.brokerCpuSeconds
  const { sent, acked, received } = result.measured
  // A message counts once for each of the two things a broker does with it, whichever is more: accept it or deliver it.
  const messages = isPublishing ? Math.max(acked, received, acked + received ? 0 : sent) : result.connections.open
  const value = workload.measure.of(result)
  const failures = failuresOf(result, Number(workload.load.drain ?? drainSecondsDefault), workload.load.qos !== 0)
  if (!(value > 0) && workload.measure.better === 'higher') failures.push('nothing measured')
  return {
    value,
    cpuMicrosecondsPerMessage: ratio(cpuSeconds * 1e6, messages),
    p50Milliseconds: latency ? latency.p50 / 1000 : Number.NaN,
    p99Milliseconds: latency ? latency.p99 / 1000 : Number.NaN,
    generatorBusy: isPublishing ? ratio(result.loadCpuSeconds, result.seconds) : Number.NaN,
    failures,
    result
  }
}

/** A run that did not get as far as a result: the broker did not start, the generator did not end. */
export function failedMeasurement(why: string): Measurement {
  return {
    value: Number.NaN,
    cpuMicrosecondsPerMessage: Number.NaN,
    p50Milliseconds: Number.NaN,
    p99Milliseconds: Number.NaN,
    generatorBusy: Number.NaN,
    failures: [why],
    result: undefined
  }
}
