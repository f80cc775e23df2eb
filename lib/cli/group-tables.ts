import { type Paint, printable } from './paint.ts'
import { formatTable } from './table.ts'
import { formatCount, formatSeconds } from './units.ts'

/** One group as the admin endpoint tells it, as far as it is shown. */
export interface GroupRow {
  stream: string
  group: string
  filter: string
  end: number
  lag: number
  lagSeconds?: number
  members: { id: string; kind: string }[]
  partitions: { partition: number; position: number; lag: number; lagSeconds?: number; inFlight: number; member?: string }[]
}

export interface ResetAnswer {
  partitions: { partition: number; from: number; to: number; skipped: number; again: number }[]
  members: string[]
  exact: boolean
  note: string | null
}

const right = 'right' as const
const names = [{ title: 'STREAM' }, { title: 'GROUP' }, { title: 'FILTER' }]
const partitionTitle = { title: 'PARTITION', align: right }
const positionTitle = { title: 'POSITION', align: right }

export function groupTable(groups: readonly GroupRow[], paint: Paint): string {
  const columns = [...names, { title: 'MEMBERS', align: right }, { title: 'LAG', align: right }, { title: 'AGE', align: right }]
  const rows = groups.map(row => [
    ...namesOf(row),
    formatCount(row.members.length),
    formatCount(row.lag),
    formatSeconds(row.lagSeconds)
  ])
  return formatTable(columns, rows, paint)
}

export function partitionTable(groups: readonly GroupRow[], paint: Paint): string {
  const columns = [...names, partitionTitle, positionTitle, { title: 'MEMBER' }]
  const rows = groups.flatMap(row =>
    row.partitions.map(({ partition, position, member }) => [
      ...namesOf(row),
      String(partition),
      formatCount(position),
      printable(member ?? '-')
    ])
  )
  return formatTable(columns, rows, paint)
}

export function lagTable(groups: readonly GroupRow[], paint: Paint): string {
  const numbers = ['END', 'LAG', 'IN FLIGHT', 'AGE'].map(title => ({ title, align: right }))
  const columns = [...names, partitionTitle, positionTitle, ...numbers, { title: 'MEMBER' }]
  const rows = groups.flatMap(row =>
    row.partitions.map(({ partition, position, lag, lagSeconds, inFlight, member }) => [
      ...namesOf(row),
      String(partition),
      ...[position, row.end, lag, inFlight].map(formatCount),
      formatSeconds(lagSeconds),
      printable(member ?? '-')
    ])
  )
  return formatTable(columns, rows, paint)
}

export function resetTable({ partitions }: ResetAnswer, paint: Paint): string {
  const columns = ['PARTITION', 'FROM', 'TO', 'SKIPPED', 'AGAIN'].map(title => ({ title, align: right }))
  const rows = partitions.map(({ partition, from, to, skipped, again }) => [partition, from, to, skipped, again].map(formatCount))
  return formatTable(columns, rows, paint)
}

function namesOf({ stream, group, filter }: GroupRow): string[] {
  return [stream, printable(group), printable(filter)]
}
