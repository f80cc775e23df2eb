import type { ServerResponse } from 'node:http'

/** A request that is not served; becomes `{ error, message }` with its status. */
export class Refusal extends Error {
  readonly status: number
  readonly error: string

  constructor(status: number, error: string, message: string) {
    super(message)
    this.status = status
    this.error = error
  }
}

export function badRequest(message: string): Refusal {
  return new Refusal(400, 'bad-request', message)
}

export function notFound(message: string): Refusal {
  return new Refusal(404, 'not-found', message)
}

export function answerJson(response: ServerResponse, status: number, value: unknown): void {
  answerText(response, status, 'application/json; charset=utf-8', `${JSON.stringify(value, undefined, 2)}\n`)
}

export function answerText(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}
