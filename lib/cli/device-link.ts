import { connect, type Socket } from 'node:net'
import {
  generate,
  type IConnackPacket,
  type IPubackPacket,
  type IPublishPacket,
  type Packet,
  type Parser,
  parser
} from 'mqtt-packet'

export interface LinkOptions {
  host: string
  port: number
  clientId: string
  username?: string
  password?: string
  /** First pause before a reconnect, doubled up to `retryMsMax`, each with some chance in it. Milliseconds. */
  retryMs?: number
  retryMsMax?: number
}

/** What happens on a link, for whoever counts. */
export interface LinkEvents {
  /** The broker let us in. */
  online(): void
  /** The connection is gone; another try follows. `reason` is for people. */
  offline(reason: string): void
  /** The broker does not want this client; no other try follows. */
  refused(reason: string): void
  acknowledged(milliseconds: number): void
  /** An acknowledgement that says no: the message is not kept and is not sent again. */
  rejected(reason: string): void
}

const KEEP_ALIVE_SECONDS = 30
/** How long the broker remembers us while the connection is gone; at the end we ask it to forget us at once. */
const SESSION_EXPIRY_SECONDS = 120
const UNACKNOWLEDGED_MAX = 100

interface Waiting {
  packet: IPublishPacket
  sentAtMs: number
}

/**
 * One device: an MQTT 5 client that publishes at QoS 1 and does nothing else. What is not acknowledged is sent again after a
 * reconnect, marked DUP when the session is the same [MQTT-4.4.0-1].
 */
export class DeviceLink {
  readonly #options: LinkOptions
  readonly #events: LinkEvents
  readonly #waiting = new Map<number, Waiting>()
  #socket: Socket | undefined
  #online = false
  #closed = false
  #window = UNACKNOWLEDGED_MAX
  #retries = 0
  #lastId = 0
  #timer: NodeJS.Timeout | undefined
  #idle: (() => void) | undefined

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options
    this.#events = events
  }

  get unacknowledged(): number {
    return this.#waiting.size
  }

  get online(): boolean {
    return this.#online
  }

  open(): void {
    const { host, port } = this.#options
    const socket = connect({ host, port, noDelay: true })
    const packets: Parser = parser(version)
    this.#socket = socket
    let reason = 'connection closed by the broker'
    packets.on('packet', (packet: Packet) => this.#receive(packet))
    packets.on('error', (error: unknown) => socket.destroy(error as Error))
    socket.on('connect', () => socket.write(this.#connectPacket()))
    socket.on('data', chunk => packets.parse(chunk))
    socket.on('error', (error: NodeJS.ErrnoException) => (reason = faultText(error)))
    socket.on('close', () => this.#lost(reason))
  }

  /** False when the link cannot take more for now: too much is unacknowledged. */
  publish(topic: string, payload: string): boolean {
    if (this.#closed || this.#waiting.size >= this.#window) return false
    const packet: IPublishPacket = {
      cmd: 'publish',
      topic,
      payload,
      qos: 1,
      dup: false,
      retain: false,
      messageId: this.#freeId()
    }
    this.#waiting.set(packet.messageId!, { packet, sentAtMs: performance.now() })
    if (this.#online) this.#send(packet)
    return true
  }

  /** Waits until everything is acknowledged or `signal` is aborted, says goodbye and closes. */
  async close(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size > 0 && !this.#closed) {
      await untilAborted(signal, done => {
        this.#idle = done
      })
    }
    this.#closed = true
    this.#stopTimer()
    const socket = this.#socket
    if (socket === undefined || socket.destroyed) return
    if (this.#online) {
      const goodbye: Packet = { cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } }
      await untilAborted(signal, done => {
        socket.once('close', done)
        socket.end(generate(goodbye, version))
      })
    }
    socket.destroy()
  }

  #send(packet: Packet): void {
    this.#socket?.write(generate(packet, version))
  }

  #receive(packet: Packet): void {
    if (packet.cmd === 'connack') this.#connected(packet)
    else if (packet.cmd === 'puback') this.#acknowledge(packet)
  }

  #connected({ reasonCode = 0, sessionPresent, properties }: IConnackPacket): void {
    if (transientCodes.has(reasonCode)) {
      this.#socket?.destroy()
      return
    }
    if (reasonCode !== 0) {
      this.#closed = true
      this.#socket?.destroy()
      this.#events.refused(refusals.get(reasonCode) ?? `reason code 0x${reasonCode.toString(16)}`)
      return
    }
    this.#online = true
    this.#retries = 0
    // [MQTT-3.3.4-7]
    this.#window = Math.min(UNACKNOWLEDGED_MAX, properties?.receiveMaximum ?? UNACKNOWLEDGED_MAX)
    this.#timer = setInterval(() => this.#send({ cmd: 'pingreq' }), (KEEP_ALIVE_SECONDS * 1000) / 2)
    this.#events.online()
    for (const { packet } of this.#waiting.values()) {
      packet.dup &&= sessionPresent
      this.#send(packet)
    }
  }

  #acknowledge({ messageId = 0, reasonCode = 0 }: IPubackPacket): void {
    const waiting = this.#waiting.get(messageId)
    if (waiting === undefined) return
    this.#waiting.delete(messageId)
    if (reasonCode < 0x80) this.#events.acknowledged(performance.now() - waiting.sentAtMs)
    else this.#events.rejected(refusals.get(reasonCode) ?? `reason code 0x${reasonCode.toString(16)}`)
    if (this.#waiting.size === 0) this.#idle?.()
  }

  #lost(reason: string): void {
    this.#online = false
    this.#stopTimer()
    if (this.#closed) return
    for (const waiting of this.#waiting.values()) waiting.packet.dup = true
    const { retryMs = 250, retryMsMax = 5_000 } = this.#options
    const pause = Math.min(retryMsMax, retryMs * 2 ** this.#retries++)
    // Half of it is chance, so that a fleet does not come back all at once.
    this.#timer = setTimeout(() => this.open(), pause / 2 + Math.random() * (pause / 2))
    this.#events.offline(reason)
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #freeId(): number {
    do this.#lastId = this.#lastId === 65_535 ? 1 : this.#lastId + 1
    while (this.#waiting.has(this.#lastId))
    return this.#lastId
  }

  #connectPacket(): Buffer {
    const { clientId, username, password } = this.#options
    const connect: Packet = {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 5,
      clientId,
      clean: false,
      keepalive: KEEP_ALIVE_SECONDS,
      properties: { sessionExpiryInterval: SESSION_EXPIRY_SECONDS },
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: Buffer.from(password) })
    }
    return generate(connect, version)
  }
}

/** Resolves when `begin`'s callback is called, or when `signal` is aborted. */
function untilAborted(signal: AbortSignal, begin: (done: () => void) => void): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
    begin(resolve)
  })
}

const version = { protocolVersion: 5 as const }

/** Server unavailable, server busy, server shutting down: worth another try. */
const transientCodes: ReadonlySet<number> = new Set([0x88, 0x89, 0x8b])

const refusals: ReadonlyMap<number, string> = new Map([
  [0x84, 'it does not speak MQTT 5'],
  [0x85, 'it does not accept the client identifier'],
  [0x86, 'bad user name or password'],
  [0x87, 'not authorized'],
  [0x8a, 'banned'],
  [0x97, 'quota exceeded']
])

function faultText(error: NodeJS.ErrnoException): string {
  if (error.code === 'ECONNREFUSED') return 'connection refused'
  return error.code === 'ECONNRESET' ? 'connection reset' : error.message
}
