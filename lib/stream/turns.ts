/** Lets pieces of work that must not overlap run one after the other. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  take<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {
      // Whoever called has the rejection; the next in line only waits for the end.
    })
    return result
  }
}
