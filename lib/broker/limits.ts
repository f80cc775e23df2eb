import type { Qos } from '../mqtt/packet.ts'

/** Every limit the engine enforces, with its default. What happens at the limit stands beside it. */
export interface BrokerLimits {
  /** Larger packets: DISCONNECT 0x95, connection closed. Bytes. */
  maxPacketBytes: number
  /** QoS 1/2 messages waiting for one session beyond its window: new ones are dropped with reason queue-full and counted. */
  maxQueuedMessagesPerSession: number
  /** QoS 1/2 PUBLISH packets one client may have unacknowledged; announced to v5 clients, exceeded: DISCONNECT 0x93. */
  receiveMaximum: number
  /** QoS 1/2 messages on the way to one client; the rest waits in its queue. A v5 client's Receive Maximum lowers it. */
  maxInflight: number
  /** More: SUBACK 0x97 (0x80 for 3.1.1). */
  maxSubscriptionsPerSession: number
  /** Deeper topics: 0x90 / 0x8F or closed. */
  maxTopicLevels: number
  /** Inbound topic aliases a v5 client may use. */
  topicAliasMaximum: number
  /** Topic aliases set towards one v5 client, for its first topics; its Topic Alias Maximum lowers it. 0 = none. */
  outboundTopicAliasMaximum: number
  /** Highest QoS of publishes from clients; higher: DISCONNECT 0x9B, a will CONNACK 0x9B, subscriptions are granted no more. */
  maximumQos: Qos
  /** Lower values than asked for are announced as Server Keep Alive; 0 = no limit. Seconds. */
  keepAliveSecondsMax: number
  /** Session Expiry Interval is capped to this and announced. Seconds. */
  sessionExpirySecondsMax: number
  /** No CONNECT in this time: closed. An exchange of enhanced authentication that takes longer: refused, or ended with DISCONNECT. */
  connectTimeoutMs: number
  /** Bytes waiting in the transport: QoS 0 is dropped with reason outbound-buffer-full, QoS 1/2 stays queued. */
  maxOutboundBufferBytes: number
  /** A congested connection that takes no byte for this long is closed; 0 = never. */
  drainTimeoutMs: number
  /** Bytes waiting for the commit over all connections: publishers are not read until it falls. */
  maxUncommittedBytes: number
  /** Consumer groups over all streams; SUBSCRIBE for another one is answered with 0x97 (0x80 for 3.1.1). */
  maxStreamGroups: number
  /** Records of streams sent in one turn of the event loop, over all readers; the rest waits for the next turn. */
  streamReadRecordsPerTurn: number
  /** Further topics are not retained; counted with reason retained-limit. */
  maxRetainedMessages: number
}

export const defaultLimits: BrokerLimits = {
  maxPacketBytes: 1024 * 1024,
  maxQueuedMessagesPerSession: 10_000,
  receiveMaximum: 100,
  maxInflight: 1024,
  maxSubscriptionsPerSession: 1000,
  maxTopicLevels: 100,
  topicAliasMaximum: 16,
  outboundTopicAliasMaximum: 16,
  maximumQos: 2,
  keepAliveSecondsMax: 0,
  sessionExpirySecondsMax: 0xffffffff,
  connectTimeoutMs: 10_000,
  maxOutboundBufferBytes: 1024 * 1024,
  drainTimeoutMs: 60_000,
  maxUncommittedBytes: 16 * 1024 * 1024,
  maxStreamGroups: 1000,
  streamReadRecordsPerTurn: 2000,
  maxRetainedMessages: 1_000_000
}
