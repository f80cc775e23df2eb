import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseReadFrom } from '../stream/read-from.ts'
import { topicFilterError } from '../topic/filter.ts'
import { ADMIN_URL_DEFAULT } from './admin-client.ts'
import type { CliContext } from './context.ts'
import { type Column, parseColumns } from './stream-columns.ts'
import { type ExportFlags, exportStream } from './stream-export.ts'
import { listStreams } from './stream-ls.ts'
import { addPlanCommand } from './stream-plan.ts'
import { type ReadFlags, readStream, type TailFlags, tailStream } from './stream-read.ts'
import { openSource, type SourceOptions } from './stream-source.ts'

/** `tributary stream ls|tail|read|export` */
export function addStreamCommands(program: Command, context: CliContext): void {
  const stream = program.command('stream').summary('look at streams and what is in them').description(sourceHelp)

  withSource(stream.command('ls'))
    .summary('list streams with their size and age')
    .option('--json', 'print JSON')
    .action(async (options: SourceOptions & { json?: boolean }) => listStreams(await openSource(options), options, context))

  withText(withSelection(stream.command('tail <name>')))
    .summary('show the last records and then new ones as they arrive')
    .option('-n, --lines <count>', 'how many of the last records to begin with', wholeNumber, 10)
    .addHelpText(
      'after',
      examples([
        'tail telemetry',
        "tail telemetry -n 0 --filter 'devices/pump-7/#'",
        'tail telemetry --key pump-7 --verbose',
        'tail telemetry --format json | jq .payload'
      ])
    )
    .action(async (name: string, options: SourceOptions & TailFlags) =>
      tailStream(await openSource(options), name, options, context)
    )

  withText(withRange(withSelection(stream.command('read <name>'))))
    .summary('print records and end')
    .addHelpText(
      'after',
      examples([
        'read telemetry --limit 5',
        'read telemetry --from 2024-05-01T12:00:00Z --to 2024-05-01T13:00:00Z',
        'read telemetry --from 1000 --data ./data'
      ])
    )
    .action(async (name: string, options: SourceOptions & ReadFlags) =>
      readStream(await openSource(options), name, options, context)
    )

  withRange(withSelection(stream.command('export <name>')))
    .summary('write records to a file')
    .description(exportHelp)
    .addOption(
      new Option('--format <format>', 'one JSON object per line, a table, or Apache Parquet')
        .choices(['ndjson', 'csv', 'parquet'])
        .default('ndjson')
    )
    .option('-o, --output <file>', 'file to write; - is standard output', '-')
    .option('--columns <names>', 'what to write of each record, such as timestamp,topic,payload.temperature', columns)
    .addOption(
      new Option('--payload <kind>', 'how Parquet has payloads: their bytes, or text (base64 where it is not UTF-8)')
        .choices(['binary', 'text'])
        .default('binary')
    )
    .option('--spreadsheet', 'CSV only: an apostrophe before text that a spreadsheet would take for a formula')
    .option('-q, --quiet', 'print errors only')
    .addHelpText(
      'after',
      examples([
        'export telemetry --format csv --output telemetry.csv',
        'export telemetry --format parquet -o day.parquet --from 2024-05-01 --to 2024-05-02',
        'export telemetry --format csv --columns timestamp,clientId,payload.temperature',
        'export telemetry | gzip > telemetry.ndjson.gz'
      ])
    )
    .action(async (name: string, options: SourceOptions & ExportFlags) =>
      exportStream(await openSource(options), name, options, context)
    )

  addPlanCommand(stream, context)
}

const exportHelp = `Write records of a stream to a file. The file appears under its name once it is whole: an export that
fails or is interrupted leaves nothing, or what was there before.

A column payload.FIELD is that field of a JSON payload; where a payload has none the column is empty.
CSV has every field as it was published. Whoever opens it in a spreadsheet adds --spreadsheet, because
text that begins with =, +, - or @ is evaluated there, and it is the devices that wrote it.`

const sourceHelp = `Look at streams and what is in them.

A running broker is asked over its admin listener (--admin). With --data the files of a data
folder are read directly, whether a broker runs on it or not.`

function withSource(command: Command): Command {
  return command
    .option('--admin <url>', `admin listener of a running broker (default: ${ADMIN_URL_DEFAULT})`)
    .option('--data <dir>', 'read the files of this data folder instead')
}

function withSelection(command: Command): Command {
  return withSource(command)
    .option('--to <position>', 'stop before this position: an offset or a time', endPosition)
    .option('--filter <filter>', 'only records whose topic matches this MQTT topic filter', topicFilter)
    .option('--partition <number>', 'only records of this partition', wholeNumber)
    .option('--key <key>', 'only records with this key: the client id, or the topic in a stream keyed by topic')
}

function withText(command: Command): Command {
  return command
    .addOption(new Option('--format <format>', 'how to print a record').choices(['text', 'json']).default('text'))
    .addOption(new Option('--json', 'the same as --format json').implies({ format: 'json' }))
    .option('-v, --verbose', 'a second line with client id, partition, QoS, expiry and properties')
}

function withRange(command: Command): Command {
  return command
    .option('--from <position>', 'earliest, latest, an offset or a time such as 2024-05-01T12:00:00Z', position, 'earliest')
    .option('--limit <count>', 'stop after this many records', positiveNumber)
}

function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map(line => `  $ tributary stream ${line}`).join('\n')}`
}

function position(text: string): string {
  if (parseReadFrom(text) === undefined) throw new InvalidArgumentError('expected earliest, latest, an offset or an ISO time')
  return text
}

function endPosition(text: string): string {
  if (typeof parseReadFrom(text) !== 'object') throw new InvalidArgumentError('expected an offset or a time')
  return text
}

function columns(text: string): Column[] {
  const parsed = parseColumns(text)
  if (typeof parsed === 'string') throw new InvalidArgumentError(parsed)
  return parsed
}

export function topicFilter(text: string): string {
  const problem = topicFilterError(text)
  if (problem !== undefined)
    throw new InvalidArgumentError(`expected an MQTT topic filter such as devices/+/telemetry: ${problem}`)
  return text
}

export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('expected a whole number')
  return Number(text)
}

export function positiveNumber(text: string): number {
  if (!/^0*[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('expected a whole number above 0')
  return Number(text)
}
