import { TributaryError } from '../errors.ts'
import type { ProtocolVersion } from './packet.ts'
import type { ReasonCode } from './reason-code.ts'

/** What is known about a CONNECT that fails: decides whether and in which form a CONNACK may answer it. */
export interface ConnectFailure {
  /** Form of the CONNACK; undefined while the CONNECT has not yet said which version it speaks. */
  protocolVersion?: ProtocolVersion | undefined
  /** Return code of the 3.1/3.1.1 CONNACK; undefined when the standard only allows to close. */
  connackReturnCode?: number | undefined
}

/**
 * A packet that breaks the protocol. Code TRB_PROTOCOL. `reasonCode` goes into the DISCONNECT of an MQTT 5 connection; 3.1 and
 * 3.1.1 connections are closed without a word [MQTT-4.13.1-1], [MQTT3-4.8.0-1].
 *
 * When a CONNECT failed: with `protocolVersion` 5 answer CONNACK `reasonCode` in the form of MQTT 5, otherwise answer CONNACK
 * `connackReturnCode` in the form of 3.1.1 if there is one, otherwise just close.
 */
export class PacketError extends TributaryError {
  readonly reasonCode: ReasonCode
  readonly protocolVersion: ProtocolVersion | undefined
  readonly connackReturnCode: number | undefined

  constructor(reasonCode: ReasonCode, message: string, connect?: ConnectFailure) {
    super('TRB_PROTOCOL', message)
    this.name = 'PacketError'
    this.reasonCode = reasonCode
    this.protocolVersion = connect?.protocolVersion
    this.connackReturnCode = connect?.connackReturnCode
  }
}
