import { Readable } from 'node:stream'
import { TributaryError } from '../lib/errors.ts'
import type { Message } from '../lib/mqtt/message.ts'
import { TopicTrie } from '../lib/topic/trie.ts'
import { AedesClient, type AedesSubscription, findByMessageId, findOutgoing } from './aedes-client.ts'
import { type AedesPacket, plainPacket, queuedPacket, toMessage, toPacket } from './aedes-packet.ts'
import type { LoadedSession, SessionStore, StoredSubscription } from './contract.ts'
import { JoinedCommit } from './joined-commit.ts'
import { LevelStore, type LevelStoreOptions } from './level-store.ts'
import type { StoreLogger } from './quarantine.ts'

const NEVER_EXPIRES = 0xffffffff

/** What of Aedes a persistence needs to see. */
export interface PersistenceBroker {
  id: string
}

interface ClientId {
  id: string
}

interface TopicSubscription extends AedesSubscription {
  clientId: string
}

/** Either a folder to open, or a store that was opened and whose loadSessions() and loadWills() were not called. */
export type LevelPersistenceOptions = LevelStoreOptions | { store: SessionStore; logger?: StoreLogger }

/**
 * Aedes' persistence contract (aedes-persistence 11, asynchronous form) over a session store: `new Aedes({ persistence })`.
 *
 * Unlike others of its kind, a promise resolves only when what it stands for is on disk; calls made at the same time share one
 * sync. Order of queues holds across restarts. Rejects TRB_STORE_WRITE_FAILED when the disk does; the write is kept and goes with
 * the next one. A store that was passed in is flushed but not closed by destroy().
 */
export class LevelPersistence {
  readonly #options: LevelPersistenceOptions
  #opened: { store: SessionStore; commit: JoinedCommit } | undefined
  #broker: PersistenceBroker | undefined
  readonly #clients = new Map<string, AedesClient>()
  readonly #wills = new Map<string, AedesPacket>()
  readonly #trie = new TopicTrie<TopicSubscription>()
  readonly #byTopic = new Map<AedesSubscription, TopicSubscription>()
  #destroyed = false

  constructor(options: LevelPersistenceOptions) {
    this.#options = options
  }

  /** Aedes' tests look at it. */
  get broker(): PersistenceBroker | undefined {
    return this.#broker
  }

  async setup(broker: PersistenceBroker): Promise<void> {
    this.#broker = broker
    const store = 'store' in this.#options ? this.#options.store : await LevelStore.open(this.#options)
    this.#opened = { store, commit: new JoinedCommit(store) }
    for await (const loaded of store.loadSessions()) this.#restore(loaded)
    for await (const will of store.loadWills()) this.#wills.set(will.clientId, this.#toPacket(will.message))
    await this.#durable()
  }

  async storeRetained(packet: AedesPacket): Promise<void> {
    this.#store.putRetained(toMessage(packet, Date.now()))
    await this.#durable()
  }

  createRetainedStream(pattern: string): Readable {
    return this.createRetainedStreamCombi([pattern])
  }

