import type { StreamTarget } from './stream-targets.ts'
import type { TopicRoute } from './topic-routes.ts'

/** What one publisher needs to know about one topic: decided once, used for every message. */
export interface PublisherRoute {
  /** The topic as it came over the wire. */
  readonly key: Buffer
  readonly route: TopicRoute
  readonly streams: readonly StreamTarget[]
  /** Do acknowledgements wait for queues and retained messages? */
  readonly awaitsStore: boolean
  /** May the publisher publish here, by the compiled policy? */
  readonly allowed: boolean
  /** Some stream looks at messages before it takes them. */
  readonly guarded: boolean
}

/** Topics one connection remembers; when full it starts anew. */
const rememberedTopicsMax = 1024
const rememberedTopicBytesMax = 128 * 1024

/** A connection's routes by topic, and its inbound Topic Alias table. Devices mostly repeat one topic, so the last one is tried first. */
export class PublisherRoutes {
  policyGeneration: number
  #last: PublisherRoute | undefined
  #byTopic: Map<string, PublisherRoute> | undefined
  #bytes = 0
  /** Topic Alias to topic bytes. */
  #aliases: Map<number, Buffer> | undefined

  constructor(policyGeneration: number) {
    this.policyGeneration = policyGeneration
  }

  /** The route of the topic at bytes[start, end) if this connection used it before. */
  find(bytes: Buffer, start: number, end: number): PublisherRoute | undefined {
    const last = this.#last
    if (last !== undefined && sameBytes(last.key, bytes, start, end)) return last
    if (this.#byTopic === undefined) return undefined
    // latin1 maps bytes to characters one to one, so that the key is exact without checking UTF-8 again.
    const found = this.#byTopic.get(bytes.toString('latin1', start, end))
    if (found !== undefined) this.#last = found
    return found
  }

  remember(route: PublisherRoute): void {
    if (this.#last !== undefined) {
      this.#byTopic ??= new Map([[this.#last.key.toString('latin1'), this.#last]])
      this.#bytes += route.key.length
      if (this.#byTopic.size >= rememberedTopicsMax || this.#bytes > rememberedTopicBytesMax) {
        this.#byTopic.clear()
        this.#bytes = route.key.length
      }
      this.#byTopic.set(route.key.toString('latin1'), route)
    }
    this.#last = route
  }

  /** The policy changed: every answer is asked again. Aliases stay, they are part of the connection. */
  renew(policyGeneration: number): void {
    this.policyGeneration = policyGeneration
    this.#last = undefined
    this.#byTopic = undefined
  }

  /** The topic an alias stands for. */
  alias(alias: number): Buffer | undefined {
    return this.#aliases?.get(alias)
  }

  setAlias(alias: number, topic: Buffer): void {
    this.#aliases ??= new Map()
    this.#aliases.set(alias, topic)
  }
}

function sameBytes(key: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const length = end - start
  if (key.length !== length) return false
  // Topics of one device differ at the end, if at all.
  for (let i = length - 1, j = end - 1; i >= 0; i--, j--) if (key[i] !== bytes[j]) return false
  return true
}
