import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { CompiledPolicy, Identity, PeerIdentity } from '../access/contract.ts'
import { Frame, readFrame } from '../mqtt/frame.ts'
import type { ConnackPacket, Properties, ProtocolVersion, PublishPacket, ServerPacket, Will } from '../mqtt/packet.ts'
import { PacketError } from '../mqtt/packet-error.ts'
import { packetType } from '../mqtt/packet-type.ts'
import { type ReasonCode, reasonCode } from '../mqtt/reason-code.ts'
import type { OutboundAliases } from '../session/outbound-aliases.ts'
import type { Session } from '../session/session.ts'
import { subscribePacketOf, unsubscribePacketOf } from './aedes-packet.ts'
import type { Broker } from './broker.ts'
import { tellConnected, tellDisconnected, tellRefused } from './connection-events.ts'
import { encodeFor } from './encode-for.ts'
import type { Done } from './engine.ts'
import type { EnhancedAuthentication } from './enhanced-authentication.ts'
import type { DeferredWrites } from './native/deferred-writes.ts'
import type { PublisherRoutes } from './native/publisher-routes.ts'
import { readControl } from './on-control.ts'
import { Outbound } from './outbound.ts'
import { type OnBytes, readShared } from './socket-reads.ts'

/** Shared by all connections: one packet is looked at a time. */
const frame = new Frame()

/**
 * One network connection and, in Aedes' terms, the `client` that hooks and events receive.
 *
 * It turns reads into packets for the engine and packets into one write per turn. It knows the protocol's framing, its version and
 * its keep alive, and nothing of sessions or routing. Field names are Aedes' where Aedes has them.
 */
export class Connection extends EventEmitter {
  /** Client Identifier; null until an acceptable CONNECT arrived. */
  id: string | null = null
  clean = true
  version: ProtocolVersion | null = null
  connecting = false
  connected = false
  connackSent = false
  closed = false
  errored = false
  readonly conn: Duplex
  readonly req: IncomingMessage | undefined
  readonly connDetails: unknown
  readonly broker: Broker
  /** Aedes: topic filter to { qos, ... }; kept by the contract engine. Without a prototype, since keys come from the wire. */
  subscriptions: Record<string, unknown> = emptySubscriptions
  will: Will | null = null

  readonly peer: PeerIdentity | undefined
  readonly outbound: Outbound
  identity: Identity | undefined
  policy: CompiledPolicy | undefined
  /** Of a client whose CONNECT had an Authentication Method. */
  authentication: EnhancedAuthentication | undefined
  session: Session | undefined
  /** Engine-owned: routes this publisher used and its alias table. */
  publisher: PublisherRoutes | undefined
  /** Engine-owned: packets that wait for a commit. */
  deferred: DeferredWrites | undefined
  keepAliveSeconds = 0
  connectedAtMs = 0
  readonly openedAtMs: number
  lastReceivedMs: number
  bytesReceived = 0
  /** Outbound limits of a v5 client. */
  maximumPacketSize = 0xffffffff
  receiveMaximum = 65535
  topicAliasMaximum = 0
  requestProblemInformation = true
  /** Set when the client allows them and so do the limits. */
  outboundAliases: OutboundAliases | undefined
  /** A bridge by its CONNECT: gets retain flags as published and never its own messages, as with Mosquitto. */
  bridge = false
  /** A DISCONNECT with reason 0x00 arrived: the will is not published [MQTT-3.14.4-3]. */
  disconnectedCleanly = false
  /** Session Expiry Interval of a DISCONNECT packet, when it carried one. */
  disconnectExpirySeconds: number | undefined
  /** Why the connection ended, for logs and metrics. */
  closeReason = 'connection-lost'
  /** Set while the transport holds more than limits.maxOutboundBufferBytes. */
  congestedSinceMs = 0
  opened = false
  /** Counted among the connected clients. */
  registered = false

  #suspensions = 0
  #reading = false
  #parts: Buffer[] | undefined
  #partsBytes = 0
  #neededBytes = 0
  #closeDone: Done[] | undefined
  #settled = false

  constructor(broker: Broker, conn: Duplex, req: IncomingMessage | undefined, peer: PeerIdentity | undefined) {
    super()
    this.broker = broker
    this.conn = conn
    this.req = req
    this.connDetails = req === undefined ? null : (req as { connDetails?: unknown }).connDetails
    this.peer = peer
    this.openedAtMs = broker.clock.now()
    this.lastReceivedMs = this.openedAtMs
    this.outbound = new Outbound(conn, broker.flushQueue, this, broker.limits.maxOutboundBufferBytes)
    const onBytes: OnBytes = (bytes, end) => this.receive(bytes, end)
    if (readShared(conn, onBytes)) conn.resume()
    else conn.on('data', (bytes: Buffer) => this.receiveStreamed(bytes))
    conn.on('error', (error: Error) => this.fail(error, 'transport-error'))
    conn.on('end', () => this.transportEnded())
    conn.on('close', () => this.transportEnded())
    this.on('error', (error: Error) => this.fail(error, 'error'))
    broker.connections.add(this)
  }

