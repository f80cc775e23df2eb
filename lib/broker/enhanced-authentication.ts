import type { EnhancedExchange, EnhancedIdentity, EnhancedStart, EnhancedStep, Identity } from '../access/contract.ts'
import { checkedStep } from '../access/enhanced-step.ts'
import type { AuthPacket, ConnackPacket, ConnectPacket, Properties } from '../mqtt/packet.ts'
import { packetType } from '../mqtt/packet-type.ts'
import { type ReasonCode, reasonCode } from '../mqtt/reason-code.ts'
import type { Connection } from './connection.ts'
import { refuseByVerdict, returnCode, unavailable } from './refusal.ts'

/**
 * Hook for methods of enhanced authentication of the operator's own, called once per exchange: on a CONNECT with an
 * Authentication Method that `access.enhanced` does not have, and when that client authenticates again. undefined or null = no
 * such method here.
 */
export type AuthenticateEnhancedHook = (
  client: Connection,
  start: EnhancedStart
) => EnhancedExchange | null | undefined | Promise<EnhancedExchange | null | undefined>

/**
 * AUTH packets the broker sends in one exchange. SCRAM needs one or two, Kerberos three; an exchange that goes on and on holds
 * the place of a client that may never be let in. More: refused.
 */
export const challengesMax = 16

interface Running {
  exchange: EnhancedExchange | undefined
  /** Epoch milliseconds; limits.connectTimeoutMs is counted from here. */
  readonly startedAtMs: number
  /** Who is to say something: a packet of a client that was not asked is out of order. */
  turn: 'client' | 'broker'
  challenges: number
  /** Lets in whom the exchange proved. `data` is for the client. */
  readonly granted: (identity: Identity, data: Buffer | undefined) => void
}

/**
 * Enhanced authentication of one connection, MQTT 5 section 4.12: the exchange between CONNECT and CONNACK, and any later one
 * by which the client authenticates again. In the first the connection decodes nothing while the authenticator thinks; in a
 * later one everything goes on under the identity in force until the exchange succeeds.
 */
export class EnhancedAuthentication {
  readonly #connection: Connection
  readonly #method: string
  /** User Name of the CONNECT. */
  readonly #username: string | undefined
  #running: Running | undefined
  /** Authentication Data of the CONNACK. */
  #connackData: Buffer | undefined

  constructor(connection: Connection, method: string, username: string | undefined) {
    this.#connection = connection
    this.#method = method
    this.#username = username
  }

  /** The exchange that decides about the CONNECT is under way. */
  get inConnect(): boolean {
    return this.#running !== undefined && !this.#connection.connected
  }

  /** Starts the exchange of the CONNECT; `proceed` is called with connection.identity set. */
  connect(packet: ConnectPacket, proceed: () => void): void {
    const connection = this.#connection
    const granted = (identity: Identity, data: Buffer | undefined): void => {
      const early = connection.unread[0]?.[0]
      // Whatever is here already was sent before the CONNACK could arrive, where DISCONNECT alone is left to say [MQTT-3.1.2-30].
      if (early !== undefined && early >> 4 !== packetType.disconnect) {
        return connection.refuse(reasonCode.protocolError, 0, new Error('packet before the CONNACK that answers the exchange'))
      }
      connection.identity = identity
      this.#connackData = data
      proceed()
    }
    void this.#begin(connection.openedAtMs, packet.properties.authenticationData, packet.password, granted)
  }

  /** An AUTH packet of the client. */
  onAuth({ reasonCode: code, properties }: AuthPacket): void {
    const connection = this.#connection
    if (properties.authenticationMethod !== this.#method) {
      const message = `AUTH names another method than ${JSON.stringify(this.#method)} [MQTT-4.12.0-5]`
      // DISCONNECT has no code of its own for it (table 3-13).
      if (this.inConnect) return this.refuse(reasonCode.badAuthenticationMethod, new Error(message))
      return connection.protocolError(reasonCode.protocolError, message)
    }
    const running = this.#running
    if (code === reasonCode.reAuthenticate) {
      if (running !== undefined) {
        const message = 'AUTH with Re-authenticate while an exchange is under way [MQTT-4.12.0-3]'
        return connection.protocolError(reasonCode.protocolError, message)
      }
      void this.#begin(connection.broker.clock.now(), properties.authenticationData, undefined, this.#replaceIdentity)
      return
    }
    if (running?.turn !== 'client') {
      return connection.protocolError(reasonCode.protocolError, 'AUTH that answers nothing [MQTT-4.12.0-3]')
    }
    running.turn = 'broker'
    if (!connection.connected) connection.suspend()
    void this.#step(running, properties.authenticationData)
  }

