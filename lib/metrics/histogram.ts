/** Upper bounds in seconds, from a tenth of a millisecond (an fsync of a good SSD) to ten seconds (somebody should look). */
const bounds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Durations counted in fixed buckets. Observing allocates nothing, so it may happen on the hot path. */
export class Histogram {
  static readonly bounds: readonly number[] = bounds
  /** One per bound and one for all above. */
  readonly #counts = new Float64Array(bounds.length + 1)
  #sum = 0
  #count = 0

  get sum(): number {
    return this.#sum
  }

  get count(): number {
    return this.#count
  }

  /** `times` counts the same duration for several events, such as all acknowledgements of one commit. */
  observe(seconds: number, times = 1): void {
    let bucket = 0
    while (bucket < bounds.length && seconds > bounds[bucket]!) bucket++
    this.#counts[bucket]! += times
    this.#sum += seconds * times
    this.#count += times
  }

  /** How many observations were at most as long as each bound, in the order of `Histogram.bounds`. */
  cumulative(): number[] {
    let total = 0
    return bounds.map((_, bucket) => (total += this.#counts[bucket]!))
  }
}
