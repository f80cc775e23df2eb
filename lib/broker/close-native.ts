import { reasonCode } from '../mqtt/reason-code.ts'
import type { Broker } from './broker.ts'
import { type EndingTransports, lingerMs } from './ending-transports.ts'
import type { NativeEngine } from './native/engine.ts'

/** Ends what a broker on the native engine has: what was accepted is stored and acknowledged, clients are told, transports are closed. */
export async function closeNative(broker: Broker, native: NativeEngine, ending: EndingTransports): Promise<void> {
  for (const connection of broker.connections) connection.suspend()
  native.groups.close()
  await native.drain()
  broker.closed = true
  const { serverReference } = broker.opts
  const ended: Promise<void>[] = []
  for (const connection of broker.connections) {
    if (serverReference === undefined) connection.disconnect(reasonCode.serverShuttingDown, undefined, 'server-shutdown')
    // A reference goes with the codes that send a client to it, section 4.11.
    else connection.disconnect(reasonCode.useAnotherServer, undefined, 'server-shutdown', { serverReference })
    ended.push(new Promise(resolve => connection.close(() => resolve())))
  }
  // A hook that is asked about a will may never answer; the will then stays in the store and is published at the next start.
  let deadline: NodeJS.Timeout | undefined
  const late = new Promise(resolve => {
    deadline = setTimeout(resolve, lingerMs)
  })
  await Promise.race([Promise.all(ended), late])
  await native.drain()
  native.stop()
  await Promise.race([ending.over(), late])
  clearTimeout(deadline)
  ending.cutAll()
}
