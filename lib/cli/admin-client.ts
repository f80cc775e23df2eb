import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { TributaryError } from '../errors.ts'
import { CommandFailure, exitCodes } from './context.ts'

export const ADMIN_URL_DEFAULT = 'http://127.0.0.1:9883'

/** Talks to the admin listener of a running broker. */
export class AdminClient {
  readonly #url: string
  readonly #hint: string

  /** `hint` is what else the user may do when no broker answers. */
  constructor(url: string, hint: string) {
    if (!URL.canParse(url) || !url.startsWith('http:')) {
      throw new CommandFailure(`--admin: expected a URL such as ${ADMIN_URL_DEFAULT}, got ${url}`, exitCodes.usage)
    }
    this.#url = url.replace(/\/+$/, '')
    this.#hint = hint
  }

  /** The answer of a JSON endpoint. Rejects TRB_ADMIN_UNREACHABLE, or CommandFailure with what the broker answered. */
  async json<T>(path: string, signal: AbortSignal): Promise<T> {
    const response = await this.#get(path, signal)
    return JSON.parse(await textOf(response)) as T
  }

  /** The lines of an NDJSON endpoint, read no faster than they are taken. */
  async *lines(path: string, signal: AbortSignal): AsyncGenerator<string, void, undefined> {
    const response = await this.#get(path, signal)
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

  async #get(path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const response = await this.#connect(path, signal)
    if (response.statusCode === 200) return response
    throw new CommandFailure(messageOf(await textOf(response)) ?? `${this.#url}${path} answered ${response.statusCode}`)
  }

  async #connect(path: string, signal: AbortSignal): Promise<IncomingMessage> {
    try {
      const [response] = await once(get(`${this.#url}${path}`, { signal, agent: false }), 'response')
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