  /** A message that several patterns match comes once for each. */
  createRetainedStreamCombi(patterns: readonly string[]): Readable {
    return Readable.from(this.#retainedPackets(patterns))
  }

  async addSubscriptions(client: ClientId, subscriptions: readonly AedesSubscription[]): Promise<void> {
    const state = this.#client(client.id)
    for (const given of subscriptions) {
      const subscription = subscriptionOf(given)
      this.#subscribe(state, subscription)
      this.#store.putSubscription(state.key, storedSubscription(subscription))
    }
    await this.#durable()
  }

  async removeSubscriptions(client: ClientId, topics: readonly string[]): Promise<void> {
    const state = this.#clients.get(client.id)
    if (state === undefined) return
    for (const topic of topics) {
      this.#unsubscribe(state, topic)
      this.#store.deleteSubscription(state.key, topic)
    }
    this.#forgetIfEmpty(state)
    await this.#durable()
  }

  async subscriptionsByClient(client: ClientId): Promise<AedesSubscription[]> {
    return Array.from(this.#clients.get(client.id)?.subscriptions.values() ?? [], subscription => ({ ...subscription }))
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    let clientsCount = 0
    for (const { subscriptions } of this.#clients.values()) if (subscriptions.size > 0) clientsCount++
    return { subsCount: this.#trie.size, clientsCount }
  }

  /** Subscriptions of QoS 1 and 2 only: nothing is queued for the others. */
  async subscriptionsByTopic(topic: string): Promise<TopicSubscription[]> {
    return this.#trie.match(topic).map(subscription => ({ ...subscription }))
  }

  async cleanSubscriptions(client: ClientId): Promise<void> {
    const state = this.#clients.get(client.id)
    if (state === undefined) return
    await this.removeSubscriptions(client, [...state.subscriptions.keys()])
  }

  async outgoingEnqueue(subscription: { clientId: string }, packet: AedesPacket): Promise<void> {
    await this.outgoingEnqueueCombi([subscription], packet)
  }

  async outgoingEnqueueCombi(subscriptions: readonly { clientId: string }[], packet: AedesPacket): Promise<void> {
    if (subscriptions.length === 0) return
    const queued = queuedPacket(packet)
    const ref = this.#store.message(toMessage(queued, Date.now()))
    const qos = queued.qos === 2 ? 2 : 1
    for (const { clientId } of subscriptions) {
      const state = this.#client(clientId)
      this.#store.enqueue(state.key, state.append(queued), ref, qos, queued.retain ?? false, [], 0)
    }
    await this.#durable()
  }

  /** A PUBLISH gets its Packet Identifier, or a PUBREL takes the place of the PUBLISH with the same one. */
  async outgoingUpdate(client: ClientId, packet: AedesPacket): Promise<void> {
    const state = this.#clients.get(client.id)
    const item = state && findOutgoing(await state.outgoing(), packet)
    if (state === undefined || item === undefined) throw new Error('no such packet')
    if (packet.cmd === 'pubrel') {
      item.released = true
      this.#store.markReleased(state.key, item.seq)
    } else {
      item.messageId = packet.messageId
      if (packet.messageId) this.#store.markSent(state.key, item.seq, packet.messageId)
    }
    await this.#durable()
  }

  /** Removes the packet with that Packet Identifier, or the queued packet itself when it has none yet, and returns it. */
  async outgoingClearMessageId(client: ClientId, packet: AedesPacket): Promise<AedesPacket | undefined> {
    const state = this.#clients.get(client.id)
    if (state === undefined) return undefined
    const outgoing = await state.outgoing()
    const { messageId } = packet
    const item = messageId === undefined ? findOutgoing(outgoing, packet) : findByMessageId(outgoing, messageId)
    if (item === undefined) return undefined
    state.remove(item.seq)
    const cleared = await state.packet(item)
    this.#store.dequeue(state.key, item.seq)
    this.#forgetIfEmpty(state)
    await this.#durable()
    return cleared
  }

  outgoingStream(client: ClientId): Readable {
    return Readable.from(this.#clients.get(client.id)?.packets() ?? [])
  }

  async incomingStorePacket(client: ClientId, packet: AedesPacket & { messageId: number }): Promise<void> {
    const state = this.#client(client.id)
    const stored = queuedPacket(packet)
    stored.messageId = packet.messageId
    state.incoming.set(packet.messageId, stored)
    this.#store.putReceived(state.key, packet.messageId, [], toMessage(stored, Date.now()))
    await this.#durable()
  }

  async incomingGetPacket(client: ClientId, packet: { messageId: number }): Promise<AedesPacket> {
    const found = this.#clients.get(client.id)?.incoming.get(packet.messageId)
    if (found === undefined) throw new Error('no such packet')
    return found
  }

  async incomingDelPacket(client: ClientId, packet: { messageId: number }): Promise<void> {
    const state = this.#clients.get(client.id)
    if (!state?.incoming.delete(packet.messageId)) throw new Error('no such packet')
    this.#store.deleteReceived(state.key, packet.messageId)
    await this.#durable()
  }

  async cleanIncoming(client: ClientId): Promise<void> {
    const state = this.#clients.get(client.id)
    if (state === undefined) return
    for (const packetId of state.incoming.keys()) this.#store.deleteReceived(state.key, packetId)
    state.incoming.clear()
    this.#forgetIfEmpty(state)
    await this.#durable()
  }

  /** Sets `brokerId` and `clientId` on the packet, which the contract asks for. */
  async putWill(client: ClientId, packet: AedesPacket): Promise<void> {
    packet.brokerId = this.#broker?.id ?? ''
    packet.clientId = client.id
    this.#wills.set(client.id, packet)
    this.#store.putWill({ clientId: client.id, message: toMessage(packet, Date.now()), delaySeconds: 0, dueAtMs: 0 })
    await this.#durable()
  }

  async getWill(client: ClientId): Promise<AedesPacket | undefined> {
    return this.#wills.get(client.id)
  }

  async delWill(client: ClientId): Promise<AedesPacket | undefined> {
    const will = this.#wills.get(client.id)
    if (will === undefined) return undefined
    this.#wills.delete(client.id)
    this.#store.deleteWill(client.id)
    await this.#durable()
    return will
  }

  /** The wills of brokers that are not among those given. */
  streamWill(brokers: Record<string, unknown> = {}): Readable {
    const orphaned = [...this.#wills.values()].filter(({ brokerId }) => !Object.hasOwn(brokers, brokerId ?? ''))
    return Readable.from(orphaned)
  }

  /** Ids of the clients that have exactly this Topic Filter. */
  getClientList(topic: string): Readable {
    const ids: string[] = []
    for (const { id, subscriptions } of this.#clients.values()) if (subscriptions.has(topic)) ids.push(id)
    return Readable.from(ids)
  }

  async destroy(): Promise<void> {
    if (this.#destroyed) throw new Error('destroyed called twice!')
    this.#destroyed = true
    if (this.#opened === undefined) return
    await this.#durable()
    if (!('store' in this.#options)) await this.#opened.store.close()
  }

  async *#retainedPackets(patterns: readonly string[]): AsyncGenerator<AedesPacket> {
    for (const pattern of patterns)
      for await (const message of this.#store.retainedByFilter(pattern)) yield this.#toPacket(message)
  }

  /** A packet whose other fields are damaged is still a message somebody waits for: it goes on with what is left of it. */
  readonly #toPacket = (message: Message): AedesPacket => {
    try {
      return toPacket(message)
    } catch (cause) {
      const why = `the MQTT 5 properties and Aedes' own fields of a message on ${message.topic} do not decode; it is delivered without`
      const error = new TributaryError('TRB_STORE_CORRUPT', why, { cause })
      this.#options.logger?.error({ code: error.code, topic: message.topic }, error.message)
      return plainPacket(message)
    }
  }

  get #store(): SessionStore {
    if (this.#opened === undefined) throw new Error('setup() has to be awaited first')
    return this.#opened.store
  }

  #durable(): Promise<void> {
    return this.#opened?.commit.durable() ?? Promise.resolve()
  }

  /** The state of a client, with a session record that keeps its key until everything of it is gone. */
  #client(id: string): AedesClient {
    const known = this.#clients.get(id)
    if (known !== undefined) return known
    const key = this.#store.sessionKey(id)
    const [version, createdAtMs] = [4 as const, Date.now()]
    this.#store.putSession(key, {
      clientId: id,
      version,
      expirySeconds: NEVER_EXPIRES,
      createdAtMs,
      disconnectedAtMs: 0,
      username: undefined
    })
    const state = new AedesClient(this.#store, this.#toPacket, id, key)
    this.#clients.set(id, state)
    return state
  }

  #forgetIfEmpty(state: AedesClient): void {
    if (!state.empty || this.#clients.get(state.id) !== state) return
    this.#clients.delete(state.id)
    this.#store.deleteSession(state.key, state.id)
  }

  #subscribe(state: AedesClient, subscription: AedesSubscription): void {
    const old = state.subscriptions.get(subscription.topic)
    if (old !== undefined) this.#leaveTrie(old)
    state.subscriptions.set(subscription.topic, subscription)
    if (subscription.qos === 0) return
    const { topic, qos, rh, rap, nl } = subscription
    const entry = { clientId: state.id, topic, qos, rh, rap, nl }
    this.#byTopic.set(subscription, entry)
    this.#trie.add(topic, entry)
  }

  #unsubscribe(state: AedesClient, topic: string): void {
    const old = state.subscriptions.get(topic)
    if (old === undefined) return
    state.subscriptions.delete(topic)
    this.#leaveTrie(old)
  }

  #leaveTrie(subscription: AedesSubscription): void {
    const entry = this.#byTopic.get(subscription)
    if (entry === undefined) return
    this.#byTopic.delete(subscription)
    this.#trie.remove(subscription.topic, entry)
  }

  #restore({ key, session, subscriptions, queued, nextSeq, received }: LoadedSession): void {
    const state = new AedesClient(this.#store, this.#toPacket, session.clientId, key)
    state.queued = queued
    state.nextSeq = nextSeq
    for (const stored of subscriptions) this.#subscribe(state, restoredSubscription(stored))
    for (const { packetId, message } of received) {
      state.incoming.set(packetId, { ...(message && this.#toPacket(message)), messageId: packetId })
    }
    this.#clients.set(session.clientId, state)
    this.#forgetIfEmpty(state)
  }
}

function subscriptionOf({ topic, qos, rh, rap, nl, subscriptionIdentifier }: AedesSubscription): AedesSubscription {
  const subscription: AedesSubscription = { topic, qos, rh, rap, nl }
  if (subscriptionIdentifier !== undefined) subscription.subscriptionIdentifier = subscriptionIdentifier
  return subscription
}

function storedSubscription({ topic, qos, rh, rap, nl, subscriptionIdentifier }: AedesSubscription): StoredSubscription {
  return {
    filter: topic,
    qos,
    noLocal: nl ?? false,
    retainAsPublished: rap ?? false,
    retainHandling: rh === 1 || rh === 2 ? rh : 0,
    subscriptionId: subscriptionIdentifier ?? 0
  }
}

function restoredSubscription(stored: StoredSubscription): AedesSubscription {
  const { filter, qos, noLocal, retainAsPublished, retainHandling, subscriptionId } = stored
  const subscription: AedesSubscription = { topic: filter, qos, rh: retainHandling, rap: retainAsPublished, nl: noLocal }
  if (subscriptionId > 0) subscription.subscriptionIdentifier = subscriptionId
  return subscription
}
