import type { CompiledPolicy, Policy } from '../../lib/access/contract.ts'

/** A policy that denies topics and filters that begin with one of the words given, to everybody. The words may be changed. */
export class DenyingPolicy implements Policy {
  generation = 0
  #publish: readonly string[] = []
  #subscribe: readonly string[] = []
  #receive: readonly string[] = []

  deny(denied: { publish?: readonly string[]; subscribe?: readonly string[]; receive?: readonly string[] }): this {
    this.#publish = denied.publish ?? []
    this.#subscribe = denied.subscribe ?? []
    this.#receive = denied.receive ?? []
    this.generation++
    return this
  }

  compile(): CompiledPolicy {
    const allowed = (words: readonly string[]) => (topic: string) => !words.some(word => topic.startsWith(word))
    return {
      permitsAll: false,
      canPublish: allowed(this.#publish),
      canSubscribe: allowed(this.#subscribe),
      canReceive: allowed(this.#receive)
    }
  }
}
