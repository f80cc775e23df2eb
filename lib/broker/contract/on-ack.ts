import type { AckPacket } from '../../mqtt/packet.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import type { ContractClient } from './client.ts'
import type { ContractContext } from './context.ts'
import type { QueuedPacket } from './plug-ins.ts'

/** PUBACK, PUBREC, PUBREL and PUBCOMP against an Aedes persistence. */
export class AckHandler {
  readonly #context: ContractContext

  constructor(context: ContractContext) {
    this.#context = context
  }

  handle(client: ContractClient, packet: AckPacket): void {
    switch (packet.cmd) {
      case 'puback':
      case 'pubcomp':
        return this.#complete(client, packet)
      case 'pubrec':
        return this.#onPubrec(client, packet)
      case 'pubrel':
        return this.#onPubrel(client, packet)
      default:
        packet.cmd satisfies never
    }
  }

  /** The client has it: out of the queue, then the packet id is free. Several may be under way, each is about its own id. */
  #complete(client: ContractClient, packet: AckPacket): void {
    const { persistence } = this.#context
    if (!client.outbox.mayBeQueued(packet.messageId)) return this.#acknowledged(client, packet, undefined)
    client.track(
      persistence.outgoingClearMessageId(client, packet).then(original => this.#acknowledged(client, packet, original))
    )
  }

  /** `original`: the packet, as far as the queue had it; undefined for clients without a stored session. */
  #acknowledged(client: ContractClient, packet: AckPacket, original: QueuedPacket | undefined): void {
    client.outbox.acknowledged(packet.messageId)
    this.#context.broker.emit('ack', original as never, client as never)
  }

  /** PUBREL leaves after the queue knows that PUBREC came, and in the order of the PUBRECs [MQTT-4.6.0-4]. */
  #onPubrec(client: ContractClient, packet: AckPacket): void {
    const { messageId } = packet
    if (packet.reasonCode >= 0x80) return this.#complete(client, packet)
    const known = client.outbox.isInflight(messageId)
    const code = known ? reasonCode.success : reasonCode.packetIdentifierNotFound
    const pubrel = { cmd: 'pubrel', messageId, reasonCode: code, properties: {} } as const
    if (!known || !client.outbox.mayBeQueued(messageId)) {
      client.send(pubrel)
      return
    }
    client.suspend()
    const updated = this.#context.persistence.outgoingUpdate(client, { cmd: 'pubrel', messageId }).then(() => {
      if (!client.closed) client.send(pubrel)
    })
    client.track(updated.finally(() => client.resume()))
  }

  /** The publisher releases a packet id. It gets its PUBCOMP even when the id is not known [MQTT-4.3.3-11]. */
  #onPubrel(client: ContractClient, packet: AckPacket): void {
    client.suspend()
    client.track(this.#release(client, packet).finally(() => client.resume()))
  }

  async #release(client: ContractClient, packet: AckPacket): Promise<void> {
    const { persistence } = this.#context
    const { messageId } = packet
    let known = await persistence.incomingGetPacket(client, packet).then(Boolean, () => false)
    if (known) {
      await persistence.incomingDelPacket(client, packet).then(
        // The slot is kept while the packet is: freeing it would let the store grow past the limit.
        () => client.received.delete(messageId),
        () => (known = false)
      )
    }
    if (client.closed) return
    const code = known ? reasonCode.success : reasonCode.packetIdentifierNotFound
    client.send({ cmd: 'pubcomp', messageId, reasonCode: code, properties: {} })
  }
}
