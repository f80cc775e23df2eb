import type { AedesOptions } from 'aedes'
import type { SessionStore } from '../../persistence/contract.ts'
import type { BrokerAccess } from '../access/contract.ts'
import type { Counters } from '../metrics/counters.ts'
import type { AuthenticateEnhancedHook } from './enhanced-authentication.ts'
import type { BrokerLimits } from './limits.ts'
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
  /** What acks wait for outside streams; default: everything. */
  ackRules?: readonly AckRule[]
  access?: BrokerAccess
  /** Methods of enhanced authentication that `access.enhanced` does not have. */
  authenticateEnhanced?: AuthenticateEnhancedHook
  limits?: Partial<BrokerLimits>
  counters?: Counters
  logger?: BrokerLogger | undefined
  clock?: Clock
  /** Told after each write of the store or a stream, by name, whether it succeeded; native engine only. */
  onCommit?: (part: string, error: Error | undefined) => void
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
