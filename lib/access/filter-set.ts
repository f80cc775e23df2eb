import { topicMatches } from '../topic/filter.ts'
import { filterCovers } from './filter-covers.ts'

/** Filters in the form in which they answer fastest: those without wildcards are one look-up together. */
export class FilterSet {
  static readonly empty = new FilterSet([])
  readonly #exact = new Set<string>()
  readonly #wild: string[] = []

  constructor(filters: Iterable<string>) {
    for (const filter of new Set(filters)) {
      if (/[+#]/.test(filter)) this.#wild.push(filter)
      else this.#exact.add(filter)
    }
  }

  /** True when one of the filters matches the topic. */
  matches(topic: string): boolean {
    if (this.#exact.has(topic)) return true
    for (const filter of this.#wild) if (topicMatches(filter, topic)) return true
    return false
  }

  /** True when one of the filters matches everything that `requested` matches. */
  covers(requested: string): boolean {
    if (this.#exact.has(requested)) return true
    for (const filter of this.#wild) if (filterCovers(filter, requested)) return true
    return false
  }
}
