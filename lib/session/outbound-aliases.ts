import { propertyId } from '../mqtt/property-id.ts'

/** A Topic Alias of one connection towards its client. */
export interface OutboundAlias {
  readonly number: number
  /** The Topic Alias property as it stands in a PUBLISH. */
  readonly property: Buffer
}

/**
 * The Topic Aliases the broker has set on one connection, section 3.3.2.3.4. They end with the connection [MQTT-3.3.2-7].
 *
 * The first topics get the aliases and keep them. Giving an alias to another topic would cost book-keeping with every delivery, and
 * a client with more busy topics than aliases would be told a new topic with nearly every message. As an alias never changes its
 * meaning, whoever knows it may use it at any later time, whatever is sent in between.
 */
export class OutboundAliases {
  readonly #maximum: number
  readonly #byTopic = new Map<string, OutboundAlias>()

  /** `maximum`: aliases 1 to this number may be used [MQTT-3.1.2-26], [MQTT-3.3.2-11]. */
  constructor(maximum: number) {
    this.#maximum = maximum
  }

  find(topic: string): OutboundAlias | undefined {
    return this.#byTopic.get(topic)
  }

  /** The alias a topic of `topicBytes` bytes would get; undefined when there is none left, or nothing to be gained. */
  next(topicBytes: number): OutboundAlias | undefined {
    const number = this.#byTopic.size + 1
    if (number > this.#maximum) return undefined
    const property = propertyOf(number)
    return topicBytes > property.length ? { number, property } : undefined
  }

  /** The client was told what `alias`, from next(), stands for. */
  define(topic: string, alias: OutboundAlias): void {
    this.#byTopic.set(topic, alias)
  }
}

function propertyOf(alias: number): Buffer {
  return Buffer.from([propertyId.topicAlias, alias >> 8, alias & 0xff])
}
