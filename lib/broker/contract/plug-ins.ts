import type { Readable } from 'node:stream'
import type { AedesPublishPacket } from '../aedes-packet.ts'

/**
 * What Aedes plug-ins offer, as far as the contract engine uses it: aedes-persistence 10 and later (promises) and mqemitter.
 */

/** A message inside the broker: an Aedes packet that may also know when it expires. */
export interface ContractPacket extends AedesPublishPacket {
  /** Epoch milliseconds; absent = never. The name is Aedes', which keeps it in queues. */
  messageExpiry?: number
  /** Remaining Length of the packet it came in: what hooks see of a client's PUBLISH is what mqtt-packet makes of it. */
  length?: number
  /** Set on messages to a client that must not get its own (No Local). */
  nl?: boolean
}

/** Takes the place of a queued QoS 2 message once the client has it. */
export interface QueuedPubrel {
  cmd: 'pubrel'
  messageId: number
  brokerId?: string | undefined
  brokerCounter?: number | undefined
}

export type QueuedPacket = ContractPacket | QueuedPubrel

export interface StoredSubscription {
  topic: string
  qos: 0 | 1 | 2
  rh?: number | undefined
  rap?: boolean | undefined
  nl?: boolean | undefined
  subscriptionIdentifier?: number | undefined
}

interface ClientRef {
  id: string | null
}

interface PacketRef {
  messageId?: number | undefined
  brokerId?: string | undefined
  brokerCounter?: number | undefined
}

export interface Persistence {
  storeRetained(packet: ContractPacket): Promise<unknown>
  createRetainedStreamCombi(filters: string[]): Readable
  addSubscriptions(client: ClientRef, subscriptions: StoredSubscription[]): Promise<unknown>
  removeSubscriptions(client: ClientRef, filters: string[]): Promise<unknown>
  subscriptionsByClient(client: ClientRef): Promise<StoredSubscription[] | null | undefined>
  subscriptionsByTopic(topic: string): Promise<{ clientId: string; topic: string; qos: number }[]>
  cleanSubscriptions(client: ClientRef): Promise<unknown>
  outgoingEnqueue(subscription: { clientId: string }, packet: ContractPacket): Promise<unknown>
  outgoingEnqueueCombi(subscriptions: { clientId: string }[], packet: ContractPacket): Promise<unknown>
  outgoingUpdate(client: ClientRef, packet: QueuedPacket): Promise<unknown>
  outgoingClearMessageId(client: ClientRef, packet: PacketRef): Promise<QueuedPacket | undefined>
  outgoingStream(client: ClientRef): Readable
  incomingStorePacket(client: ClientRef, packet: ContractPacket): Promise<unknown>
  incomingGetPacket(client: ClientRef, packet: PacketRef): Promise<unknown>
  incomingDelPacket(client: ClientRef, packet: PacketRef): Promise<unknown>
  /** Since aedes-persistence 11. */
  cleanIncoming?(client: ClientRef): Promise<unknown>
  putWill(client: ClientRef, packet: object): Promise<unknown>
  delWill(client: ClientRef): Promise<unknown>
}
