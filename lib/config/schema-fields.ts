import { z } from 'zod'
import { topicFilterError } from '../topic/filter.ts'
import { durationPattern, formatDuration, formatSize, parseDuration, parseSize, sizePattern } from './units.ts'

/** The kinds of values the configuration is made of. Messages start with "expected ": explain.ts builds sentences of them. */

export function whole(min: number, max: number) {
  const error = `expected a whole number from ${min} to ${max}`
  return z.int({ error }).min(min, { error }).max(max, { error })
}

export function choice<const Values extends readonly [string, ...string[]]>(...values: Values) {
  return z.enum(values)
}

export const port = whole(0, 65_535)

const hostError = 'expected a host name or IP address'
export const host = z.string({ error: hostError }).regex(/^[^\s/]+$/, { error: hostError })

const fileError = 'expected the path of a file'
export const filePath = z.string({ error: fileError }).min(1, { error: fileError })

const folderError = 'expected the path of a folder'
export const folderPath = z.string({ error: folderError }).min(1, { error: folderError })

/** Bytes. A plain number means bytes: there is nothing else it could mean. */
export function size(min: number, max: number) {
  const message = `expected a size from ${formatSize(min)} to ${formatSize(max)}`
  return textOrNumber(message, sizePattern, '1MiB').transform((value, context) => {
    const bytes = value === '0' ? 0 : typeof value === 'number' ? value : parseSize(value)
    if (bytes !== undefined && Number.isSafeInteger(bytes) && bytes >= min && bytes <= max) return bytes
    context.addIssue({ code: 'custom', message, params: { hint: sizeHint(value) } })
    return z.NEVER
  })
}

/** Milliseconds. Without a unit only 0 is understood: 30 could be seconds as well as milliseconds. */
export function duration(max: number) {
  const message = `expected a duration up to ${formatDuration(max)}`
  return textOrNumber(message, durationPattern, '7d').transform((value, context) => {
    const ms = value === 0 || value === '0' ? 0 : typeof value === 'string' ? parseDuration(value) : undefined
    if (ms !== undefined && ms <= max) return ms
    context.addIssue({ code: 'custom', message, params: { hint: durationHint(value) } })
    return z.NEVER
  })
}

/** Milliseconds, for keys that carry the unit in their name: a plain number is in that unit, text has its own unit. */
export function milliseconds(min: number, max: number) {
  const message = `expected milliseconds from ${min} to ${max} or a duration`
  return textOrNumber(message, durationPattern, '10s').transform((value, context) => {
    const ms = typeof value === 'number' ? value : parseDuration(value)
    if (ms !== undefined && Number.isInteger(ms) && ms >= min && ms <= max) return ms
    context.addIssue({ code: 'custom', message, params: { hint: plainNumberHint('milliseconds', '10s') } })
    return z.NEVER
  })
}

/** Whole seconds, like `milliseconds`. */
export function seconds(min: number, max: number) {
  const message = `expected whole seconds from ${min} to ${max} or a duration`
  return textOrNumber(message, durationPattern, '1h').transform((value, context) => {
    const count = typeof value === 'number' ? value : (parseDuration(value) ?? Number.NaN) / 1000
    if (Number.isInteger(count) && count >= min && count <= max) return count
    context.addIssue({ code: 'custom', message, params: { hint: plainNumberHint('seconds', '1h') } })
    return z.NEVER
  })
}

/** A Topic Filter for declarations: no shared subscription, nothing of the broker's own `$` topics. */
export const topicFilter = z.string({ error: 'expected a topic filter' }).superRefine((filter, context) => {
  const error = topicFilterError(filter)
  if (error !== undefined) context.addIssue({ code: 'custom', message: 'expected a topic filter', params: { hint: error } })
  else if (filter.startsWith('$')) {
    const hint = 'topics that start with $ belong to the broker'
    context.addIssue({ code: 'custom', message: 'expected a topic filter that does not start with $', params: { hint } })
  }
})

const originError = 'expected a web origin such as https://dash.example, null or *'
export const origin = z.string({ error: originError }).refine(isOrigin, { error: originError })

function isOrigin(text: string): boolean {
  if (text === '*' || text === 'null') return true
  return /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#]+$/i.test(text) && URL.canParse(text)
}

function textOrNumber(error: string, pattern: RegExp, example: string) {
  return z.union([z.string(), z.number()], { error }).meta({ pattern: `${pattern.source}|^0$`, examples: [example] })
}

function sizeHint(value: string | number): string {
  const sloppy = typeof value === 'string' ? /^(\d+(?:\.\d+)?)\s*([kmgt])i?b?$/i.exec(value) : null
  if (sloppy) return `write \`${sloppy[1]}${sloppy[2]?.toUpperCase()}iB\``
  return 'write bytes as a plain number or with B, KiB, MiB, GiB or TiB, as in `1MiB`'
}

function durationHint(value: string | number): string {
  if (typeof value === 'number' && value > 0) return `add a unit (ms, s, m, h, d or w), as in \`${value}s\``
  return 'write a number with ms, s, m, h, d or w, as in `500ms`, `30s` or `7d`'
}

function plainNumberHint(unit: string, example: string): string {
  return `a plain number counts ${unit}; or write it with a unit, as in \`${example}\``
}
