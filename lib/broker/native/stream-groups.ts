import type { LoadedSession } from '../../../persistence/contract.ts'
import type { ReadFrom, Stream } from '../../stream/contract.ts'
import type { ExhaustedRecord, GroupName } from '../../stream/groups/contract.ts'
import { ConsumerGroups } from '../../stream/groups/groups.ts'
import type { RoutedSubscription } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import { GroupReading } from './stream-group.ts'
import { recordMessage } from './stream-record.ts'

/** MQTT clients as members of consumer groups. */
export class StreamGroups {
  readonly groups: ConsumerGroups
  readonly #context: NativeContext
  readonly #restart: (reading: GroupReading) => void

  constructor(context: NativeContext, restart: (reading: GroupReading) => void) {
    this.#context = context
    this.#restart = restart
    const { broker, limits, positions, streams } = context
    this.groups = new ConsumerGroups({
      positions,
      logger: broker.logger,
      groupsMax: limits.maxStreamGroups,
      now: () => context.now(),
      stream: name => streams.get(name),
      settings: name => streams.groupSettings(name),
      exhausted: given => this.#exhausted(given)
    })
  }

  /** Takes up a group found in the store; false when the session is something else. */
  restore(loaded: LoadedSession): boolean {
    return this.#context.positions.restore(loaded)
  }

  /** Would this member make a group more than limits.maxStreamGroups allows? */
  wouldExceed(name: GroupName): boolean {
    return this.groups.wouldExceed(name)
  }

  /** The reading of a new member; the group is made when it is the first one ever, to begin at `from`. */
  reading(subscription: RoutedSubscription, group: string, stream: Stream, filter: string, from: ReadFrom): GroupReading {
    const name = { stream: stream.name, group, filter }
    return new GroupReading(subscription, this.groups.open(name, stream, from), from, this.#restart)
  }

  /** The member is connected and takes its share. */
  join(reading: GroupReading): void {
    const { session, filter } = reading.subscription
    if (reading.group.removed) reading.movesTo(this.groups.open(reading.group.name, reading.stream, reading.from))
    const { group } = reading
    if (group.seeking === undefined) return group.join(reading)
    void group.seeking.then(() => {
      if (session.online && session.readings?.get(filter) === reading) group.join(reading)
    })
  }

  #exhausted({ name, record, attempts, error }: ExhaustedRecord): void {
    this.#context.deadLetter({
      reason: 'delivery-attempts-exhausted',
      message: recordMessage(record),
      // What a group acknowledges is owed, whatever it was published with.
      qos: 1,
      stream: name.stream,
      group: name.group,
      filter: name.filter,
      offset: record.offset,
      attempts,
      error
    })
  }
}
