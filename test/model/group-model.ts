/** A record as everybody sees it: its place in the stream. */
export interface Place {
  offset: number
  partition: number
}

type State =
  | { type: 'owed' }
  | { type: 'held'; member: string }
  | { type: 'acknowledged'; sure: boolean }
  /** It was acknowledged, and a crash or a cut may have taken that back. */
  | { type: 'maybe' }

/**
 * What a consumer group owes its members, record by record. Positions are per partition and without holes: what was acknowledged behind
 * one that was not is read again with it when its member is gone.
 */
export class GroupModel {
  readonly name: string
  readonly complaints: string[] = []
  readonly #places: Place[] = []
  readonly #states = new Map<number, State>()
  deliveries = 0
  repeats = 0
  readonly #seen = new Set<number>()

  constructor(name: string) {
    this.name = name
  }

  /** Records that are in the stream now, in order. */
  added(places: readonly Place[]): void {
    for (const place of places) {
      this.#places.push(place)
      this.#states.set(place.offset, { type: 'owed' })
    }
  }

  delivered(member: string, { offset, partition }: Place): void {
    this.deliveries++
    if (this.#seen.has(offset)) this.repeats++
    this.#seen.add(offset)
    const state = this.#states.get(offset)
    const what = `${this.name}: ${offset} of partition ${partition} goes to ${member}`
    if (state === undefined) return this.#complain(`${what}, and is not in the stream`)
    if (this.#places.find(place => place.offset === offset)?.partition !== partition) this.#complain(`${what}, and is not in it`)
    if (state.type === 'held') this.#complain(`${what}, and ${state.member} has it`)
    if (state.type === 'acknowledged') this.#complain(`${what}, and was acknowledged`)
    // In order, and nothing is passed over.
    for (const earlier of this.#places) {
      if (earlier.offset >= offset) break
      if (earlier.partition !== partition) continue
      const before = this.#states.get(earlier.offset)!
      const isThere = before.type === 'held' ? before.member === member : before.type !== 'owed'
      if (!isThere) this.#complain(`${what} before ${earlier.offset}, which is ${JSON.stringify(before)}`)
    }
    this.#states.set(offset, { type: 'held', member })
  }

  acknowledged(offset: number): void {
    this.#states.set(offset, { type: 'acknowledged', sure: false })
  }

  /** Every acknowledgement up to now was processed, and its position is on disk. */
  settled(): void {
    for (const state of this.#states.values()) if (state.type === 'acknowledged') state.sure = true
  }

  heldBy(member: string): number[] {
    return [...this.#states].filter(([, state]) => state.type === 'held' && state.member === member).map(([offset]) => offset)
  }

  /** The connection is gone. `unsure`: acknowledgements that were on the way may not have arrived. */
  left(member: string, unsure: ReadonlySet<number>): void {
    for (const offset of unsure) {
      if (this.#states.get(offset)?.type === 'acknowledged') this.#states.set(offset, { type: 'maybe' })
    }
    this.#takeBack(state => state.type === 'held' && state.member === member)
  }

  /** The broker stopped in good order: positions are kept. */
  stopped(): void {
    this.#takeBack(state => state.type === 'held')
  }

  /** What was acknowledged and not yet on disk may come again. */
  crashed(): void {
    for (const [offset, state] of this.#states) {
      if (state.type === 'acknowledged' && !state.sure) this.#states.set(offset, { type: 'maybe' })
    }
    this.stopped()
  }

  get owed(): number[] {
    return [...this.#states].filter(([, { type }]) => type === 'owed' || type === 'held').map(([offset]) => offset)
  }

  #takeBack(isLost: (state: State) => boolean): void {
    const holes = new Set<number>()
    for (const { offset, partition } of this.#places) {
      const state = this.#states.get(offset)!
      if (isLost(state)) {
        this.#states.set(offset, { type: 'owed' })
        holes.add(partition)
      } else if (state.type === 'maybe') {
        // It may be the hole itself.
        holes.add(partition)
      } else if (state.type === 'acknowledged' && holes.has(partition)) {
        this.#states.set(offset, { type: 'maybe' })
      }
    }
  }

  #complain(what: string): void {
    this.complaints.push(what)
  }
}
