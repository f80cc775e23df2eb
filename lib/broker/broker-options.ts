import type { AedesOptions } from 'aedes'
import type { SessionStore } from '../../persistence/contract.ts'
import type { BrokerAccess } from '../access/contract.ts'
import type { DeadLetters } from '../dead-letter/contract.ts'
import type { Events } from '../events/contract.ts'
import type { Counters } from '../metrics/counters.ts'
import type { Connection } from './connection.ts'
import type { AuthenticateEnhancedHook } from './enhanced-authentication.ts'
import type { BrokerFeatures } from './features.ts'
import type { BrokerLimits } from './limits.ts'
import type { IntakeSource } from './native/stream-intakes.ts'
import type { AckRule, RoutedStream } from './native/stream-targets.ts'

export interface Clock {
  /** Epoch milliseconds. */
  now(): number
}

/** The part of a pino logger the broker uses. */
export interface BrokerLogger {
  debug(details: object, message: string): void
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}

/** Aedes' options, plus what makes the broker durable. */
export interface BrokerOptions extends AedesOptions {
  /** Our session store: selects the native engine. Without it `persistence` and `mq` work as in Aedes. */
  store?: SessionStore
  /** Streams that publishes are appended to; native engine only. */
  streams?: readonly RoutedStream[]
  /** What streams ask of messages: schemas, and how to know repetitions. Native engine only. */
  intake?: IntakeSource
  /** Where messages go that were owed and cannot be delivered; without it they are counted. Native engine only. */
  deadLetters?: DeadLetters
  /** Told what an operator may ask about later; without it nothing is recorded, and nothing is spent on it. */
  events?: Events | undefined
  /** What acks wait for outside streams; default: everything. */
  ackRules?: readonly AckRule[]
  access?: BrokerAccess
  /** Methods of enhanced authentication that `access.enhanced` does not have. */
  authenticateEnhanced?: AuthenticateEnhancedHook
  limits?: Partial<BrokerLimits>
  counters?: Counters
  logger?: BrokerLogger | undefined
  clock?: Clock
  /** Parts of MQTT 5 that may be switched off; all are on unless said otherwise. */
  features?: Partial<BrokerFeatures>
  /**
   * What a v5 client that asks for Response Information is told, as the beginning of its own response topics; `{clientId}` and
   * `{username}` stand for its own. '' = nothing. Default `responses/{clientId}/`. Native engine only.
   */
  responseTopicPrefix?: string | undefined
  /** Another server for v5 clients of this one, told when this one shuts down. Native engine only. */
  serverReference?: string | undefined
  /** Asked about every client whose credentials are good: an answer sends it to another server. Native engine only. */
  redirect?: ((client: Connection) => Redirection | undefined) | undefined
  /** Told after each write of the store or a stream, by name, whether it succeeded; native engine only. */
  onCommit?: (part: string, error: Error | undefined) => void
}

/** Where a client is to go instead, section 4.11 of MQTT 5. */
export interface Redirection {
  /** Default: the broker's own `serverReference`. */
  serverReference?: string | undefined
  /** True: for good (0x9D). Otherwise for now (0x9C). */
  permanently?: boolean
}

/** Aedes options that are limits here. */
export function aedesLimits(options: BrokerOptions): Partial<BrokerLimits> {
  const limits: Partial<BrokerLimits> = {}
  if (options.connectTimeout !== undefined) limits.connectTimeoutMs = options.connectTimeout
  if (options.drainTimeout !== undefined) limits.drainTimeoutMs = options.drainTimeout
  if (options.keepaliveLimit !== undefined) limits.keepAliveSecondsMax = options.keepaliveLimit
  if (options.maxTopicLevels !== undefined) limits.maxTopicLevels = Math.min(Math.max(options.maxTopicLevels, 1), 100)
  return limits
}
