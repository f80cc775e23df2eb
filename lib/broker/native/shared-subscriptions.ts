import type { LoadedSession } from '../../../persistence/contract.ts'
import type { DeadLetterReason } from '../../dead-letter/contract.ts'
import type { Qos } from '../../mqtt/packet.ts'
import { parseSharedFilter } from '../../topic/filter.ts'
import type { Connection } from '../connection.ts'
import type { BrokerSession, RoutedSubscription } from './broker-session.ts'
import { withoutMembers } from './burials.ts'
import type { NativeContext } from './context.ts'
import { type Deliverer, outgoing } from './deliver.ts'
import { deniedError, expiredError } from './lost-deliveries.ts'
import { Publication } from './publication.ts'
import { type OutgoingPublish, tooLargeFor } from './publish-writer.ts'
import { SharedBacklog, type SharedEntry } from './shared-backlog.ts'
import { SharedGroup } from './shared-group.ts'

/** What a group's backlog is called in the session store. U+0000 is not allowed in a Client Identifier. */
const storedIdPrefix = '\u0000share\u0000'
const noIds: readonly number[] = []

/** A message of a backlog that is to be sent again: `entry` undefined when it is settled, `packet` when the member may not have it any more. */
export interface SentAgain {
  readonly packet: OutgoingPublish | undefined
  readonly entry?: SharedEntry
}

/**
 * Shared subscriptions, section 4.8.2 of MQTT 5; 3.1 and 3.1.1 clients may use them as well.
 *
 * Each message goes to one member that is connected and whose window is open; without one it waits in the group's backlog. A
 * QoS 1 message stays in the backlog until its member has acknowledged it and goes to another one when the member leaves first. A
 * QoS 2 message belongs to its member from the moment it is handed over [MQTT-4.8.2-4], [MQTT-4.8.2-5].
 */
export class SharedSubscriptions {
  readonly #context: NativeContext
  readonly #deliverer: Deliverer
  /** By `$share/{ShareName}/{filter}`. */
  readonly #groups = new Map<string, SharedGroup>()
  readonly #windowOpen: (session: BrokerSession, connection: Connection) => boolean
  readonly #uncongested = (_session: BrokerSession, connection: Connection): boolean => connection.congestedSinceMs === 0

  constructor(context: NativeContext, deliverer: Deliverer) {
    this.#context = context
    this.#deliverer = deliverer
    // A member that has not finished with its own queue would only queue what another one could have now.
    this.#windowOpen = (session, connection) => session.caughtUp && deliverer.windowOpen(session, connection)
  }

  // ---- members ----------------------------------------------------------------------------------------------------------------

  /** Puts a subscription in force, a shared one as a member of its group. */
  add(subscription: RoutedSubscription): void {
    const shared = parseSharedFilter(subscription.filter)
    if (shared === undefined) return this.#context.routes.add(subscription)
    const group = this.#group(subscription.filter, shared.filter)
    if (group.members.length === 0) this.#context.routes.addGroup(group)
    group.members.push(subscription)
    this.#context.routes.sharedMembers++
    const { session } = subscription
    session.groups ??= new Set()
    session.groups.add(group)
    if (session.stored) group.backlog.persist(this.#context.now())
  }

  /** The subscription ends; `reason` counts what waited if it was the last of its group. */
  remove(subscription: RoutedSubscription, reason: string): void {
    const group = this.#groups.get(subscription.filter)
    if (group === undefined) return this.#context.routes.remove(subscription)
    const at = group.members.indexOf(subscription)
    if (at === -1) return
    group.members.splice(at, 1)
    this.#context.routes.sharedMembers--
    subscription.session.groups?.delete(group)
    if (group.members.length > 0) return this.#pump(group)
    this.#context.routes.removeGroup(group)
    this.#dropWaiting(group, reason)
    this.#forgetSettled(group)
  }

  /** What waits for a group without members ends here. */
  #dropWaiting(group: SharedGroup, reason: string): void {
    const { lost, burials } = this.#context
    const { name, backlog } = group
    // A group may also be over because its last member unsubscribed: then its session gave up what it would have had.
    const letterReason = reason === 'session-expired' ? reason : 'session-discarded'
    if (lost.kept && backlog.stored && backlog.waiting > 0) {
      burials.backlog(backlog.key, name, letterReason, backlog.giveUpWaiting(), () => {
        backlog.buried()
        this.#forgetSettled(group)
      })
      return
    }
    const from = { key: 0, filters: [name] }
    if (lost.kept) for (const entry of backlog.inMemory()) lost.keepEntry(letterReason, from, entry, 0, withoutMembers)
    for (let left = backlog.dropWaiting(); left > 0; left--) this.#context.dropped(reason)
  }

