import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { PeerIdentity } from '../../access/contract.ts'
import type { Frame } from '../../mqtt/frame.ts'
import type { AckPacket, ConnectPacket, PublishPacket, SubscribePacket, UnsubscribePacket } from '../../mqtt/packet.ts'
import { toAedesProperties } from '../aedes-packet.ts'
import type { Broker } from '../broker.ts'
import type { Connection } from '../connection.ts'
import type { Done, Engine } from '../engine.ts'
import { ContractClient } from './client.ts'
import { ContractContext } from './context.ts'
import { Deliverer } from './deliver.ts'
import { AckHandler } from './on-ack.ts'
import { PublishHandler, publishMessage } from './on-publish.ts'
import { SubscribeHandler } from './on-subscribe.ts'
import type { ContractPacket } from './plug-ins.ts'
import { Sessions } from './sessions.ts'
import { Wills } from './wills.ts'

/**
 * The engine on any Aedes persistence and any mqemitter: what Aedes does, with our connections and codec. As durable as the
 * plug-in: an acknowledgement leaves when the plug-in said that it stored the message.
 */
export class ContractEngine implements Engine {
  readonly #context: ContractContext
  readonly #deliverer: Deliverer
  readonly #publisher: PublishHandler
  readonly #acks: AckHandler
  readonly #subscriber: SubscribeHandler
  readonly #wills: Wills
  readonly #sessions: Sessions

  constructor(broker: Broker) {
    // A plug-in may keep packets over a restart, and knows them by broker id and number: no number may come again.
    if (broker.opts.id) broker.counter = broker.clock.now() * 1000
    this.#context = new ContractContext(broker)
    this.#deliverer = new Deliverer(this.#context)
    this.#publisher = new PublishHandler(this.#context)
    this.#acks = new AckHandler(this.#context)
    this.#subscriber = new SubscribeHandler(this.#context, this.#deliverer)
    this.#wills = new Wills(this.#context)
    this.#sessions = new Sessions(this.#context, this.#deliverer, this.#subscriber, this.#wills)
  }

  connect(conn: Duplex, req: IncomingMessage | undefined, peer: PeerIdentity | undefined): Connection {
    return new ContractClient(this.#context.broker, conn, req, peer, this.#context)
  }

  open(connection: Connection, packet: ConnectPacket): void {
    this.#sessions.open(connection as ContractClient, packet)
  }

  publish(connection: Connection, bytes: Buffer, frame: Frame): void {
    this.#publisher.handle(connection as ContractClient, bytes, frame)
  }

  /** broker.publish() */
  publishMessage(packet: ContractPacket, client: Connection | null, done: Done): void {
    publishMessage(this.#context, packet, client as ContractClient | null, done)
  }

  acknowledge(connection: Connection, packet: AckPacket): void {
    this.#acks.handle(connection as ContractClient, packet)
  }

  subscribe(connection: Connection, packet: SubscribePacket): void {
    this.#inOrder(connection, this.#subscriber.subscribe(connection as ContractClient, packet))
  }

  unsubscribe(connection: Connection, packet: UnsubscribePacket): void {
    this.#inOrder(connection, this.#subscriber.unsubscribe(connection as ContractClient, packet, false))
  }

  chunkEnd(): void {}

  drained(connection: Connection): void {
    ;(connection as ContractClient).outbox.drained()
  }

  /** Rights are asked for with every message: nothing is remembered. */
  policyChanged(): void {}

  closed(connection: Connection, done: Done): void {
    this.#sessions.closed(connection as ContractClient, done)
  }

  sendTo(connection: Connection, packet: PublishPacket, done: Done): void {
    const client = connection as ContractClient
    if (client.closed) return done(new Error('connection closed'))
    const { topic, payload, qos, retain, properties } = packet
    const original: Partial<ContractPacket> & { topic: string } = { topic, payload, qos, retain }
    if (Object.keys(properties).length > 0) original.properties = toAedesProperties(properties)
    const message = this.#context.brokerPacket(original)
    const queued = qos > 0 && client.stored
    const deliver = (): void => this.#deliverer.toClient(client, message, queued, done)
    if (!queued) return deliver()
    this.#context.persistence.outgoingEnqueue({ clientId: client.id ?? '' }, message).then(deliver, done)
  }

  subscribeFor(connection: Connection, packet: SubscribePacket, done: Done): void {
    this.#subscriber.subscribe(connection as ContractClient, packet, packet.subscriptions).then(() => done(), done)
  }

  unsubscribeFor(connection: Connection, packet: UnsubscribePacket, done: Done): void {
    this.#subscriber.unsubscribe(connection as ContractClient, packet, true).then(() => done(), done)
  }

  emptyOutgoingQueue(connection: Connection, done: Done): void {
    const client = connection as ContractClient
    client.outbox.clear()
    this.#sessions.emptyQueue(client).then(() => done(), done)
  }

  sweep(nowMs: number): void {
    this.#sessions.sweep(nowMs)
    this.#wills.sweep(nowMs)
  }

  async drain(): Promise<void> {}

  /** Nothing more of this connection is decoded until the work is done. */
  #inOrder(connection: Connection, work: Promise<void>): void {
    connection.suspend()
    work
      .catch((error: Error) => {
        if (!connection.closed) connection.emit('error', error)
      })
      .then(
        () => connection.resume(),
        (error: Error) => connection.fail(error, 'error')
      )
  }
}
