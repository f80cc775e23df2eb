import type { ByQos } from '../../metrics/counters.ts'

/** Something that reads a stream and sends what it finds. */
export interface TurnTaker {
  /** Works off records worth at most `allowance`, and returns what they were worth. Asks for its next turn itself. */
  turn(allowance: number): number
}

/** Records are weighed: one, and one more for each further 512 bytes that leave. */
export const recordWeightShift = 9

/** Beside publishers, readings may take this share of a record for each publish: about a tenth of the time that takes. */
const recordsPerPublish = 1 / 4
/** Readings wait until they may take this many, and take them in a turn without publishes in any case. */
const besidePublishersMin = 32
/**
 * After so many turns without a publish nobody is publishing. In fewer, publishers may only be waiting for their acknowledgements:
 * what keeps the loop busy then delays the next ones.
 */
const quietTurns = 256

/**
 * Lets readings of streams have their turns, one after the other, so that however much there is to read, publishers are served in
 * between. A turn of the event loop holds at most `recordsPerTurn` records over all readings; while there are publishers it is a share
 * of what they send, so that devices at full speed lose little to somebody who replays history.
 */
export class ReadTurns {
  readonly #recordsPerTurn: number
  readonly #published: Readonly<ByQos>
  #publishedBefore = 0
  #turnsWithoutPublish = quietTurns
  /** Records that publishes since the last turn of a reading are good for. */
  #credit = 0
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
    if (fresh > 0) {
      this.#turnsWithoutPublish = 0
      this.#credit = Math.min(this.#recordsPerTurn, this.#credit + fresh * recordsPerPublish)
      if (this.#credit < besidePublishersMin) return 0
    } else if (this.#turnsWithoutPublish++ >= quietTurns) return this.#recordsPerTurn
    const allowance = Math.min(this.#recordsPerTurn, Math.max(besidePublishersMin, Math.floor(this.#credit)))
    this.#credit = 0
    return allowance
  }
}
