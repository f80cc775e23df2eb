import type { Writable } from 'node:stream'
import type { ColumnSource, ParquetWriter, SchemaElement } from 'hyparquet-writer'
import type { RecordJson } from '../admin/record-json.ts'
import { CommandFailure } from './context.ts'
import { type Column, type ColumnName, columnValues, namedColumns, payloadBytes } from './stream-columns.ts'
import { type RecordSink, writeOut } from './stream-sink.ts'

/** A row group is held in memory until it is written. It ends at whichever of the two comes first. */
const ROW_GROUP_ROWS = 50_000
const ROW_GROUP_PAYLOAD_BYTES = 16 * 1024 * 1024

type Library = typeof import('hyparquet-writer')

export interface ParquetOptions {
  columns: readonly Column[] | undefined
  /** `binary` keeps each payload's bytes; `text` makes a column of strings, base64 where it is not UTF-8 (see column `encoding`). */
  payload: 'binary' | 'text'
  signal: AbortSignal
}

/** Fails with what to do when the library is not installed. `load` is replaced in tests. */
export async function openParquetSink(
  out: Writable,
  options: ParquetOptions,
  load: () => Promise<Library> = () => import('hyparquet-writer')
): Promise<RecordSink> {
  try {
    return new ParquetSink(await load(), out, options)
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND')) throw cause
    const message =
      'Parquet needs the optional package hyparquet-writer, which is not installed: "npm install hyparquet-writer" beside tributary adds it; --format csv and ndjson do without'
    throw new CommandFailure(message, undefined, { cause })
  }
}

/**
 * Apache Parquet, a row group at a time (https://parquet.apache.org/docs/file-format/). What stays in memory for the file's end is
 * where each column of each row group is.
 */
class ParquetSink implements RecordSink {
  readonly misfits = new Map<string, number>()
  readonly #library: Library
  readonly #out: Writable
  readonly #signal: AbortSignal
  readonly #columns: readonly Column[]
  readonly #payload: 'binary' | 'text'
  /** The row group being filled: one array per column. */
  #values: unknown[][]
  #rows = 0
  #payloadBytes = 0
  #file: { writer: ParquetWriter; types: readonly ColumnType[] } | undefined

  constructor(library: Library, out: Writable, { columns, payload, signal }: ParquetOptions) {
    this.#library = library
    this.#out = out
    this.#signal = signal
    this.#payload = payload
    this.#columns = columns ?? namedColumns(payload === 'text' ? textColumns : binaryColumns)
    this.#values = this.#columns.map(() => [])
  }

  add(record: RecordJson): Promise<void> | undefined {
    const values = columnValues(this.#columns, record)
    for (const [i, column] of this.#columns.entries()) {
      const isBytes = column.kind === 'payload' && this.#payload === 'binary'
      this.#values[i]!.push(isBytes ? payloadBytes(record) : values[i])
    }
    this.#payloadBytes += record.payload.length
    this.#rows++
    const isFull = this.#rows >= ROW_GROUP_ROWS || this.#payloadBytes >= ROW_GROUP_PAYLOAD_BYTES
    return isFull ? this.#writeRowGroup() : undefined
  }

  async finish(): Promise<void> {
    if (this.#rows > 0) await this.#writeRowGroup()
    await this.#opened().writer.finish()
  }

  async #writeRowGroup(): Promise<void> {
    const { writer, types } = this.#opened()
    const columnData = this.#columns.map((column, i): ColumnSource => {
      const type = types[i]!
      const data = this.#values[i]!.map(value => (value === undefined ? null : this.#converted(column, type, value)))
      return { name: column.title, data }
    })
    const rowGroupSize = this.#rows
    this.#values = this.#columns.map(() => [])
    this.#rows = 0
    this.#payloadBytes = 0
    await writer.write({ columnData, rowGroupSize })
  }

  #converted(column: Column, type: ColumnType, value: unknown): unknown {
    const converted = convert(type, value)
    if (converted === undefined) this.misfits.set(column.title, (this.misfits.get(column.title) ?? 0) + 1)
    return converted ?? null
  }

  /** The types are known with the first row group: a field of the payload has the type that its values there have. */
  #opened(): { writer: ParquetWriter; types: readonly ColumnType[] } {
    if (this.#file !== undefined) return this.#file
    const { ByteWriter, ParquetWriter } = this.#library
    const types = this.#columns.map(({ kind }, i) => this.#typeOf(kind, this.#values[i]!))
    const schema: SchemaElement[] = [{ name: 'record', num_children: types.length }]
    for (const [i, { title, kind }] of this.#columns.entries()) {
      schema.push({ name: title, repetition_type: required.has(kind) ? 'REQUIRED' : 'OPTIONAL', ...physical[types[i]!] })
    }
    const bytes = new ByteWriter(1024 * 1024)
    // The library calls this after each row group and awaits what it returns.
    const flush = async (): Promise<void> => {
      const written = Buffer.from(bytes.getBytes())
      bytes.index = 0
      await writeOut(this.#out, written, this.#signal)
    }
    const writer = Object.assign(bytes, { flush, finish: flush })
    this.#file = { writer: new ParquetWriter({ writer, schema, createdBy: 'tributary' }), types }
    return this.#file
  }

  #typeOf(kind: ColumnName | 'field', values: readonly unknown[]): ColumnType {
    if (kind === 'field') return fieldType(values)
    if (kind === 'payload') return this.#payload === 'binary' ? 'bytes' : 'text'
    return types[kind]
  }
}

const binaryColumns: readonly ColumnName[] = [
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
  'payload'
]
const textColumns: readonly ColumnName[] = [...binaryColumns.slice(0, -1), 'encoding', 'payload']

/** Which columns every record has a value for. */
const required: ReadonlySet<string> = new Set(
  binaryColumns.filter(name => !['expiresAt', 'contentType', 'properties'].includes(name)).concat('encoding')
)

type ColumnType = keyof typeof physical

const physical = {
  int64: { type: 'INT64' },
  int32: { type: 'INT32' },
  number: { type: 'DOUBLE' },
  boolean: { type: 'BOOLEAN' },
  time: { type: 'INT64', converted_type: 'TIMESTAMP_MILLIS' },
  text: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  json: { type: 'BYTE_ARRAY', converted_type: 'JSON' },
  bytes: { type: 'BYTE_ARRAY' }
} as const satisfies Record<string, Partial<SchemaElement>>

const types: Readonly<Record<Exclude<ColumnName, 'payload'>, ColumnType>> = {
  offset: 'int64',
  partition: 'int32',
  timestamp: 'time',
  topic: 'text',
  clientId: 'text',
  qos: 'int32',
  retain: 'boolean',
  expiresAt: 'time',
  contentType: 'text',
  properties: 'json',
  encoding: 'text'
}

/** Numbers and booleans only while nothing else is among them: everything can be written as text. */
function fieldType(values: readonly unknown[]): ColumnType {
  const kinds = new Set(values.filter(value => value !== undefined).map(value => typeof value))
  const [only] = kinds
  return kinds.size === 1 && (only === 'number' || only === 'boolean') ? only : 'text'
}

/** undefined when the value does not fit. */
function convert(type: ColumnType, value: unknown): unknown {
  switch (type) {
    case 'int64':
      return BigInt(Number(value))
    case 'time':
      return BigInt(Date.parse(String(value)))
    case 'number':
    case 'boolean':
      return typeof value === type ? value : undefined
    case 'text':
      return typeof value === 'string' ? value : JSON.stringify(value)
    default:
      return value
  }
}
