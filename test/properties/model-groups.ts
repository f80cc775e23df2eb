import type { AnyPacket } from '../support/raw-client.ts'
import { naiveMatch } from '../topic/naive-match.ts'
import type { Delivery, ModelConnection, ModelMessage, ModelSession, ModelSubscription } from './model-session.ts'

/**
 * Shared subscriptions in the model: which member gets a message is the broker's choice, so a message is tied to a member when it
 * arrives there. A member that leaves without having acknowledged gives a QoS 1 message back; a QoS 2 message that it was given
 * stays its own.
 */

export interface SharedMessage {
  readonly message: ModelMessage
  readonly seq: number
  /** What members received of it, the latest last. */
  readonly holders: Holder[]
  /** Not of this broker's run, or lost in a crash: it may come, and with DUP. */
  tried: boolean
  /** Somebody has to get it to its end. */
  owed: boolean
  /** A member left since: it may be on its way there, or lost with it. */
  unsettled: boolean
}

interface Holder {
  readonly session: ModelSession
  readonly delivery: Delivery
}

interface Group {
  readonly filter: string
  readonly members: Map<ModelSession, ModelSubscription>
  readonly messages: SharedMessage[]
}

export const sharePrefix = '$share/'

/**
 * Whether to complain about messages that no member gets. Off by default: which of several copies a member had is a guess, so that a
 * complaint has to be looked at by hand. On for long hunts, SHARED_LIVENESS=1.
 */
const looksForMissing = process.env.SHARED_LIVENESS === '1'

export class ModelGroups {
  readonly #groups = new Map<string, Group>()
  readonly #complain: (what: string) => void

  constructor(complain: (what: string) => void) {
    this.#complain = complain
  }

  join(session: ModelSession, subscription: ModelSubscription): void {
    let group = this.#groups.get(subscription.filter)
    if (group === undefined) {
      group = { filter: subscription.filter.split('/').slice(2).join('/'), members: new Map(), messages: [] }
      this.#groups.set(subscription.filter, group)
    }
    group.members.set(session, subscription)
    // What waits may be for this member, and at QoS 0 nothing is promised.
    if (subscription.qos === 0) for (const one of group.messages) one.owed = false
  }

  /** True when it was a member. What waits ends with the last one; what this one has not acknowledged may be lost with it. */
  leave(session: ModelSession, filter: string): boolean {
    const group = this.#groups.get(filter)
    if (group === undefined || !group.members.delete(session)) return false
    for (const one of group.messages) {
      if (group.members.size === 0 || holds(one, session)) one.owed = false
      one.unsettled = true
    }
    return true
  }

  /** The session is over. Its QoS 1 messages are for the others; what it had at QoS 2, or might have had, is gone with it. */
  ended(session: ModelSession): void {
    for (const group of this.#groups.values()) {
      const member = group.members.get(session)
      for (const one of group.messages) {
        for (const holder of one.holders) if (holder.session === session) holder.delivery.released = true
        if (member === undefined) continue
        if (one.message.qos === 2 && member.qos === 2) one.owed = false
        one.unsettled = true
      }
      if (member === undefined) continue
      group.members.delete(session)
      if (group.members.size === 0) for (const one of group.messages) one.owed = false
    }
  }

  /** The connection ended and the session waits. */
  offline(session: ModelSession): void {
    for (const { members, messages } of this.#groups.values()) {
      for (const one of messages) {
        if (members.has(session)) one.unsettled = true
        for (const holder of one.holders) {
          if (holder.session !== session || holder.delivery.qos !== 1) continue
          holder.delivery.released = true
          // Nobody else may have been there to take it, so that it comes back here; or somebody was.
          if (holder.delivery.again === 'must') holder.delivery.again = 'may'
          session.inflight.delete(holder.delivery.packetId)
        }
      }
    }
  }

