import type { MetricDefinition } from './catalogue.ts'

/** A consumer group of a stream, as far as it is measured. */
export interface GroupState {
  stream: string
  group: string
  filter: string
  /** Records. */
  lag: number
  /** Age of the oldest record that is not acknowledged; undefined while it is not known. */
  lagSeconds: number | undefined
  members: readonly unknown[]
  committed: number
  redelivered: number
  deadLetters: number
  lost: number
}

function ofGroups(
  type: MetricDefinition['type'],
  name: string,
  help: string,
  read: (group: GroupState) => number | undefined
): MetricDefinition {
  return {
    ...{ name: `tributary_stream_group_${name}`, type, help, labels: ['stream', 'group', 'filter'] },
    read: ({ groups }) =>
      [...(groups?.() ?? [])].flatMap(one => {
        const value = read(one)
        const { stream, group, filter } = one
        return value === undefined ? [] : [{ labels: { stream, group, filter }, value }]
      })
  }
}

/** What is told of each consumer group. Totals count from the start of the broker. */
export const groupMetrics: readonly MetricDefinition[] = [
  ofGroups('gauge', 'lag_records', 'Records of a stream from the lowest position of a consumer group on.', ({ lag }) => lag),
  ofGroups(
    'gauge',
    'lag_seconds',
    'Age of the oldest record that a consumer group has not acknowledged; 0 when there is none.',
    ({ lagSeconds }) => lagSeconds
  ),
  ofGroups(
    'gauge',
    'members',
    'Members of a consumer group, over MQTT, HTTP and in the process.',
    ({ members }) => members.length
  ),
  ofGroups(
    'counter',
    'committed_records_total',
    'Records that members of a consumer group have acknowledged.',
    ({ committed }) => committed
  ),
  ofGroups(
    'counter',
    'redelivered_records_total',
    'Records that were handed to a member of a consumer group and had been handed out before.',
    ({ redelivered }) => redelivered
  ),
  ofGroups(
    'counter',
    'dead_letters_total',
    'Records that a consumer group gave up after all attempts, or that a member refused.',
    ({ deadLetters }) => deadLetters
  ),
  ofGroups(
    'counter',
    'lost_records_total',
    'Records that were removed from a stream before a consumer group had read them, estimated where its partitions are not equally far.',
    ({ lost }) => lost
  )
]
