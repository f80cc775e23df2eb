import { z } from 'zod'
import { TributaryError } from '../errors.ts'

/** A request that is not served; becomes `{ error, message }` with its status. */
export class Refusal extends Error {
  readonly status: number
  readonly error: string
  /** Header fields of the answer besides the usual ones. */
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, error: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.error = error
    this.headers = headers
  }
}

export function badRequest(message: string): Refusal {
  return new Refusal(400, 'bad-request', message)
}

export function notFound(message: string): Refusal {
  return new Refusal(404, 'not-found', message)
}

/** What every endpoint answers when it does not do what it was asked for. */
export const errorSchema = z
  .object({
    error: z.string().meta({ description: 'Stable name of the fault; for programs.' }),
    message: z.string().meta({ description: 'What is wrong, what was expected and how to mend it; for people.' })
  })
  .meta({
    id: 'Error',
    description: 'Why a request was not served.',
    examples: [{ error: 'not-found', message: 'no stream "x" is declared; GET /streams lists them' }]
  })

export type ErrorJson = z.output<typeof errorSchema>

export function faultJson(error: unknown): ErrorJson {
  if (error instanceof Refusal) return { error: error.error, message: error.message }
  if (error instanceof TributaryError) return { error: error.code, message: error.message }
  return { error: 'internal', message: error instanceof Error ? error.message : String(error) }
}

/** An answer with JSON, for the `response` of a route. */
export function jsonAnswer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { 'application/json': { schema } } }
}

/** An answer that is an error, for the `response` of a route. Those that every endpoint may give need not be declared. */
export function errorAnswer(description: string) {
  return jsonAnswer(description, errorSchema)
}

/** For programs and for people with curl. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}
