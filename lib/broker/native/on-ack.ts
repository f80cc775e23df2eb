import type { AckPacket } from '../../mqtt/packet.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import type { DeliverySource } from '../../session/inflight-window.ts'
import type { Connection } from '../connection.ts'
import type { BrokerSession } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import type { QueuePump } from './queue-pump.ts'

/** PUBACK, PUBREC, PUBREL, PUBCOMP: sections 4.3.2 and 4.3.3 of both standards. */
export class AckHandler {
  readonly #context: NativeContext
  readonly #deliverer: Deliverer
  readonly #pump: QueuePump

  constructor(context: NativeContext, deliverer: Deliverer, pump: QueuePump) {
    this.#context = context
    this.#deliverer = deliverer
    this.#pump = pump
  }

  handle(connection: Connection, packet: AckPacket): void {
    const session = connection.session as BrokerSession
    switch (packet.cmd) {
      case 'puback':
        return this.#onPuback(connection, session, packet)
      case 'pubrec':
        return this.#onPubrec(connection, session, packet)
      case 'pubrel':
        return this.#onPubrel(connection, session, packet)
      case 'pubcomp':
        return this.#onPubcomp(connection, session, packet)
      default:
        packet.cmd satisfies never
    }
  }

  #onPuback(connection: Connection, session: BrokerSession, packet: AckPacket): void {
    const entry = session.inflightCount > 0 ? session.inflight.get(packet.messageId) : undefined
    // An unknown id is what a client sends that acknowledges twice; harmless. The wrong type for a known id is not.
    if (entry === undefined) return
    if (entry.qos !== 1) return connection.protocolError(reasonCode.protocolError, 'PUBACK for a QoS 2 delivery [MQTT-4.3.3-3]')
    if (packet.reasonCode >= 0x80 && entry.source?.decline !== undefined) this.#decline(session, packet, entry.source, entry.seq)
    this.#complete(connection, session, packet)
  }

  #onPubrec(connection: Connection, session: BrokerSession, packet: AckPacket): void {
    const entry = session.inflightCount > 0 ? session.inflight.get(packet.messageId) : undefined
    if (entry?.qos === 1) return connection.protocolError(reasonCode.protocolError, 'PUBREC for a QoS 1 delivery [MQTT-4.3.2-3]')
    if (packet.reasonCode >= 0x80) {
      // The receiver does not want it: the delivery is over [MQTT-4.3.3-4].
      if (entry !== undefined) this.#complete(connection, session, packet)
      return
    }
    const known = entry !== undefined
    const code = known ? reasonCode.success : reasonCode.packetIdentifierNotFound
    const pubrel: AckPacket = { cmd: 'pubrel', messageId: packet.messageId, reasonCode: code, properties: {} }
    if (known && entry.state === 'sent') {
      entry.state = 'released'
      if (session.stored) {
        this.#context.store.markReleased(session.key, entry.seq)
        // After PUBREL the client forgets the id; a PUBLISH sent again after a crash would be a second delivery.
        this.#context.deferred(connection).send(pubrel)
        return
      }
    }
    // Behind PUBRELs that wait for the disk, its own first one included [MQTT-4.6.0-4].
    this.#context.answer(connection, pubrel)
  }

  #onPubcomp(connection: Connection, session: BrokerSession, packet: AckPacket): void {
    const entry = session.inflightCount > 0 ? session.inflight.get(packet.messageId) : undefined
    if (entry === undefined) return
    if (entry.qos !== 2 || entry.state !== 'released') {
      return connection.protocolError(reasonCode.protocolError, 'PUBCOMP without PUBREL')
    }
    this.#complete(connection, session, packet)
  }

  #complete(connection: Connection, session: BrokerSession, packet: AckPacket): void {
    this.#deliverer.forget(session, packet.messageId)
    const { broker } = this.#context
    if (broker.hasAckListener) broker.emit('ack', { cmd: 'publish', messageId: packet.messageId }, connection)
    this.#pump.pump(session)
  }

  /** The delivery is over either way [MQTT-4.4.0-2]; whose message it was decides what becomes of that. */
  #decline(session: BrokerSession, packet: AckPacket, source: DeliverySource, seq: number): void {
    const { reasonString } = packet.properties
    const code = `0x${packet.reasonCode.toString(16)}`
    session.inflight.complete(packet.messageId)
    source.decline?.(seq, `refused by ${session.clientId} with reason code ${code}${reasonString ? `: ${reasonString}` : ''}`)
  }

  /** The publisher releases a QoS 2 packet id [MQTT-4.3.3-11]. */
  #onPubrel(connection: Connection, session: BrokerSession, packet: AckPacket): void {
    const known = session.releaseReceived(packet.messageId)
    const code = known ? reasonCode.success : reasonCode.packetIdentifierNotFound
    const pubcomp: AckPacket = { cmd: 'pubcomp', messageId: packet.messageId, reasonCode: code, properties: {} }
    if (known && session.stored) {
      this.#context.store.deleteReceived(session.key, packet.messageId)
      // After PUBCOMP the client may use the id for a new message; an id still on disk would make that one a duplicate.
      this.#context.deferred(connection).send(pubcomp)
      return
    }
    this.#context.answer(connection, pubcomp)
  }
}
