import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocket } from 'ws'

/** Why tests that need a browser cannot run here; false when they can. On CI its absence is a failure, not a skip. */
export function chromiumMissing(): string | false {
  if (spawnSync('chromium', ['--version']).status === 0) return false
  if (process.env.CI) throw new Error('chromium is not installed: it is needed to try the dashboard page')
  return 'chromium is not installed'
}

interface Reply {
  id?: number
  method?: string
  result?: Record<string, unknown>
  error?: { message: string }
}

/** A page in a real browser without a window, driven over the DevTools protocol. */
export class Page {
  readonly #process: ChildProcess
  readonly #profile: string
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (reply: Reply) => void>()
  /** What the page wrote to its console as an error, and what it threw. */
  readonly errors: string[] = []
  #session: string | undefined
  #lastId = 0

  private constructor(process: ChildProcess, socket: WebSocket, profile: string) {
    this.#process = process
    this.#profile = profile
    this.#socket = socket
    socket.on('message', data => this.#receive(JSON.parse(String(data))))
  }

  static async open(url: string): Promise<Page> {
    const profile = await mkdtemp(join(tmpdir(), 'tributary-page-'))
    const args = ['--headless', '--no-sandbox', '--disable-gpu', '--remote-debugging-port=0', '--window-size=1240,900']
    const chromium = spawn('chromium', [...args, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'pipe']
    })
    const socket = new WebSocket(await debuggerUrl(chromium))
    await once(socket, 'open')
    const page = new Page(chromium, socket, profile)
    const { targetId } = await page.send('Target.createTarget', { url: 'about:blank' })
    page.#session = (await page.send('Target.attachToTarget', { targetId, flatten: true })).sessionId as string
    await page.send('Runtime.enable')
    await page.send('Page.enable')
    await page.send('Page.navigate', { url })
    return page
  }

  async send(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = ++this.#lastId
    this.#socket.send(JSON.stringify({ id, method, params, sessionId: this.#session }))
    const reply = await new Promise<Reply>(resolve => this.#waiting.set(id, resolve))
    if (reply.error) throw new Error(`${method}: ${reply.error.message}`)
    return reply.result ?? {}
  }

  /** The value of an expression; of a promise, what it resolves with. */
  async evaluate<T>(expression: string): Promise<T> {
    const reply = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
    if (reply.exceptionDetails) throw new Error(JSON.stringify(reply.exceptionDetails))
    return (reply.result as { value: T }).value
  }

  /** Resolves once an expression is true, looked at with every frame the page draws. */
  async until(condition: string): Promise<void> {
    await this.evaluate(
      `new Promise(resolve => { (function look() { (${condition}) ? resolve() : requestAnimationFrame(look) })() })`
    )
  }

  async screenshot(): Promise<Buffer> {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' })
    return Buffer.from(data as string, 'base64')
  }

  /** Lets the browser end by itself: killed, its helpers would go on writing to the profile for a moment. */
  async close(): Promise<void> {
    const ended = once(this.#process, 'exit')
    this.#session = undefined
    await this.send('Browser.close')
    await ended
    this.#socket.terminate()
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 })
  }

  #receive(reply: Reply & { params?: Record<string, unknown> }): void {
    if (reply.id !== undefined) {
      this.#waiting.get(reply.id)?.(reply)
      this.#waiting.delete(reply.id)
    } else if (reply.method === 'Runtime.exceptionThrown') this.errors.push(JSON.stringify(reply.params))
    else if (reply.method === 'Runtime.consoleAPICalled' && reply.params?.type === 'error')
      this.errors.push(JSON.stringify(reply.params.args))
  }
}

async function debuggerUrl(chromium: ChildProcess): Promise<string> {
  let text = ''
  for await (const chunk of chromium.stderr!) {
    text += chunk
    const url = /DevTools listening on (ws:\/\/\S+)/.exec(text)?.[1]
    if (url !== undefined) return url
  }
  throw new Error(`chromium did not start: ${text}`)
}
