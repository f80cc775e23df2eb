import { z } from 'zod'
import { badRequest, type Refusal } from './answer.ts'

/** Which part of a request a schema is for, as Fastify names them. */
export type InputPart = 'querystring' | 'params' | 'body' | 'headers'

const noun: Readonly<Record<InputPart, string>> = {
  querystring: 'parameter',
  params: 'part of the path',
  body: 'field',
  headers: 'header'
}

/**
 * Makes the check of one part of a request. What does not fit is answered with what was expected, in the words of the caller: the
 * first problem, not a list of all.
 */
export function inputCheck(schema: z.ZodType, part: InputPart): (input: unknown) => { value?: unknown; error?: Refusal } {
  return input => {
    const result = schema.safeParse(input)
    if (result.success) return { value: result.data }
    return { error: badRequest(problemText(schema, part, result.error.issues[0]!, input)) }
  }
}

function problemText(schema: z.ZodType, part: InputPart, issue: z.core.$ZodIssue, input: unknown): string {
  const path = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const name = path === '' ? issue.keys[0] : `${path}.${issue.keys[0]}`
    const known = path === '' && schema instanceof z.ZodObject ? Object.keys(schema.shape) : undefined
    return `unknown ${noun[part]} "${name}"${known === undefined ? '' : `: expected ${alternatives(known)}`}`
  }
  if (part === 'querystring' && Array.isArray(valueAt(input, path))) return `parameter "${path}" is given more than once`
  const { message } = (issue.code === 'invalid_key' ? issue.issues[0] : undefined) ?? issue
  const expected = message.replace(/^Invalid (input|option): /, '')
  if (path === '') return part === 'body' ? `the body: ${expected}` : expected
  return `${path}: ${expected}`
}

function alternatives(names: readonly string[]): string {
  return names.length === 0 ? 'none' : `one of ${names.join(', ')}`
}

function valueAt(input: unknown, name: string): unknown {
  return typeof input === 'object' && input !== null ? Object.getOwnPropertyDescriptor(input, name)?.value : undefined
}

/** A query parameter that is a whole number. */
export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER) {
  const expected = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `from ${min} to ${max}`
  const error = min === 1 && max === Number.MAX_SAFE_INTEGER ? 'above 0' : expected
  return z
    .string()
    .transform((text, context) => {
      const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
      if (value >= min && value <= max) return value
      context.issues.push({ code: 'custom', message: `expected a whole number ${error}`, input: text })
      return z.NEVER
    })
    .meta({ type: 'integer', minimum: min, maximum: max })
}

/** A query parameter that is `true` or `false`. */
export function flag() {
  return z
    .enum(['true', 'false'], { error: 'expected true or false' })
    .transform(text => text === 'true')
    .meta({ type: 'boolean', enum: [true, false] })
}

/** Examples of a parameter whose text is turned into something else; zod keeps none for those. */
export function examples(...values: readonly (string | number)[]) {
  return { 'x-examples': Object.fromEntries(values.map(value => [String(value), { value }])) }
}
