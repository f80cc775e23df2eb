import { isUtf8 } from 'node:buffer'
import type { ConnectPacket, Properties, Will } from '../../mqtt/packet.ts'
import { type ReasonCode, reasonCode } from '../../mqtt/reason-code.ts'
import { OutboundAliases } from '../../session/outbound-aliases.ts'
import { topicLevels } from '../../topic/name.ts'
import type { Broker } from '../broker.ts'
import type { Connection } from '../connection.ts'

/**
 * The last look at a CONNECT whose credentials are good: may the client stay on this server, and does the server do what its will
 * asks for? False when the client was refused. Otherwise the connection knows what is particular about this client.
 */
export function admit(connection: Connection, packet: ConnectPacket): boolean {
  const { broker } = connection
  const redirection = broker.opts.redirect?.(connection)
  if (redirection !== undefined) {
    const { permanently = false, serverReference = broker.opts.serverReference } = redirection
    const code = permanently ? reasonCode.serverMoved : reasonCode.useAnotherServer
    const properties: Properties = serverReference === undefined ? {} : { serverReference }
    connection.refuse(code, serverUnavailable, new Error('use another server'), properties)
    return false
  }
  const problem = packet.will === undefined ? undefined : willProblem(broker, packet.will)
  if (problem !== undefined) {
    const error = new Error(problem.message)
    // 3.1 and 3.1.1 have no return code for it, so the connection is closed without one [MQTT3-3.2.2-6].
    if (connection.version === 5) connection.refuse(problem.code, 0, error)
    else connection.disconnect(problem.code, error, 'connect-refused')
    return false
  }
  connection.bridge = packet.bridgeMode
  const aliasMaximum = Math.min(connection.topicAliasMaximum, broker.limits.outboundTopicAliasMaximum)
  if (aliasMaximum > 0) connection.outboundAliases = new OutboundAliases(aliasMaximum) // [MQTT-3.1.2-27]
  return true
}

/** CONNACK return code of 3.1 and 3.1.1. */
const serverUnavailable = 3

function willProblem({ limits, features }: Broker, will: Will): { code: ReasonCode; message: string } | undefined {
  if (will.qos > limits.maximumQos) {
    return { code: reasonCode.qosNotSupported, message: `Will QoS is above ${limits.maximumQos}` } // [MQTT-3.2.2-12]
  }
  if (will.retain && !features.retain) {
    return { code: reasonCode.retainNotSupported, message: 'retained messages are not supported' } // [MQTT-3.2.2-13]
  }
  if (topicLevels(will.topic) > limits.maxTopicLevels) {
    return { code: reasonCode.topicNameInvalid, message: 'the Will Topic has too many levels' }
  }
  // "The Server MAY validate that the Will Message is of the format indicated", section 3.1.3.2.3.
  if (will.properties.payloadFormatIndicator === 1 && !isUtf8(will.payload)) {
    return {
      code: reasonCode.payloadFormatInvalid,
      message: 'the Will Payload is not UTF-8, as its Payload Format Indicator says'
    }
  }
  return undefined
}
