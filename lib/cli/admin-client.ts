import { once } from 'node:events'
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { TributaryError } from '../errors.ts'
import { CommandFailure, exitCodes } from './context.ts'

export const ADMIN_URL_DEFAULT = 'http://127.0.0.1:9883'

export type AdminMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** Talks to the admin listener of a running broker. */
export class AdminClient {
  /** Without the token, so that it can be shown. */
  readonly #url: string
  readonly #token: string
  readonly #hint: string

  /** The password in `url` is the token, if there is one. `hint` is what else the user may do when no broker answers. */
  constructor(url: string, hint: string) {
    if (!/^https?:/.test(url) || !URL.canParse(url)) {
      throw new CommandFailure(`--admin: expected a URL such as ${ADMIN_URL_DEFAULT}, got ${url}`, exitCodes.usage)
    }
    const { protocol, host, pathname, password } = new URL(url)
    this.#url = `${protocol}//${host}${pathname.replace(/\/+$/, '')}`
    this.#token = decodeURIComponent(password)
    this.#hint = hint
  }

  /**
   * The answer of a JSON endpoint; undefined when it answered 204. `body` is sent as JSON. Rejects TRB_ADMIN_UNREACHABLE, or
   * CommandFailure with what the broker answered.
   */
  async json<T>(method: AdminMethod, path: string, signal: AbortSignal, body?: unknown): Promise<T> {
    const text = await textOf(await this.#request(method, path, signal, body))
    return (text === '' ? undefined : JSON.parse(text)) as T
  }

  /** The lines of an NDJSON endpoint, read no faster than they are taken. */
  async *lines(path: string, signal: AbortSignal): AsyncGenerator<string, void, undefined> {
    const response = await this.#request('GET', path, signal)
    response.setEncoding('utf8')
    let rest = ''
    try {
      for await (const chunk of response) {
        const lines = (rest + chunk).split('\n')
        rest = lines.pop()!
        yield* lines
      }
    } catch (cause) {
      if (signal.aborted) return
      throw new CommandFailure('the broker ended the connection before it had sent everything', exitCodes.failure, { cause })
    }
  }

  async #request(method: AdminMethod, path: string, signal: AbortSignal, body?: unknown): Promise<IncomingMessage> {
    const response = await this.#connect(method, path, signal, body)
    const status = response.statusCode ?? 0
    if (status >= 200 && status < 300) return response
    throw new CommandFailure(messageOf(await textOf(response)) ?? `${this.#url}${path} answered ${status}`)
  }

  async #connect(method: AdminMethod, path: string, signal: AbortSignal, body: unknown): Promise<IncomingMessage> {
    const headers: Record<string, string> = {}
    if (body !== undefined) headers['content-type'] = 'application/json'
    if (this.#token !== '') headers.authorization = `Bearer ${this.#token}`
    try {
      // Loaded here, because hardly anybody needs it and TLS takes its time.
      const request = this.#url.startsWith('https:') ? (await import('node:https')).request : requestHttp
      const outgoing = request(`${this.#url}${path}`, { method, headers, signal, agent: false })
      outgoing.end(body === undefined ? undefined : JSON.stringify(body))
      const [response] = await once(outgoing, 'response')
      return response
    } catch (cause) {
      if (signal.aborted) throw cause
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new TributaryError('TRB_ADMIN_UNREACHABLE', `no broker answers at ${this.#url} (${reason}): ${this.#hint}`, { cause })
    }
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = ''
  response.setEncoding('utf8')
  for await (const chunk of response) text += chunk
  return text
}

function messageOf(body: string): string | undefined {
  try {
    const { message } = JSON.parse(body)
    return typeof message === 'string' ? message : undefined
  } catch {
    // Whatever answers there is not our admin listener; the status says more than its page.
    return undefined
  }
}
