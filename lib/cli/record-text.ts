import type { RecordJson } from '../admin/record-json.ts'
import { type Paint, printable } from './paint.ts'
import { formatBytes } from './units.ts'

export interface TextFlags {
  format: 'text' | 'json'
  verbose?: boolean
}

const TOPIC_COLUMNS_MAX = 40
const PAYLOAD_COLUMNS_MIN = 20

/**
 * Prints records one after the other. For programs and files a record is one line with everything in it. A person at a terminal
 * (`columns` wide) gets the day once, aligned times, offsets and topics, and as much of the payload as fits into the line.
 */
export class RecordPrinter {
  readonly #flags: TextFlags
  readonly #paint: Paint
  readonly #columns: number | undefined
  #day = ''
  /** Widest topic so far, so that payloads stand below each other. */
  #topicColumns = 0

  constructor(flags: TextFlags, paint: Paint, columns: number | undefined) {
    this.#flags = flags
    this.#paint = paint
    this.#columns = columns
  }

  /** Lines without the last line feed. */
  print(record: RecordJson): string {
    if (this.#flags.format === 'json') return JSON.stringify(record)
    const line = this.#columns === undefined ? this.#wholeLine(record) : this.#fittedLine(record, this.#columns)
    return this.#flags.verbose ? `${line}\n${this.#paint('dim', `         ${detailsOf(record)}`)}` : line
  }

  #wholeLine(record: RecordJson): string {
    const paint = this.#paint
    const head = paint('dim', `${String(record.offset).padStart(7)}  ${record.timestamp}`)
    const { payload, encoding } = record
    const text = encoding === undefined ? printable(payload) : `${paint('dim', `<${byteLength(record)} bytes>`)} ${payload}`
    return `${head}  ${paint('cyan', printable(record.topic))}  ${text}`
  }

  #fittedLine(record: RecordJson, columns: number): string {
    const paint = this.#paint
    const day = record.timestamp.slice(0, 10)
    const newDay = day === this.#day ? '' : `${paint('bold', `${day} UTC`)}\n`
    this.#day = day
    const topic = printable(record.topic)
    this.#topicColumns = Math.max(this.#topicColumns, Math.min(topic.length, TOPIC_COLUMNS_MAX))
    const offset = String(record.offset).padStart(7)
    const time = record.timestamp.slice(11, 23)
    const shown = topic.padEnd(this.#topicColumns)
    const flags = record.retain ? 'retained ' : ''
    const room = columns - (offset.length + time.length + shown.length + 6) - flags.length
    const payload = fitted(payloadText(record), Math.max(room, PAYLOAD_COLUMNS_MIN), record)
    return `${newDay}${paint('dim', `${offset}  ${time}`)}  ${paint('cyan', shown)}  ${paint('yellow', flags)}${payload}`
  }
}

function payloadText(record: RecordJson): string {
  const { payload, encoding } = record
  if (payload === '') return '(empty)'
  return encoding === undefined ? printable(payload) : Buffer.from(payload, encoding).toString('hex').replace(/..\B/g, '$& ')
}

/** Says how much there is where not all of it is shown. */
function fitted(text: string, room: number, record: RecordJson): string {
  if (text.length <= room) return text
  const end = ` … ${formatBytes(byteLength(record))}`
  return `${text.slice(0, room - end.length)}${end}`
}

function byteLength({ payload, encoding }: RecordJson): number {
  return Buffer.byteLength(payload, encoding ?? 'utf8')
}

function detailsOf(record: RecordJson): string {
  const { clientId, partition, qos, retain, expiresAt, properties } = record
  const parts = [`client ${printable(clientId)}`, `partition ${partition}`, `QoS ${qos}`]
  if (retain) parts.push('retain')
  if (expiresAt !== undefined) parts.push(`expires ${expiresAt}`)
  if (properties !== undefined) parts.push(printable(JSON.stringify(properties)))
  return parts.join('  ')
}
