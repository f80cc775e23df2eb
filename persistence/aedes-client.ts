import type { Message } from '../lib/mqtt/message.ts'
import type { AedesPacket } from './aedes-packet.ts'
import type { QueueEntry, SessionKey, SessionStore } from './contract.ts'

/** Entries read from the store at a time. */
const PAGE = 100

/** A subscription in the shape of Aedes; MQTT 5 options are there when they were given. */
export interface AedesSubscription {
  topic: string
  qos: 0 | 1 | 2
  rh?: number | undefined
  rap?: boolean | undefined
  nl?: boolean | undefined
  subscriptionIdentifier?: number
}

/** What is remembered of one packet in an outgoing queue; the packet itself is on disk. */
export interface Outgoing {
  seq: number
  brokerId: string | undefined
  brokerCounter: number | undefined
  messageId: number | undefined
  released: boolean
}

export type ToPacket = (message: Message) => AedesPacket

/** One client of Aedes and its session. */
export class AedesClient {
  readonly id: string
  readonly key: SessionKey
  readonly subscriptions = new Map<string, AedesSubscription>()
  /** QoS 2 packets received and not released, by Packet Identifier. */
  readonly incoming = new Map<number, AedesPacket>()
  queued = 0
  nextSeq = 1
  readonly #store: SessionStore
  readonly #toPacket: ToPacket
  #outgoing: Promise<Map<number, Outgoing>> | undefined
  /** What was enqueued while #outgoing is being read. */
  #late: Outgoing[] = []
  #loaded: Map<number, Outgoing> | undefined

  constructor(store: SessionStore, toPacket: ToPacket, id: string, key: SessionKey) {
    this.#store = store
    this.#toPacket = toPacket
    this.id = id
    this.key = key
  }

  get empty(): boolean {
    return this.subscriptions.size === 0 && this.incoming.size === 0 && this.queued === 0
  }

  /** Gives the next number in the queue to a packet. */
  append(packet: AedesPacket): number {
    const seq = this.nextSeq++
    this.queued++
    const item = outgoingOf(seq, packet, undefined, false)
    if (this.#loaded !== undefined) this.#loaded.set(seq, item)
    else if (this.#outgoing !== undefined) this.#late.push(item)
    return seq
  }

  /** The queue by seq, in order. Read from the store when first needed: most offline queues never are. */
  outgoing(): Promise<Map<number, Outgoing>> {
    this.#outgoing ??= this.#load()
    return this.#outgoing
  }

  remove(seq: number): void {
    this.queued--
    this.#loaded?.delete(seq)
  }

  /** The packets of the queue as it is now, oldest first. */
  async *packets(): AsyncGenerator<AedesPacket> {
    const end = this.nextSeq
    const outgoing = await this.outgoing()
    for await (const entry of this.#entries(end)) {
      const item = outgoing.get(entry.seq)
      yield this.#packetOf(entry, item?.messageId)
    }
  }

  async packet(item: Outgoing): Promise<AedesPacket | undefined> {
    const [entry] = await this.#store.readQueue(this.key, item.seq, 1)
    return entry?.seq === item.seq ? this.#packetOf(entry, item.messageId) : undefined
  }

  async #load(): Promise<Map<number, Outgoing>> {
    const found = new Map<number, Outgoing>()
    try {
      for await (const entry of this.#entries(this.nextSeq)) {
        const released = entry.state === 'released'
        const packet = released ? {} : this.#toPacket(entry.message)
        found.set(entry.seq, outgoingOf(entry.seq, packet, entry.packetId || undefined, released))
      }
    } catch (error) {
      this.#outgoing = undefined
      this.#late = []
      throw error
    }
    for (const item of this.#late) found.set(item.seq, item)
    this.#late = []
    this.#loaded = found
    return found
  }

  #packetOf(entry: QueueEntry, messageId: number | undefined): AedesPacket {
    const id = messageId ?? (entry.packetId || undefined)
    if (entry.state === 'released') return { cmd: 'pubrel', messageId: id }
    const packet = this.#toPacket(entry.message)
    if (id !== undefined) packet.messageId = id
    return packet
  }

  async *#entries(end: number): AsyncGenerator<QueueEntry> {
    for (let from = 0; from < end; ) {
      const page = await this.#store.readQueue(this.key, from, PAGE)
      if (page.length === 0) return
      for (const entry of page) {
        if (entry.seq >= end) return
        from = entry.seq + 1
        yield entry
      }
    }
  }
}

/** The entry an outgoing packet or acknowledgement of Aedes is about. */
export function findOutgoing(outgoing: Map<number, Outgoing>, packet: AedesPacket): Outgoing | undefined {
  const { brokerId, brokerCounter, messageId } = packet
  if (packet.cmd !== 'pubrel' && brokerId !== undefined) {
    for (const item of outgoing.values()) {
      if (!item.released && item.brokerId === brokerId && item.brokerCounter === brokerCounter) return item
    }
  }
  return messageId === undefined ? undefined : findByMessageId(outgoing, messageId)
}

export function findByMessageId(outgoing: Map<number, Outgoing>, messageId: number): Outgoing | undefined {
  for (const item of outgoing.values()) if (item.messageId === messageId) return item
  return undefined
}

function outgoingOf(seq: number, packet: AedesPacket, messageId: number | undefined, released: boolean): Outgoing {
  return { seq, brokerId: packet.brokerId, brokerCounter: packet.brokerCounter, messageId, released }
}