  /** A group without members stays until the deliveries that are on their way are completed [MQTT-3.10.4-3]. */
  #forgetSettled(group: SharedGroup): void {
    if (group.members.length > 0 || !group.backlog.over) return
    group.backlog.discard()
    if (this.#groups.get(group.name) === group) this.#groups.delete(group.name)
  }

  #group(name: string, filter: string): SharedGroup {
    let group = this.#groups.get(name)
    if (group === undefined) {
      const backlog = new SharedBacklog(this.#context, storedIdPrefix + name)
      group = new SharedGroup(name, filter, backlog, settled => this.#forgetSettled(settled))
      this.#groups.set(name, group)
    }
    return group
  }

  /** Takes up a backlog found in the store; false when the session is a client's own. */
  restore(loaded: LoadedSession): boolean {
    const { clientId } = loaded.session
    if (!clientId.startsWith(storedIdPrefix)) return false
    const name = clientId.slice(storedIdPrefix.length)
    this.#group(name, parseSharedFilter(name)?.filter ?? name).backlog.restore(loaded)
    return true
  }

  /** After all sessions were restored: backlogs without a member end. */
  restored(): void {
    for (const group of this.#groups.values()) {
      if (group.members.length > 0) continue
      this.#dropWaiting(group, 'session-expired')
      this.#forgetSettled(group)
    }
  }

  // ---- members come and go ----------------------------------------------------------------------------------------------------

  /** CONNACK or SUBACK was sent: the session takes over what members that are away did not acknowledge. */
  online(session: BrokerSession): void {
    const { groups } = session
    if (groups === undefined) return
    for (const group of groups) for (const { session: other } of group.members) if (!other.online) this.#takeBack(other, group)
  }

  /** The window opened, or there is something new to take. */
  serve(session: BrokerSession): void {
    for (const group of session.groups ?? []) this.#pump(group)
  }

  /**
   * The connection ended and the session waits. What it has not acknowledged goes to another member that is connected; with none,
   * it stays, and is sent again with the same packet id when the client is back [MQTT-4.4.0-1].
   */
  offline(session: BrokerSession): void {
    if (this.#context.broker.closed) return
    for (const group of session.groups ?? []) {
      if (group.hasOther(session) && this.#takeBack(session, group)) this.#pump(group)
    }
  }

  /** The session ends: what it has not acknowledged is for the others, connected or not; its subscriptions are removed next. */
  ended(session: BrokerSession): void {
    for (const group of session.groups ?? []) this.#takeBack(session, group)
    if (session.inflightCount > 0) this.#takeBackFromLeaver(session)
  }

  /** What the session still had of groups that it left before: for those who are in them now, else it ends here. */
  #takeBackFromLeaver(session: BrokerSession): void {
    for (const [packetId, { source, seq }] of session.inflight.entries()) {
      if (!(source instanceof SharedGroup) || session.groups?.has(source)) continue
      session.inflight.complete(packetId)
      if (source.members.length > 0) {
        source.backlog.release(seq)
        this.#pump(source)
      } else {
        source.backlog.release(seq)
        this.#dropWaiting(source, 'session-discarded')
        this.#forgetSettled(source)
      }
    }
  }

  /** Messages of this group that the session has not acknowledged wait again. True when there were any. */
  #takeBack(session: BrokerSession, group: SharedGroup): boolean {
    if (session.inflightCount === 0) return false
    let any = false
    for (const [packetId, { source, seq }] of session.inflight.entries()) {
      if (source !== group) continue
      session.inflight.complete(packetId)
      group.backlog.release(seq)
      any = true
    }
    return any
  }

  // ---- messages ---------------------------------------------------------------------------------------------------------------

  /** Gives the publication to one member of each group. True when something was stored. */
  deliver(publication: Publication): boolean {
    let stored = false
    for (const group of publication.route.groups) if (this.#deliverTo(group, publication)) stored = true
    return stored
  }

  #deliverTo(group: SharedGroup, publication: Publication): boolean {
    const { backlog } = group
    const { topic } = publication.route
    if (publication.qos === 0) {
      const member = group.pick(topic, this.#uncongested)
      if (member !== undefined) this.#hand(group, member, publication, 0)
      return false
    }
    const member = backlog.waiting === 0 && !group.pumping ? group.pick(topic, this.#windowOpen) : undefined
    if (member !== undefined) return this.#hand(group, member, publication, 0)
    if (group.deniedToAll(topic)) {
      this.#context.dropped('forward-denied')
      return false
    }
    if (backlog.waiting >= this.#context.limits.maxQueuedMessagesPerSession) return this.#queueFull(group, publication)
    backlog.add(publication, 0)
    return backlog.stored
  }

  #queueFull({ name }: SharedGroup, publication: Publication): boolean {
    const { limits } = this.#context
    const error = `the backlog is full, it holds ${limits.maxQueuedMessagesPerSession} (limits.maxQueuedMessagesPerSession)`
    const { qos } = publication
    return this.#context.deadLetter({
      reason: 'queue-full',
      message: publication.message(),
      qos,
      filter: name,
      attempts: 0,
      error
    })
  }

  /** Gives one message to a member; `seq` is its place in the backlog, 0 when it was not in it. True when something was stored. */
  #hand(group: SharedGroup, member: RoutedSubscription, publication: Publication, seq: number): boolean {
    const { backlog } = group
    const { session } = member
    const { connection } = session
    const qos: Qos = member.qos < publication.qos ? member.qos : publication.qos
    const retain = member.retainAsPublished && publication.retain
    const ids = member.subscriptionId > 0 ? [member.subscriptionId] : noIds
    const shown = connection === undefined ? undefined : this.#deliverer.shownTo(session, publication)
    if (qos > 0 && session.connection !== connection) {
      // The forward hook failed, which ended the connection: the message waits for another member.
      if (seq === 0) backlog.add(publication, 0)
      return backlog.stored
    }
    if (connection === undefined || shown === undefined || qos !== 1) {
      if (seq > 0 && shown === undefined) this.#lose(group, publication, seq, 'forward-denied', deniedError)
      if (seq > 0) backlog.settle(seq)
      if (shown !== undefined) return this.#deliverer.permitted(session, shown, qos, retain, ids, publication)
      return false
    }
    const packetId = session.inflight.allocate()
    const dup = seq > 0 && backlog.wasTried(seq)
    const place = seq > 0 ? seq : backlog.add(publication, packetId)
    if (seq > 0) backlog.assign(seq, packetId)
    session.inflight.sent(packetId, place, 1, group)
    const packet = outgoing(shown, 1, retain, packetId, ids, this.#context.now())
    packet.dup = dup
    if (!this.#deliverer.send(connection, packet)) {
      this.#lose(group, publication, place, 'packet-too-large', tooLargeFor(connection))
      this.#deliverer.forget(session, packetId)
    }
    return backlog.stored
  }

  /** A message of the backlog, counted already, that is settled next. */
  #lose({ name, backlog }: SharedGroup, publication: Publication, seq: number, reason: DeadLetterReason, error: string): void {
    const { lost } = this.#context
    if (!lost.kept) return
    const qos = publication.qos
    lost.keepEntry(reason, { key: backlog.key, filters: [name] }, { message: publication.message(), qos, seq }, 0, error)
  }

