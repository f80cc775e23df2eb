import { type Command, Option } from 'commander'
import type { Plan, StreamChange } from '../apply/plan.ts'
import { ADMIN_URL_DEFAULT, AdminClient } from './admin-client.ts'
import { type CliContext, CommandFailure, exitCodes } from './context.ts'
import { painter } from './paint.ts'
import { formatChange, formatPlan } from './plan-text.ts'

interface PlanFlags {
  admin?: string
  data?: string
  prune?: boolean
  json?: boolean
  filter?: string
  key?: string
  partitions?: string
  retentionAge?: string
  retentionBytes?: string
  ack?: string
  segmentBytes?: string
}

type Words = Record<string, unknown>

/** Where plans come from. */
interface Planner {
  plan(words: Record<string, Words>, prune: boolean): Promise<Plan>
  planChange(name: string, words: Words): Promise<StreamChange | undefined>
}

/** `tributary stream plan` */
export function addPlanCommand(stream: Command, context: CliContext): void {
  stream
    .command('plan <name|file>')
    .summary('say what a change of a stream would delete, without changing anything')
    .description(
      'Say what would become of a stream with other settings, or of all of them with those of a file\n' +
        'for "tributary apply": which records would go, and who has not read them. Nothing is changed.'
    )
    .option('--retention-age <duration>', 'keep records for this long; 0 = for ever')
    .option('--retention-bytes <size>', 'keep this much; 0 = everything')
    .option('--filter <filter>', 'messages whose topic matches go into the stream')
    .option('--partitions <count>', 'into how many parts readers can share the stream')
    .addOption(new Option('--key <key>', 'what decides the partition of a record').choices(['clientId', 'topic']))
    .addOption(new Option('--ack <mode>', 'what acknowledgements wait for').choices(['synced', 'written', 'received']))
    .option('--segment-bytes <size>', 'size of a segment file')
    .option('--prune', 'with a file: streams that were applied before and are not in it would be removed')
    .option('--admin <url>', `admin listener of a running broker (default: ${ADMIN_URL_DEFAULT})`)
    .option('--data <dir>', 'look at the files of this data folder instead; who reads what is not known then')
    .option('--json', 'print JSON')
    .addHelpText('after', helpEnd)
    .action((target: string, flags: PlanFlags) => plan(target, flags, context))
}

const helpEnd = `
Examples:
  $ tributary stream plan telemetry --retention-age 1d
  $ tributary stream plan telemetry --retention-bytes 1GiB --data ./data
  $ tributary stream plan streams.yaml --prune`

async function plan(target: string, flags: PlanFlags, context: CliContext): Promise<void> {
  const planner = await plannerOf(flags, context)
  const paint = painter(context.out, context.env)
  const print = (value: unknown, text: string) =>
    context.out.write(flags.json ? `${JSON.stringify(value, undefined, 2)}\n` : text)
  const words = wordsOf(flags)
  if (isFile(target)) {
    if (Object.keys(words).length > 0)
      throw new CommandFailure('settings go with the name of a stream, not with a file', exitCodes.usage)
    const { readStreamsFile } = await import('../config/streams-file.ts')
    const result = await planner.plan(readStreamsFile(target).words, flags.prune === true)
    print(result, formatPlan(result, paint))
    return
  }
  if (Object.keys(words).length === 0) {
    const hint = 'say what to change, for example --retention-age 1d; or name a file that ends in .yaml'
    throw new CommandFailure(`nothing to plan for ${target}: ${hint}`, exitCodes.usage)
  }
  const change = await planner.planChange(target, words)
  print(change ?? null, change === undefined ? 'nothing to change\n' : formatChange(change, paint))
}

/** A stream's name has neither dots nor slashes. */
function isFile(target: string): boolean {
  return /[/\\.]/.test(target)
}

function wordsOf(flags: PlanFlags): Words {
  const { filter, key, partitions, ack, segmentBytes, retentionAge: age, retentionBytes: bytes } = flags
  const retention = given({ age, bytes })
  const words = given({ filter, key, ack, segmentBytes, partitions: partitions === undefined ? undefined : numberOr(partitions) })
  return Object.keys(retention).length === 0 ? words : { ...words, retention }
}

function given(words: Words): Words {
  return Object.fromEntries(Object.entries(words).filter(([, value]) => value !== undefined))
}

/** What is no number stays as it is, so that the schema says what it expected. */
function numberOr(text: string): number | string {
  return /^\d{1,15}$/.test(text) ? Number(text) : text
}

async function plannerOf({ admin, data }: PlanFlags, { signal }: CliContext): Promise<Planner> {
  if (data !== undefined) {
    if (admin !== undefined)
      throw new CommandFailure('--admin and --data exclude each other: ask a broker or read its files', exitCodes.usage)
    return folderPlanner(data)
  }
  const hint = 'start it with "tributary start", say where it is with --admin URL, or read its files with --data DIR'
  const client = new AdminClient(admin ?? ADMIN_URL_DEFAULT, hint)
  return {
    plan: (streams, prune) => client.json('PUT', `/streams?dryRun=true&prune=${prune}`, signal, { streams }),
    planChange: async (name, words) => {
      const path = `/streams/${encodeURIComponent(name)}/plan`
      const { change } = await client.json<{ change: StreamChange | null }>('POST', path, signal, words)
      return change ?? undefined
    }
  }
}

async function folderPlanner(data: string): Promise<Planner> {
  const { FolderPlanner } = await import('../apply/folder-plan.ts')
  const { parseStreamsFile } = await import('../config/streams-file.ts')
  const { NodeFileSystem } = await import('../stream/file-system.ts')
  const planner = await FolderPlanner.open(new NodeFileSystem(), data, Date.now())
  return {
    plan: (streams, prune) => planner.plan(parseStreamsFile(JSON.stringify({ streams }), 'streams').streams, prune),
    planChange: (name, words) => planner.planChange(name, words)
  }
}
