import type { Command } from 'commander'
import { ADMIN_URL_DEFAULT, AdminClient } from './admin-client.ts'
import type { CliContext } from './context.ts'
import { painter, printable } from './paint.ts'
import { formatTable } from './table.ts'
import { formatCount } from './units.ts'

interface GroupRow {
  stream: string
  group: string
  filter: string
  lag: number
  members: string[]
  partitions: { partition: number; position: number; member?: string }[]
}

/** `tributary group ls` */
export function addGroupCommands(program: Command, context: CliContext): void {
  program
    .command('group')
    .summary('look at consumer groups of streams')
    .command('ls')
    .summary('list groups with their lag')
    .option('--admin <url>', 'admin listener of a running broker', ADMIN_URL_DEFAULT)
    .option('--partitions', 'one line per partition: its position and who reads it')
    .option('--json', 'print JSON')
    .action((options: Options) => listGroups(options, context))
}

interface Options {
  admin: string
  partitions?: boolean
  json?: boolean
}

async function listGroups({ admin, partitions, json }: Options, context: CliContext): Promise<void> {
  const client = new AdminClient(admin, 'start it with "tributary start", or say where it is with --admin URL')
  const { groups } = await client.json<{ groups: GroupRow[] }>('GET', '/groups', context.signal)
  if (json) {
    context.out.write(`${JSON.stringify(groups, undefined, 2)}\n`)
    return
  }
  if (groups.length === 0) {
    context.out.write('no groups: a client makes one when it subscribes to $share/GROUP/$stream/NAME\n')
    return
  }
  const paint = painter(context.out, context.env)
  context.out.write(
    partitions
      ? formatTable(partitionColumns, groups.flatMap(partitionRows), paint)
      : formatTable(groupColumns, groups.map(groupRow), paint)
  )
}

const right = 'right' as const
const names = [{ title: 'STREAM' }, { title: 'GROUP' }, { title: 'FILTER' }]
const groupColumns = [...names, { title: 'MEMBERS', align: right }, { title: 'LAG', align: right }]
const partitionColumns = [
  ...names,
  { title: 'PARTITION', align: right },
  { title: 'POSITION', align: right },
  { title: 'MEMBER' }
]

function groupRow({ stream, group, filter, members, lag }: GroupRow): string[] {
  return [stream, printable(group), printable(filter), formatCount(members.length), formatCount(lag)]
}

function partitionRows({ stream, group, filter, partitions }: GroupRow): string[][] {
  return partitions.map(({ partition, position, member }) => [
    stream,
    printable(group),
    printable(filter),
    String(partition),
    formatCount(position),
    printable(member ?? '-')
  ])
}