  /** The broker was started again: who had what is not known any more, but that it may have been had. */
  restarted(): void {
    for (const { messages } of this.#groups.values()) for (const one of messages) one.tried = true
  }

  /** What the broker took in and a crash may have undone. */
  undone(message: ModelMessage): void {
    for (const { messages } of this.#groups.values()) for (const one of messages) if (one.message === message) one.owed = false
  }

  taken(message: ModelMessage, seq: number, isDeaf: (session: ModelSession) => boolean): void {
    for (const { filter, members, messages } of this.#groups.values()) {
      if (members.size === 0 || !naiveMatch(filter, message.topic)) continue
      // A member at QoS 0 may be the one, and there nothing is promised.
      const owed = message.qos > 0 && [...members.values()].every(({ qos }) => qos > 0)
      const unsettled = [...members.keys()].some(isDeaf)
      messages.push({ message, seq, holders: [], tried: false, owed, unsettled })
    }
  }

  /** The shared message that this packet can be, now with this member; undefined when there is none. */
  claim(session: ModelSession, packet: AnyPacket, connection: ModelConnection, ids: string): Delivery | undefined {
    for (const { members, messages } of this.#groups.values()) {
      const member = members.get(session)
      if (member === undefined) continue
      // A publisher that sent it twice makes two of it: those that nobody had come first.
      for (const one of messages.toSorted((a, b) => rank(a) - rank(b))) {
        const { message } = one
        const qos = Math.min(member.qos, message.qos)
        const expected = connection.version === 5 && member.subscriptionId > 0 ? String(member.subscriptionId) : ''
        const fits =
          message.payload === String(packet.payload) &&
          message.topic === packet.topic &&
          qos === packet.qos &&
          packet.retain === (message.retain && member.retainAsPublished) &&
          ids === expected
        if (!fits || !this.#free(one)) continue
        const dup = packet.dup as boolean
        // DUP on a first arrival: it was sent before, here or to another member.
        if (dup && !one.tried && !one.unsettled) continue
        const delivery = session.adopt(message, qos as 0 | 1 | 2, packet.retain as boolean, ids, one.seq, connection.number)
        one.holders.push({ session, delivery })
        return delivery
      }
    }
    return undefined
  }

  /** Nobody has it who keeps it. */
  #free({ holders, tried }: SharedMessage): boolean {
    const last = holders.at(-1)
    if (last === undefined) return true
    const { delivery } = last
    if (delivery.qos !== 1) return false
    return (delivery.released || tried) && (!delivery.finished || delivery.answeredLately || delivery.again !== 'no')
  }

  /** At rest: a member that could take something has taken it. */
  settled(windowOpen: (session: ModelSession) => boolean): void {
    if (!looksForMissing) return
    for (const [name, { members, messages }] of this.#groups) {
      const able = [...members.keys()].some(windowOpen)
      for (const one of messages) {
        const waits = one.owed && one.holders.length === 0 && !one.unsettled && !one.tried
        if (waits && able) this.#complain(`${one.message.payload} waits in ${name} although a member could take it`)
      }
    }
  }

  expire(nowMs: number): void {
    for (const { messages } of this.#groups.values()) {
      for (const one of messages) if (one.message.expiresAtMs !== 0 && one.message.expiresAtMs <= nowMs) one.owed = false
    }
  }

  /** At the end, with every member there and everything answered. */
  completed(): void {
    if (!looksForMissing) return
    for (const [name, { messages }] of this.#groups) {
      for (const { message, holders, owed } of messages) {
        if (owed && !holders.some(({ delivery }) => delivery.finished))
          this.#complain(`no member of ${name} got ${message.payload}`)
      }
    }
  }
}

function rank({ holders, owed }: SharedMessage): number {
  if (holders.length > 0) return 2
  return owed ? 0 : 1
}

function holds({ holders }: SharedMessage, session: ModelSession): boolean {
  const last = holders.at(-1)
  return last === undefined || last.session === session
}
