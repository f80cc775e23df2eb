import { countUp } from '../../metrics/counters.ts'
import type { Broker } from '../broker.ts'
import type { Done } from '../engine.ts'
import type { ContractPacket, Persistence } from './plug-ins.ts'

/** Nested in-process deliveries go on in the next turn beyond this depth: a long mqemitter queue would exhaust the stack. */
const nestingMax = 32

/** What the parts of the contract engine share. */
export class ContractContext {
  readonly broker: Broker
  /** Packets of one read are being handled: what they make us send shares a write. */
  reading = false
  /** Packets that mqemitter took, so that what fails afterwards does not undo them. */
  readonly emitted = new WeakSet<object>()
  #nesting = 0

  constructor(broker: Broker) {
    this.broker = broker
  }

  /** Looked up every time: Aedes sets it in listen(), and users may exchange it. */
  get persistence(): Persistence {
    return this.broker.persistence as Persistence
  }

  now(): number {
    return this.broker.clock.now()
  }

  /** A delivery that will not happen. */
  dropped(reason: string): void {
    countUp(this.broker.counters.dropped, reason)
  }

  /** Calls back at once, or in the next turn when too many callbacks are on the stack already. */
  settle(done: Done): void {
    if (this.#nesting >= nestingMax) {
      setImmediate(done)
      return
    }
    this.#nesting++
    try {
      done()
    } finally {
      this.#nesting--
    }
  }

  /** Aedes' packet inside the broker: a copy with the broker's id and a number of its own, unless it has them already. */
  brokerPacket(original: Partial<ContractPacket> & { topic: string }): ContractPacket {
    const { broker } = this
    const { payload, qos = 0 } = original
    const packet: ContractPacket = {
      cmd: 'publish',
      brokerId: original.brokerId || broker.id,
      brokerCounter: original.brokerCounter || ++broker.counter,
      topic: original.topic,
      payload: payload || noBytes,
      qos: qos || 0,
      retain: original.retain || false,
      dup: original.dup || false
    }
    // Optional members are absent rather than undefined: that is how plug-ins and users know them.
    if (original.clientId !== undefined) packet.clientId = original.clientId
    if (original.nl !== undefined) packet.nl = original.nl
    if (original.properties !== undefined) packet.properties = original.properties
    if (original.messageExpiry !== undefined) packet.messageExpiry = original.messageExpiry
    if (packet.qos > 0) packet.messageId = undefined
    return packet
  }
}

const noBytes = Buffer.alloc(0)
