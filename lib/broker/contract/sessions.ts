import type { ConnackPacket, ConnectPacket, Properties } from '../../mqtt/packet.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import { neverExpires } from '../../session/session.ts'
import type { Done } from '../engine.ts'
import type { ContractClient } from './client.ts'
import type { ContractContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import { lower } from './deliver.ts'
import type { SubscribeHandler } from './on-subscribe.ts'
import type { ContractPacket, QueuedPacket, StoredSubscription } from './plug-ins.ts'
import type { Wills } from './wills.ts'

/**
 * Sessions as far as an Aedes persistence keeps them: subscriptions, the queue, received QoS 2 ids. It keeps neither the Session
 * Expiry Interval nor the fact that a session without subscriptions exists: expiry is honoured as long as this process lives.
 */
export class Sessions {
  readonly #context: ContractContext
  readonly #deliverer: Deliverer
  readonly #subscriber: SubscribeHandler
  readonly #wills: Wills
  /** Client ids whose connection is being opened: a second one waits for the first. */
  readonly #opening = new Map<string, Promise<void>>()
  /** Client ids whose last connection is not settled yet. */
  readonly #closing = new Map<string, Promise<void>>()
  /** Epoch milliseconds at which sessions without a connection end. */
  readonly #expiring = new Map<string, number>()

  constructor(context: ContractContext, deliverer: Deliverer, subscriber: SubscribeHandler, wills: Wills) {
    this.#context = context
    this.#deliverer = deliverer
    this.#subscriber = subscriber
    this.#wills = wills
  }

  open(client: ContractClient, packet: ConnectPacket): void {
    const { will, policy } = client
    if (will !== null && policy !== undefined && !policy.permitsAll && !policy.canPublish(will.topic)) {
      client.refuse(reasonCode.notAuthorized, 5, new Error('not authorized to publish the will topic'))
      return
    }
    const clientId = client.id ?? ''
    client.suspend()
    const before = this.#opening.get(clientId)
    const opened = (before ?? Promise.resolve()).then(() => this.#open(client, packet))
    const over = opened.then(
      () => this.#replay(client),
      (error: Error) => client.refuse(reasonCode.serverUnavailable, 3, error)
    )
    const settled = opened.then(noop, noop)
    this.#opening.set(clientId, settled)
    settled.then(() => {
      if (this.#opening.get(clientId) === settled) this.#opening.delete(clientId)
      client.resume()
    }, noop)
    over.catch((error: Error) => {
      if (!client.closed) client.emit('error', error)
    })
  }

  /** The connection ended. What happens at once, happens within the call: will, 'clientDisconnect'. */
  closed(client: ContractClient, done: Done): void {
    const { broker } = this.#context
    const clientId = client.id ?? ''
    const expirySeconds = this.#capped(client.disconnectExpirySeconds ?? client.expirySeconds)
    client.outbox.close()
    client.endWaiting()
    const filters = Object.keys(client.subscriptions)
    const released = this.#subscriber.release(client)
    const willSettled = new Promise<void>(resolve => {
      this.#wills.connectionEnded(client, expirySeconds, err => {
        if (err) broker.logger?.error({ err, clientId }, 'a will could not be published')
        resolve()
      })
    })
    client.connected = false
    client.connecting = false
    const { registered } = client
    broker.unregistered(client)
    if (registered && !client.stored) {
      // A session that ends with the connection takes its subscriptions along, and received QoS 2 ids [MQTT-4.1.0-2], [MQTT3-3.1.2-6].
      this.#subscriber.announceUnsubscriptions(client, filters)
      const cleaned = this.#context.persistence.cleanIncoming?.(client)
      if (cleaned !== undefined) client.track(cleaned)
    }
    const settled = this.#settle(client, expirySeconds, registered, [released, willSettled])
    this.#closing.set(clientId, settled)
    settled
      .catch((err: unknown) => broker.logger?.error({ err, clientId }, 'a connection could not be settled'))
      .then(() => {
        if (this.#closing.get(clientId) === settled) this.#closing.delete(clientId)
        done()
      }, done)
  }

  /** Ends what has expired. */
  sweep(nowMs: number): void {
    for (const [clientId, expiresAtMs] of this.#expiring) {
      if (expiresAtMs > nowMs) continue
      this.#expiring.delete(clientId)
      const ended = this.#end(clientId)
      this.#closing.set(clientId, ended)
      ended.catch((err: unknown) => this.#context.broker.logger?.error({ err, clientId }, 'a session could not be removed'))
    }
  }

  /** Everything queued for the client is forgotten. */
  async emptyQueue(client: { id: string | null }): Promise<void> {
    const { persistence } = this.#context
    let messageId = 0
    for await (const packet of persistence.outgoingStream(client)) {
      const queued = packet as QueuedPacket
      let named = queued
      if (!queued.messageId) {
        // Only a packet id names an entry of the queue.
        named = { ...(queued as ContractPacket), messageId: (messageId = (messageId % 65_535) + 1) }
        await persistence.outgoingUpdate(client, named)
      }
      await persistence.outgoingClearMessageId(client, named)
    }
  }

  async #open(client: ContractClient, packet: ConnectPacket): Promise<void> {
    if (client.closed) return
    const { broker } = this.#context
    const clientId = client.id ?? ''
    await this.#takeOver(client, clientId)
    const asked = packet.properties.sessionExpiryInterval ?? 0
    // Clean Session 0 of 3.1 and 3.1.1 is a session that never expires [MQTT3-3.1.2-4].
    client.expirySeconds = this.#capped(packet.protocolVersion === 5 ? asked : packet.clean ? 0 : neverExpires)
    client.stored = client.expirySeconds > 0 || !packet.clean
    client.bridge = packet.bridgeMode
    this.#expiring.delete(clientId)
    const subscriptions = packet.clean ? await this.#begin(clientId) : await this.#stored(client)
    if (client.closed) return
    if (subscriptions.length > 0) await this.#subscriber.restore(client, subscriptions)
    if (client.closed) return
    await this.#wills.set(client, client.will)
    if (client.closed || broker.closed) return
    broker.registered(client)
    // 'client' tells of a client that is connecting: its CONNACK comes a turn later, as in Aedes.
    await nextTurn()
    if (client.closed) return
    if (!client.connecting) throw new Error('connection closed')
    client.accept(this.#connack(client, packet, subscriptions.length > 0))
  }

  /** An older connection of this client goes first [MQTT-3.1.4-3], and is settled before the session is looked at. */
  async #takeOver(client: ContractClient, clientId: string): Promise<void> {
    const older = this.#context.broker.clients[clientId]
    if (older !== undefined && older !== client) {
      // What it sent before is handled as far as it has arrived.
      await nextTurn()
      older.disconnect(reasonCode.sessionTakenOver, undefined, 'session-taken-over')
      await new Promise<void>(resolve => older.close(() => resolve()))
    }
    await this.#closing.get(clientId)?.catch(noop)
  }

  /** A clean start: nothing is left of an earlier session [MQTT-3.1.2-4]. */
  async #begin(clientId: string): Promise<StoredSubscription[]> {
    await this.#end(clientId)
    return []
  }

  async #stored(client: ContractClient): Promise<StoredSubscription[]> {
    return (await this.#context.persistence.subscriptionsByClient(client)) ?? []
  }

  async #end(clientId: string): Promise<void> {
    const { persistence } = this.#context
    const client = { id: clientId }
    this.#wills.sessionEnded(clientId)
    await persistence.cleanSubscriptions(client)
    await persistence.cleanIncoming?.(client)
    await this.emptyQueue(client)
  }

  /** After CONNACK: what waited in the queue, in order, and then what came meanwhile. */
  async #replay(client: ContractClient): Promise<void> {
    if (client.closed || !client.connected) return
    const { broker, persistence } = this.#context
    const { outbox } = client
    const replayed = new Set<string>()
    if (client.stored) {
      for await (const packet of persistence.outgoingStream(client)) {
        if (client.closed) return
        const queued = packet as QueuedPacket
        if (queued.cmd === 'pubrel') {
          outbox.replayRelease(queued.messageId)
          continue
        }
        replayed.add(keyOf(queued))
        client.sawBefore(queued)
        await this.#replayOne(client, queued)
        // A store in memory answers without a pause: a long queue would keep everybody else waiting.
        await nextTurn()
      }
    }
    if (client.closed) return
    outbox.open(packet => replayed.has(keyOf(packet)))
    // Programs wait for 'clientReady' when they have seen the CONNACK: it comes a turn later, as in Aedes.
    await nextTurn()
    if (!client.closed) broker.ready(client)
  }

  async #replayOne(client: ContractClient, queued: ContractPacket): Promise<void> {
    const { messageId } = queued
    const packet = this.#deliverer.permitted(client, { ...queued })
    if (packet === undefined) return client.closed ? undefined : client.outbox.forgetStored(queued)
    packet.messageId = messageId
    const wanting = client.wanting(packet.topic, undefined)
    // A message a program sent to this client alone has no subscription.
    let qos = packet.qos
    if (wanting.length > 0)
      qos = lower(
        qos,
        wanting.reduce<0 | 1 | 2>((max, one) => (one.qos > max ? one.qos : max), 0)
      )
    packet.retain = packet.retain && wanting.some(({ rap }) => rap)
    await client.outbox.replay(packet, qos)
  }

  async #settle(client: ContractClient, expirySeconds: number, registered: boolean, others: Promise<void>[]): Promise<void> {
    await Promise.allSettled([...others, client.tracked()])
    if (!client.stored || !registered || expirySeconds === neverExpires) return
    const clientId = client.id ?? ''
    if (expirySeconds === 0) await this.#end(clientId)
    else this.#expiring.set(clientId, this.#context.now() + expirySeconds * 1000)
  }

  #capped(expirySeconds: number): number {
    return Math.min(expirySeconds, this.#context.broker.limits.sessionExpirySecondsMax)
  }

  #connack(client: ContractClient, packet: ConnectPacket, sessionPresent: boolean): ConnackPacket {
    const connack: ConnackPacket = { cmd: 'connack', sessionPresent, reasonCode: reasonCode.success, properties: {} }
    if (packet.protocolVersion !== 5) return connack
    const { limits, maxInflightInbound } = this.#context.broker
    const properties: Properties = {
      receiveMaximum: Math.min(limits.receiveMaximum, maxInflightInbound || limits.receiveMaximum),
      maximumPacketSize: limits.maxPacketBytes,
      topicAliasMaximum: limits.topicAliasMaximum,
      sharedSubscriptionAvailable: false
    }
    if (packet.clientId === '') properties.assignedClientIdentifier = client.id ?? ''
    if (client.keepAliveSeconds !== packet.keepalive) properties.serverKeepAlive = client.keepAliveSeconds
    const asked = packet.properties.sessionExpiryInterval ?? 0
    if (client.expirySeconds !== asked) properties.sessionExpiryInterval = client.expirySeconds
    connack.properties = properties
    return connack
  }
}

function keyOf({ brokerId, brokerCounter }: ContractPacket): string {
  return `${brokerCounter}:${brokerId}`
}

function nextTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

function noop(): void {}
