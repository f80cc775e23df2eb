import type { DeliverySource } from '../../session/inflight-window.ts'
import type { Connection } from '../connection.ts'
import type { BrokerSession, RoutedSubscription } from './broker-session.ts'
import type { SharedBacklog } from './shared-backlog.ts'

/** Members looked at for one message; among them the one with the least on its way gets it. */
const candidatesMax = 8

/** One shared subscription: a ShareName with a Topic Filter, its members and the messages they share (section 4.8.2). */
export class SharedGroup implements DeliverySource {
  /** `$share/{ShareName}/{filter}` */
  readonly name: string
  /** The Topic Filter behind the ShareName. */
  readonly filter: string
  readonly backlog: SharedBacklog
  readonly members: RoutedSubscription[] = []
  /** Messages are being read and handed out. */
  pumping = false
  /** Something changed meanwhile. */
  pumpAgain = false
  #turn = 0
  readonly #onSettled: (group: SharedGroup) => void

  constructor(name: string, filter: string, backlog: SharedBacklog, onSettled: (group: SharedGroup) => void) {
    this.name = name
    this.filter = filter
    this.backlog = backlog
    this.#onSettled = onSettled
  }

  settle(seq: number): void {
    this.backlog.settle(seq)
    if (this.members.length === 0) this.#onSettled(this)
  }

  /**
   * The member that gets the next message on `topic`; undefined when nobody can take one now. Members take turns; of the next few
   * the one with the fewest deliveries on their way is chosen, so a slow one gets less.
   */
  pick(topic: string, windowOpen: (session: BrokerSession, connection: Connection) => boolean): RoutedSubscription | undefined {
    const { members } = this
    let best: RoutedSubscription | undefined
    let bestAt = 0
    let bestLoad = Infinity
    for (let i = 0, candidates = 0; i < members.length && candidates < candidatesMax && bestLoad > 0; i++) {
      const at = (this.#turn + i) % members.length
      const member = members[at]!
      if (!takesMessages(member.session, topic, windowOpen)) continue
      candidates++
      const { inflightCount } = member.session
      if (inflightCount >= bestLoad) continue
      best = member
      bestAt = at
      bestLoad = inflightCount
    }
    if (best !== undefined) this.#turn = bestAt + 1
    return best
  }

  /** May no member have messages on this topic, connected or not? */
  deniedToAll(topic: string): boolean {
    return this.members.every(({ session }) => isDenied(session, topic))
  }

  /** Is a member connected, other than this one? */
  hasOther(session: BrokerSession): boolean {
    return this.members.some(member => member.session !== session && member.session.online)
  }
}

function takesMessages(
  session: BrokerSession,
  topic: string,
  windowOpen: (session: BrokerSession, connection: Connection) => boolean
): boolean {
  const { connection } = session
  if (connection === undefined || !connection.connected || connection.closed || session.resends) return false
  return !isDenied(session, topic) && windowOpen(session, connection)
}

function isDenied({ policy }: BrokerSession, topic: string): boolean {
  return policy !== undefined && !policy.permitsAll && !policy.canReceive(topic)
}
