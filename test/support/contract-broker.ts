import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import memory from 'aedes-persistence'
import { Broker, type BrokerOptions } from '../../lib/broker/broker.ts'
import type { Persistence } from '../../lib/broker/contract/plug-ins.ts'

/** Aedes' store in memory, as a plug-in that tests may take to pieces. */
export function memoryPersistence(): Persistence {
  // Its types are of another module format than its code.
  return (memory as unknown as () => Persistence)()
}

/** A broker on an Aedes persistence behind a TCP port. */
export async function startContractBroker(
  t: { teardown(fn: () => unknown): unknown },
  options: BrokerOptions = {}
): Promise<{ broker: Broker; port: number; persistence: Persistence }> {
  const broker = await Broker.createBroker(options)
  const server = createServer(socket => broker.accept(socket, undefined, undefined))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    server.close()
    await new Promise<void>(resolve => broker.close(() => resolve()))
    for (const connection of broker.connections) connection.close()
  })
  return { broker, port: (server.address() as AddressInfo).port, persistence: broker.persistence as Persistence }
}

/** A promise for somebody else to keep. */
export class Gate {
  readonly opened: Promise<void>
  #open = (): void => {}

  constructor() {
    this.opened = new Promise(resolve => {
      this.#open = resolve
    })
  }

  open(): void {
    this.#open()
  }
}

export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(resolve => setImmediate(resolve))
}
