import { readFile } from 'node:fs/promises'
import { type Command, Option } from 'commander'
import type { Compatibility } from '../schema/compatibility.ts'
import type { Addition } from '../schema/registry.ts'
import { ADMIN_URL_DEFAULT } from './admin-client.ts'
import { type CliContext, CommandFailure } from './context.ts'
import { painter } from './paint.ts'
import { openSchemaStore, type SchemaStoreOptions } from './schema-store.ts'
import { formatTable } from './table.ts'
import { formatAge, formatCount } from './units.ts'

interface AddFlags extends SchemaStoreOptions {
  compatibility?: Compatibility
}

interface ShowFlags extends SchemaStoreOptions {
  json?: boolean
}

/** `tributary schema add|check|ls|show|rm` */
export function addSchemaCommands(program: Command, context: CliContext): void {
  const schema = program.command('schema').summary('look after the JSON Schemas of messages').description(schemaHelp)

  withAddition(schema.command('add <name> <file>'))
    .summary('add a schema, or its next version')
    .addHelpText('after', examples(['add reading reading.schema.json', 'add reading v2.json --compatibility none']))
    .action((name: string, file: string, flags: AddFlags) => add(name, file, flags, context, false))

  withAddition(schema.command('check <name> <file>'))
    .summary('say whether a schema may be added, and do nothing')
    .action((name: string, file: string, flags: AddFlags) => add(name, file, flags, context, true))

  withStore(schema.command('ls'))
    .summary('list schemas')
    .option('--json', 'print JSON')
    .action((flags: ShowFlags) => list(flags, context))

  withStore(schema.command('show <name>'))
    .summary('print a schema: NAME is the latest version, NAME@2 the second one')
    .option('--json', 'print what is known of the version, too')
    .action((name: string, flags: ShowFlags) => show(name, flags, context))

  withStore(schema.command('rm <name>'))
    .summary('remove a schema with all its versions')
    .action(async (name: string, flags: SchemaStoreOptions) => {
      await openSchemaStore(flags, context.signal).remove(name)
      context.out.write(`removed ${name}\n`)
    })
}

const schemaHelp = `Look after the JSON Schemas of messages, by name and in versions that never change.

A stream names one under "schema" in its configuration. A running broker is asked over its admin
listener (--admin). With --data the files of a data folder are used, which no broker may have open
for a change. Exit code 1 of add and check: the schema is not valid or not compatible; the message
lists every place with its JSON pointer.`

function withStore(command: Command): Command {
  return command
    .option('--admin <url>', `admin listener of a running broker (default: ${ADMIN_URL_DEFAULT})`)
    .option('--data <dir>', 'use the files of this data folder instead')
}

function withAddition(command: Command): Command {
  const modes = new Option(
    '--compatibility <mode>',
    'what is checked against the version before; default: what the name promises'
  )
  return withStore(command).addOption(modes.choices(['backward', 'forward', 'full', 'none']))
}

function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map(line => `  $ tributary schema ${line}`).join('\n')}`
}

async function add(name: string, file: string, flags: AddFlags, context: CliContext, dryRun: boolean): Promise<void> {
  // Loaded here: it brings ajv, which the other commands do without.
  const { compileJsonSchema, parseJsonSchema } = await import('../schema/json-schema.ts')
  const schema = parseJsonSchema(await textOf(file), file)
  compileJsonSchema(schema, file)
  const addition = await openSchemaStore(flags, context.signal).add(name, schema, flags.compatibility, dryRun)
  context.out.write(`${describe(addition, dryRun)}\n`)
}

function describe({ subject, version, checkedFor, outcome }: Addition, dryRun: boolean): string {
  if (outcome === 'unchanged') return `${subject}@${version} is this schema already`
  const checked = version === 1 ? `promises ${checkedFor} compatibility` : `${checkedFor} compatibility checked`
  return `${dryRun ? 'could be added as' : 'added'} ${subject}@${version} (${checked})`
}

async function list(flags: ShowFlags, context: CliContext): Promise<void> {
  const schemas = await openSchemaStore(flags, context.signal).list()
  if (flags.json) {
    context.out.write(`${JSON.stringify(schemas, undefined, 2)}\n`)
    return
  }
  if (schemas.length === 0) {
    context.out.write('no schemas: add one with "tributary schema add NAME FILE"\n')
    return
  }
  const now = Date.now()
  const rows = schemas.map(({ name, latest, compatibility, changed, streams }) => {
    return [name, formatCount(latest), compatibility, formatAge(changed, now), streams.join(', ') || '-']
  })
  const columns = [
    { title: 'SCHEMA' },
    { title: 'VERSIONS', align: 'right' as const },
    { title: 'COMPATIBILITY' },
    { title: 'CHANGED' },
    { title: 'STREAMS' }
  ]
  context.out.write(formatTable(columns, rows, painter(context.out, context.env)))
}

async function show(asked: string, flags: ShowFlags, context: CliContext): Promise<void> {
  const [, name = asked, number] = /^(.*)@(\d{1,9}|latest)$/.exec(asked) ?? []
  const versions = await openSchemaStore(flags, context.signal).versions(name)
  const found = number === undefined || number === 'latest' ? versions.at(-1) : versions[Number(number) - 1]
  if (found === undefined) throw new CommandFailure(`${name} has no version ${number}; the latest is ${versions.length}`)
  context.out.write(`${JSON.stringify(flags.json ? found : found.schema, undefined, 2)}\n`)
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CommandFailure(`${file}: expected a file with a JSON Schema that can be read, got: ${reason}`)
  }
}
