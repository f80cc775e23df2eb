import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { Lines } from '../admin/lines.ts'
import type { RecordJson } from '../admin/record-json.ts'
import { type Column, columnValues, namedColumns } from './stream-columns.ts'

export type ExportFormat = 'ndjson' | 'csv' | 'parquet'

/** Writes records in one format. One call at a time. */
export interface RecordSink {
  /** Returns a promise when the other side is behind: await it before the next call. */
  add(record: RecordJson): Promise<void> | undefined
  /** Writes what is left; the stream itself stays open. */
  finish(): Promise<void>
  /** Values of a column that did not fit its type and were left out, by column. */
  readonly misfits: ReadonlyMap<string, number>
}

const none: ReadonlyMap<string, number> = new Map()

/** One JSON object per line; with columns, only those. */
export class NdjsonSink implements RecordSink {
  readonly misfits = none
  readonly #lines: Lines
  readonly #columns: readonly Column[] | undefined
  readonly #signal: AbortSignal

  constructor(out: Writable, columns: readonly Column[] | undefined, signal: AbortSignal) {
    this.#lines = new Lines(out)
    this.#columns = columns
    this.#signal = signal
  }

  add(record: RecordJson): Promise<void> | undefined {
    const columns = this.#columns
    if (columns === undefined) this.#lines.add(JSON.stringify(record))
    else {
      const values = columnValues(columns, record)
      this.#lines.add(JSON.stringify(Object.fromEntries(columns.map(({ title }, i) => [title, values[i]]))))
    }
    return this.#lines.full ? this.#lines.drained(this.#signal) : undefined
  }

  async finish(): Promise<void> {
    this.#lines.flush()
  }
}

const csvColumns = namedColumns([
  'offset',
  'partition',
  'timestamp',
  'topic',
  'clientId',
  'qos',
  'retain',
  'expiresAt',
  'properties',
  'encoding',
  'payload'
])

/** A table as RFC 4180 has it: CRLF, and quotes where a field needs them. */
export class CsvSink implements RecordSink {
  readonly misfits = none
  readonly #lines: Lines
  readonly #columns: readonly Column[]
  readonly #forSpreadsheet: boolean
  readonly #signal: AbortSignal

  /** `forSpreadsheet`: text that a spreadsheet would take for a formula is written with an apostrophe before it. */
  constructor(out: Writable, columns: readonly Column[] = csvColumns, forSpreadsheet: boolean, signal: AbortSignal) {
    this.#lines = new Lines(out)
    this.#columns = columns
    this.#forSpreadsheet = forSpreadsheet
    this.#signal = signal
    this.#addRow(columns.map(({ title }) => title))
  }

  add(record: RecordJson): Promise<void> | undefined {
    this.#addRow(columnValues(this.#columns, record))
    return this.#lines.full ? this.#lines.drained(this.#signal) : undefined
  }

  async finish(): Promise<void> {
    this.#lines.flush()
  }

  #addRow(values: readonly unknown[]): void {
    this.#lines.add(`${values.map(value => csvField(value, this.#forSpreadsheet)).join(',')}\r`)
  }
}

function csvField(value: unknown, forSpreadsheet: boolean): string {
  if (value === undefined) return ''
  let text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  if (forSpreadsheet && typeof value === 'string' && looksLikeFormula(text)) text = `'${text}`
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** What Excel, LibreOffice and Google Sheets would evaluate. A number with a sign is no danger and stays a number. */
function looksLikeFormula(text: string): boolean {
  return /^[=+\-@\t\r]/.test(text) && !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)
}

/** Writes bytes and resolves once the stream takes more. */
export async function writeOut(out: Writable, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  // One that has failed would never drain.
  if (out.errored) throw out.errored
  if (!out.write(bytes)) await once(out, 'drain', { signal })
}
