import type { PublishView } from '../../mqtt/publish-view.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'
import { utf8Error } from '../../mqtt/utf8.ts'
import { streamFilterPrefix } from '../../stream/read-from.ts'
import { topicLevels, topicNameError } from '../../topic/name.ts'
import type { Connection } from '../connection.ts'
import type { NativeContext } from './context.ts'
import { type PublisherRoute, PublisherRoutes } from './publisher-routes.ts'
import type { StreamTarget } from './stream-targets.ts'

const noStreams: readonly StreamTarget[] = []

/** Finds the way of a PUBLISH by its topic or Topic Alias, and makes it when the publisher is new to the topic. */
export class RouteFinder {
  readonly #context: NativeContext

  constructor(context: NativeContext) {
    this.#context = context
  }

  /** The route of the view's topic; undefined after the connection was told what is wrong with it. */
  find(connection: Connection, bytes: Buffer, view: PublishView): PublisherRoute | undefined {
    const { broker } = this.#context
    let publisher = connection.publisher
    if (publisher === undefined) {
      publisher = new PublisherRoutes(broker.policyGeneration)
      connection.publisher = publisher
    } else if (publisher.policyGeneration !== broker.policyGeneration) {
      broker.refreshPolicies()
      publisher.renew(broker.policyGeneration)
    }
    if (view.topicAlias !== 0) return this.#aliased(connection, publisher, bytes, view)
    const { topicStart, topicEnd } = view
    return publisher.find(bytes, topicStart, topicEnd) ?? this.#new(connection, publisher, bytes, topicStart, topicEnd)
  }

  #aliased(connection: Connection, publisher: PublisherRoutes, bytes: Buffer, view: PublishView): PublisherRoute | undefined {
    if (view.topicAlias > this.#context.limits.topicAliasMaximum) {
      connection.protocolError(reasonCode.topicAliasInvalid, 'Topic Alias above Topic Alias Maximum [MQTT-3.3.2-9]')
      return undefined
    }
    if (view.topicStart === view.topicEnd) {
      const topic = publisher.alias(view.topicAlias)
      if (topic !== undefined) {
        return publisher.find(topic, 0, topic.length) ?? this.#new(connection, publisher, topic, 0, topic.length)
      }
      connection.protocolError(reasonCode.protocolError, 'Topic Alias was never set')
      return undefined
    }
    const { topicStart, topicEnd } = view
    const route = publisher.find(bytes, topicStart, topicEnd) ?? this.#new(connection, publisher, bytes, topicStart, topicEnd)
    if (route !== undefined) publisher.setAlias(view.topicAlias, route.key)
    return route
  }

  #new(
    connection: Connection,
    publisher: PublisherRoutes,
    bytes: Buffer,
    topicStart: number,
    topicEnd: number
  ): PublisherRoute | undefined {
    const { broker, limits, routes, streams } = this.#context
    const invalidUtf8 = utf8Error(bytes, topicStart, topicEnd)
    if (invalidUtf8 !== undefined) {
      connection.protocolError(reasonCode.malformedPacket, invalidUtf8)
      return undefined
    }
    const topic = bytes.toString('utf8', topicStart, topicEnd)
    const invalid =
      topicNameError(topic) ?? (topicLevels(topic) > limits.maxTopicLevels ? 'topic has too many levels' : undefined)
    if (invalid !== undefined) {
      connection.protocolError(reasonCode.topicNameInvalid, invalid)
      return undefined
    }
    // The $-space belongs to the broker; authorizePublish hooks that allow it are asked instead of this rule.
    const reserved = (topic.startsWith('$SYS/') && !broker.hasPublishHook) || topic.startsWith(streamFilterPrefix)
    const allowed = !reserved && (connection.policy?.canPublish(topic) ?? true)
    const targets = allowed ? streams.resolve(topic, connection.id ?? '') : noStreams
    const route: PublisherRoute = {
      key: Buffer.from(bytes.subarray(topicStart, topicEnd)),
      route: routes.route(topic),
      streams: targets,
      awaitsStore: streams.awaitsStore(topic),
      allowed,
      guarded: streams.guarded(targets)
    }
    publisher.remember(route)
    return route
  }
}
