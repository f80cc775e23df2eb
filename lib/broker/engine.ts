import type { Frame } from '../mqtt/frame.ts'
import type { AckPacket, ConnectPacket, PublishPacket, SubscribePacket, UnsubscribePacket } from '../mqtt/packet.ts'
import type { Connection } from './connection.ts'

export type Done = (error?: Error | null) => void

/**
 * What a connection hands its packets to. Two engines exist: `native/` works on the batch contract of our own store and on
 * streams; `contract/` works on any Aedes persistence and mqemitter plug-in.
 *
 * An engine that cannot answer at once calls `connection.suspend()` and later `connection.resume()`: no byte of that connection is
 * decoded in between, so order holds.
 */
export interface Engine {
  /** An authenticated CONNECT. Ends in connection.accept(), connection.refuse() or a closed connection. */
  open(connection: Connection, packet: ConnectPacket): void
  /** One PUBLISH, its body at frame.bodyStart..bodyEnd of `bytes`. `bytes` are only valid during the call. */
  publish(connection: Connection, bytes: Buffer, frame: Frame): void
  acknowledge(connection: Connection, packet: AckPacket): void
  subscribe(connection: Connection, packet: SubscribePacket): void
  unsubscribe(connection: Connection, packet: UnsubscribePacket): void
  /** All packets of one read were handled. */
  chunkEnd(connection: Connection): void
  /** The transport took bytes again after it had been congested. */
  drained(connection: Connection): void
  /** connection.policy was compiled anew, for another generation of the policy or for other roles. */
  policyChanged(connection: Connection): void
  /** The connection ended, once per connection that was opened. `done` when session state and will are settled. */
  closed(connection: Connection, done: Done): void

  /** Aedes' client.publish / subscribe / unsubscribe / emptyOutgoingQueue. */
  sendTo(connection: Connection, packet: PublishPacket, done: Done): void
  subscribeFor(connection: Connection, packet: SubscribePacket, done: Done): void
  unsubscribeFor(connection: Connection, packet: UnsubscribePacket, done: Done): void
  emptyOutgoingQueue(connection: Connection, done: Done): void

  /** Everything about sessions and wills that time decides; called a few times a second. */
  sweep(nowMs: number): void
  /** Graceful end: nothing that was accepted stays unwritten. */
  drain(): Promise<void>
}
