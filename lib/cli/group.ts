import { type Command, InvalidArgumentError } from 'commander'
import { parseReadFrom } from '../stream/read-from.ts'
import { ADMIN_URL_DEFAULT, AdminClient } from './admin-client.ts'
import { type CliContext, CommandFailure, exitCodes } from './context.ts'
import { type GroupRow, groupTable, lagTable, partitionTable, type ResetAnswer, resetTable } from './group-tables.ts'
import { painter } from './paint.ts'

interface Options {
  admin: string
  json?: boolean
}

interface GroupOptions extends Options {
  stream?: string
  filter?: string
}

interface ResetCommandOptions extends GroupOptions {
  to: string
  partition?: number
  dryRun?: boolean
}

/** `tributary group ls|lag|reset|rm` */
export function addGroupCommands(program: Command, context: CliContext): void {
  const group = program.command('group').summary('look at consumer groups of streams, and move them')

  withAdmin(group.command('ls'))
    .summary('list groups with their lag')
    .option('--partitions', 'one line per partition: its position and who reads it')
    .action((options: Options & { partitions?: boolean }) => listGroups(options, context))

  withAdmin(group.command('lag [group]'))
    .summary('how far behind groups are, by partition')
    .option('--stream <name>', 'only groups of this stream')
    .addHelpText('after', lagHelp)
    .action((name: string | undefined, options: GroupOptions) => showLag(name, options, context))

  withGroup(group.command('reset <group>'))
    .summary('let a group read on from elsewhere')
    .requiredOption('--to <place>', 'earliest, latest, an offset, or a time such as 2026-05-01T12:00:00Z', place)
    .option('--partition <number>', 'only this partition', wholeNumber)
    .option('--dry-run', 'say what it would mean, and change nothing')
    .addHelpText('after', resetHelp)
    .action((name: string, options: ResetCommandOptions) => resetGroup(name, options, context))

  withGroup(group.command('rm <group>'))
    .summary('remove a group with its positions')
    .option('--force', 'although it has members: they get nothing more')
    .action((name: string, options: GroupOptions & { force?: boolean }) => removeGroup(name, options, context))
}

const lagHelp = `
LAG counts offsets from the position to the end of the stream, those of other partitions included; AGE is that of the oldest record
that nobody has acknowledged.`

const resetHelp = `
Members that are connected go on from the new positions at once. What they were handed before and have not acknowledged counts for
nothing any more. Try it with --dry-run first:
  $ tributary group reset workers --to 2026-05-01T12:00:00Z --dry-run`

async function listGroups({ json, partitions, ...options }: Options & { partitions?: boolean }, context: CliContext) {
  const groups = await allGroups(clientOf(options), context)
  if (json) return printJson(groups, context)
  if (groups.length === 0) {
    context.out.write('no groups: a client makes one when it subscribes to $share/GROUP/$stream/NAME\n')
    return
  }
  const paint = painter(context.out, context.env)
  context.out.write(partitions ? partitionTable(groups, paint) : groupTable(groups, paint))
}

async function showLag(name: string | undefined, { json, stream, ...options }: GroupOptions, context: CliContext) {
  if (name === undefined && stream === undefined) {
    throw new CommandFailure('group lag: say which group, or --stream NAME for all groups of a stream', exitCodes.usage)
  }
  const client = clientOf(options)
  const wanted = (await allGroups(client, context)).filter(
    row => (name === undefined || row.group === name) && (stream === undefined || row.stream === stream)
  )
  if (wanted.length === 0) {
    const of = [name === undefined ? '' : ` "${name}"`, stream === undefined ? '' : ` of stream ${stream}`].join('')
    throw new CommandFailure(`there is no consumer group${of}; "tributary group ls" lists them`)
  }
  if (json) return printJson(wanted, context)
  context.out.write(lagTable(wanted, painter(context.out, context.env)))
}

async function resetGroup(name: string, options: ResetCommandOptions, context: CliContext): Promise<void> {
  const client = clientOf(options)
  const { stream, filter } = await findGroup(client, name, options, context)
  const { to, partition, dryRun } = options
  const answer = await client.json<ResetAnswer>('POST', `${pathOf(stream, name)}/reset`, context.signal, {
    ...{ filter, to },
    ...(partition === undefined ? {} : { partition }),
    ...(dryRun ? { dryRun } : {})
  })
  if (options.json) return printJson(answer, context)
  const { members, exact, note } = answer
  context.out.write(resetTable(answer, painter(context.out, context.env)))
  if (!exact) context.out.write('too much lies between to count records: SKIPPED and AGAIN are offsets, of all partitions\n')
  if (note !== null) context.out.write(`${note}\n`)
  if (members.length > 0) {
    context.out.write(
      `${members.length} connected ${members.length === 1 ? 'member' : 'members'} ${dryRun ? 'would go' : 'went'} on from there\n`
    )
  }
  if (dryRun) context.out.write('nothing was changed: leave out --dry-run to do it\n')
}

async function removeGroup(name: string, options: GroupOptions & { force?: boolean }, context: CliContext): Promise<void> {
  const client = clientOf(options)
  const { stream, filter } = await findGroup(client, name, options, context)
  const query = new URLSearchParams({ filter, ...(options.force ? { force: 'true' } : {}) })
  await client.json('DELETE', `${pathOf(stream, name)}?${query}`, context.signal)
  if (options.json) return printJson({ stream, group: name, filter, removed: true }, context)
  context.out.write(`removed group ${name} of stream ${stream}\n`)
}

/** The one group that is meant; which stream and filter may be left out while that is clear. */
async function findGroup(
  client: AdminClient,
  name: string,
  { stream, filter }: GroupOptions,
  context: CliContext
): Promise<GroupRow> {
  const named = (await allGroups(client, context)).filter(
    row =>
      row.group === name && (stream === undefined || row.stream === stream) && (filter === undefined || row.filter === filter)
  )
  const [found, ...others] = named
  if (found === undefined) throw new CommandFailure(`there is no such consumer group "${name}"; "tributary group ls" lists them`)
  if (others.length === 0) return found
  const which = named.map(row => `--stream ${row.stream} --filter '${row.filter}'`).join('\n  ')
  throw new CommandFailure(`there are ${named.length} groups "${name}": say which one with\n  ${which}`, exitCodes.usage)
}

async function allGroups(client: AdminClient, context: CliContext): Promise<GroupRow[]> {
  return (await client.json<{ groups: GroupRow[] }>('GET', '/groups', context.signal)).groups
}

function clientOf({ admin }: Options): AdminClient {
  return new AdminClient(admin, 'start it with "tributary start", or say where it is with --admin URL')
}

function pathOf(stream: string, group: string): string {
  return `/streams/${encodeURIComponent(stream)}/groups/${encodeURIComponent(group)}`
}

function withAdmin(command: Command): Command {
  return command.option('--admin <url>', 'admin listener of a running broker', ADMIN_URL_DEFAULT).option('--json', 'print JSON')
}

function withGroup(command: Command): Command {
  return withAdmin(command)
    .option('--stream <name>', 'the stream, where several have a group of that name')
    .option('--filter <filter>', 'the topic filter, where several groups of that name have different ones')
}

function printJson(value: unknown, context: CliContext): void {
  context.out.write(`${JSON.stringify(value, undefined, 2)}\n`)
}

function place(text: string): string {
  if (parseReadFrom(text) === undefined) {
    throw new InvalidArgumentError('expected earliest, latest, an offset, or a time such as 2026-05-01T12:00:00Z')
  }
  return text
}

function wholeNumber(text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw new InvalidArgumentError('expected a whole number')
  return Number(text)
}
