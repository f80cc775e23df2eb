import type { MetricDefinition, Sample } from './catalogue.ts'

/** What a stream that looks at messages has seen. */
export interface IntakeGauges {
  stream: string
  validated: ReadonlyMap<string, number>
  faults: ReadonlyMap<string, number>
  duplicates: ReadonlyMap<string, number>
  remembered: number
  rememberedBytes: number
}

/** Part of the catalogue: what schemas and de-duplication of streams count. */
export const intakeMetrics: readonly MetricDefinition[] = [
  {
    name: 'tributary_schema_validated_total',
    type: 'counter',
    labels: ['stream', 'result'],
    help: 'Messages that the schema of a stream looked at: `valid`, or what became of those that were not.',
    read: ofIntakes(({ validated }) => byLabel('result', validated))
  },
  {
    name: 'tributary_schema_failures_total',
    type: 'counter',
    labels: ['stream', 'fault'],
    help: 'Messages that were not valid under the schema of a stream, by what was wrong: `invalid`, `not-json`, `too-large`, `too-deep`.',
    read: ofIntakes(({ faults }) => byLabel('fault', faults))
  },
  {
    name: 'tributary_stream_duplicates_total',
    type: 'counter',
    labels: ['stream', 'by'],
    help: 'Messages that a stream had already and did not take again, by what it knew them by.',
    read: ofIntakes(({ duplicates }) => byLabel('by', duplicates))
  },
  {
    name: 'tributary_stream_remembered_messages',
    type: 'gauge',
    labels: ['stream'],
    help: 'Messages that a stream remembers to know repetitions.',
    read: ofIntakes(({ remembered }) => [{ value: remembered }])
  },
  {
    name: 'tributary_stream_remembered_bytes',
    type: 'gauge',
    labels: ['stream'],
    help: 'Memory that takes, estimated.',
    read: ofIntakes(({ rememberedBytes }) => [{ value: rememberedBytes }])
  }
]

function ofIntakes(read: (gauges: IntakeGauges) => Sample[]): MetricDefinition['read'] {
  return ({ intakes }) =>
    [...(intakes?.() ?? [])].flatMap(gauges => {
      return read(gauges).map(({ labels, value }) => ({ labels: { stream: gauges.stream, ...labels }, value }))
    })
}

function byLabel(label: string, counts: ReadonlyMap<string, number>): Sample[] {
  return [...counts].map(([key, value]) => ({ labels: { [label]: key }, value }))
}
