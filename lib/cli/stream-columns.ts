import type { RecordJson } from '../admin/record-json.ts'

/** What a table of records can have in its columns. */
export const columnNames = [
  'offset',
  'partition',
  'timestamp',
  'topic',
  'clientId',
  'qos',
  'retain',
  'expiresAt',
  'contentType',
  'properties',
  'encoding',
  'payload'
] as const

export type ColumnName = (typeof columnNames)[number]

/** A column of the record, or a field of its JSON payload, named `payload.a.b`. */
export interface Column {
  title: string
  kind: ColumnName | 'field'
  /** Names on the way to the field. */
  path: readonly string[]
}

const FIELD_PREFIX = 'payload.'

/** Parses `offset,topic,payload.temperature`; returns what is wrong with it as text. */
export function parseColumns(text: string): Column[] | string {
  const columns: Column[] = []
  for (const title of text.split(',').map(part => part.trim())) {
    if (columns.some(column => column.title === title)) return `${title} is there twice`
    const path = title.startsWith(FIELD_PREFIX) ? title.slice(FIELD_PREFIX.length).split('.') : []
    if (path.length > 0 ? path.includes('') : !isColumnName(title)) {
      return `expected names out of ${columnNames.join(', ')} or payload.FIELD, not ${JSON.stringify(title)}`
    }
    columns.push({ title, kind: path.length > 0 ? 'field' : (title as ColumnName), path })
  }
  return columns
}

export function namedColumns(names: readonly ColumnName[]): Column[] {
  return names.map(title => ({ title, kind: title, path: [] }))
}

/**
 * The value of each column, in order; undefined where the record has none. The payload is parsed once, and only if a column wants a
 * field of it.
 */
export function columnValues(columns: readonly Column[], record: RecordJson): unknown[] {
  let parsed: { json: unknown } | undefined
  return columns.map(({ kind, path }) => {
    if (kind === 'field') return fieldOf((parsed ??= { json: jsonPayload(record) }).json, path)
    if (kind === 'contentType') return record.properties?.contentType
    if (kind === 'encoding') return record.encoding ?? 'utf8'
    return record[kind]
  })
}

/** The payload's bytes. */
export function payloadBytes({ payload, encoding }: RecordJson): Buffer {
  return Buffer.from(payload, encoding ?? 'utf8')
}

function isColumnName(name: string): boolean {
  return (columnNames as readonly string[]).includes(name)
}

/** undefined when the payload is no JSON. */
function jsonPayload({ payload, encoding }: RecordJson): unknown {
  if (encoding !== undefined) return undefined
  try {
    return JSON.parse(payload)
  } catch {
    // Devices send what they like: such a record has no fields.
    return undefined
  }
}

function fieldOf(json: unknown, path: readonly string[]): unknown {
  let value = json
  for (const name of path) {
    // hasOwn: a device's payload has no field "constructor" unless it wrote one. Whole numbers lead into lists.
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = Reflect.get(value, name)
  }
  return value ?? undefined
}
