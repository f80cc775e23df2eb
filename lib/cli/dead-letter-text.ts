import type { LetterJson, LetterSummaryJson } from '../admin/letter-json.ts'
import type { ReportJson } from '../admin/routes-dead-letters.ts'
import { type Paint, printable } from './paint.ts'
import { formatTable } from './table.ts'
import { formatBytes, formatCount } from './units.ts'

/** One line per letter, the newest last: next to the prompt. */
export function letterTable(letters: readonly LetterSummaryJson[], paint: Paint): string {
  const handled = letters.some(({ state }) => state !== 'open')
  const columns = [
    { title: 'TIME' },
    { title: 'ID', align: 'right' as const },
    { title: 'REASON' },
    ...(handled ? [{ title: 'STATE' }] : []),
    { title: 'CLIENT' },
    { title: 'TOPIC' },
    { title: 'SIZE', align: 'right' as const },
    { title: 'ERROR' }
  ]
  const rows = letters.map(({ time, id, reason, state, topic, bytes, error, ...rest }) => [
    shortTime(time),
    String(id),
    reason,
    ...(handled ? [state] : []),
    printable(rest.clientId ?? rest.group ?? rest.filter ?? '-'),
    printable(topic),
    formatBytes(bytes),
    printable(error)
  ])
  return formatTable(columns, rows, paint)
}

/** Everything about one letter, the payload last. */
export function letterText(letter: LetterJson, hex: boolean, paint: Paint): string {
  const { properties = {}, payload, encoding, bytes } = letter
  const fields: [string, string | undefined][] = [
    ['id', String(letter.id)],
    ['time', letter.time],
    ['reason', letter.reason],
    ['error', letter.error],
    ['state', letter.handledAt === undefined ? letter.state : `${letter.handledBy} at ${letter.handledAt}`],
    ['client', letter.clientId],
    ['filter', letter.filter],
    ['stream', letter.stream],
    ['group', letter.group],
    ['offset', letter.offset?.toString()],
    ['attempts', String(letter.attempts)],
    ['topic', letter.topic],
    ['QoS', letter.qos === letter.publishedQos ? String(letter.qos) : `${letter.qos} (published with ${letter.publishedQos})`],
    ['retain', letter.retain ? 'yes' : 'no'],
    ['publisher', letter.publisher === '' ? 'the broker itself' : letter.publisher],
    ['published', letter.publishedAt],
    ['expires', letter.expiresAt ?? 'never'],
    ...Object.entries(properties).flatMap(([name, value]) => propertyFields(name, value))
  ]
  const width = Math.max(...fields.map(([name]) => name.length))
  const lines = fields.flatMap(([name, value]) =>
    value === undefined ? [] : [`${paint('dim', printable(name).padEnd(width))}  ${printable(value)}`]
  )
  const asHex = hex || encoding !== undefined
  const content = Buffer.from(payload, encoding === undefined ? 'utf8' : 'base64')
  lines.push(paint('dim', `payload, ${formatBytes(bytes)}${asHex ? '' : ', text'}:`))
  lines.push(asHex ? hexDump(content) : payload.split('\n').map(printable).join('\n'))
  return lines.join('\n')
}

function propertyFields(name: string, value: unknown): [string, string][] {
  if (name !== 'userProperties') return [[name, String(value)]]
  return (value as [string, string][]).map(([key, text]) => [`user property ${key}`, text])
}

/** Offset, sixteen bytes, and what of them can be printed. */
function hexDump(bytes: Buffer): string {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += 16) {
    const part = bytes.subarray(at, at + 16)
    const hex = part.toString('hex').replace(/../g, '$& ')
    const text = part.toString('latin1').replace(/[^\x20-\x7e]/g, '.')
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.padEnd(48)} ${text}`)
  }
  return lines.join('\n')
}

export function reportText({ act, dryRun, matched, done, already, failed, notes }: ReportJson, paint: Paint): string {
  if (matched === 0) return 'no dead letter fits\n'
  const verb = act === 'redrive' ? 're-driven' : 'discarded'
  const parts = [`${formatCount(done)} ${dryRun ? 'would be ' : ''}${verb}`]
  if (already > 0) parts.push(`${formatCount(already)} dealt with before`)
  if (failed > 0) parts.push(`${formatCount(failed)} failed`)
  const lines = notes.map(({ id, why }) => `${paint('dim', String(id).padStart(9))}  ${printable(why)}`)
  const more = already + failed - notes.length
  if (more > 0) lines.push(`${formatCount(more)} more`.padStart(9))
  return `${[...lines, parts.join(', ')].join('\n')}\n`
}

/** To the second, in UTC. */
function shortTime(time: string): string {
  return `${time.slice(0, 19).replace('T', ' ')}Z`
}
