import type { ControlPacket, DisconnectPacket } from '../mqtt/packet.ts'
import { reasonCode } from '../mqtt/reason-code.ts'
import type { Connection } from './connection.ts'
import { handleConnect } from './on-connect.ts'

/** Every packet of a client but PUBLISH: to the engine, or answered here when it is about the connection alone. */
export function handleControl(connection: Connection, packet: ControlPacket): void {
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
    // [MQTT-3.1.2-11.2]: an expiry of zero in CONNECT cannot be raised later.
    connection.protocolError(reasonCode.protocolError, 'Session Expiry Interval raised from zero in DISCONNECT')
    return
  }
  connection.disconnectExpirySeconds = expirySeconds
  connection.disconnectedCleanly = packet.reasonCode === reasonCode.success
  connection.closeReason = 'client-disconnect'
  connection.close()
}

const pingresp = Buffer.from([0xd0, 0])
