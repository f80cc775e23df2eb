import { catalogue, type MetricDefinition } from '../../lib/metrics/catalogue.ts'

/** docs/metrics.md, made from the catalogue so that it cannot say anything else. */
export function renderMetricsPage(): string {
  return `${introduction}\n\n${[...rows(catalogue)].join('\n')}\n\n${processMetrics}\n`
}

/** Of the metrics about the process, those that are worth an alert. */
export const processMetricNames: readonly string[] = [
  'nodejs_eventloop_lag_p99_seconds',
  'nodejs_gc_duration_seconds',
  'process_cpu_seconds_total',
  'process_resident_memory_bytes',
  'process_start_time_seconds'
]

const introduction = `# Metrics

The admin listener serves these under \`/metrics\` in Prometheus' text format. What has a unit has it at the end of its name; what ends in \`_total\` only
grows while the process runs. Reasons are words of closed lists: of what clients choose, only the names of consumer groups are
labels, and \`limits.maxStreamGroups\` bounds them. This page is made from
\`lib/metrics/catalogue.ts\`.`

function* rows(definitions: readonly MetricDefinition[]): Generator<string> {
  yield '| Name | Type | Labels | Meaning |'
  yield '| --- | --- | --- | --- |'
  for (const { name, type, labels, help } of definitions) {
    const shown = labels.filter(label => label !== 'le').map(label => `\`${label}\``)
    yield `| \`${name}\` | ${type} | ${shown.join(', ')} | ${help} |`
  }
}

const processMetrics = `About the process itself there are the customary \`process_*\` and \`nodejs_*\` metrics of prom-client, among them
${processMetricNames.map(name => `\`${name}\``).join(', ')}.`
