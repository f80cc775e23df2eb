import type { StoredWill } from '../../../persistence/contract.ts'
import type { Will } from '../../mqtt/packet.ts'
import { messageOf } from '../aedes-packet.ts'
import type { Connection } from '../connection.ts'
import type { Done } from '../engine.ts'
import { authorizeWill } from '../message-hooks.ts'
import type { NativeContext } from './context.ts'
import type { PublishHandler } from './on-publish.ts'
import { messageNeedsDisk } from './refused-publish.ts'

/**
 * Will Messages. Kept in the store from CONNECT on, so that a crash of the broker publishes them after the restart. Removed in the
 * same commit as what they were turned into.
 */
export class Wills {
  readonly #context: NativeContext
  readonly #publisher: PublishHandler
  /** By client id: wills of connected clients and those whose delay runs. */
  readonly #wills = new Map<string, StoredWill>()
  /** Client ids of wills whose delay runs. */
  readonly #delayed = new Set<string>()

  constructor(context: NativeContext, publisher: PublishHandler) {
    this.#context = context
    this.#publisher = publisher
  }

  /** A client connected: its will replaces what an earlier connection left, which is not published any more [MQTT-3.1.3-9]. */
  set(connection: Connection, will: Will | null): void {
    const clientId = connection.id ?? ''
    const earlier = this.#wills.get(clientId)
    if (earlier !== undefined) {
      // Its delay was over before the client came back, whether the sweep came by or not [MQTT-3.1.2-8].
      const due = this.#delayed.has(clientId) && earlier.dueAtMs <= this.#context.now()
      // There is room for one will of a client.
      const lost = due && this.#mustWait(earlier)
      if (lost) this.#context.dropped('read-only')
      if (due && !lost) this.#publish(earlier, undefined, noop)
      else this.#forget(clientId)
    }
    if (will === null) return
    const packet = { cmd: 'publish' as const, dup: false, messageId: undefined, ...will }
    const message = messageOf(packet, clientId, this.#context.now())
    const stored: StoredWill = { clientId, message, delaySeconds: will.properties.willDelayInterval ?? 0, dueAtMs: 0 }
    this.#wills.set(clientId, stored)
    this.#context.store.putWill(stored)
  }

  /** Found in the store at start: the connection it belonged to is gone. */
  restore(will: StoredWill): void {
    const nowMs = this.#context.now()
    // Without its session, which ended with the connection, it is due at once [MQTT-3.1.2-8].
    const delayMs = this.#context.sessions.has(will.clientId) ? will.delaySeconds * 1000 : 0
    const dueAtMs = will.dueAtMs === 0 ? nowMs + delayMs : will.dueAtMs
    const restored = { ...will, dueAtMs }
    this.#wills.set(will.clientId, restored)
    // The delay runs from here, also when the broker goes down again before it ends.
    if (will.dueAtMs === 0) this.#context.store.putWill(restored)
    this.#delayed.add(will.clientId)
  }

  /** The connection ended. `done` when the will is published and on disk, put off, or dropped. */
  connectionEnded(connection: Connection, sessionEndsInSeconds: number, done: Done): void {
    const clientId = connection.id ?? ''
    const will = this.#wills.get(clientId)
    if (will === undefined) return done()
    // A client that was never accepted has no will either.
    if (connection.disconnectedCleanly || !connection.connackSent) {
      this.#forget(clientId)
      this.#context.commit.schedule()
      return done()
    }
    // The delay ends with the session at the latest [MQTT-3.1.3-9].
    const delaySeconds = Math.min(will.delaySeconds, sessionEndsInSeconds)
    if (delaySeconds === 0) return this.#publish(will, connection, done)
    const delayed = { ...will, dueAtMs: this.#context.now() + delaySeconds * 1000 }
    this.#wills.set(clientId, delayed)
    this.#delayed.add(clientId)
    this.#context.store.putWill(delayed)
    this.#context.commit.schedule()
    done()
  }

  /** Publishes what is due; called by the broker's sweep. */
  sweep(nowMs: number): void {
    for (const clientId of this.#delayed) {
      const will = this.#wills.get(clientId)
      if (will === undefined) this.#delayed.delete(clientId)
      else if (will.dueAtMs <= nowMs) this.#publish(will, undefined, noop)
    }
  }

  /** The session ended before the delay did: now is the time [MQTT-3.1.2-8]. */
  sessionEnded(clientId: string): void {
    const will = this.#wills.get(clientId)
    if (will !== undefined && this.#delayed.has(clientId)) this.#publish(will, undefined, noop)
  }

  #publish(will: StoredWill, connection: Connection | undefined, done: Done): void {
    const { broker } = this.#context
    if (this.#mustWait(will)) return this.#putOff(will, done)
    this.#wills.delete(will.clientId)
    this.#delayed.delete(will.clientId)
    const nowMs = this.#context.now()
    const expiresAtMs = will.message.expiresAtMs === 0 ? 0 : nowMs + (will.message.expiresAtMs - will.message.publishedAtMs)
    const message = { ...will.message, publishedAtMs: nowMs, expiresAtMs }
    authorizeWill(broker, connection ?? null, will.clientId, message, error => {
      if (this.#context.stopped) return done()
      // While the hook thought the client may have come back with another will.
      if (!this.#wills.has(will.clientId)) this.#context.store.deleteWill(will.clientId)
      if (error) {
        this.#context.dropped('will-denied')
        this.#context.commit.schedule()
        return done()
      }
      this.#publisher.publishMessage(message, done)
    })
  }

  #mustWait({ message }: StoredWill): boolean {
    return this.#context.readOnly !== undefined && messageNeedsDisk(this.#context, message)
  }

  /** It is in the store and stays there: each sweep tries again until the disk takes what it is turned into. */
  #putOff(will: StoredWill, done: Done): void {
    this.#wills.set(will.clientId, { ...will, dueAtMs: will.dueAtMs || this.#context.now() })
    this.#delayed.add(will.clientId)
    done()
  }

  #forget(clientId: string): void {
    this.#wills.delete(clientId)
    this.#delayed.delete(clientId)
    this.#context.store.deleteWill(clientId)
  }
}

function noop(): void {}
