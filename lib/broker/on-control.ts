import { decodePacket } from '../mqtt/decode.ts'
import type { Frame } from '../mqtt/frame.ts'
import type { ControlPacket, DisconnectPacket } from '../mqtt/packet.ts'
import { PacketError } from '../mqtt/packet-error.ts'
import { packetType } from '../mqtt/packet-type.ts'
import { reasonCode } from '../mqtt/reason-code.ts'
import type { Connection } from './connection.ts'
import { handleConnect } from './on-connect.ts'

/** Decodes a packet that is no PUBLISH, or no PUBLISH in its place, and handles it if it may come now. */
export function readControl(connection: Connection, bytes: Buffer, frame: Frame): void {
  if (!connection.connected && !mayComeBeforeConnack(connection, frame.type)) {
    return connection.protocolError(reasonCode.protocolError, 'Invalid protocol')
  }
  try {
    handleControl(connection, decodePacket(bytes, frame, connection.version ?? 4))
  } catch (error) {
    if (error instanceof PacketError) refuseMalformed(connection, error)
    else throw error
  }
}

function mayComeBeforeConnack({ connecting, authentication }: Connection, type: number): boolean {
  if (!connecting) return type === packetType.connect // [MQTT-3.1.0-1]
  // AUTH and DISCONNECT are all that may come while an exchange decides about the CONNECT [MQTT-3.1.2-30].
  return authentication !== undefined && (type === packetType.auth || type === packetType.disconnect)
}

function refuseMalformed(connection: Connection, error: PacketError): void {
  const answerable = error.protocolVersion === 5 || error.connackReturnCode !== undefined
  if (connection.connected || !answerable) return connection.protocolError(error.reasonCode, error.message)
  connection.version = error.protocolVersion ?? connection.version
  connection.refuse(error.reasonCode, error.connackReturnCode ?? 0, error)
}

/** Every packet of a client but PUBLISH: to the engine, or answered here when it is about the connection alone. */
function handleControl(connection: Connection, packet: ControlPacket): void {
  const { broker } = connection
  switch (packet.cmd) {
    case 'connect':
      // A second CONNECT is a violation [MQTT-3.1.0-2].
      if (connection.connected) connection.protocolError(reasonCode.protocolError, 'Invalid protocol')
      else handleConnect(connection, packet)
      return
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return broker.engine.acknowledge(connection, packet)
    case 'subscribe':
      return broker.engine.subscribe(connection, packet)
    case 'unsubscribe':
      return broker.engine.unsubscribe(connection, packet)
    case 'pingreq':
      // Aedes' listeners know it as mqtt-packet makes it.
      broker.emit('ping', { ...packet, length: 0 }, connection)
      connection.outbound.write(pingresp)
      return
    case 'disconnect':
      return onDisconnect(connection, packet)
    case 'auth':
      if (connection.authentication !== undefined) return connection.authentication.onAuth(packet)
      return connection.protocolError(
        reasonCode.protocolError,
        'AUTH without an Authentication Method in CONNECT [MQTT-4.12.0-7]'
      )
    default:
      packet satisfies never
  }
}

function onDisconnect(connection: Connection, packet: DisconnectPacket): void {
  const expirySeconds = packet.properties.sessionExpiryInterval
  if (expirySeconds !== undefined && expirySeconds > 0 && connection.sessionExpirySeconds === 0) {
    // Section 3.14.2.2.2: an expiry of zero in CONNECT cannot be raised later.
    connection.protocolError(reasonCode.protocolError, 'Session Expiry Interval raised from zero in DISCONNECT')
    return
  }
  connection.disconnectExpirySeconds = expirySeconds
  connection.disconnectedCleanly = packet.reasonCode === reasonCode.success
  connection.closeReason = 'client-disconnect'
  // What this turn answered leaves all the same, the CONNACK of a client that is gone again at once above all [MQTT-3.1.4-5].
  connection.outbound.flush()
  connection.close()
}

const pingresp = Buffer.from([0xd0, 0])
