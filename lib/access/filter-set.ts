import { topicMatches } from '../topic/filter.ts'
import { filterCovers } from './filter-covers.ts'

/** Filters in the form in which they answer fastest: those without wildcards are one look-up together. */
export class FilterSet {
  static readonly empty = new FilterSet([])
  readonly #exact: ReadonlySet<string> | undefined
  readonly #wild: readonly string[]

  constructor(filters: Iterable<string>) {
    const all = [...new Set(filters)]
    const exact = all.filter(filter => !/[+#]/.test(filter))
    // Thousands of identities have a set of their own, most of them without exact filters.
    this.#exact = exact.length > 0 ? new Set(exact) : undefined
    this.#wild = exact.length > 0 ? all.filter(filter => /[+#]/.test(filter)) : all
  }

  /** True when one of the filters matches the topic. */
  matches(topic: string): boolean {
    if (this.#exact?.has(topic) === true) return true
    for (const filter of this.#wild) if (topicMatches(filter, topic)) return true
    return false
  }

  /** True when one of the filters matches everything that `requested` matches. */
  covers(requested: string): boolean {
    if (this.#exact?.has(requested) === true) return true
    for (const filter of this.#wild) if (filterCovers(filter, requested)) return true
    return false
  }
}
