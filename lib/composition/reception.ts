import type { Logger } from 'pino'
import type { Broker } from '../broker/broker.ts'
import type { BrokerLimits } from '../broker/limits.ts'
import { anonymousAllowed } from '../config/anonymous.ts'
import type { Config } from '../config/config.ts'
import type { Listener } from '../listener/contract.ts'
import { openListener } from '../listener/open.ts'
import { type Counters, countUp } from '../metrics/counters.ts'

/** 65535 is all a CONNECT can ask for, so in the configuration it means no limit; the broker says 0. */
export function brokerLimits({ limits }: Config): Partial<BrokerLimits> {
  return { ...limits, keepAliveSecondsMax: limits.keepAliveSecondsMax === 65_535 ? 0 : limits.keepAliveSecondsMax }
}

interface Reception {
  broker: Broker
  counters: Counters
  logger: Logger | undefined
  /** Filled one by one, so that those that are open can be closed when the next one fails. */
  listeners: Listener[]
}

/** Opens the listeners of the configuration, one after the other. */
export async function openListeners(config: Config, { broker, counters, logger, listeners }: Reception): Promise<void> {
  const { maxConnections, maxPacketBytes } = config.limits
  for (const [i, settings] of config.listeners.entries()) {
    const name = `listeners[${i}]`
    const listener = await openListener(settings, {
      name,
      anonymousAllowed: anonymousAllowed(settings, config.access),
      connectionsMax: maxConnections,
      // A WebSocket message may carry several packets.
      messageBytesMax: maxPacketBytes * 2,
      onConnection: (stream, request, peer) => {
        // Each listener refuses more cheaply by itself; this is for all of them together.
        if (broker.connections.size < maxConnections) broker.accept(stream, request, peer)
        else {
          countUp(counters.connectionsClosed, 'connection-limit')
          stream.on('error', () => {}).destroy()
        }
      },
      onRefused: reason => countUp(counters.connectionsClosed, `refused-${reason}`),
      ...(logger ? { log: logger } : {})
    })
    listeners.push(listener)
    logger?.debug({ listener: name, url: listener.url }, 'listening')
  }
}

export async function closeAll(listeners: readonly Listener[]): Promise<void> {
  await Promise.all(listeners.map(listener => listener.close()))
}

/** Waits for the broker to finish what it accepted, but not for ever: a client may never take its last bytes. */
export async function drain(broker: Broker, { shutdown }: Config, logger: Logger | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>(resolve => {
    timer = setTimeout(resolve, shutdown.drainTimeoutMs, 'late')
  })
  const drained = new Promise<void>((resolve, reject) => broker.close(error => (error ? reject(error) : resolve())))
  if ((await Promise.race([drained, late])) === 'late') {
    logger?.warn({ connections: broker.connections.size }, 'not everything was finished in time; closing what is left')
    for (const connection of broker.connections) connection.conn.destroy()
  }
  clearTimeout(timer)
}
