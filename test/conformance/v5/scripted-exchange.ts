import type { EnhancedAuthenticator, EnhancedExchange, EnhancedStart, EnhancedStep } from '../../../lib/access/contract.ts'
import { TestBroker, type TestBrokerOptions } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient, type RawConnectOptions } from '../../support/raw-client.ts'

export const method = 'SCRIPT'
export const continueCode = 0x18
export const reAuthenticate = 0x19

/**
 * A method whose answers the client dictates, in words separated by spaces: `more` asks for more, `grant NAME ROLE...` lets in,
 * `wait` answers when the test opens the gate with what it opens it with, and so on.
 */
export class ScriptedAuthenticator implements EnhancedAuthenticator {
  /** Everything `begin` was given. */
  readonly started: EnhancedStart[] = []
  /** Everything `step` was given. */
  readonly heard: (string | undefined)[] = []
  #gates: ((step: EnhancedStep) => void)[] = []
  #arrived: (() => void)[] = []

  begin(start: EnhancedStart): EnhancedExchange {
    this.started.push(start)
    return { step: data => this.#step(data) }
  }

  /** Resolves when as many answers wait for the test. */
  async waiting(count = 1): Promise<void> {
    while (this.#gates.length < count) await new Promise<void>(resolve => this.#arrived.push(resolve))
  }

  /** Gives the oldest waiting answer. */
  answer(step: EnhancedStep): void {
    this.#gates.shift()?.(step)
  }

  #step(data: Buffer | undefined): EnhancedStep | Promise<EnhancedStep> {
    this.heard.push(data?.toString())
    const [word, ...rest] = (data?.toString() ?? 'more').split(' ')
    switch (word) {
      case 'more':
        return { type: 'continue', data: Buffer.from('go on') }
      case 'silence':
        return { type: 'continue' }
      case 'large':
        return { type: 'continue', data: Buffer.alloc(200) }
      case 'grant':
        return { type: 'granted', identity: { username: rest[0], roles: rest.slice(1) }, data: Buffer.from('welcome') }
      case 'nobody':
        return { type: 'granted', identity: { username: undefined } }
      case 'bad-credentials':
      case 'not-authorized':
      case 'banned':
        return { type: 'refused', reason: word, message: `that was ${word}` }
      case 'away':
        return { type: 'unavailable', cause: new Error('no database') }
      case 'wait':
        return new Promise(resolve => {
          this.#gates.push(resolve)
          for (const arrived of this.#arrived.splice(0)) arrived()
        })
      default:
        throw new Error('no such word')
    }
  }
}

export const granted = (username: string, ...roles: string[]): EnhancedStep => ({
  type: 'granted',
  identity: { username, roles }
})

/** A broker with the method SCRIPT. */
export async function start(t: { teardown(fn: () => unknown): unknown }, options: TestBrokerOptions = {}) {
  const script = new ScriptedAuthenticator()
  const started = await TestBroker.start(t, { ...options, access: { ...options.access, enhanced: new Map([[method, script]]) } })
  return { script, started, port: started.port, broker: started.broker }
}

/** Opens a connection and sends a CONNECT with the method and these words as its data. */
export async function connect(port: number, words: string | undefined, options: RawConnectOptions = {}): Promise<RawClient> {
  const client = await RawClient.open(port, 5)
  client.sendConnect({ version: 5, clientId: 'c', ...options, properties: { ...authProperties(words), ...options.properties } })
  return client
}

/** A client that is let in, by default as alice. */
export async function connected(port: number, options: RawConnectOptions = {}, words = 'grant alice'): Promise<RawClient> {
  const client = await connect(port, words, options)
  const connack = await client.expect('connack')
  if (connack.reasonCode !== 0) throw new Error(`refused with ${connack.reasonCode}`)
  return client
}

export function authProperties(words: string | undefined, authenticationMethod = method): object {
  if (words === undefined) return { authenticationMethod }
  return { authenticationMethod, authenticationData: Buffer.from(words) }
}

export function sendAuth(client: RawClient, reasonCode: number, words?: string, authenticationMethod = method): void {
  client.send({ cmd: 'auth', reasonCode, properties: authProperties(words, authenticationMethod) })
}

export const propertiesOf = (packet: AnyPacket | undefined) => (packet?.properties ?? {}) as Record<string, unknown>

export const codes = (packets: AnyPacket[]) => packets.map(({ cmd, reasonCode }) => `${cmd} ${reasonCode}`)