  /** The CONNACK of a success repeats the method [MQTT-4.12.0-5] and carries what the exchange has to say last. */
  complete(connack: ConnackPacket): void {
    connack.properties = { ...connack.properties, ...this.#properties(this.#connackData) }
    this.#connackData = undefined
  }

  /** Ends the exchange of the CONNECT with a CONNACK [MQTT-4.12.0-4]. */
  refuse(code: ReasonCode, error: Error): void {
    this.#running = undefined
    this.#connection.refuse(code, returnCode.notAuthorized, error)
  }

  /** Ends an exchange that takes too long, whoever is late; true when it did. */
  sweep(nowMs: number, timeoutMs: number): boolean {
    const running = this.#running
    if (running === undefined || nowMs - running.startedAtMs <= timeoutMs) return false
    const cause = new Error('authentication did not end in time')
    if (running.turn === 'broker') this.#fail({ type: 'unavailable', cause })
    else this.#fail({ type: 'refused', reason: 'not-authorized', message: cause.message })
    return true
  }

  async #begin(
    startedAtMs: number,
    data: Buffer | undefined,
    password: Buffer | undefined,
    granted: Running['granted']
  ): Promise<void> {
    const { id, peer, identity } = this.#connection
    const running: Running = { exchange: undefined, startedAtMs, turn: 'broker', challenges: 0, granted }
    this.#running = running
    const [method, username] = [this.#method, this.#username]
    try {
      running.exchange = await this.#exchangeFor({ method, clientId: id ?? '', username, password, peer, current: identity })
    } catch (cause) {
      if (this.#current(running)) this.#fail({ type: 'unavailable', cause })
      return
    }
    if (!this.#current(running)) return
    if (running.exchange !== undefined) return this.#step(running, data)
    const message = `authentication method ${JSON.stringify(this.#method)} is not supported`
    if (this.inConnect)
      this.refuse(reasonCode.badAuthenticationMethod, new Error(message)) // [MQTT-4.12.0-1]
    else this.#fail({ type: 'refused', reason: 'not-authorized', message })
  }

  async #exchangeFor(start: EnhancedStart): Promise<EnhancedExchange | undefined> {
    const { broker } = this.#connection
    const builtIn = await broker.opts.access?.enhanced?.get(start.method)?.begin(start)
    if (builtIn !== undefined) return builtIn
    const exchange = (await broker.authenticateEnhanced?.(this.#connection, start)) ?? undefined
    if (exchange !== undefined && typeof exchange.step !== 'function') {
      throw new TypeError('authenticateEnhanced must return an object with a function `step`')
    }
    return exchange
  }

  async #step(running: Running, data: Buffer | undefined): Promise<void> {
    let step: EnhancedStep
    try {
      step = checkedStep(await running.exchange?.step(data))
    } catch (cause) {
      step = { type: 'unavailable', cause }
    }
    if (!this.#current(running)) return
    switch (step.type) {
      case 'continue':
        return this.#challenge(running, asBuffer(step.data))
      case 'granted':
        this.#running = undefined
        return running.granted(this.#identityOf(step.identity), asBuffer(step.data))
      case 'refused':
      case 'unavailable':
        return this.#fail(step)
      default:
        step satisfies never
    }
  }

  /** Not for an exchange that was ended meanwhile, and not on a connection that is gone. */
  #current(running: Running): boolean {
    return this.#running === running && !this.#connection.closed
  }

  #challenge(running: Running, data: Buffer | undefined): void {
    if (++running.challenges > challengesMax) {
      return this.#fail({ type: 'refused', reason: 'not-authorized', message: 'the exchange has too many steps' })
    }
    running.turn = 'client'
    if (!this.#send(reasonCode.continueAuthentication, data)) return // [MQTT-4.12.0-2]
    if (!this.#connection.connected) this.#connection.resume()
  }

  /** The end of a later exchange: from here on other rights may be in force. */
  readonly #replaceIdentity = (identity: Identity, data: Buffer | undefined): void => {
    const connection = this.#connection
    const { broker } = connection
    // Session, client id and what was published belong to one user: another one connects anew.
    if (identity.username !== connection.identity?.username) {
      return this.#fail({ type: 'refused', reason: 'not-authorized', message: 'the username cannot change' })
    }
    if (!this.#send(reasonCode.success, data)) return
    connection.identity = identity
    connection.policy = broker.policy?.compile(identity)
    broker.engine.policyChanged(connection)
  }

  #fail(verdict: Exclude<EnhancedStep, { type: 'continue' | 'granted' }>): void {
    const connection = this.#connection
    this.#running = undefined
    if (!connection.connected) return refuseByVerdict(connection, verdict)
    // [MQTT-4.12.1-2]. DISCONNECT knows neither 0x86, 0x88 nor 0x8A (table 3-13).
    const closeReason = 'reauthentication-failed'
    if (verdict.type === 'refused') {
      return connection.disconnect(reasonCode.notAuthorized, new Error(verdict.message), closeReason)
    }
    connection.broker.logger?.error({ err: verdict.cause, clientId: connection.id }, 'authentication is unavailable')
    connection.disconnect(reasonCode.serverBusy, unavailable(verdict.cause), closeReason)
  }

  /** False when the client takes no packet of that size [MQTT-3.1.2-27], which ends the connection. */
  #send(code: ReasonCode, data: Buffer | undefined): boolean {
    const connection = this.#connection
    const auth: AuthPacket = { cmd: 'auth', reasonCode: code, properties: this.#properties(data) }
    if (connection.send(auth)) return true
    const error = new Error('AUTH would be larger than the Maximum Packet Size of the client')
    if (this.inConnect) this.refuse(reasonCode.packetTooLarge, error)
    else connection.disconnect(reasonCode.packetTooLarge, error, 'reauthentication-failed')
    return false
  }

  /** [MQTT-4.12.0-5]; no Reason String and no User Property, so that nothing has to be left out [MQTT-3.15.2-2], [MQTT-3.15.2-3]. */
  #properties(data: Buffer | undefined): Properties {
    const properties: Properties = { authenticationMethod: this.#method }
    if (data !== undefined) properties.authenticationData = data
    return properties
  }

  #identityOf({ username, roles = [], by = 'hook' }: EnhancedIdentity): Identity {
    return { clientId: this.#connection.id ?? '', username, roles, by }
  }
}

function asBuffer(data: Uint8Array | undefined): Buffer | undefined {
  return data && Buffer.from(data)
}

/** A CONNECT with an Authentication Method. Ends in `proceed`, with connection.identity set, or in a refusal. */
export function authenticateEnhanced(connection: Connection, packet: ConnectPacket, method: string, proceed: () => void): void {
  connection.authentication = new EnhancedAuthentication(connection, method, packet.username)
  connection.authentication.connect(packet, proceed)
}
