import type { Properties, Will } from '../../mqtt/packet.ts'
import { toAedesProperties } from '../aedes-packet.ts'
import { askHook } from '../ask-hook.ts'
import type { Done } from '../engine.ts'
import type { ContractClient } from './client.ts'
import type { ContractContext } from './context.ts'
import type { ContractPacket } from './plug-ins.ts'

/** A will as Aedes persistences keep it. */
type WillPacket = Omit<ContractPacket, 'cmd' | 'dup'>

interface Owed {
  clientId: string
  will: WillPacket
  delaySeconds: number
  /** Epoch milliseconds; 0 = the connection lives. */
  dueAtMs: number
}

/**
 * Will Messages. The persistence keeps them for the case that this broker dies: another one then publishes them (Aedes looks after
 * that). The persistence cannot keep a Will Delay, so a delay is honoured as long as this process lives.
 */
export class Wills {
  readonly #context: ContractContext
  readonly #owed = new Map<string, Owed>()

  constructor(context: ContractContext) {
    this.#context = context
  }

  /** A new connection: its will replaces what the last one left, which is not published any more [MQTT-3.1.3-9]. */
  async set(client: ContractClient, will: Will | null): Promise<void> {
    const { persistence } = this.#context
    const clientId = client.id ?? ''
    this.#owed.delete(clientId)
    await persistence.delWill(client)
    if (will === null) return
    const packet = willPacket(will)
    await persistence.putWill(client, packet)
    if (client.closed) return this.#forget(clientId)
    this.#owed.set(clientId, { clientId, will: packet, delaySeconds: will.properties.willDelayInterval ?? 0, dueAtMs: 0 })
  }

  /** The connection ended. `done` when the will is published, put off, or dropped. */
  connectionEnded(client: ContractClient, sessionEndsInSeconds: number, done: Done): void {
    const owed = this.#owed.get(client.id ?? '')
    if (owed === undefined) return done()
    if (client.disconnectedCleanly || !client.registered) {
      // [MQTT-3.14.4-3]
      this.#owed.delete(owed.clientId)
      client.track(this.#forget(owed.clientId))
      return done()
    }
    const delaySeconds = Math.min(owed.delaySeconds, sessionEndsInSeconds)
    if (delaySeconds === 0) return this.#publish(owed, client, done)
    owed.dueAtMs = this.#context.now() + delaySeconds * 1000
    done()
  }

  /** Publishes what is due. */
  sweep(nowMs: number): void {
    for (const owed of this.#owed.values()) if (owed.dueAtMs !== 0 && owed.dueAtMs <= nowMs) this.#publish(owed, null, noop)
  }

  /** The session ended before the delay did: now is the time [MQTT-3.1.2-8]. */
  sessionEnded(clientId: string): void {
    const owed = this.#owed.get(clientId)
    if (owed !== undefined && owed.dueAtMs !== 0) this.#publish(owed, null, noop)
  }

  /** A will passes the same authorizePublish hook as any publish. */
  #publish(owed: Owed, client: ContractClient | null, done: Done): void {
    const { broker } = this.#context
    const { clientId, will } = owed
    this.#owed.delete(clientId)
    const finished: Done = error => {
      // A will that could not be published stays in the persistence, from where it is tried again.
      if (error) return done(error)
      this.#forget(clientId).then(() => done(), done)
    }
    const call = (answer: Done) => broker.authorizePublish(client as never, will as never, answer)
    askHook(broker, 'authorizePublish', client, call, error => {
      if (!error) return broker.publish(will, client, finished)
      this.#context.dropped('will-denied')
      finished()
    })
  }

  async #forget(clientId: string): Promise<void> {
    const { broker, persistence } = this.#context
    await persistence.delWill({ id: clientId, brokerId: broker.id } as { id: string })
  }
}

function willPacket(will: Will): WillPacket {
  const { topic, payload, qos, retain } = will
  const packet: WillPacket = { topic, payload, qos, retain }
  const { willDelayInterval: _, ...properties } = will.properties as Properties
  if (Object.keys(properties).length > 0) packet.properties = toAedesProperties(properties)
  return packet
}

function noop(): void {}
