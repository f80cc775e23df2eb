import { type Command, InvalidArgumentError, Option } from 'commander'
import type { LetterJson, LetterSummaryJson } from '../admin/letter-json.ts'
import type { ReportJson } from '../admin/routes-dead-letters.ts'
import { deadLetterReasons } from '../dead-letter/contract.ts'
import { letterStates } from '../dead-letter/selection.ts'
import { parseReadFrom } from '../stream/read-from.ts'
import { ADMIN_URL_DEFAULT, AdminClient } from './admin-client.ts'
import { type CliContext, CommandFailure, exitCodes } from './context.ts'
import { letterTable, letterText, reportText } from './dead-letter-text.ts'
import { painter } from './paint.ts'
import { positiveNumber, topicFilter, wholeNumber } from './stream.ts'
import { formatCount } from './units.ts'

interface CommonOptions {
  admin: string
  json?: boolean
}

interface SelectOptions extends CommonOptions {
  reason?: string
  client?: string
  filter?: string
  from?: string
  before?: string
  state?: string
  limit?: number
}

interface ActFlags extends SelectOptions {
  all?: boolean
  dryRun?: boolean
}

/** `tributary dead-letter ls|show|redrive|discard` */
export function addDeadLetterCommands(program: Command, context: CliContext): void {
  const command = program.command('dead-letter').summary('look at messages that could not be delivered, and send them again')

  withSelection(withBroker(command.command('ls')))
    .summary('list the last ones, the newest at the bottom')
    .addOption(new Option('--state <state>', 'what was done with them').choices([...letterStates, 'all']).default('open'))
    .option('--limit <count>', 'how many to list', positiveNumber, 50)
    .addHelpText(
      'after',
      examples(['ls --reason queue-full', 'ls --client pump-7 --from 2026-05-01T12:00:00Z', 'ls --state all --json'])
    )
    .action((options: SelectOptions) => list(options, context))

  withBroker(command.command('show <id>'))
    .summary('print one with everything the message had')
    .option('--hex', 'print the payload as bytes even if it is text')
    .action((id: string, options: CommonOptions & { hex?: boolean }) => show(wholeNumber(id), options, context))

  withAct(withBroker(command.command('redrive [ids...]')))
    .summary('send them again; each is sent once, whoever asks how often')
    .addOption(
      new Option('--to <target>', 'client: into the queue of the session it was for; topic: published anew, for all subscribers')
        .choices(['client', 'topic'])
        .makeOptionMandatory()
    )
    .option('--rate <count>', 'how many per second (default: deadLetter.redrivePerSecond of the broker)', rate)
    .addHelpText(
      'after',
      examples([
        'redrive 17 18 --to client',
        'redrive --reason session-expired --client pump-7 --to topic --dry-run',
        'redrive --filter "orders/#" --to topic --rate 50/s'
      ])
    )
    .action((ids: string[], options: ActFlags & { to: string; rate?: number }) => {
      const { to, rate } = options
      return act('redrive', ids, options, { to, rate }, context)
    })

  withAct(withBroker(command.command('discard [ids...]')))
    .summary('mark them as dealt with')
    .addHelpText('after', examples(['discard 17', 'discard --reason message-expired --before 2026-05-01', 'discard --all']))
    .action((ids: string[], options: ActFlags) => act('discard', ids, options, {}, context))
}

function withBroker(command: Command): Command {
  return command.option('--admin <url>', 'admin listener of a running broker', ADMIN_URL_DEFAULT).option('--json', 'print JSON')
}

function withSelection(command: Command): Command {
  return command
    .addOption(new Option('--reason <reason>', 'only those with this reason').choices(deadLetterReasons))
    .option('--client <id>', 'only those that this client should have had')
    .option('--filter <filter>', 'only those whose topic matches this MQTT topic filter', topicFilter)
    .option('--from <time>', 'only those from this time on, such as 2026-05-01T12:00:00Z', time)
    .option('--before <time>', 'only those from before this time', time)
}

function withAct(command: Command): Command {
  return withSelection(command)
    .option('--all', 'all that are open; needed when nothing else is said')
    .option('--limit <count>', 'stop after this many', positiveNumber)
    .option('--dry-run', 'only say what would be done')
}

