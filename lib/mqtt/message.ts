import type { Qos } from './packet.ts'

/**
 * An Application Message as the broker keeps it: what is stored in queues, retained and streams.
 *
 * `properties` holds the MQTT 5 PUBLISH properties that travel with a message, still encoded as on the wire but without the
 * length prefix, without Topic Alias, Message Expiry Interval and Subscription Identifiers: Payload Format Indicator, Content
 * Type, Response Topic, Correlation Data and User Properties in their original order. Empty for 3.1/3.1.1 publishers.
 */
export interface Message {
  topic: string
  payload: Buffer
  qos: Qos
  retain: boolean
  properties: Buffer
  /** Epoch milliseconds after which the message is expired; 0 = never. */
  expiresAtMs: number
  /** Epoch milliseconds at which the broker accepted it. */
  publishedAtMs: number
  /** Client Identifier of the publisher; '' when the broker itself published. */
  publisherId: string
}
