import type { ByQos } from '../../metrics/counters.ts'

/** Something that reads a stream and sends what it finds. */
export interface TurnTaker {
  /** Works off records worth at most `allowance`, and returns what they were worth. Asks for its next turn itself. */
  turn(allowance: number): number
}

/** Records are weighed: one, and one more for each further 512 bytes that leave. */
export const recordWeightShift = 9

/** What readings may take of a turn in which publishers were served: this share of a record for each of their messages. */
const recordsPerPublish = 0.25
/** But at least this many, or a reading would come to a halt beside a few slow publishers. */
const recordsPerTurnMin = 128

/**
 * Lets readings of streams have their turns, one after the other, so that however much there is to read, publishers are served in
 * between. A turn of the event loop holds at most `recordsPerTurn` records over all readings; after a turn that brought publishes it
 * is a share of their number, so that devices at full speed lose little to somebody who replays history.
 */
export class ReadTurns {
  readonly #recordsPerTurn: number
  readonly #published: Readonly<ByQos>
  #publishedBefore = 0
  #waiting: TurnTaker[] = []
  #isScheduled = false
  readonly #run = () => this.#turn()

  /** `published` counts publishes as they come. */
  constructor(recordsPerTurn: number, published: Readonly<ByQos>) {
    this.#recordsPerTurn = recordsPerTurn
    this.#published = published
  }

  /** Gives `reading` a turn behind those that wait already. It must not wait twice. */
  add(reading: TurnTaker): void {
    this.#waiting.push(reading)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#run)
  }

  #turn(): void {
    this.#isScheduled = false
    let left = this.#allowance()
    const waiting = this.#waiting
    this.#waiting = []
    let next = 0
    while (next < waiting.length && left > 0) left -= Math.max(1, waiting[next++]!.turn(left))
    // Who got nothing is first in the next turn, before those that ask again.
    if (next < waiting.length) this.#waiting = [...waiting.slice(next), ...this.#waiting]
    if (this.#waiting.length > 0) this.#schedule()
  }

  #allowance(): number {
    const [qos0, qos1, qos2] = this.#published
    const published = qos0 + qos1 + qos2
    const fresh = published - this.#publishedBefore
    this.#publishedBefore = published
    if (fresh === 0) return this.#recordsPerTurn
    return Math.min(this.#recordsPerTurn, Math.max(recordsPerTurnMin, Math.floor(fresh * recordsPerPublish)))
  }
}