  /** Where it comes from, for people. */
  get address(): string {
    return this.peer === undefined ? 'in-process' : `${this.peer.address}:${this.peer.port}`
  }

  /** Session Expiry Interval in force; undefined while there is no session. */
  get sessionExpirySeconds(): number | undefined {
    return this.session?.expirySeconds
  }

  // ---- reading ----------------------------------------------------------------------------------------------------------------

  /** Stops decoding until resume(); calls nest. */
  suspend(): void {
    this.#suspensions++
    if (this.#suspensions === 1 && !this.#reading) this.conn.pause()
  }

  resume(): void {
    if (this.#suspensions === 0 || --this.#suspensions > 0 || this.closed) return
    this.lastReceivedMs = this.broker.clock.now() // silence counts from here: nothing was read before
    if (this.#reading) return
    const parts = this.#parts
    if (parts !== undefined) {
      this.#parts = undefined
      this.#neededBytes = 0
      const whole = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
      this.#read(whole, whole.length)
    }
    if (this.#suspensions === 0 && !this.closed) this.conn.resume()
  }

  get suspended(): boolean {
    return this.#suspensions > 0
  }

  /** Bytes that arrived and are not decoded yet. */
  get unread(): readonly Buffer[] {
    return this.#parts ?? noParts
  }

  /** What a stream that is not a plain socket emits. */
  receiveStreamed(bytes: Buffer): void {
    this.receive(bytes, bytes.length)
  }

  /** Bytes from the peer, valid during the call only. */
  receive(bytes: Buffer, end: number): void {
    if (this.closed) return
    this.lastReceivedMs = this.broker.clock.now()
    this.bytesReceived += end
    this.broker.counters.bytesReceived += end
    if (this.#parts === undefined) {
      if (this.#suspensions > 0) this.#keep(bytes, 0, end)
      else this.#read(bytes, end)
      return
    }
    this.#keep(bytes, 0, end)
    if (this.#suspensions > 0 || this.#partsBytes < this.#neededBytes) return
    const whole = Buffer.concat(this.#parts)
    this.#parts = undefined
    this.#read(whole, whole.length)
  }

  /** Copies: the buffer of a read belongs to the next read. */
  #keep(bytes: Buffer, start: number, end: number): void {
    const part = Buffer.from(bytes.subarray(start, end))
    if (this.#parts === undefined) {
      this.#parts = [part]
      this.#partsBytes = part.length
    } else {
      this.#parts.push(part)
      this.#partsBytes += part.length
    }
  }

  /** Handles every whole packet in `bytes` and keeps the rest. */
  #read(bytes: Buffer, end: number): void {
    const maxPacketBytes = this.broker.limits.maxPacketBytes
    let at = 0
    this.#reading = true
    this.#neededBytes = 0
    while (at < end && this.#suspensions === 0 && !this.closed) {
      const next = readFrame(bytes, at, end, maxPacketBytes, frame)
      if (next <= 0) {
        if (next === 0) {
          // The whole length is known once the fixed header is: no second look before all of it is there.
          this.#neededBytes = frame.bodyEnd > end ? frame.bodyEnd - at : 0
          break
        }
        if (next === -1) this.protocolError(reasonCode.malformedPacket, 'Remaining Length is longer than four bytes')
        else this.protocolError(reasonCode.packetTooLarge, `packet is larger than maxPacketBytes (${maxPacketBytes})`)
        break
      }
      at = next
      if (frame.type === packetType.publish && this.connected) this.broker.engine.publish(this, bytes, frame)
      else readControl(this, bytes, frame)
    }
    this.#reading = false
    if (this.closed) return
    if (at < end) this.#keep(bytes, at, end)
    this.broker.engine.chunkEnd(this)
    if (this.#suspensions > 0) this.conn.pause()
  }

  // ---- writing ----------------------------------------------------------------------------------------------------------------

  /** False when the packet is too large for the client, which then does not get it. */
  send(packet: ServerPacket): boolean {
    const bytes = encodeFor(this, packet)
    if (bytes !== undefined) this.outbound.write(bytes)
    return bytes !== undefined
  }

  /** Sends CONNACK and opens the connection for packets; ends it when the client takes no CONNACK that large. */
  accept(connack: ConnackPacket): void {
    this.connecting = false
    this.authentication?.complete(connack)
    if (!this.send(connack)) return this.#end('packet-too-large', new Error('the client takes no packet as large as its CONNACK'))
    this.connected = true
    this.connackSent = true
    this.connectedAtMs = this.broker.clock.now()
    if (this.broker.events !== undefined) tellConnected(this, connack)
    this.broker.emit('connackSent', { ...connack, returnCode: connack.reasonCode }, this)
  }

  /** Refuses the CONNECT: v5 gets the reason code [MQTT-3.2.2-7], 3.x the return code [MQTT3-3.2.2-5]. */
  refuse(code: number, returnCode: number, error: Error, properties: Properties = {}): void {
    if (this.closed) return
    if (this.broker.events !== undefined) tellRefused(this, code, error)
    const connack: ConnackPacket = {
      cmd: 'connack',
      sessionPresent: false,
      reasonCode: this.version === 5 ? code : returnCode,
      properties: this.version === 5 && error.message ? { ...properties, reasonString: error.message } : properties
    }
    this.send(connack)
    this.broker.emit('connackSent', { ...connack, returnCode: connack.reasonCode }, this)
    // Programs look for the error and the end when they have seen the CONNACK: both come a turn later, as in Aedes.
    this.suspend()
    setImmediate(() => this.#end('connect-refused', error))
  }

  /** The peer broke the protocol. */
  protocolError(code: ReasonCode, message: string): void {
    const error = new PacketError(code, message)
    // There is no DISCONNECT before the CONNACK: the exchange is refused instead [MQTT-3.14.0-1], [MQTT-4.12.0-4].
    if (this.authentication?.inConnect) this.authentication.refuse(code, error)
    else this.disconnect(code, error, 'protocol-error')
  }

  /** Ends it from our side; v5 clients get a DISCONNECT with the reason. What failed within the broker is not their business. */
  disconnect(code: ReasonCode, error: Error | undefined, closeReason: string, properties: Properties = {}): void {
    if (this.closed) return
    if (this.version === 5 && this.connected) {
      const told = error !== undefined && code !== reasonCode.implementationSpecificError
      this.send({
        cmd: 'disconnect',
        reasonCode: code,
        properties: told ? { ...properties, reasonString: error.message } : properties
      })
    }
    this.#end(closeReason, error)
  }

  /** Aedes' way to end a connection over an error: reported, then destroyed without a word. */
  fail(error: Error, closeReason: string): void {
    if (this.closed || this.errored) return
    this.errored = true
    this.closeReason = closeReason
    if (!this.conn.destroyed) this.conn.destroy()
    this.broker.reportClientError(this, error)
    this.#finish(false, error)
  }

  /** The transport's own buffer is full. Not a limit of ours, so the native engine writes on until onCongested(). */
  onBackpressure(): void {}

  /** The peer closed its side, or the transport is gone. */
  transportEnded(): void {
    this.close()
  }

  onCongested(): void {
    if (this.congestedSinceMs !== 0 || this.closed) return
    this.congestedSinceMs = this.broker.clock.now()
    this.suspend() // who does not take answers asks no further questions
    this.conn.once('drain', () => {
      this.congestedSinceMs = 0
      if (!this.closed) this.broker.engine.drained(this)
      this.resume()
    })
  }

  /** Sends what is queued, then ends the transport: gently, when the peer was told anything at all. */
  #end(closeReason: string, error: Error | undefined): void {
    this.closeReason = closeReason
    this.outbound.flush()
    if (error !== undefined) {
      this.errored = true
      this.broker.reportClientError(this, error)
    }
    this.#finish(true, error)
  }

  /** Ends the connection. `done` once the session and the will are settled. */
  close(done?: Done): void {
    if (done) {
      if (this.#settled) {
        done()
        return
      }
      if (this.#closeDone) this.#closeDone.push(done)
      else this.#closeDone = [done]
    }
    if (!this.closed) this.#finish(false, undefined)
  }

  #finish(flush: boolean, error: Error | undefined): void {
    if (this.closed) return
    this.closed = true
    if (this.connected && this.broker.events !== undefined) tellDisconnected(this, error)
    this.#parts = undefined
    this.broker.forget(this)
    if (flush && this.outbound.bytesSent > 0) this.broker.endTransport(this.conn)
    else this.conn.destroy()
    const settled: Done = error => {
      this.connected = false
      this.connecting = false
      this.#settled = true
      const waiting = this.#closeDone
      this.#closeDone = undefined
      if (waiting) for (const done of waiting) done(error)
    }
    if (this.opened) this.broker.engine.closed(this, settled)
    else settled()
  }

  // ---- Aedes' client contract -------------------------------------------------------------------------------------------------

  publish(packet: Partial<PublishPacket> & { topic: string }, done: Done = noop): void {
    this.broker.engine.sendTo(this, this.broker.publishPacketOf(packet), done)
  }

  subscribe(subscriptions: unknown, done: Done = noop): void {
    this.broker.engine.subscribeFor(this, subscribePacketOf(subscriptions), done)
  }

  unsubscribe(unsubscriptions: unknown, done: Done = noop): void {
    this.broker.engine.unsubscribeFor(this, unsubscribePacketOf(unsubscriptions), done)
  }

  emptyOutgoingQueue(done: Done = noop): void {
    this.broker.engine.emptyOutgoingQueue(this, done)
  }

  pause(): void {
    this.suspend()
  }
}

const emptySubscriptions: Record<string, unknown> = Object.freeze(Object.create(null))
const noParts: readonly Buffer[] = []

function noop(): void {}
