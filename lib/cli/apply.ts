import type { Command } from 'commander'
import { changesSomething, type Plan, refusals } from '../apply/plan.ts'
import { ADMIN_URL_DEFAULT, AdminClient } from './admin-client.ts'
import { type CliContext, CommandFailure } from './context.ts'
import { painter } from './paint.ts'
import { formatPlan } from './plan-text.ts'

export interface ApplyFlags {
  admin: string
  prune?: boolean
  dryRun?: boolean
  json?: boolean
}

/** `tributary apply` */
export function addApplyCommand(program: Command, context: CliContext): void {
  program
    .command('apply <file>')
    .summary('bring the streams of a running broker to what a file says')
    .description(
      'Create and change streams of a running broker as a YAML file says, whose `streams` has the words of\n' +
        'the configuration. What it will do is printed first, with what a change deletes. Streams of the\n' +
        'configuration file are not touched, and no stream is removed without --prune.'
    )
    .option('--dry-run', 'only print what would be done')
    .option('--prune', 'remove streams that were applied before and are not in the file, with all their records')
    .option('--admin <url>', 'admin listener of a running broker', ADMIN_URL_DEFAULT)
    .option('--json', 'print the plan as JSON')
    .addHelpText('after', helpEnd)
    .action((file: string, options: ApplyFlags) => apply(file, options, context))
}

const helpEnd = `
Examples:
  $ cat streams.yaml
  streams:
    orders: { filter: 'shop/+/orders', retention: { age: 90d } }
  $ tributary apply streams.yaml --dry-run
  $ tributary apply streams.yaml --prune`

/** Looks at the plan, prints it and carries out just that one. */
async function apply(file: string, flags: ApplyFlags, context: CliContext): Promise<void> {
  // Loaded here, so that the other commands start without it.
  const { readStreamsFile } = await import('../config/streams-file.ts')
  const { words } = readStreamsFile(file)
  const client = new AdminClient(flags.admin, 'start it with "tributary start", or say where it is with --admin URL')
  const put = (query: string) =>
    client.json<Plan>('PUT', `/streams?prune=${flags.prune === true}&${query}`, context.signal, { streams: words })
  const plan = await put('dryRun=true')
  const refused = refusals(plan)
  const carriedOut = flags.dryRun || refused.length > 0 || !changesSomething(plan)
  if (!flags.json) context.out.write(formatPlan(plan, painter(context.out, context.env)))
  const result = carriedOut ? plan : await put(`dryRun=false&revision=${plan.revision}`)
  if (flags.json) context.out.write(`${JSON.stringify(result, undefined, 2)}\n`)
  else if (result.applied) context.out.write(`${painter(context.out, context.env)('green', 'Applied.')}\n`)
  if (refused.length > 0) {
    throw new CommandFailure(
      `nothing ${flags.dryRun ? 'would be' : 'was'} applied: ${refused.map(({ stream }) => stream).join(', ')}`
    )
  }
}
