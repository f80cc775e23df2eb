import type { Message } from '../mqtt/message.ts'
import { type AedesPublishPacket, aedesPacketOf, messageFromHook } from './aedes-packet.ts'
import { askHook, callHook } from './ask-hook.ts'
import type { Broker } from './broker.ts'
import type { Connection } from './connection.ts'

/** The message as the authorizeForward hook lets this client see it; undefined = not at all. Throws a HookError. */
export function forwarded(broker: Broker, connection: Connection, message: Message): Message | undefined {
  const packet = aedesPacketOf(message, broker.id, 0)
  const ask = () => broker.authorizeForward(connection as never, packet as never) as AedesPublishPacket | null | undefined
  const result = callHook(broker, 'authorizeForward', connection, ask)
  if (!result) return undefined
  if (result.topic === message.topic && result.payload === message.payload && result.qos === message.qos) return message
  return messageFromHook(result, message)
}

/** A will passes the same authorizePublish hook as any publish. */
export function authorizeWill(
  broker: Broker,
  connection: Connection | null,
  clientId: string,
  message: Message,
  done: (error?: Error | null) => void
): void {
  if (!broker.hasPublishHook) {
    done(message.topic.startsWith('$SYS/') ? new Error('$SYS/ topic is reserved') : null)
    return
  }
  const client = connection ?? broker.clients[clientId] ?? null
  const packet = aedesPacketOf(message, broker.id, 0)
  askHook(broker, 'authorizePublish', client, answer => broker.authorizePublish(client as never, packet as never, answer), done)
}
