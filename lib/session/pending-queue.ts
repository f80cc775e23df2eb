import type { PendingDelivery } from './session.ts'

/** Places given up at the front before the rest moves up: moving costs less per message the more it clears. */
const vacantMax = 1024

/** First in, first out. Taking one costs the same however many wait; an array's splice() at the front moves all of them. */
export class PendingQueue {
  #items: (PendingDelivery | undefined)[] = []
  #first = 0

  get length(): number {
    return this.#items.length - this.#first
  }

  push(delivery: PendingDelivery): void {
    this.#items.push(delivery)
  }

  /** The first one, out of the queue; undefined when there is none. */
  shift(): PendingDelivery | undefined {
    const delivery = this.#items[this.#first]
    if (delivery === undefined) return undefined
    this.#items[this.#first++] = undefined
    if (this.#first === this.#items.length) {
      this.#items.length = 0
      this.#first = 0
    } else if (this.#first >= vacantMax && this.#first * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
    return delivery
  }
}
