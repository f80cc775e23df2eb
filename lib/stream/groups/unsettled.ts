import type { Offset } from '../contract.ts'

/** `outstanding`: handed out. `failed`: to be handed out again, later. `due`: to be handed out by the reading that runs. */
export type UnsettledState = 'outstanding' | 'failed' | 'due'

const settled = 0
const codes = { outstanding: 1, failed: 2, due: 3 } as const
const outstanding = codes.outstanding

/** Settled entries in front are cut off from here on, when they are more than half. */
const trimFrom = 1024

/**
 * Offsets of one partition that were handed out and are not settled, ascending. Acknowledgements come in order or nearly so: settling
 * the first is one comparison, any other a binary search. Nothing is allocated per record.
 */
export class Unsettled {
  readonly #offsets: Offset[] = []
  readonly #states: number[] = []
  readonly #handedAtMs: number[] = []
  #head = 0
  #outstanding = 0
  #size = 0

  /** The lowest; -1 when there is none. */
  get first(): Offset {
    return this.#size === 0 ? -1 : this.#offsets[this.#head]!
  }

  get outstanding(): number {
    return this.#outstanding
  }

  /** A record that was not handed out before; larger than all others. */
  push(offset: Offset, nowMs: number): void {
    this.#offsets.push(offset)
    this.#states.push(outstanding)
    this.#handedAtMs.push(nowMs)
    this.#outstanding++
    this.#size++
  }

  is(offset: Offset, state: UnsettledState): boolean {
    const at = this.#find(offset)
    return at >= 0 && this.#states[at] === codes[state]
  }

  /** Handed out again. */
  again(offset: Offset, nowMs: number): void {
    const at = this.#find(offset)
    if (at < 0 || this.#states[at] === settled) return
    this.#mark(at, outstanding)
    this.#handedAtMs[at] = nowMs
  }

  /** It was handed out, and has to be once more. False when it is not outstanding. */
  fail(offset: Offset): boolean {
    const at = this.#find(offset)
    if (at < 0 || this.#states[at] !== outstanding) return false
    this.#mark(at, codes.failed)
    return true
  }

  /** False when it was settled before, or never handed out. */
  settle(offset: Offset): boolean {
    const at = this.#find(offset)
    if (at < 0 || this.#states[at] === settled) return false
    this.#mark(at, settled)
    this.#size--
    if (at === this.#head) this.#advance()
    return true
  }

  makeDue(state: 'outstanding' | 'failed'): void {
    for (let at = this.#head; at < this.#offsets.length; at++) if (this.#states[at] === codes[state]) this.#mark(at, codes.due)
  }

  /** The lowest that is due; -1 when none is. */
  get firstDue(): Offset {
    if (this.#size === this.#outstanding) return -1
    const at = this.#states.indexOf(codes.due, this.#head)
    return at < 0 ? -1 : this.#offsets[at]!
  }

  /** Offsets in that state, below `end`. */
  list(state: UnsettledState, end = Number.POSITIVE_INFINITY): Offset[] {
    const found: Offset[] = []
    for (let at = this.#head; at < this.#offsets.length && this.#offsets[at]! < end; at++) {
      if (this.#states[at] === codes[state]) found.push(this.#offsets[at]!)
    }
    return found
  }

  /** Is something outstanding that was handed out at that time or before? */
  handedOutBy(timeMs: number): boolean {
    if (this.#outstanding === 0) return false
    for (let at = this.#head; at < this.#offsets.length; at++) {
      if (this.#states[at] === outstanding && this.#handedAtMs[at]! <= timeMs) return true
    }
    return false
  }

  clear(): void {
    this.#offsets.length = 0
    this.#states.length = 0
    this.#handedAtMs.length = 0
    this.#head = 0
    this.#outstanding = 0
    this.#size = 0
  }

  #mark(at: number, code: number): void {
    if (this.#states[at] === outstanding) this.#outstanding--
    if (code === outstanding) this.#outstanding++
    this.#states[at] = code
  }

  #advance(): void {
    while (this.#states[this.#head] === settled) this.#head++
    if (this.#head < trimFrom || this.#head * 2 < this.#offsets.length) return
    for (const list of [this.#offsets, this.#states, this.#handedAtMs]) list.splice(0, this.#head)
    this.#head = 0
  }

  #find(offset: Offset): number {
    const offsets = this.#offsets
    if (offsets[this.#head] === offset) return this.#head
    let low = this.#head
    let high = offsets.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const found = offsets[middle]!
      if (found === offset) return middle
      if (found < offset) low = middle + 1
      else high = middle - 1
    }
    return -1
  }
}
