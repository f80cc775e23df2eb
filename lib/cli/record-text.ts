import type { RecordJson } from '../admin/record-json.ts'
import { type Paint, printable } from './paint.ts'

export type RecordFormat = 'text' | 'json'

/** One record as one line. */
export function formatRecord(record: RecordJson, format: RecordFormat, paint: Paint): string {
  if (format === 'json') return JSON.stringify(record)
  const head = paint('dim', `${String(record.offset).padStart(7)}  ${record.timestamp}`)
  return `${head}  ${paint('cyan', printable(record.topic))}  ${payloadText(record, paint)}`
}

function payloadText(record: RecordJson, paint: Paint): string {
  if (record.encoding === undefined) return printable(record.payload)
  const bytes = Buffer.from(record.payload, 'base64').length
  return `${paint('dim', `<${bytes} bytes>`)} ${record.payload}`
}

export const csvHeader = 'offset,partition,timestamp,topic,clientId,qos,retain,expiresAt,properties,encoding,payload'

/** One record as a line of CSV, RFC 4180; MQTT 5 properties as JSON in one field. */
export function recordCsv(record: RecordJson): string {
  const { offset, partition, timestamp, topic, clientId, qos, retain, expiresAt, properties, encoding, payload } = record
  const fields = [offset, partition, timestamp, topic, clientId, qos, retain, expiresAt ?? '']
  return [...fields, properties === undefined ? '' : JSON.stringify(properties), encoding ?? 'utf8', payload]
    .map(csvField)
    .join(',')
}

function csvField(value: string | number | boolean): string {
  const text = String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
