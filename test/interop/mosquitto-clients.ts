import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import type { EveryTransport, Transport } from './every-transport.ts'

export type MosquittoVersion = 'mqttv31' | 'mqttv311' | 'mqttv5'

/** Why Mosquitto's clients cannot be tried here; false when they can. On CI their absence is a failure, not a skip. */
export function mosquittoMissing(): string | false {
  if (spawnSync('mosquitto_sub', ['--help']).error === undefined) return false
  if (process.env.CI) throw new Error('mosquitto_sub is not installed: it is one of the clients this broker is tried with')
  return 'mosquitto-clients is not installed'
}

/** mosquitto_pub, mosquitto_sub and mosquitto_rr towards one listener, in one version of the protocol. */
export class MosquittoClients {
  readonly #broker: EveryTransport
  readonly #arguments: readonly string[]

  constructor(broker: EveryTransport, transport: Transport, version: MosquittoVersion) {
    this.#broker = broker
    const secure = transport === 'tls' ? ['--cafile', broker.caFile] : []
    this.#arguments = ['-h', '127.0.0.1', '-p', String(broker.port(transport)), '-V', version, ...secure]
  }

  /** Publishes and waits for the acknowledgements; `lines` are messages of their own. */
  async publish(args: string[], lines?: string[]): Promise<void> {
    const child = spawn('mosquitto_pub', [...this.#arguments, ...args, ...(lines === undefined ? [] : ['-l'])])
    child.stdin.end(lines?.map(line => `${line}\n`).join(''))
    await succeeded(child)
  }

  /** Subscribes, waits for the SUBACK and goes on reading. */
  async subscribe(t: { teardown(fn: () => unknown): unknown }, clientId: string, args: string[]): Promise<MosquittoSub> {
    const subscribed = this.#broker.subscribed(clientId)
    const subscriber = this.start(t, clientId, args)
    await Promise.race([subscribed, subscriber.failed()])
    return subscriber
  }

  /** Subscribes and leaves; what remains is the session. */
  async leaveSession(clientId: string, args: string[]): Promise<void> {
    await succeeded(spawn('mosquitto_sub', [...this.#arguments, '-i', clientId, '-c', '-E', ...args]))
  }

  /** mosquitto_sub, started. Lines are `topic qos retain payload`. */
  start(t: { teardown(fn: () => unknown): unknown }, clientId: string, args: string[]): MosquittoSub {
    const child = spawn('mosquitto_sub', [...this.#arguments, '-i', clientId, '-F', '%t %q %r %p', ...args])
    t.teardown(() => child.kill('SIGKILL'))
    return new MosquittoSub(child)
  }

  /** Sends a request; resolves with the payload of the answer. */
  async request(args: string[]): Promise<string> {
    return succeeded(spawn('mosquitto_rr', [...this.#arguments, ...args, '-W', '20']))
  }
}

export class MosquittoSub {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #closed: Promise<unknown>
  readonly #out: Promise<string>
  readonly #error: Promise<string>

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child
    this.#closed = once(child, 'close')
    this.#out = text(child.stdout)
    this.#error = text(child.stderr)
  }

  /** Every message, once mosquitto_sub has ended by itself (-C). */
  async ended(): Promise<string[]> {
    await this.#closed
    return (await this.#out).split('\n').filter(line => line !== '')
  }

  /** Rejects when it ends. */
  async failed(): Promise<never> {
    await this.#closed
    throw new Error(`${this.#child.spawnargs.join(' ')} ended with ${this.#child.exitCode}: ${await this.#error}`)
  }

  /** Ends it without a DISCONNECT. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#closed
  }
}

async function succeeded(child: ChildProcessWithoutNullStreams): Promise<string> {
  const [out, error, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (code !== 0) throw new Error(`${child.spawnargs.join(' ')} ended with ${code}: ${error}`)
  return out
}