function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map(line => `  $ tributary dead-letter ${line}`).join('\n')}`
}

function time(text: string): string {
  const from = parseReadFrom(text)
  if (typeof from === 'object' && 'timeMs' in from) return text
  throw new InvalidArgumentError('expected a time such as 2026-05-01T12:00:00Z, or @ and milliseconds since 1970')
}

function rate(text: string): number {
  return positiveNumber(text.replace(/\/s$/, ''))
}

function clientOf({ admin }: CommonOptions): AdminClient {
  return new AdminClient(admin, 'start it with "tributary start", or say where it is with --admin URL')
}

interface ListAnswer {
  letters: LetterSummaryJson[]
  matched: number
  kept: number
  open: number
}

async function list(options: SelectOptions, context: CliContext): Promise<void> {
  const { reason, client, filter, from, before, state, limit } = options
  const query = new URLSearchParams({ limit: String(limit) })
  const given = { reason, client, filter, from, to: before, state: state === 'all' ? undefined : state }
  for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, value)
  const answer = await clientOf(options).json<ListAnswer>('GET', `/dead-letters?${query}`, context.signal)
  const { letters, matched, kept, open } = answer
  if (options.json) {
    context.out.write(`${JSON.stringify(letters, undefined, 2)}\n`)
    return
  }
  if (letters.length > 0) context.out.write(letterTable(letters, painter(context.out, context.env)))
  const shown = letters.length < matched ? `the last ${formatCount(letters.length)} of ` : ''
  const what = state === 'open' ? 'open dead letters' : 'dead letters'
  const rest = kept > open && state === 'open' ? `; ${formatCount(kept - open)} re-driven or discarded (--state all)` : ''
  context.err.write(`${shown}${formatCount(matched)} ${what}${rest}\n`)
}

async function show(id: number, options: CommonOptions & { hex?: boolean }, context: CliContext): Promise<void> {
  const letter = await clientOf(options).json<LetterJson>('GET', `/dead-letters/${id}`, context.signal)
  const text = options.json
    ? JSON.stringify(letter, undefined, 2)
    : letterText(letter, options.hex === true, painter(context.out, context.env))
  context.out.write(`${text}\n`)
}

async function act(
  name: 'redrive' | 'discard',
  ids: string[],
  options: ActFlags,
  more: object,
  context: CliContext
): Promise<void> {
  const { reason, client, filter, from, before, all, dryRun, limit, json } = options
  const selectsByNothing = ids.length === 0 && [reason, client, filter, from, before].every(part => part === undefined)
  if (selectsByNothing && all !== true) {
    throw new CommandFailure(
      'expected ids, --reason, --client, --filter, --from or --before; or --all for all that are open',
      exitCodes.usage
    )
  }
  const numbers = ids.length === 0 ? undefined : ids.map(wholeNumber)
  // By id, what was dealt with before is worth a line; in a heap it is not.
  const state = numbers === undefined ? 'open' : undefined
  const by = context.env.USER ?? context.env.LOGNAME
  const body = { select: { ids: numbers, reason, client, filter, from, to: before, state }, all, dryRun, limit, by, ...more }
  const report = await ask(name, body, options, context)
  if (json) context.out.write(`${JSON.stringify(report, undefined, 2)}\n`)
  else context.out.write(reportText(report, painter(context.out, context.env)))
  if (report.failed > 0) throw new CommandFailure(`${formatCount(report.failed)} of ${formatCount(report.matched)} stay open`)
  const missing = new Set(numbers).size - report.matched
  if (missing > 0) throw new CommandFailure(`${missing} of these ids are no dead letters, or retention has removed them`)
}

async function ask(name: string, body: object, options: ActFlags, context: CliContext): Promise<ReportJson> {
  try {
    return await clientOf(options).json<ReportJson>('POST', `/dead-letters/${name}`, context.signal, body)
  } catch (error) {
    if (!context.signal.aborted) throw error
    throw new CommandFailure(
      'interrupted: what was done is marked, and the same command goes on with the rest',
      exitCodes.interrupted
    )
  }
}
