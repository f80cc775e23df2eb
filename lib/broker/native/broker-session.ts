import type { CompiledPolicy } from '../../access/contract.ts'
import { Session } from '../../session/session.ts'
import type { Connection } from '../connection.ts'

/** A session as the native engine holds it: the protocol state plus the connection it is on, if any. */
export class BrokerSession extends Session {
  connection: Connection | undefined
  policy: CompiledPolicy | undefined
  /** A read of the queue on disk is under way. */
  pumping = false
  /** Something asked for a pump while one was under way. */
  pumpAgain = false

  /** Connected, CONNACK sent. */
  get online(): boolean {
    return this.connection?.connected === true
  }
}