  /** Hands out what waits as long as a member takes it. */
  #pump(group: SharedGroup): void {
    if (group.pumping) {
      group.pumpAgain = true
      return
    }
    const { backlog } = group
    while (backlog.waiting > 0 && !this.#context.broker.closed) {
      // Nobody to hand it to: reading would be in vain. Which topic is next is not known yet, so rights are asked later.
      if (!group.members.some(({ session }) => session.online && this.#windowOpen(session, session.connection!))) return
      const entries = backlog.read()
      if (entries instanceof Promise) {
        group.pumping = true
        void this.#pumpRead(group, entries)
        return
      }
      if (!this.#handOut(group, entries)) return
    }
  }

  async #pumpRead(group: SharedGroup, reading: Promise<SharedEntry[]>): Promise<void> {
    let more = false
    try {
      more = this.#handOut(group, await reading)
    } catch (error) {
      this.#context.broker.logger?.error({ err: error, group: group.name }, 'the backlog of a shared subscription cannot be read')
    }
    group.pumping = false
    if (!more && !group.pumpAgain) return
    group.pumpAgain = false
    this.#pump(group)
  }

  /** True when all of it was handed out. */
  #handOut(group: SharedGroup, entries: readonly SharedEntry[]): boolean {
    const { backlog } = group
    for (const { seq, message, qos, retain } of entries) {
      if (group.members.length === 0) return false
      const nowMs = this.#context.now()
      const expired = message.expiresAtMs !== 0 && message.expiresAtMs <= nowMs
      if (expired || group.deniedToAll(message.topic)) {
        const reason = expired ? 'message-expired' : 'forward-denied'
        const from = { key: backlog.key, filters: [group.name] }
        this.#context.lost.entry(reason, from, { message, qos, seq }, 0, expired ? expiredError : deniedError)
        backlog.settle(seq)
        continue
      }
      const member = group.pick(message.topic, this.#windowOpen)
      if (member === undefined) return false
      const publication = new Publication()
      publication.beginMessage(message, this.#context.routes.route(message.topic))
      publication.qos = qos
      publication.retain = retain
      publication.nowMs = nowMs
      this.#hand(group, member, publication, seq)
    }
    return entries.length > 0
  }

  /** The packet of a message that went out on the member's earlier connection. */
  async again(session: BrokerSession, group: SharedGroup, seq: number, packetId: number): Promise<SentAgain> {
    const entry = await group.backlog.get(seq)
    if (entry === undefined) return { packet: undefined }
    const member = group.members.find(one => one.session === session)
    const publication = new Publication()
    publication.beginMessage(entry.message, this.#context.routes.route(entry.message.topic))
    const ids = member !== undefined && member.subscriptionId > 0 ? [member.subscriptionId] : noIds
    const retain = entry.retain && (member?.retainAsPublished ?? false)
    // Asked again, as nobody keeps what a hook made of it the first time.
    const shown = this.#deliverer.shownTo(session, publication)
    return { entry, packet: shown && { ...outgoing(shown, 1, retain, packetId, ids, this.#context.now()), dup: true } }
  }

  /** What was to be sent again cannot be: it is too large for the client on this `connection`, or without one may not be shown to it. */
  lostAgain({ name, backlog }: SharedGroup, entry: SharedEntry, connection: Connection | undefined): void {
    const reason = connection === undefined ? 'forward-denied' : 'packet-too-large'
    const error = connection === undefined ? deniedError : tooLargeFor(connection)
    this.#context.lost.keepEntry(reason, { key: backlog.key, filters: [name] }, entry, 1, error)
  }
}
