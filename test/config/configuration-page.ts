import { stringify } from 'yaml'
import { branchesOf, type JsonSchema } from '../../lib/config/json-schema.ts'
import { jsonSchema } from '../../lib/config/schema.ts'
import { durationPattern, sizePattern } from '../../lib/config/units.ts'

/** docs/configuration.md, made from the schema so that it cannot say anything else. */
export function renderConfigurationPage(): string {
  const schema = jsonSchema()
  const sections = Object.entries(schema.properties ?? {}).map(([key, child]) => section(key, child))
  return `${[introduction, ...sections].join('\n\n')}\n`
}

/** docs/config.schema.json */
export function renderJsonSchema(): string {
  return `${JSON.stringify(jsonSchema(), null, 2)}\n`
}

const introduction = `# Configuration

One YAML file, given with \`tributary start --config FILE\`. Every key has a default; without a file the defaults below are what
runs. \`tributary check --config FILE\` says what is wrong with a file, with line and what was expected; with \`--print\` it shows
the complete configuration, defaults included. This page and [config.schema.json](config.schema.json) are made from the schema
in \`lib/config\`.

For completion and checks while typing, put this on the first line (editors with a YAML language server understand it):

    # yaml-language-server: $schema=node_modules/tributary/docs/config.schema.json

- **Unknown keys are errors.** A typo never turns into a default.
- **Durations** are written \`500ms\`, \`30s\`, \`5m\`, \`12h\`, \`7d\` or \`2w\`. Where the name of a key ends in its unit
  (\`connectTimeoutMs\`), a plain number in that unit will do.
- **Sizes** are written \`64KiB\`, \`1MiB\`, \`10GiB\`; a plain number is bytes. \`MB\` is refused, as it means different things to
  different people.
- **Paths** start at the folder of the file that names them.
- **Anonymous access** needs two yeses: \`access.anonymous\`, and a listener that only this machine can reach or that says
  \`anonymous: allow-from-anywhere\`.

\`\`\`yaml
data: ./data
listeners:
  - { type: tcp, host: 127.0.0.1, port: 1883 }
  - { type: tls, host: 0.0.0.0, port: 8883, cert: server.pem, key: server.key, ca: devices-ca.pem, clientCertificate: require }
  - { type: ws,  host: 127.0.0.1, port: 8083, path: /mqtt, origins: ['https://dash.example'] }
admin: { host: 127.0.0.1, port: 9883 }
access: { anonymous: false, passwordFile: passwords, aclFile: acl.yaml }
streams:
  telemetry: { filter: 'devices/+/telemetry', key: clientId, partitions: 8, retention: { age: 7d, bytes: 10GiB }, ack: synced }
limits: { maxPacketBytes: 1MiB, maxQueuedMessagesPerSession: 10000, receiveMaximum: 100 }
log: { level: info }
\`\`\``

interface Row {
  key: string
  schema: JsonSchema
  required: boolean
  /** Listener types that have the key, where not all do. */
  only?: string[] | undefined
}

function section(key: string, schema: JsonSchema): string {
  const rows = rowsOf(key, schema, false)
  const own = rows.length === 1 && rows[0]?.key === key
  const defaults = own || typeof schema.default !== 'object' || isEmpty(schema.default) ? '' : ` Default: ${code(schema.default)}`
  const text = own ? '' : `\n\n${schema.description ?? ''}${defaults}`
  return [`## ${key}${text}`, '', '| Key | Value | Default | Meaning |', '| --- | --- | --- | --- |', ...rows.map(line)].join(
    '\n'
  )
}

function rowsOf(key: string, schema: JsonSchema, required: boolean): Row[] {
  const branches = branchesOf(schema)
  const maps = branches.filter(branch => branch.properties !== undefined)
  if (maps.length > 1) return rowsOfUnion(key, maps)
  if (maps.length === 1) return rowsOfMap(key, maps[0]!)
  if (schema.items?.type === 'object' || schema.items?.oneOf !== undefined) return rowsOf(`${key}[]`, schema.items, false)
  if (typeof schema.additionalProperties === 'object') return rowsOf(`${key}.<name>`, schema.additionalProperties, false)
  return [{ key, schema, required }]
}

function rowsOfMap(key: string, schema: JsonSchema): Row[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]) =>
    rowsOf(`${key}.${name}`, child, schema.required?.includes(name) === true && child.default === undefined)
  )
}

/** The members of a union side by side: a key is told once, with the types that have it. */
function rowsOfUnion(key: string, branches: JsonSchema[]): Row[] {
  const types = branches.map(branch => String(branch.properties?.type?.const))
  const rows = new Map<string, Row & { only: string[] }>()
  branches.forEach((branch, index) => {
    for (const row of rowsOfMap(key, branch)) {
      const known = rows.get(row.key)
      if (known === undefined) rows.set(row.key, { ...row, only: [types[index]!] })
      else known.only.push(types[index]!)
    }
  })
  return [...rows.values()].map(row => {
    if (row.key === `${key}.type`) return { ...row, schema: { description: 'Transport.', enum: types }, only: undefined }
    return row.only.length === types.length ? { ...row, only: undefined } : row
  })
}

function line({ key, schema, required, only }: Row): string {
  const meaning = `${schema.description ?? ''}${only === undefined ? '' : ` Only for ${only.join(', ')}.`}`
  const standard = schema.default === undefined ? (required ? 'required' : 'not set') : code(schema.default)
  return `| \`${key}\` | ${cell(valueWords(schema))} | ${cell(standard)} | ${cell(meaning)} |`
}

function valueWords(schema: JsonSchema): string {
  if (schema.enum !== undefined) return schema.enum.map(code).join(', ')
  if (schema.items !== undefined) return 'list'
  if (schema.pattern?.startsWith(durationPattern.source) === true) return 'duration'
  if (schema.pattern?.startsWith(sizePattern.source) === true) return 'size'
  if (schema.type === 'integer' || schema.type === 'number') return `${schema.minimum} to ${schema.maximum}`
  if (schema.type === 'boolean') return '`true`, `false`'
  return 'text'
}

function code(value: unknown): string {
  return `\`${stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: true }).trimEnd()}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}
