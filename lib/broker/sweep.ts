import { reasonCode } from '../mqtt/reason-code.ts'
import type { Broker } from './broker.ts'

/** Everything about connections that time decides: one look at all of them instead of a timer each. */
export function sweepConnections(broker: Broker, nowMs: number): void {
  const { connectTimeoutMs, drainTimeoutMs } = broker.limits
  for (const connection of broker.connections) {
    if (connection.authentication?.sweep(nowMs, connectTimeoutMs)) continue
    const silentMs = nowMs - connection.lastReceivedMs
    if (!connection.connected) {
      // The first packet is awaited, not an authenticator or hook that is still thinking.
      // Counted from the opening: single bytes buy no time.
      if (!connection.connecting && nowMs - connection.openedAtMs > connectTimeoutMs)
        connection.fail(new Error('connect did not arrive in time'), 'connect-timeout')
      continue
    }
    // One and a half times the keep alive [MQTT-3.1.2-22], [MQTT3-3.1.2-24]; a connection we do not read is not blamed for its silence.
    if (connection.keepAliveSeconds > 0 && silentMs > connection.keepAliveSeconds * 1500 && !connection.suspended) {
      broker.emit('keepaliveTimeout', connection as never)
      connection.disconnect(reasonCode.keepAliveTimeout, new Error('keep alive timeout'), 'keep-alive-timeout')
      continue
    }
    const congestedMs = connection.congestedSinceMs === 0 ? 0 : nowMs - connection.congestedSinceMs
    if (drainTimeoutMs > 0 && congestedMs > drainTimeoutMs) connection.fail(new Error('drain timeout'), 'drain-timeout')
  }
}
